/* support_case: contexts on each backend, and operands of the same values in every dtype and memory layout. */
#include "support_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend_open.h"
#include "base/rng.h"
#include "support_guard.h"

struct ctx *case_open(const char *backend)
{
    struct ctx *c = ctx_new(NULL);
    assert_non_null(c);
    if (array_env_new(c, guard_open(backend_open(c, backend))) != OK) fail_msg("%s: %s", backend, c->message);
    return c;
}

void case_close(struct ctx *c)
{
    if (!ctx_ok(c)) fail_msg("%s", c->message);
    array_env_free(c);
    ctx_free(c);
}

const char *case_tuned(int i)
{
    static const char *const names[] = {"cpu", "cpu-portable"};
    return i < 2 ? names[i] : NULL;
}

void case_numbers(double *out, int64_t n, uint64_t seed, double lo, double hi)
{
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 0);
    for (int64_t i = 0; i < n; i++) out[i] = (double)(float)(lo + (hi - lo) * rng_uniform(&r));
}

static struct array *padded_rows(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape)
{
    int64_t wide[ARRAY_MAX_DIMS];
    memcpy(wide, shape, (size_t)ndim * sizeof *shape);
    wide[ndim - 1] += 5;
    struct array *a = array_full(c, dtype, ndim, wide, dtype_is_float(dtype) ? NAN : 77);
    assert_non_null(a);
    return array_view(a, ndim, shape, a->stride, 2);
}

static struct array *flipped(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape)
{
    int64_t turned[ARRAY_MAX_DIMS], stride[ARRAY_MAX_DIMS];
    memcpy(turned, shape, (size_t)ndim * sizeof *shape);
    turned[0] = shape[ndim - 1];
    turned[ndim - 1] = shape[0];
    struct array *a = array_empty(c, dtype, ndim, turned);
    assert_non_null(a);
    memcpy(stride, a->stride, sizeof stride);
    stride[0] = a->stride[ndim - 1];
    stride[ndim - 1] = a->stride[0];
    return array_view(a, ndim, shape, stride, 0);
}

struct array *case_array(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, const double *values,
                         enum layout layout)
{
    struct array *a;
    if (layout == LAYOUT_PLAIN || ndim == 0) {
        a = array_empty(c, dtype, ndim, shape);
    } else {
        a = layout == LAYOUT_ROWS ? padded_rows(c, dtype, ndim, shape) : flipped(c, dtype, ndim, shape);
    }
    assert_non_null(a);
    int64_t index[ARRAY_MAX_DIMS] = {0}, n = array_size(a);
    for (int64_t k = 0; k < n; k++) {
        int64_t offset = 0;
        for (int i = 0; i < ndim; i++) offset += index[i] * a->stride[i];
        dtype_convert(dtype, (char *)a->data + offset * (int64_t)dtype_size(dtype), 1, DTYPE_F64, &values[k], 1, 1);
        for (int i = ndim - 1; i >= 0 && ++index[i] == shape[i]; i--) index[i] = 0;
    }
    return a;
}

double case_relative(const double *a, const double *b, int64_t n)
{
    double difference = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += a[i] == b[i] ? 0 : (a[i] - b[i]) * (a[i] - b[i]); /* equal infinities differ by 0 */
        size += isinf(b[i]) ? 0 : b[i] * b[i];
    }
    return difference == 0 ? 0 : sqrt(difference / size);
}

void case_check_close(struct array *a, const double *expected, int64_t n, double tolerance, const char *what,
                      const char *file, int line)
{
    if (!a) {
        print_error("%s: no result\n", what);
        _fail(file, line);
        return;
    }
    double *got = malloc((size_t)(array_size(a) + 1) * sizeof *got);
    assert_non_null(got);
    assert_int_equal(array_size(a), n);
    assert_int_equal(array_to_host(a, DTYPE_F64, got), OK);
    double error = case_relative(got, expected, n);
    if (!(error <= tolerance)) {
        print_error("%s: relative error %g > %g\n", what, error, tolerance);
        for (int64_t i = 0; i < n && i < 8; i++) print_error("  [%d] %.17g, expected %.17g\n", (int)i, got[i], expected[i]);
        free(got);
        _fail(file, line);
        return;
    }
    free(got);
}
