/* The array API against the specification of MLX's (its numeric vectors are those of MLX's own tests), only through
 * include/your_ai_array.h. Where our header says "not as MLX", the test says what is promised instead. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "your_ai_array.h"

#define COUNT(x) ((int)(sizeof(x) / sizeof *(x)))
/* SHAPE(2, 3) as the two arguments ndim, shape; AXES(0, -1) as axes, n. */
#define SHAPE(...)                                                                                                          \
    COUNT(((const int64_t[]){__VA_ARGS__})), (const int64_t[])                                                              \
    {                                                                                                                       \
        __VA_ARGS__                                                                                                         \
    }
#define AXES(...) (const int[]){__VA_ARGS__}, COUNT(((const int[]){__VA_ARGS__}))

static ya_ctx *ctx;

static int setup(void **state)
{
    (void)state;
    ctx = ya_ctx_new(NULL);
    return ctx ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    ya_ctx_free(ctx); /* frees the handles that a test left */
    return 0;
}

static ya_array *f32(int ndim, const int64_t *shape, const float *values)
{
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= shape[i];
    return ya_from_slice_f32(ctx, values, n, ndim, shape);
}

static ya_array *i32(int ndim, const int64_t *shape, const int32_t *values)
{
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= shape[i];
    return ya_from_slice_i32(ctx, values, n, ndim, shape);
}

#define F32(shape, ...) f32(shape, (const float[]){__VA_ARGS__})
#define I32(shape, ...) i32(shape, (const int32_t[]){__VA_ARGS__})

static void check_shape(const ya_array *a, ya_dtype dtype, int ndim, const int64_t *shape)
{
    if (!a) fail_msg("no array: %s", ya_error(ctx) ? ya_error(ctx) : "no error either");
    assert_int_equal(ya_array_dtype(a), dtype);
    assert_int_equal(ya_ndim(a), ndim);
    for (int i = 0; i < ndim; i++) assert_int_equal(ya_dim(a, i), shape[i]);
}

/* Values to within f32 rounding, shape and dtype exactly. */
static void check(const ya_array *a, ya_dtype dtype, int ndim, const int64_t *shape, const double *expected)
{
    double got[64];
    check_shape(a, dtype, ndim, shape);
    assert_true(ya_size(a) <= COUNT(got));
    ya_array *wide = ya_astype(a, YA_F64);
    assert_int_equal(ya_as_slice_f64(wide, got, ya_size(a)), 0);
    ya_array_free(wide);
    for (int64_t i = 0; i < ya_size(a); i++) {
        bool equal = got[i] == expected[i] || fabs(got[i] - expected[i]) <= 1e-6 * fmax(1, fabs(expected[i])) ||
                     (isnan(got[i]) && isnan(expected[i]));
        if (!equal) fail_msg("element %d is %.9g, expected %.9g", (int)i, got[i], expected[i]);
    }
}
#define CHECK(a, dtype, shape, ...) check(a, dtype, shape, (const double[]){__VA_ARGS__})

static void check_scalar(const ya_array *a, ya_dtype dtype, double expected)
{
    check(a, dtype, 0, NULL, &expected);
}

/* The call failed with this kind of error; clears it. */
static void check_error(const void *result, const char *kind)
{
    assert_null(result);
    assert_non_null(ya_error(ctx));
    if (strcmp(ya_error_kind(ctx), kind) != 0) fail_msg("%s: %s, expected %s", ya_error_kind(ctx), ya_error(ctx), kind);
    ya_error_clear(ctx);
    assert_null(ya_error(ctx));
}

/* ---- making and types ----------------------------------------------------------------------------------------------- */

static void test_from_f32_is_a_strong_scalar(void **state)
{
    (void)state;
    ya_array *one = ya_from_f32(ctx, 1.5f);
    check_scalar(one, YA_F32, 1.5);
    ya_array *b = ya_astype(one, YA_BF16), *i = ya_from_i32(ctx, 2);
    check_scalar(ya_add(b, one), YA_F32, 3);
    check_scalar(ya_add(i, one), YA_F32, 3.5);
    check_scalar(ya_add(b, b), YA_BF16, 3);
    check_scalar(ya_add(i, i), YA_I32, 4);
}

static void test_from_slice(void **state)
{
    (void)state;
    float data[6] = {1, 2, 3, 4, 5, 6};
    ya_array *a = ya_from_slice_f32(ctx, data, 6, SHAPE(2, 3));
    data[0] = 100; /* copied */
    CHECK(a, YA_F32, SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
    check_error(ya_from_slice_f32(ctx, data, 6, SHAPE(2, 2)), "shape");
    check_error(ya_from_slice_f32(ctx, data, 6, SHAPE(-1, 6)), "shape");
    check_error(ya_from_slice_f32(ctx, data, 6, SHAPE(INT64_MAX, INT64_MAX)), "shape");
    CHECK(ya_from_slice_f64(ctx, (double[]){0.1}, 1, SHAPE(1)), YA_F64, SHAPE(1), 0.1);
    CHECK(ya_from_slice_i64(ctx, (int64_t[]){-5, 1LL << 40}, 2, SHAPE(2)), YA_I64, SHAPE(2), -5, 0x1p40);
    CHECK(ya_from_slice_u8(ctx, (uint8_t[]){0, 255}, 2, SHAPE(2)), YA_U8, SHAPE(2), 0, 255);
    CHECK(ya_from_slice_bool(ctx, (bool[]){true, false}, 2, SHAPE(2)), YA_BOOL, SHAPE(2), 1, 0);
    check_shape(ya_from_slice_f32(ctx, data, 0, SHAPE(0, 3)), YA_F32, SHAPE(0, 3));
    check_shape(ya_zeros(ctx, YA_I32, SHAPE(2)), YA_I32, SHAPE(2));
    CHECK(ya_full(ctx, YA_F16, SHAPE(2), 0.5), YA_F16, SHAPE(2), 0.5, 0.5);
}

static void test_promotion(void **state)
{
    (void)state;
    /* JAX's table, over the dtypes that exist here: what a row and a column make together. */
    static const ya_dtype expected[8][8] = {
        [YA_BOOL] = {YA_BOOL, YA_U8, YA_I32, YA_I64, YA_F16, YA_BF16, YA_F32, YA_F64},
        [YA_U8] = {YA_U8, YA_U8, YA_I32, YA_I64, YA_F16, YA_BF16, YA_F32, YA_F64},
        [YA_I32] = {YA_I32, YA_I32, YA_I32, YA_I64, YA_F16, YA_BF16, YA_F32, YA_F64},
        [YA_I64] = {YA_I64, YA_I64, YA_I64, YA_I64, YA_F16, YA_BF16, YA_F32, YA_F64},
        [YA_F16] = {YA_F16, YA_F16, YA_F16, YA_F16, YA_F16, YA_F32, YA_F32, YA_F64},
        [YA_BF16] = {YA_BF16, YA_BF16, YA_BF16, YA_BF16, YA_F32, YA_BF16, YA_F32, YA_F64},
        [YA_F32] = {YA_F32, YA_F32, YA_F32, YA_F32, YA_F32, YA_F32, YA_F32, YA_F64},
        [YA_F64] = {YA_F64, YA_F64, YA_F64, YA_F64, YA_F64, YA_F64, YA_F64, YA_F64},
    };
    for (int a = YA_BOOL; a <= YA_F64; a++) {
        for (int b = YA_BOOL; b <= YA_F64; b++) {
            ya_array *x = ya_full(ctx, (ya_dtype)a, SHAPE(1), 1), *y = ya_full(ctx, (ya_dtype)b, SHAPE(1), 1);
            CHECK(ya_mul(x, y), expected[a][b], SHAPE(1), 1);
            ya_array *both[2] = {x, y};
            CHECK(ya_concatenate(ctx, both, 2), expected[a][b], SHAPE(2), 1, 1);
        }
    }
}

static void test_astype(void **state)
{
    (void)state;
    ya_array *a = F32(SHAPE(5), 1.9f, -1.9f, 0, NAN, 3e9f);
    CHECK(ya_astype(a, YA_I32), YA_I32, SHAPE(5), 1, -1, 0, 0, INT32_MAX);
    CHECK(ya_astype(a, YA_BOOL), YA_BOOL, SHAPE(5), 1, 1, 0, 1, 1);
    CHECK(ya_astype(F32(SHAPE(3), 65504, 65520, 1.0009766f), YA_F16), YA_F16, SHAPE(3), 65504, INFINITY, 1.0009765625);
    CHECK(ya_astype(F32(SHAPE(2), 1.00390625f, 1.01171875f), YA_BF16), YA_BF16, SHAPE(2), 1, 1.015625); /* ties to even */
}

/* ---- elementwise -------------------------------------------------------------------------------------------------- */

static void test_broadcasting(void **state)
{
    (void)state;
    ya_array *row = F32(SHAPE(3), 1, 2, 3), *column = F32(SHAPE(2, 1), 10, 20);
    CHECK(ya_add(row, column), YA_F32, SHAPE(2, 3), 11, 12, 13, 21, 22, 23);
    CHECK(ya_sub(column, row), YA_F32, SHAPE(2, 3), 9, 8, 7, 19, 18, 17);
    CHECK(ya_mul(row, ya_from_f32(ctx, 2)), YA_F32, SHAPE(3), 2, 4, 6);
    check_error(ya_add(row, F32(SHAPE(2), 1, 2)), "shape");
    ya_add(row, F32(SHAPE(2), 1, 2));
    assert_non_null(strstr(ya_error(ctx), "f32[3]")); /* the message holds both operands */
    assert_non_null(strstr(ya_error(ctx), "f32[2]"));
    ya_error_clear(ctx);
    CHECK(ya_broadcast_to(row, SHAPE(2, 3)), YA_F32, SHAPE(2, 3), 1, 2, 3, 1, 2, 3);
    check_error(ya_broadcast_to(row, SHAPE(3, 2)), "shape");
    check_shape(ya_add(F32(SHAPE(1), 1), ya_zeros(ctx, YA_F32, SHAPE(0))), YA_F32, SHAPE(0));
}

static void test_arithmetic(void **state)
{
    (void)state;
    ya_array *a = I32(SHAPE(3), 7, -7, 0), *b = I32(SHAPE(3), 2, 2, 0);
    CHECK(ya_div(a, b), YA_F32, SHAPE(3), 3.5, -3.5, NAN); /* integers divide as floats */
    CHECK(ya_neg(a), YA_I32, SHAPE(3), -7, 7, 0);
    CHECK(ya_maximum(a, b), YA_I32, SHAPE(3), 7, 2, 0);
    CHECK(ya_exp(b), YA_F32, SHAPE(3), exp(2), exp(2), 1);
    CHECK(ya_log(F32(SHAPE(3), 1, 0, -1)), YA_F32, SHAPE(3), 0, -INFINITY, NAN);
    CHECK(ya_sqrt(F32(SHAPE(2), 4, 2)), YA_F32, SHAPE(2), 2, sqrt(2));
    CHECK(ya_sigmoid(F32(SHAPE(3), 0, 100, -100)), YA_F32, SHAPE(3), 0.5, 1, 0);
    ya_array *yes = ya_from_slice_bool(ctx, (bool[]){true}, 1, SHAPE(1));
    CHECK(ya_add(yes, yes), YA_BOOL, SHAPE(1), 1);
    check_error(ya_neg(yes), "dtype");
    ya_array *u = ya_from_slice_u8(ctx, (uint8_t[]){200}, 1, SHAPE(1));
    CHECK(ya_add(u, u), YA_U8, SHAPE(1), 144); /* wraps */
    ya_array *wide = ya_from_slice_i64(ctx, (int64_t[]){(1LL << 53) + 1}, 1, SHAPE(1)), *sum = ya_add(wide, yes);
    int64_t exact;
    assert_int_equal(ya_item_i64(sum, &exact), 0);
    assert_true(exact == (1LL << 53) + 2); /* never through a double */
}

static void test_comparison(void **state)
{
    (void)state;
    ya_array *a = F32(SHAPE(3), 1, 2, NAN), *b = I32(SHAPE(3), 2, 2, 2);
    CHECK(ya_eq(a, b), YA_BOOL, SHAPE(3), 0, 1, 0);
    CHECK(ya_ne(a, b), YA_BOOL, SHAPE(3), 1, 0, 1);
    CHECK(ya_lt(a, b), YA_BOOL, SHAPE(3), 1, 0, 0);
    CHECK(ya_le(a, b), YA_BOOL, SHAPE(3), 1, 1, 0);
    CHECK(ya_gt(a, b), YA_BOOL, SHAPE(3), 0, 0, 0);
    CHECK(ya_ge(a, b), YA_BOOL, SHAPE(3), 0, 1, 0);
    CHECK(ya_where(ya_lt(a, b), a, b), YA_F32, SHAPE(3), 1, 2, 2);
    CHECK(ya_where(F32(SHAPE(2, 1), 0, 3), ya_from_i32(ctx, 1), I32(SHAPE(2), 8, 9)), YA_I32, SHAPE(2, 2), 8, 9, 1, 1);
}

static void test_array_equal(void **state)
{
    (void)state;
    ya_array *a = F32(SHAPE(2), 1, 2), *nan = F32(SHAPE(1), NAN);
    assert_int_equal(ya_array_equal(a, I32(SHAPE(2), 1, 2)), 1); /* the dtype may differ */
    assert_int_equal(ya_array_equal(a, F32(SHAPE(2), 1, 3)), 0);
    assert_int_equal(ya_array_equal(a, F32(SHAPE(1, 2), 1, 2)), 0);
    assert_int_equal(ya_array_equal(nan, nan), 0);
    assert_int_equal(ya_array_equal(ya_zeros(ctx, YA_F32, SHAPE(0, 2)), ya_zeros(ctx, YA_I32, SHAPE(0, 2))), 1);
    assert_int_equal(ya_array_equal(a, NULL), -1);
}

/* ---- reductions --------------------------------------------------------------------------------------------------- */

static void test_sum(void **state)
{
    (void)state;
    ya_array *a = F32(SHAPE(2, 2), 5, 8, 4, 9);
    CHECK(ya_sum_axes(a, AXES(0), false), YA_F32, SHAPE(2), 9, 17);
    CHECK(ya_sum_axes(a, AXES(-1), false), YA_F32, SHAPE(2), 13, 13);
    check_scalar(ya_sum(a, false), YA_F32, 26);
    CHECK(ya_sum(a, true), YA_F32, SHAPE(1, 1), 26);
    CHECK(ya_sum_axes(a, AXES(0), true), YA_F32, SHAPE(1, 2), 9, 17);
    CHECK(ya_sum_axes(I32(SHAPE(2), 3, 4), NULL, 0, false), YA_I32, SHAPE(2), 3, 4); /* no axes: unchanged */
    check_scalar(ya_sum(ya_from_f32(ctx, 3), false), YA_F32, 3);
    check_scalar(ya_sum(ya_zeros(ctx, YA_F32, SHAPE(0, 3)), false), YA_F32, 0);
    CHECK(ya_sum_axes(ya_zeros(ctx, YA_F32, SHAPE(0, 3)), AXES(0), false), YA_F32, SHAPE(3), 0, 0, 0);
    check_error(ya_sum_axes(a, AXES(0, -2), false), "shape"); /* axis 0 twice */
    check_error(ya_sum_axes(a, AXES(2), false), "shape");
    check_error(ya_sum_axes(a, AXES(-3), false), "shape");
}

static void test_sum_dtypes(void **state)
{
    (void)state;
    static const ya_dtype expected[8] = {YA_I32, YA_I32, YA_I32, YA_I64, YA_F16, YA_BF16, YA_F32, YA_F64};
    for (int t = YA_BOOL; t <= YA_F64; t++) {
        check_scalar(ya_sum(ya_full(ctx, (ya_dtype)t, SHAPE(300), 1), false), expected[t], 300);
    }
}

static void test_mean(void **state)
{
    (void)state;
    ya_array *a = F32(SHAPE(2, 2), 1, 2, 3, 4);
    check_scalar(ya_mean(a, false), YA_F32, 2.5);
    CHECK(ya_mean(a, true), YA_F32, SHAPE(1, 1), 2.5);
    CHECK(ya_mean_axes(a, AXES(0), false), YA_F32, SHAPE(2), 2, 3);
    CHECK(ya_mean_axes(a, AXES(1), false), YA_F32, SHAPE(2), 1.5, 3.5);
    CHECK(ya_mean_axes(I32(SHAPE(4), 5, 8, 4, 9), NULL, 0, false), YA_F32, SHAPE(4), 5, 8, 4, 9);
    check_scalar(ya_mean(I32(SHAPE(2), 1, 2), false), YA_F32, 1.5);
    check_scalar(ya_mean(ya_zeros(ctx, YA_F32, SHAPE(0)), false), YA_F32, NAN);
    check_error(ya_mean_axes(a, AXES(2), false), "shape");
    /* f16: the sum 2051 is rounded to 2052 and multiplied by 1/3 rounded to 0.333251953; the exact mean would give 683.5 */
    check_scalar(ya_mean(ya_astype(F32(SHAPE(3), 2048, 1, 2), YA_F16), false), YA_F16, 684);
}

static void test_max_var_logsumexp(void **state)
{
    (void)state;
    ya_array *a = F32(SHAPE(2, 2), 5, 8, 4, 9);
    CHECK(ya_max_axes(a, AXES(0), false), YA_F32, SHAPE(2), 5, 9);
    check_scalar(ya_max(a, false), YA_F32, 9);
    check_error(ya_max(ya_zeros(ctx, YA_F32, SHAPE(0)), false), "shape");
    check_scalar(ya_var(F32(SHAPE(2, 2), 1, 2, 3, 4), false, 0), YA_F32, 1.25);
    check_scalar(ya_var(F32(SHAPE(2), 1, 2), false, 3), YA_F32, INFINITY);
    CHECK(ya_logsumexp_axis(a, 0, false), YA_F32, SHAPE(2), 5.3132615, 9.313262);
    CHECK(ya_logsumexp_axis(a, -1, true), YA_F32, SHAPE(2, 1), 8.0485873, 9.0067153);
    check_scalar(ya_logsumexp(F32(SHAPE(2, 2), 1000, 1000, 1000, 1000), false), YA_F32, 1001.3862944);
    CHECK(ya_logsumexp(a, true), YA_F32, SHAPE(1, 1), 9.3314116);
    check_scalar(ya_logsumexp(ya_zeros(ctx, YA_F32, SHAPE(0)), false), YA_F32, -INFINITY);
    check_scalar(ya_logsumexp(F32(SHAPE(2), -INFINITY, -INFINITY), false), YA_F32, -INFINITY);
    check_error(ya_logsumexp_axis(a, 2, false), "shape");
}

static void test_softmax(void **state)
{
    (void)state;
    const double p0 = 1 / (1 + exp(1) + exp(2)), p1 = exp(1) * p0, p2 = exp(2) * p0;
    CHECK(ya_softmax_axis(F32(SHAPE(3), 1, 2, 3), -1), YA_F32, SHAPE(3), p0, p1, p2);
    CHECK(ya_softmax_axis(F32(SHAPE(3, 1), 1001, 1002, 1003), 0), YA_F32, SHAPE(3, 1), p0, p1, p2);
    CHECK(ya_softmax_axis(I32(SHAPE(1, 3), 1, 2, 3), 1), YA_F32, SHAPE(1, 3), p0, p1, p2);
    CHECK(ya_softmax_axis(I32(SHAPE(3, 1), 1, 2, 3), 0), YA_F32, SHAPE(3, 1), p0, p1, p2); /* not as MLX: zeros there */
    check_error(ya_softmax_axis(ya_from_f32(ctx, 1), 0), "shape");
    check_error(ya_softmax_axis(ya_from_f32(ctx, 1), -1), "shape");
    check_shape(ya_softmax_axis(ya_zeros(ctx, YA_F32, SHAPE(0, 3)), 1), YA_F32, SHAPE(0, 3));
    check_shape(ya_softmax_axis(ya_astype(F32(SHAPE(2), 0, 0), YA_BF16), 0), YA_BF16, SHAPE(2));
}

/* ---- shape -------------------------------------------------------------------------------------------------------- */

static ya_array *one_to_twelve(int ndim, const int64_t *shape)
{
    return f32(ndim, shape, (const float[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
}

static void test_transpose(void **state)
{
    (void)state;
    ya_array *a = one_to_twelve(SHAPE(2, 3, 2));
    CHECK(ya_transpose(a), YA_F32, SHAPE(2, 3, 2), 1, 7, 3, 9, 5, 11, 2, 8, 4, 10, 6, 12);
    CHECK(ya_transpose_axes(a, AXES(0, 2, 1)), YA_F32, SHAPE(2, 2, 3), 1, 3, 5, 2, 4, 6, 7, 9, 11, 8, 10, 12);
    CHECK(ya_transpose_axes(a, AXES(0, -1, -2)), YA_F32, SHAPE(2, 2, 3), 1, 3, 5, 2, 4, 6, 7, 9, 11, 8, 10, 12);
    check_scalar(ya_transpose(ya_from_f32(ctx, 4)), YA_F32, 4);
    check_error(ya_transpose_axes(a, AXES(0, 1)), "shape");
    check_error(ya_transpose_axes(a, NULL, 0), "shape");
    check_error(ya_transpose_axes(a, AXES(0, 1, 3)), "shape");
    check_error(ya_transpose_axes(a, AXES(0, 1, -2)), "shape");
    check_error(ya_transpose_axes(ya_from_f32(ctx, 1), AXES(0)), "shape");
}

static void test_expand_dims(void **state)
{
    (void)state;
    ya_array *a = ya_zeros(ctx, YA_F32, SHAPE(2, 2));
    check_shape(ya_expand_dims(a, AXES(0, 1, 2, 5, 6, 7)), YA_F32, SHAPE(1, 1, 1, 2, 2, 1, 1, 1));
    check_shape(ya_expand_dims(a, AXES(-1)), YA_F32, SHAPE(2, 2, 1)); /* axes index the result */
    check_shape(ya_expand_dims(a, AXES(1)), YA_F32, SHAPE(2, 1, 2));
    check_shape(ya_expand_dims(a, AXES(-3)), YA_F32, SHAPE(1, 2, 2));
    check_shape(ya_expand_dims(a, NULL, 0), YA_F32, SHAPE(2, 2));
    check_error(ya_expand_dims(a, AXES(3)), "shape");
    check_error(ya_expand_dims(a, AXES(-4)), "shape");
    check_error(ya_expand_dims(a, AXES(0, 1, 0)), "shape");
    check_error(ya_expand_dims(a, AXES(0, 1, -4)), "shape");
    check_error(ya_expand_dims(a, AXES(0, 1, 2, 3, 4, 5, 6)), "shape"); /* nine dimensions */
}

static void test_reshape_and_slice(void **state)
{
    (void)state;
    ya_array *a = one_to_twelve(SHAPE(3, 4));
    CHECK(ya_reshape(a, SHAPE(2, -1)), YA_F32, SHAPE(2, 6), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    CHECK(ya_reshape(ya_transpose(a), SHAPE(2, 6)), YA_F32, SHAPE(2, 6), 1, 5, 9, 2, 6, 10, 3, 7, 11, 4, 8, 12);
    check_scalar(ya_reshape(F32(SHAPE(1, 1), 3), 0, NULL), YA_F32, 3);
    check_error(ya_reshape(a, SHAPE(5, -1)), "shape");
    check_error(ya_reshape(a, SHAPE(-1, -1)), "shape");
    check_error(ya_reshape(a, SHAPE(12, 2)), "shape");
    CHECK(ya_slice(a, (int64_t[]){0, 1}, (int64_t[]){3, 4}, (int64_t[]){2, 2}, 2), YA_F32, SHAPE(2, 2), 2, 4, 10, 12);
    check_shape(ya_slice(a, (int64_t[]){3, 4}, (int64_t[]){3, 4}, NULL, 2), YA_F32, SHAPE(0, 0));
    check_error(ya_slice(a, (int64_t[]){0, 0}, (int64_t[]){3, 5}, NULL, 2), "shape");
}

static void test_concatenate(void **state)
{
    (void)state;
    ya_array *a = one_to_twelve(SHAPE(1, 2)), *b = one_to_twelve(SHAPE(2, 2)), *pair[2] = {a, b};
    CHECK(ya_concatenate(ctx, pair, 2), YA_F32, SHAPE(3, 2), 1, 2, 1, 2, 3, 4); /* not as MLX: nothing is flattened */
    ya_array *columns[3] = {b, F32(SHAPE(2, 1), 8, 9), b};
    CHECK(ya_concatenate_axis(ctx, columns, 3, -1), YA_F32, SHAPE(2, 5), 1, 2, 8, 1, 2, 3, 4, 9, 3, 4);
    ya_array *turned[2] = {ya_transpose(b), b};
    CHECK(ya_concatenate_axis(ctx, turned, 2, 0), YA_F32, SHAPE(4, 2), 1, 3, 2, 4, 1, 2, 3, 4);
    ya_array *with_empty[3] = {ya_zeros(ctx, YA_F32, SHAPE(0, 2)), a, ya_zeros(ctx, YA_F32, SHAPE(0, 2))};
    CHECK(ya_concatenate(ctx, with_empty, 3), YA_F32, SHAPE(1, 2), 1, 2);
    CHECK(ya_concatenate(ctx, pair, 1), YA_F32, SHAPE(1, 2), 1, 2);
    ya_array *many[20];
    double expected[20];
    for (int i = 0; i < 20; i++) {
        many[i] = ya_reshape(ya_from_f32(ctx, (float)i), SHAPE(1));
        expected[i] = i;
    }
    check(ya_concatenate(ctx, many, 20), YA_F32, SHAPE(20), expected); /* more than one kernel call takes */
    check_error(ya_concatenate(ctx, NULL, 0), "shape");
    check_error(ya_concatenate_axis(ctx, pair, 2, 1), "shape");
    check_error(ya_concatenate_axis(ctx, pair, 2, 2), "shape");
    ya_array *ranks[2] = {a, F32(SHAPE(2), 1, 2)};
    check_error(ya_concatenate(ctx, ranks, 2), "shape");
    ya_array *halves[2] = {ya_astype(a, YA_F16), ya_astype(a, YA_BF16)};
    check_shape(ya_concatenate(ctx, halves, 2), YA_F32, SHAPE(2, 2));
}

static void test_stack(void **state)
{
    (void)state;
    ya_array *mixed[2] = {ya_astype(F32(SHAPE(2), 1, 2), YA_F16), I32(SHAPE(2), 3, 4)};
    CHECK(ya_stack(ctx, mixed, 2, 0), YA_F16, SHAPE(2, 2), 1, 2, 3, 4);
    CHECK(ya_stack(ctx, mixed, 2, -1), YA_F16, SHAPE(2, 2), 1, 3, 2, 4);
    ya_array *different[2] = {F32(SHAPE(2), 1, 2), F32(SHAPE(1), 1)};
    check_error(ya_stack(ctx, different, 2, 0), "shape");
}

static void test_take(void **state)
{
    (void)state;
    ya_array *table = one_to_twelve(SHAPE(4, 3));
    CHECK(ya_take(table, I32(SHAPE(2), 3, 0)), YA_F32, SHAPE(2, 3), 10, 11, 12, 1, 2, 3);
    CHECK(ya_take_along(table, I32(SHAPE(4), 0, 1, 2, 0)), YA_F32, SHAPE(4), 1, 5, 9, 10);
    check_error(ya_take(table, I32(SHAPE(1), 4)), "shape");
    check_error(ya_take(table, I32(SHAPE(1), -1)), "shape");
    check_error(ya_take(table, ya_from_slice_i64(ctx, (int64_t[]){1LL << 32}, 1, SHAPE(1))), "shape"); /* not 0 */
    check_error(ya_take(table, F32(SHAPE(1), 0)), "dtype");
    check_error(ya_take_along(table, I32(SHAPE(3), 0, 0, 0)), "shape");
}

static void test_matmul(void **state)
{
    (void)state;
    ya_array *a = one_to_twelve(SHAPE(2, 3)), *b = one_to_twelve(SHAPE(3, 2)), *v = F32(SHAPE(3), 1, 0, -1);
    CHECK(ya_matmul(a, b), YA_F32, SHAPE(2, 2), 22, 28, 49, 64);
    CHECK(ya_matmul(a, ya_transpose(a)), YA_F32, SHAPE(2, 2), 14, 32, 32, 77);
    CHECK(ya_matmul(a, v), YA_F32, SHAPE(2), -2, -2);
    CHECK(ya_matmul(v, b), YA_F32, SHAPE(2), -4, -4);
    check_scalar(ya_matmul(v, v), YA_F32, 2);
    CHECK(ya_matmul(one_to_twelve(SHAPE(2, 1, 3)), b), YA_F32, SHAPE(2, 1, 2), 22, 28, 49, 64);
    CHECK(ya_matmul(I32(SHAPE(1, 2), 1, 2), I32(SHAPE(2, 1), 3, 4)), YA_F32, SHAPE(1, 1), 11);
    CHECK(ya_matmul(ya_zeros(ctx, YA_F32, SHAPE(1, 0)), ya_zeros(ctx, YA_F32, SHAPE(0, 2))), YA_F32, SHAPE(1, 2), 0, 0);
    check_error(ya_matmul(a, a), "shape");
    check_error(ya_matmul(a, ya_from_f32(ctx, 1)), "shape");
    check_error(ya_matmul(one_to_twelve(SHAPE(2, 2, 3)), one_to_twelve(SHAPE(3, 1, 3))), "shape");
}

/* ---- looking at values ------------------------------------------------------------------------------------------------ */

static void test_item(void **state)
{
    (void)state;
    double d;
    int64_t i;
    assert_int_equal(ya_item_i64(ya_from_f32(ctx, 1.0f), &i), 0);
    assert_int_equal(i, 1);
    assert_int_equal(ya_item_f64(F32(SHAPE(1, 1, 1), 2.5f), &d), 0); /* any rank */
    assert_true(d == 2.5);
    assert_int_equal(ya_item_i64(ya_from_slice_bool(ctx, (bool[]){true}, 1, SHAPE(1)), &i), 0);
    assert_int_equal(i, 1);
    assert_int_equal(ya_item_f64(F32(SHAPE(2), 1, 2), &d), -1);
    check_error(NULL, "shape");
    assert_int_equal(ya_item_f64(ya_zeros(ctx, YA_F32, SHAPE(0)), &d), -1);
    check_error(NULL, "shape");
    assert_int_equal(ya_item_f64(NULL, &d), -1);
}

static void test_as_slice(void **state)
{
    (void)state;
    float f[12];
    int32_t i[4];
    ya_array *a = one_to_twelve(SHAPE(3, 4)), *row = F32(SHAPE(3), 1, 2, 3);
    const float turned[12] = {1, 5, 9, 2, 6, 10, 3, 7, 11, 4, 8, 12}, spread[6] = {1, 2, 3, 1, 2, 3};
    /* not as MLX: views give their own elements */
    assert_int_equal(ya_as_slice_f32(ya_transpose(a), f, 12), 0);
    assert_memory_equal(f, turned, sizeof turned);
    assert_int_equal(ya_as_slice_f32(ya_broadcast_to(row, SHAPE(2, 3)), f, 6), 0);
    assert_memory_equal(f, spread, sizeof spread);
    assert_int_equal(ya_as_slice_f32(ya_slice(a, (int64_t[]){1, 1}, (int64_t[]){3, 3}, NULL, 2), f, 4), 0);
    assert_true(f[0] == 6 && f[1] == 7 && f[2] == 10 && f[3] == 11);
    assert_int_equal(ya_as_slice_f32(ya_zeros(ctx, YA_F32, SHAPE(0)), f, 0), 0);
    assert_int_equal(ya_as_slice_i32(I32(SHAPE(2), 5, 6), i, 2), 0);
    assert_true(i[0] == 5 && i[1] == 6);
    int64_t wide[1];
    uint8_t bytes[1];
    bool flags[2];
    assert_int_equal(ya_as_slice_i64(ya_from_slice_i64(ctx, (int64_t[]){INT64_MIN}, 1, SHAPE(1)), wide, 1), 0);
    assert_true(wide[0] == INT64_MIN);
    assert_int_equal(ya_as_slice_u8(ya_from_slice_u8(ctx, (uint8_t[]){200}, 1, SHAPE(1)), bytes, 1), 0);
    assert_true(bytes[0] == 200);
    assert_int_equal(ya_as_slice_bool(ya_lt(F32(SHAPE(2), 1, 3), ya_from_f32(ctx, 2)), flags, 2), 0);
    assert_true(flags[0] && !flags[1]);
    assert_int_equal(ya_as_slice_i32(a, i, 12), -1); /* nothing is converted */
    check_error(NULL, "dtype");
    assert_int_equal(ya_as_slice_f32(a, f, 11), -1);
    check_error(NULL, "shape");
}

static void test_eval(void **state)
{
    (void)state;
    ya_array *a = F32(SHAPE(2), 1, 2), *pair[2] = {a, NULL};
    assert_int_equal(ya_eval(ctx, pair, 1), 0);
    assert_int_equal(ya_eval(ctx, pair, 1), 0);
    assert_int_equal(ya_eval(ctx, pair, 2), -1);
    CHECK(a, YA_F32, SHAPE(2), 1, 2);
}

/* ---- errors and handles --------------------------------------------------------------------------------------------- */

static void test_first_error_stays(void **state)
{
    (void)state;
    char message[256];
    ya_array *a = F32(SHAPE(2), 1, 2), *b = F32(SHAPE(3), 1, 2, 3);
    assert_null(ya_matmul(ya_add(a, b), a)); /* the chain goes on over NULL */
    snprintf(message, sizeof message, "%s", ya_error(ctx));
    assert_null(ya_reshape(a, SHAPE(7)));
    assert_null(ya_add(a, a));
    assert_string_equal(ya_error(ctx), message);
    ya_error_clear(ctx);
    CHECK(ya_add(a, a), YA_F32, SHAPE(2), 2, 4);
}

static void test_handles(void **state)
{
    (void)state;
    ya_array *a = F32(SHAPE(2), 1, 2), *other = ya_array_ref(a), *sum = ya_add(a, a);
    ya_array_free(a);
    CHECK(other, YA_F32, SHAPE(2), 1, 2);
    ya_array_free(other);
    CHECK(sum, YA_F32, SHAPE(2), 2, 4);
    ya_array_free(NULL);
    ya_ctx *second = ya_ctx_new(NULL);
    assert_non_null(second);
    ya_array *stranger = ya_from_f32(second, 1);
    check_error(ya_add(sum, stranger), "input");
    ya_ctx_free(second); /* with a handle left */
    assert_int_equal(ya_ctx_set_threads(ctx, 3), 0);
    CHECK(ya_mul(sum, sum), YA_F32, SHAPE(2), 4, 16);
    assert_int_equal(ya_ctx_set_threads(ctx, -1), -1);
    check_error(NULL, "input");
}

/* The backend is chosen when a ctx is made; a name that does not exist is refused, not replaced. */
static void test_unknown_backend(void **state)
{
    const char *set = getenv("YA_CPU");
    char *before = set ? strdup(set) : NULL;
    (void)state;
    setenv("YA_CPU", "abacus", 1);
    assert_null(ya_ctx_new(NULL));
    setenv("YA_CPU", "reference", 1);
    ya_ctx *slow = ya_ctx_new(NULL);
    assert_non_null(slow);
    ya_array *a = ya_from_f32(slow, 2), *b = ya_mul(a, a);
    double value;
    assert_int_equal(ya_item_f64(b, &value), 0);
    assert_true(value == 4);
    ya_ctx_free(slow);
    unsetenv("YA_CPU");
    if (before) setenv("YA_CPU", before, 1);
    free(before);
}

/* ---- derivatives -------------------------------------------------------------------------------------------------- */

/* Frees what it is given once the caller has used it: f(x) chains stay readable without leaks inside functions. */
static ya_array *used(ya_array *result, ya_array *operand)
{
    ya_array_free(operand);
    return result;
}

static int plus_one(ya_ctx *x, void *user, ya_array *const *args, int n_args, ya_array **outputs, int n_outputs)
{
    (void)user, (void)n_args, (void)n_outputs;
    ya_array *one = ya_from_f32(x, 1);
    outputs[0] = used(ya_add(args[0], one), one);
    return 0;
}

static int product(ya_ctx *x, void *user, ya_array *const *args, int n_args, ya_array **outputs, int n_outputs)
{
    (void)x, (void)user, (void)n_args;
    outputs[0] = ya_mul(args[0], args[1]);
    if (n_outputs > 1) outputs[1] = ya_mul(outputs[0], outputs[0]); /* returned, not differentiated */
    return 0;
}

static void test_value_and_grad(void **state)
{
    (void)state;
    ya_array *x = ya_from_f32(ctx, 1), *value, *values[2], *grad, *grads[2];
    assert_int_equal(ya_value_and_grad(ctx, plus_one, NULL, &x, 1, NULL, 0, &value, 1, &grad), 0);
    check_scalar(value, YA_F32, 2);
    check_scalar(grad, YA_F32, 1);

    ya_array *xy[2] = {ya_from_f32(ctx, 1.5f), ya_from_f32(ctx, 2)};
    assert_int_equal(ya_value_and_grad(ctx, product, NULL, xy, 2, AXES(0, 1), values, 2, grads), 0);
    check_scalar(values[0], YA_F32, 3);
    check_scalar(values[1], YA_F32, 9);
    check_scalar(grads[0], YA_F32, 2);
    check_scalar(grads[1], YA_F32, 1.5);
    assert_int_equal(ya_value_and_grad(ctx, product, NULL, xy, 2, AXES(1, 0), values, 1, grads), 0);
    check_scalar(grads[0], YA_F32, 2); /* ascending, whatever the order asked for */
    check_scalar(grads[1], YA_F32, 1.5);
    assert_int_equal(ya_value_and_grad(ctx, product, NULL, xy, 2, AXES(1), values, 1, grads), 0);
    check_scalar(grads[0], YA_F32, 1.5);
    assert_int_equal(ya_value_and_grad(ctx, product, NULL, xy, 2, NULL, 0, values, 1, grads), 0); /* the first */
    check_scalar(grads[0], YA_F32, 2);
}

/* sum(softmax(x W) * captured) with x (1, 2), W (2, 2): broadcasting, views and a captured array in one function. */
static int through_views(ya_ctx *x, void *user, ya_array *const *args, int n_args, ya_array **outputs, int n_outputs)
{
    (void)x, (void)n_args, (void)n_outputs;
    ya_array *turned = ya_transpose(args[1]), *logits = ya_matmul(args[0], turned), *p = ya_softmax_axis(logits, -1);
    ya_array *scaled = ya_mul(p, user);
    outputs[0] = ya_sum(scaled, false);
    ya_array_free(turned);
    ya_array_free(logits);
    ya_array_free(p);
    ya_array_free(scaled);
    return 0;
}

static void test_gradient_shapes_and_captures(void **state)
{
    (void)state;
    ya_array *captured = F32(SHAPE(2), 1, 0), *value, *grads[2];
    ya_array *args[2] = {F32(SHAPE(1, 2), 1, 2), F32(SHAPE(2, 2), 0, 0, 0, 0)};
    assert_int_equal(ya_value_and_grad(ctx, through_views, captured, args, 2, AXES(0, 1), &value, 1, grads), 0);
    check_scalar(value, YA_F32, 0.5);
    CHECK(grads[0], YA_F32, SHAPE(1, 2), 0, 0);
    CHECK(grads[1], YA_F32, SHAPE(2, 2), 0.25, 0.5, -0.25, -0.5); /* W[i][j]: p (delta - p) x_j */
    CHECK(args[1], YA_F32, SHAPE(2, 2), 0, 0, 0, 0);
    /* bf16 in, bf16 out: gradients have the type of their argument */
    ya_array *half = ya_astype(ya_from_f32(ctx, 3), YA_BF16), *both[2] = {half, half};
    assert_int_equal(ya_value_and_grad(ctx, product, NULL, both, 2, AXES(0, 1), &value, 1, grads), 0);
    check_scalar(value, YA_BF16, 9);
    check_scalar(grads[0], YA_BF16, 3);
    check_scalar(grads[1], YA_BF16, 3);
}

static int constant(ya_ctx *x, void *user, ya_array *const *args, int n_args, ya_array **outputs, int n_outputs)
{
    (void)args, (void)user, (void)n_args, (void)n_outputs;
    outputs[0] = ya_from_f32(x, 7);
    return 0;
}

static int identity(ya_ctx *x, void *user, ya_array *const *args, int n_args, ya_array **outputs, int n_outputs)
{
    (void)x, (void)user, (void)n_args, (void)n_outputs;
    outputs[0] = ya_array_ref(args[0]);
    return 0;
}

static int failing(ya_ctx *x, void *user, ya_array *const *args, int n_args, ya_array **outputs, int n_outputs)
{
    (void)x, (void)user, (void)n_args, (void)n_outputs;
    outputs[0] = ya_array_ref(args[0]);
    return 3;
}

static int wrong_shapes(ya_ctx *x, void *user, ya_array *const *args, int n_args, ya_array **outputs, int n_outputs)
{
    (void)x, (void)user, (void)n_args, (void)n_outputs;
    outputs[0] = ya_matmul(args[0], args[0]);
    return 0;
}

static int nested(ya_ctx *x, void *user, ya_array *const *args, int n_args, ya_array **outputs, int n_outputs)
{
    ya_array *grad;
    (void)user, (void)n_args, (void)n_outputs;
    return ya_value_and_grad(x, identity, NULL, args, 1, NULL, 0, outputs, 1, &grad);
}

static void test_value_and_grad_edges(void **state)
{
    (void)state;
    ya_array *x = ya_from_f32(ctx, 1), *vector = F32(SHAPE(2), 1, 2), *whole = ya_from_i32(ctx, 1), *value, *grad;
    assert_int_equal(ya_value_and_grad(ctx, constant, NULL, &vector, 1, NULL, 0, &value, 1, &grad), 0);
    CHECK(grad, YA_F32, SHAPE(2), 0, 0); /* plays no part */
    assert_int_equal(ya_value_and_grad(ctx, identity, NULL, &x, 1, NULL, 0, &value, 1, &grad), 0);
    check_scalar(grad, YA_F32, 1);

    const struct {
        ya_function f;
        ya_array *arg;
        const int *argnums;
        int n_argnums;
        const char *kind, *words;
    } bad[] = {
        {identity, vector, NULL, 0, "shape", "f32[2]"}, /* not a scalar */
        {identity, whole, NULL, 0, "dtype", "i32"},
        {identity, x, AXES(1), "input", "out of range"},
        {identity, x, AXES(-1), "input", "out of range"},
        {identity, x, AXES(0, 0), "input", "twice"},
        {identity, x, (const int[]){0}, 0, "input", "no argument"},
        {failing, x, NULL, 0, "input", "returned 3"},
        {wrong_shapes, x, NULL, 0, "shape", "matmul"}, /* the function's own error comes through */
        {nested, x, NULL, 0, "unsupported", "inside"},
    };
    for (int i = 0; i < COUNT(bad); i++) {
        ya_array *grads[2] = {x, x};
        value = x;
        assert_int_equal(
            ya_value_and_grad(ctx, bad[i].f, NULL, &bad[i].arg, 1, bad[i].argnums, bad[i].n_argnums, &value, 1, grads), -1);
        assert_null(value);
        assert_non_null(ya_error(ctx));
        if (!strstr(ya_error(ctx), bad[i].words)) fail_msg("case %d: %s", i, ya_error(ctx));
        check_error(NULL, bad[i].kind);
    }
    assert_int_equal(ya_value_and_grad(ctx, identity, NULL, &x, 1, NULL, 0, &value, 1, &grad), 0); /* all well again */
    check_scalar(grad, YA_F32, 1);
}

/* ---- a loss from these parts ------------------------------------------------------------------------------------------ */

static ya_array *cross_entropy(const ya_array *logits, const ya_array *picked)
{
    ya_array *lse = ya_logsumexp_axis(logits, -1, false), *nll = ya_sub(lse, picked);
    return used(nll, lse);
}

static void test_cross_entropy(void **state)
{
    (void)state;
    ya_array *logits = F32(SHAPE(2, 2), 2, -1, -1, 2), *index = I32(SHAPE(2), 0, 1), *weights = F32(SHAPE(2), 1, 2);
    ya_array *nll = cross_entropy(logits, ya_take_along(logits, index));
    CHECK(ya_mul(nll, weights), YA_F32, SHAPE(2), 0.04858735, 0.0971747);
    ya_array *probabilities = F32(SHAPE(2, 2), 0.9f, 0.1f, 0.1f, 0.9f);
    ya_array *soft = cross_entropy(logits, ya_sum_axes(ya_mul(logits, probabilities), AXES(-1), false));
    CHECK(soft, YA_F32, SHAPE(2), 0.348587, 0.348587);
    ya_array *certain = F32(SHAPE(2, 2), 0, -INFINITY, -INFINITY, 0), *hot = F32(SHAPE(2, 2), 1, 0, 0, 1);
    CHECK(cross_entropy(certain, ya_take_along(certain, index)), YA_F32, SHAPE(2), 0, 0);
    CHECK(cross_entropy(certain, ya_sum_axes(ya_mul(certain, hot), AXES(-1), false)), YA_F32, SHAPE(2), NAN, NAN);
}

static int mean_cross_entropy(ya_ctx *x, void *user, ya_array *const *args, int n_args, ya_array **outputs, int n_outputs)
{
    (void)x, (void)n_args, (void)n_outputs;
    ya_array *picked = ya_take_along(args[0], user), *nll = cross_entropy(args[0], picked);
    outputs[0] = ya_mean(nll, false);
    ya_array_free(picked);
    ya_array_free(nll);
    return 0;
}

static void test_cross_entropy_gradient(void **state)
{
    (void)state;
    const double p = 1 / (1 + exp(-3)), q = 1 - p; /* softmax of (2, -1) */
    ya_array *logits = F32(SHAPE(2, 2), 2, -1, -1, 2), *index = I32(SHAPE(2), 0, 1), *value, *grad;
    assert_int_equal(ya_value_and_grad(ctx, mean_cross_entropy, index, &logits, 1, NULL, 0, &value, 1, &grad), 0);
    check_scalar(value, YA_F32, 0.04858735);
    CHECK(grad, YA_F32, SHAPE(2, 2), (p - 1) / 2, q / 2, q / 2, (p - 1) / 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_from_f32_is_a_strong_scalar),
        TEST(test_from_slice),
        TEST(test_promotion),
        TEST(test_astype),
        TEST(test_broadcasting),
        TEST(test_arithmetic),
        TEST(test_comparison),
        TEST(test_array_equal),
        TEST(test_sum),
        TEST(test_sum_dtypes),
        TEST(test_mean),
        TEST(test_max_var_logsumexp),
        TEST(test_softmax),
        TEST(test_transpose),
        TEST(test_expand_dims),
        TEST(test_reshape_and_slice),
        TEST(test_concatenate),
        TEST(test_stack),
        TEST(test_take),
        TEST(test_matmul),
        TEST(test_item),
        TEST(test_as_slice),
        TEST(test_eval),
        TEST(test_first_error_stays),
        TEST(test_handles),
        TEST(test_unknown_backend),
        TEST(test_value_and_grad),
        TEST(test_gradient_shapes_and_captures),
        TEST(test_value_and_grad_edges),
        TEST(test_cross_entropy),
        TEST(test_cross_entropy_gradient),
    };
    return cmocka_run_group_tests_name("MLX semantics", tests, NULL, NULL);
}
