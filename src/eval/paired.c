/* paired: see paired.h. Two documents of 10 and 30 tokens whose losses changed by -5 and -9 nats: the mean change is
 * -14 / 40 = -0.35 a token; what is left of each, -5 + 3.5 = -1.5 and -9 + 10.5 = +1.5, gives the error
 * sqrt(2 * (2.25 + 2.25)) / 40 = 0.075. */
#include "eval/paired.h"

#include <math.h>

struct paired_mean paired_ratio(const double *a, const double *b, const double *size, const int32_t *group, int32_t which,
                                size_t n)
{
    struct paired_mean r = {.mean = NAN, .error = NAN};
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        if (group && group[i] != which) continue;
        sum += b ? a[i] - b[i] : a[i];
        r.size += size[i];
        r.items++;
    }
    if (!(r.size > 0)) return r;
    r.mean = sum / r.size;
    for (size_t i = 0; i < n; i++) {
        if (group && group[i] != which) continue;
        double left = (b ? a[i] - b[i] : a[i]) - r.mean * size[i];
        squares += left * left;
    }
    double items = (double)r.items;
    r.error = r.items > 1 ? sqrt(items / (items - 1) * squares) / r.size : 0;
    return r;
}
