/* Every row's forward results against an oracle: generic rows against loops in double precision written here, fused rows
 * against their composition from generic rows in f64, in-place rows against loops. Backward rows are tested by
 * test_op_gradients, which fails when one of them does not run.
 *
 * Each oracle runs on the reference backend (f64 and f32) and on the tuned one (f32), for every layout of the operands, and
 * behind the guard. There is one test a row of ops.def, which fails when the row has no oracle here or when its oracle did
 * not reach the row's kernel. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend_open.h"
#include "support_case.h"
#include "support_guard.h"
#include "support_oracle.h"

/* ---- elementwise -------------------------------------------------------------------------------------------------- */

struct elementwise {
    struct array *(*unary)(struct ctx *c, struct array *a);
    struct array *(*binary)(struct ctx *c, struct array *a, struct array *b);
    double (*f)(double a, double b);
    double lo, hi;
};

static double f_add(double a, double b)
{
    return a + b;
}
static double f_sub(double a, double b)
{
    return a - b;
}
static double f_mul(double a, double b)
{
    return a * b;
}
static double f_div(double a, double b)
{
    return a / b;
}
static double f_maximum(double a, double b)
{
    return a > b ? a : b;
}
static double f_neg(double a, double b)
{
    (void)b;
    return -a;
}
static double f_exp(double a, double b)
{
    (void)b;
    return exp(a);
}
static double f_log(double a, double b)
{
    (void)b;
    return log(a);
}
static double f_sqrt(double a, double b)
{
    (void)b;
    return sqrt(a);
}
static double f_sigmoid(double a, double b)
{
    (void)b;
    return 1 / (1 + exp(-a));
}
static double f_equal(double a, double b)
{
    return a == b;
}
static double f_not_equal(double a, double b)
{
    return a != b;
}
static double f_less(double a, double b)
{
    return a < b;
}
static double f_less_equal(double a, double b)
{
    return a <= b;
}

static const struct elementwise elementwise[OP_COUNT] = {
    [OP_ADD] = {NULL, op_add, f_add, -1, 1},
    [OP_SUB] = {NULL, op_sub, f_sub, -1, 1},
    [OP_MUL] = {NULL, op_mul, f_mul, -1, 1},
    [OP_DIV] = {NULL, op_div, f_div, 0.1, 1},
    [OP_MAXIMUM] = {NULL, op_maximum, f_maximum, -1, 1},
    [OP_NEG] = {op_neg, NULL, f_neg, -1, 1},
    [OP_EXP] = {op_exp, NULL, f_exp, -5, 5},
    [OP_LOG] = {op_log, NULL, f_log, 0.01, 10},
    [OP_SQRT] = {op_sqrt, NULL, f_sqrt, 0, 10},
    [OP_SIGMOID] = {op_sigmoid, NULL, f_sigmoid, -20, 20},
    [OP_EQUAL] = {NULL, op_equal, f_equal, -1, 1},
    [OP_NOT_EQUAL] = {NULL, op_not_equal, f_not_equal, -1, 1},
    [OP_LESS] = {NULL, op_less, f_less, -1, 1},
    [OP_LESS_EQUAL] = {NULL, op_less_equal, f_less_equal, -1, 1},
};

/* Operands (3, 5, 7) and (5, 1), of which some are equal; the second is left out for rows of one operand. */
static void oracle_elementwise(struct ctx *c, const struct setting *s, enum op op)
{
    const struct elementwise *e = &elementwise[op];
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(3, 5, 7), e->lo, e->hi), *b;
    oracle_operand(c, s, 1, SHAPE_OF(5, 1), e->lo, e->hi);
    for (int i = 0; i < 5; i++) oracle_x[1][i] = i % 2 ? oracle_x[0][i * 7] : oracle_x[1][i];
    b = case_array(c, s->dtype, SHAPE_OF(5, 1), oracle_x[1], s->layout);
    for (int i = 0; i < 3 * 5 * 7; i++) oracle_expected[i] = e->f(oracle_x[0][i], oracle_x[1][i / 7 % 5]);
    struct array *y = e->unary ? e->unary(c, a) : e->binary(c, a, b);
    case_assert_close(y, oracle_expected, 105, s->tolerance, op_name(op));
}

static void oracle_where(struct ctx *c, const struct setting *s, enum op op)
{
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(3, 5), -1, 1), *b = oracle_operand(c, s, 1, SHAPE_OF(5), -1, 1);
    double mask[15];
    for (int i = 0; i < 15; i++) mask[i] = i % 4 == 0;
    struct array *cond = case_array(c, DTYPE_BOOL, SHAPE_OF(3, 5), mask, s->layout);
    for (int i = 0; i < 15; i++) oracle_expected[i] = mask[i] != 0 ? oracle_x[0][i] : oracle_x[1][i % 5];
    case_assert_close(op_where(c, cond, a, b), oracle_expected, 15, 0, op_name(op));
}

/* Between all dtypes, with numbers that every conversion rule treats differently. */
static void oracle_cast(struct ctx *c, const struct setting *s, enum op op)
{
    const double odd[10] = {0, -0.0, 1.9, -1.9, 300.5, 1e-8, 70000, 1.0009765625, -3, 100};
    (void)op;
    for (int from = 0; from < DTYPE_COUNT; from++) {
        for (int to = 0; to < DTYPE_COUNT; to++) {
            uint8_t raw[10 * 8], want[10 * 8];
            double back[10];
            dtype_convert(from, raw, 1, DTYPE_F64, odd, 1, 10);
            dtype_convert(DTYPE_F64, back, 1, from, raw, 1, 10);
            struct array *a = case_array(c, from, SHAPE_OF(2, 5), back, s->layout), *y = op_cast(c, a, to);
            dtype_convert(to, want, 1, from, raw, 1, 10);
            assert_non_null(y);
            assert_int_equal(y->dtype, to);
            uint8_t got[10 * 8];
            assert_int_equal(array_to_host(y, to, got), OK);
            if (memcmp(got, want, 10 * dtype_size(to)) != 0) fail_msg("cast %s to %s", dtype_name(from), dtype_name(to));
        }
    }
}

static void oracle_copy(struct ctx *c, const struct setting *s, enum op op)
{
    const int perm[3] = {2, 0, 1};
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(3, 5, 7), -100, 100);
    for (int i = 0; i < 105; i++) oracle_expected[i] = oracle_x[0][i % 15 / 5 * 35 + i % 5 * 7 + i / 15];
    case_assert_close(op_contiguous(c, op_transpose(c, a, perm)), oracle_expected, 105, 0, op_name(op));
    for (int t = 0; t < DTYPE_COUNT; t++) { /* whole bytes move in every dtype */
        const double numbers[4] = {1, 0, 1, 2};
        struct array *b = op_transpose(c, case_array(c, t, SHAPE_OF(2, 2), numbers, s->layout), NULL),
                     *y = op_contiguous(c, b);
        const double turned[4] = {1, 1, 0, t == DTYPE_BOOL ? 1 : 2};
        case_assert_close(y, turned, 4, 0, dtype_name(t));
    }
}

/* ---- reductions --------------------------------------------------------------------------------------------------- */

static void oracle_sum(struct ctx *c, const struct setting *s, enum op op)
{
    const int axes[2] = {0, -1};
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(3, 5, 7), -1, 1);
    memset(oracle_expected, 0, sizeof oracle_expected);
    for (int i = 0; i < 105; i++) oracle_expected[i / 7 % 5] += oracle_x[0][i];
    case_assert_close(op_sum(c, a, axes, 2, false), oracle_expected, 5, s->tolerance, op_name(op));
    case_assert_close(op_sum(c, a, axes, 2, true), oracle_expected, 5, s->tolerance, op_name(op));
    double all = 0;
    for (int i = 0; i < 105; i++) all += oracle_x[0][i];
    case_assert_close(op_sum(c, a, NULL, -1, false), &all, 1, s->tolerance, op_name(op));
    all /= 105;
    case_assert_close(op_mean(c, a, NULL, -1, false), &all, 1, s->tolerance, "mean");
}

static void oracle_max(struct ctx *c, const struct setting *s, enum op op)
{
    const int axis = 1;
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(3, 5, 7), -3, -1);
    for (int i = 0; i < 21; i++) {
        oracle_expected[i] = -INFINITY;
        for (int k = 0; k < 5; k++) oracle_expected[i] = fmax(oracle_expected[i], oracle_x[0][i / 7 * 35 + k * 7 + i % 7]);
    }
    case_assert_close(op_max(c, a, &axis, 1, false), oracle_expected, 21, 0, op_name(op));
}

/* exp(x - max) and its sum over an axis of (3, 5, 7), in double. */
static double exp_sum(int outer, int inner, int n, int step, double *largest)
{
    const double *x = oracle_x[0] + outer * n * step + inner;
    double sum = 0;
    *largest = -INFINITY;
    for (int k = 0; k < n; k++) *largest = fmax(*largest, x[k * step]);
    for (int k = 0; k < n; k++) sum += exp(x[k * step] - *largest);
    return sum;
}

static void oracle_softmax(struct ctx *c, const struct setting *s, enum op op)
{
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(3, 5, 7), -30, 30);
    for (int axis = 0; axis < 3; axis++) {
        const int n = axis == 0 ? 3 : axis == 1 ? 5 : 7, step = axis == 0 ? 35 : axis == 1 ? 7 : 1;
        for (int i = 0; i < 105; i++) {
            double largest, sum = exp_sum(i / (n * step), i % step, n, step, &largest);
            oracle_expected[i] = exp(oracle_x[0][i] - largest) / sum;
        }
        case_assert_close(op_softmax(c, a, axis), oracle_expected, 105, s->tolerance * 10,
                          op_name(op)); /* |x| 30: 30 ulps */
    }
}

static void oracle_logsumexp(struct ctx *c, const struct setting *s, enum op op)
{
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(3, 5, 7), -30, 30);
    for (int axis = 0; axis < 3; axis++) {
        const int n = axis == 0 ? 3 : axis == 1 ? 5 : 7, step = axis == 0 ? 35 : axis == 1 ? 7 : 1;
        for (int i = 0; i < 105 / n; i++) {
            double largest, sum = exp_sum(i / step, i % step, n, step, &largest);
            oracle_expected[i] = largest + log(sum);
        }
        case_assert_close(op_logsumexp(c, a, axis, axis == 1), oracle_expected, 105 / n, s->tolerance, op_name(op));
    }
}

/* ---- shape -------------------------------------------------------------------------------------------------------- */

static void oracle_reshape(struct ctx *c, const struct setting *s, enum op op)
{
    const int64_t shapes[4][3] = {{105, 1, 1}, {7, 3, 5}, {1, 15, 7}, {5, -1, 3}};
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(3, 5, 7), -1, 1);
    for (int i = 0; i < 4; i++) case_assert_close(op_reshape(c, a, 3, shapes[i]), oracle_x[0], 105, 0, op_name(op));
    struct array *heads = oracle_operand(c, s, 1, SHAPE_OF(4, 24), -1, 1), *columns = op_columns(c, heads, 6, 12);
    const int64_t split[3] = {4, 3, 4};
    for (int i = 0; i < 48; i++) oracle_expected[i] = oracle_x[1][i / 12 * 24 + 6 + i % 12];
    struct array *y = op_reshape(c, columns, 3, split);
    case_assert_close(y, oracle_expected, 48, 0, op_name(op));
    if (s->layout != LAYOUT_FLIPPED) assert_ptr_equal(y->storage, heads->storage); /* splitting rows never copies */
}

static void oracle_transpose(struct ctx *c, const struct setting *s, enum op op)
{
    const int perm[3] = {1, 2, 0};
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(3, 5, 7), -1, 1);
    for (int i = 0; i < 105; i++) oracle_expected[i] = oracle_x[0][i % 3 * 35 + i / 3];
    case_assert_close(op_transpose(c, a, perm), oracle_expected, 105, 0, op_name(op));
}

static void oracle_broadcast(struct ctx *c, const struct setting *s, enum op op)
{
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(3, 1), -1, 1);
    for (int i = 0; i < 24; i++) oracle_expected[i] = oracle_x[0][i / 4 % 3];
    case_assert_close(op_broadcast(c, a, SHAPE_OF(2, 3, 4)), oracle_expected, 24, 0, op_name(op));
}

static void oracle_slice(struct ctx *c, const struct setting *s, enum op op)
{
    const int64_t start[2] = {1, 0}, stop[2] = {5, 7}, step[2] = {2, 3};
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(5, 7), -1, 1);
    for (int i = 0; i < 6; i++) oracle_expected[i] = oracle_x[0][(1 + i / 3 * 2) * 7 + i % 3 * 3];
    case_assert_close(op_slice(c, a, start, stop, step), oracle_expected, 6, 0, op_name(op));
}

static void oracle_concat(struct ctx *c, const struct setting *s, enum op op)
{
    struct array *parts[3] = {oracle_operand(c, s, 0, SHAPE_OF(3, 2, 5), -1, 1),
                              oracle_operand(c, s, 1, SHAPE_OF(3, 1, 5), -1, 1)};
    parts[2] = op_slice(c, parts[0], (const int64_t[]){0, 1, 0}, (const int64_t[]){3, 2, 5}, NULL);
    for (int i = 0; i < 60; i++) {
        int outer = i / 20, row = i / 5 % 4, column = i % 5;
        oracle_expected[i] = row < 2    ? oracle_x[0][outer * 10 + row * 5 + column]
                             : row == 2 ? oracle_x[1][outer * 5 + column]
                                        : oracle_x[0][outer * 10 + 5 + column];
    }
    case_assert_close(op_concat(c, parts, 3, 1), oracle_expected, 60, 0, op_name(op));
}

static const int32_t ids[6] = {3, 0, 3, 1, 2, 3};

static void oracle_take(struct ctx *c, const struct setting *s, enum op op)
{
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(4, 5), -1, 1), *id = array_from_host(c, DTYPE_I32, SHAPE_OF(6), ids);
    for (int i = 0; i < 30; i++) oracle_expected[i] = oracle_x[0][ids[i / 5] * 5 + i % 5];
    case_assert_close(op_take(c, a, id), oracle_expected, 30, 0, op_name(op));
}

static void oracle_take_along(struct ctx *c, const struct setting *s, enum op op)
{
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(6, 4), -1, 1), *id = array_from_host(c, DTYPE_I32, SHAPE_OF(6), ids);
    for (int i = 0; i < 6; i++) oracle_expected[i] = oracle_x[0][i * 4 + ids[i]];
    case_assert_close(op_take_along(c, a, id), oracle_expected, 6, 0, op_name(op));
}

/* Sizes around the tiles of tuned kernels. */
static void oracle_matmul(struct ctx *c, const struct setting *s, enum op op)
{
    static const int sizes[][3] = {{1, 1, 1}, {3, 5, 4}, {17, 9, 31}, {8, 32, 16}, {5, 40, 7}};
    for (size_t t = 0; t < sizeof sizes / sizeof *sizes; t++) {
        const int m = sizes[t][0], k = sizes[t][1], n = sizes[t][2];
        struct array *a = oracle_operand(c, s, 0, SHAPE_OF(m, k), -1, 1),
                     *b = oracle_operand(c, s, 1, SHAPE_OF(k, n), -1, 1);
        for (int i = 0; i < m * n; i++) {
            oracle_expected[i] = 0;
            for (int j = 0; j < k; j++) oracle_expected[i] += oracle_x[0][i / n * k + j] * oracle_x[1][j * n + i % n];
        }
        case_assert_close(op_matmul(c, a, b), oracle_expected, m * n, s->tolerance, op_name(op));
    }
    struct array *a = oracle_operand(c, s, 0, SHAPE_OF(2, 3, 5), -1, 1), *b = oracle_operand(c, s, 1, SHAPE_OF(5, 4), -1, 1);
    for (int i = 0; i < 24; i++) {
        oracle_expected[i] = 0;
        for (int j = 0; j < 5; j++) oracle_expected[i] += oracle_x[0][i / 4 * 5 + j] * oracle_x[1][j * 4 + i % 4];
    }
    case_assert_close(op_matmul(c, a, b), oracle_expected, 24, s->tolerance, op_name(op));
}

/* ---- the list ----------------------------------------------------------------------------------------------------- */

static const oracle oracles[OP_COUNT] = {
    [OP_ADD] = oracle_elementwise,
    [OP_SUB] = oracle_elementwise,
    [OP_MUL] = oracle_elementwise,
    [OP_DIV] = oracle_elementwise,
    [OP_MAXIMUM] = oracle_elementwise,
    [OP_NEG] = oracle_elementwise,
    [OP_EXP] = oracle_elementwise,
    [OP_LOG] = oracle_elementwise,
    [OP_SQRT] = oracle_elementwise,
    [OP_SIGMOID] = oracle_elementwise,
    [OP_EQUAL] = oracle_elementwise,
    [OP_NOT_EQUAL] = oracle_elementwise,
    [OP_LESS] = oracle_elementwise,
    [OP_LESS_EQUAL] = oracle_elementwise,
    [OP_WHERE] = oracle_where,
    [OP_CAST] = oracle_cast,
    [OP_COPY] = oracle_copy,
    [OP_SUM] = oracle_sum,
    [OP_MAX] = oracle_max,
    [OP_SOFTMAX] = oracle_softmax,
    [OP_LOGSUMEXP] = oracle_logsumexp,
    [OP_RESHAPE] = oracle_reshape,
    [OP_TRANSPOSE] = oracle_transpose,
    [OP_BROADCAST] = oracle_broadcast,
    [OP_SLICE] = oracle_slice,
    [OP_CONCAT] = oracle_concat,
    [OP_TAKE] = oracle_take,
    [OP_TAKE_ALONG] = oracle_take_along,
    [OP_MATMUL] = oracle_matmul,
    [OP_EMBED] = oracle_embed,
    [OP_RMS_NORM] = oracle_rms_norm,
    [OP_LINEAR] = oracle_linear,
    [OP_ROPE] = oracle_rope,
    [OP_ATTENTION] = oracle_attention,
    [OP_SWIGLU] = oracle_swiglu,
    [OP_LINEAR_CROSS_ENTROPY] = oracle_cross_entropy,
    [OP_FILL] = oracle_fill,
    [OP_CHECK_IDS] = oracle_check_ids,
    [OP_ACCUMULATE] = oracle_accumulate,
    [OP_SUM_SQUARES] = oracle_sum_squares,
    [OP_ADAMW] = oracle_adamw,
};

static bool is_view(enum op op)
{
    static const bool views[OP_COUNT] = {
#define OP(NAME, name, n_in, n_out, params, diff, saves)
#define VIEW(NAME, name, n_in, n_out, params, diff, saves) [OP_##NAME] = true,
#include "array/ops.def"
    };
    return views[op];
}

static bool is_backward_row(enum op op)
{
    const char *name = op_name(op);
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, "_bwd") == 0;
}

static void run_oracle(const char *backend, enum op op, const struct setting *s)
{
    struct ctx *c = case_open(backend);
    oracle_other = ctx_new(NULL);
    assert_non_null(oracle_other);
    assert_int_equal(array_env_new(oracle_other, backend_open(oracle_other, "cpu-reference")), OK);
    oracles[op](c, s, op);
    if (!is_view(op) && guard_count(op) == 0) fail_msg("the oracle of %s did not run it", op_name(op));
    case_close(c);
    array_env_free(oracle_other);
    ctx_free(oracle_other);
}

static void test_row(void **state)
{
    const enum op op = *(const int *)*state;
    if (is_backward_row(op)) return; /* test_op_gradients */
    if (!oracles[op]) fail_msg("%s has no oracle", op_name(op));
    for (int layout = 0; layout < LAYOUT_COUNT; layout++) {
        const struct setting f64 = {DTYPE_F64, layout, 1e-12}, f32 = {DTYPE_F32, layout, 1e-6};
        run_oracle("cpu-reference", op, &f64);
        run_oracle("cpu-reference", op, &f32);
        for (int i = 0; case_tuned(i); i++) run_oracle(case_tuned(i), op, &f32);
    }
}

int main(void)
{
    static int rows[OP_COUNT];
    struct CMUnitTest tests[OP_COUNT];
    for (int op = 0; op < OP_COUNT; op++) {
        rows[op] = op;
        tests[op] = (struct CMUnitTest){op_name(op), test_row, NULL, NULL, &rows[op]};
    }
    return cmocka_run_group_tests_name("op oracles", tests, NULL, NULL);
}
