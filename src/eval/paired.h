/* paired: means over items of different size, and differences of two models on the same items. */
#ifndef YA_EVAL_PAIRED_H
#define YA_EVAL_PAIRED_H

#include <stddef.h>
#include <stdint.h>

struct paired_mean {
    double mean, error; /* NaN without an item */
    int64_t items;
    double size; /* of all items together */
};

/* sum(a) / sum(size) over the items i with group[i] == which (group NULL: all), or with b the same of a - b: a mean of what
 * an item has per unit of its size, such as the loss per token over documents. With d_i = a_i - b_i and m = sum(d) /
 * sum(size) its standard error is that of a ratio, sqrt(n / (n - 1) * sum (d_i - m size_i)^2) / sum(size): items are what
 * was drawn, since tokens of a document are no independent draws. It is 0 for one item. For items of size 1 it is that of a
 * mean. */
struct paired_mean paired_ratio(const double *a, const double *b, const double *size, const int32_t *group, int32_t which,
                                size_t n);

#endif
