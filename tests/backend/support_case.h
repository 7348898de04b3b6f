/* support_case: what the op tests share: contexts, numbers that f32 and f64 hold alike, operands in several layouts. */
#ifndef YA_TESTS_SUPPORT_CASE_H
#define YA_TESTS_SUPPORT_CASE_H

#include "array/op.h"

/* A ctx whose env runs on the backend of that name behind a guard; case_close checks that no error is left and frees
 * everything. */
struct ctx *case_open(const char *backend);
void case_close(struct ctx *c);

/* Names of the tuned backends to compare with the reference: the best for this machine, or YA_CPU's, then the portable one.
 * NULL ends the list. */
const char *case_tuned(int i);

/* n numbers in [lo, hi) that f32 holds exactly; the same for the same seed. */
void case_numbers(double *out, int64_t n, uint64_t seed, double lo, double hi);

/* How an operand lies in memory: row-major; rows further apart than they are long, with NaN between; first and last axis
 * exchanged in memory, so that the last stride is not 1. */
enum layout { LAYOUT_PLAIN, LAYOUT_ROWS, LAYOUT_FLIPPED, LAYOUT_COUNT };
struct array *case_array(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, const double *values,
                         enum layout layout);

/* |a - b| / |b| over n numbers (0 / 0 is 0). NaN in either gives NaN, which no tolerance passes. */
double case_relative(const double *a, const double *b, int64_t n);
/* Asserts case_relative(array, expected) <= tolerance and the shape. */
#define case_assert_close(a, expected, n, tolerance, what)                                                                  \
    case_check_close((a), (expected), (n), (tolerance), (what), __FILE__, __LINE__)
void case_check_close(struct array *a, const double *expected, int64_t n, double tolerance, const char *what,
                      const char *file, int line);

#endif
