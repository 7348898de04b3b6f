/* Operands that do not go together: each front end refuses them with the right status and a message that holds the operands,
 * before any kernel runs, and leaves no result behind. */
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

/* clang-format off */
#define SHAPE(...) (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__}
/* clang-format on */

static struct ctx *c;

static int setup(void **state)
{
    (void)state;
    c = case_open("cpu-reference");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    /* Nothing was computed on bad operands: ids and offsets are looked at by kernels, operands are made and cast by some. */
    const bool may_run[OP_COUNT] = {[OP_CAST] = true, [OP_FILL] = true, [OP_CHECK_IDS] = true, [OP_ATTENTION] = true};
    for (int op = 0; op < OP_COUNT; op++) {
        if (!may_run[op]) assert_int_equal(guard_count(op), 0);
    }
    case_close(c);
    return 0;
}

static struct array *f32(int ndim, const int64_t *shape)
{
    return array_zeros(c, DTYPE_F32, ndim, shape);
}

static struct array *i32(int64_t n)
{
    return array_zeros(c, DTYPE_I32, 1, &n);
}

static void check(bool failed, enum status status, const char *words)
{
    assert_true(failed);
    assert_int_equal(c->status, status);
    if (!strstr(c->message, words)) fail_msg("\"%s\" does not contain \"%s\"", c->message, words);
    ctx_clear(c);
}
#define REFUSED(call, status, words) check((call) == NULL, status, words)
#define FAILED(call, status, words)  check((call) == (status), status, words)

static const float numbers[64];
static const struct weight weight = {
    .name = "w", .type = TENSOR_F32, .rows = 4, .cols = 8, .data = numbers, .row_bytes = 32};
static const struct weight whole = {
    .name = "ids", .type = TENSOR_I32, .rows = 4, .cols = 8, .data = numbers, .row_bytes = 32};

static void test_generic(void **state)
{
    (void)state;
    struct array *a = f32(SHAPE(2, 3)), *b = f32(SHAPE(4, 3));
    REFUSED(op_mul(c, a, b), E_SHAPE, "mul: the shapes of f32[2,3] and f32[4,3]");
    REFUSED(op_where(c, a, a, b), E_SHAPE, "f32[2,3], f32[2,3] and f32[4,3]");
    REFUSED(op_matmul(c, a, b), E_SHAPE, "matmul: f32[2,3] and f32[4,3]");
    REFUSED(op_concat(c, (struct array *[]){a, b}, 2, 1), E_SHAPE, "concat: f32[2,3] and f32[4,3]");
    REFUSED(op_columns(c, f32(SHAPE(3)), 0, 1), E_SHAPE, "f32[3]");
    REFUSED(op_columns(c, a, 2, 2), E_SHAPE, "[2, 4) by 1 is not inside axis 1 of f32[2,3]");
    REFUSED(op_take(c, f32(SHAPE(3)), i32(1)), E_SHAPE, "take: f32[3]");
    REFUSED(op_take_along(c, a, i32(3)), E_SHAPE, "take_along: f32[2,3] needs one id a row, not i32[3]");
    REFUSED(op_broadcast(c, a, SHAPE(3)), E_SHAPE, "f32[2,3]");
    REFUSED(op_softmax(c, a, 2), E_SHAPE, "softmax: axis 2 is out of range for 2 dimensions (operand f32[2,3])");
}

static void test_norm_and_friends(void **state)
{
    (void)state;
    struct array *x = f32(SHAPE(2, 8)), *sum = x, *half = array_zeros(c, DTYPE_F16, SHAPE(2, 8));
    REFUSED(op_rms_norm(c, half, f32(SHAPE(8)), 1e-5), E_DTYPE, "rms_norm works in f32 or f64, not on f16[2,8]");
    REFUSED(op_rms_norm(c, x, f32(SHAPE(7)), 1e-5), E_SHAPE, "gain f32[7]");
    REFUSED(op_rms_norm_add(c, x, f32(SHAPE(8)), f32(SHAPE(8)), 1e-5, &sum), E_SHAPE,
            "residual f32[8] does not match f32[2,8]");
    assert_null(sum);
    REFUSED(op_swiglu(c, x, f32(SHAPE(2, 7))), E_SHAPE, "gate f32[2,8] and up f32[2,7]");
    REFUSED(op_swiglu(c, half, half), E_DTYPE, "f16[2,8]");
    REFUSED(op_embed(c, &whole, i32(2), DTYPE_F32), E_DTYPE, "ids has type I32");
    const int32_t far[2] = {0, 4};
    REFUSED(op_embed(c, &weight, array_from_host(c, DTYPE_I32, SHAPE(2), far), DTYPE_F32), E_SHAPE,
            "embed: ids[1] = 4 is not in [0, 4)");
    REFUSED(op_embed(c, &weight, f32(SHAPE(2)), DTYPE_F32), E_DTYPE, "f32[2]");
    struct array *heads = f32(SHAPE(2, 1, 8));
    REFUSED(op_rope(c, heads, i32(3), f32(SHAPE(4)), 1), E_SHAPE, "x f32[2,1,8], positions i32[3] and inv_freq f32[4]");
    REFUSED(op_rope(c, heads, i32(2), f32(SHAPE(8)), 1), E_SHAPE, "inv_freq f32[8]");
    REFUSED(op_rope(c, heads, f32(SHAPE(2)), f32(SHAPE(4)), 1), E_SHAPE, "positions f32[2]");
    REFUSED(op_rope(c, half, i32(2), f32(SHAPE(4)), 1), E_DTYPE, "rope");
}

static void test_linear(void **state)
{
    (void)state;
    struct array *y[2] = {f32(SHAPE(1)), f32(SHAPE(1))}, *x = f32(SHAPE(2, 7));
    const struct weight *w = &weight, *bad = &whole;
    FAILED(op_linear(c, x, &w, 1, false, y), E_SHAPE, "linear: x f32[2,7] does not fit the weight w [4,8]");
    assert_null(y[0]);
    FAILED(op_linear(c, f32(SHAPE(8)), &w, 1, false, y), E_SHAPE, "f32[8]");
    FAILED(op_linear(c, i32(8), &w, 1, false, y), E_DTYPE, "i32[8]");
    FAILED(op_linear(c, f32(SHAPE(2, 8)), &bad, 1, false, y), E_DTYPE, "ids has type I32");
    struct lora_slot slot = {
        .a = array_zeros(c, DTYPE_F64, SHAPE(2, 8)), .b = array_zeros(c, DTYPE_F64, SHAPE(4, 2)), .scale = 1};
    struct weight adapted = weight;
    adapted.lora = &slot;
    w = &adapted;
    FAILED(op_linear(c, f32(SHAPE(2, 8)), &w, 1, false, y), E_DTYPE, "adapter (f64[2,8], f64[4,2]) of w");
}

static void test_attention(void **state)
{
    (void)state;
    struct array *q = f32(SHAPE(4, 4, 8)), *k = f32(SHAPE(4, 2, 8));
    static const int32_t good[3] = {0, 1, 4}, down[3] = {0, 3, 2}, late[3] = {1, 2, 4}, brief[3] = {0, 1, 3},
                         far[3] = {0, 1, 5};
    const struct {
        const int32_t *cu_q, *cu_k;
    } bad[] = {{down, good}, {good, down}, {late, good}, {good, late}, {brief, good}, {good, far}, {good, brief}};
    const struct attention_params p = {.scale = 1};
    const int64_t three = 3, two = 2;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct array *cu_q = array_from_host(c, DTYPE_I32, 1, &three, bad[i].cu_q),
                     *cu_k = array_from_host(c, DTYPE_I32, 1, &three, bad[i].cu_k);
        REFUSED(op_attention(c, q, k, k, cu_q, cu_k, &p), E_SHAPE,
                "offsets of 2 segments do not cover 4 queries and 4 keys");
    }
    struct array *cu = array_from_host(c, DTYPE_I32, 1, &three, good), *fewer = array_from_host(c, DTYPE_I32, 1, &two, good);
    REFUSED(op_attention(c, q, k, k, cu, fewer, &p), E_SHAPE, "offsets of queries i32[3] and of keys i32[2]");
    REFUSED(op_attention(c, q, k, k, f32(SHAPE(3)), f32(SHAPE(3)), &p), E_SHAPE, "offsets of queries f32[3]");
    REFUSED(op_attention(c, q, k, f32(SHAPE(4, 2, 4)), cu, cu, &p), E_SHAPE, "q f32[4,4,8], k f32[4,2,8] and v f32[4,2,4]");
    REFUSED(op_attention(c, q, f32(SHAPE(4, 3, 8)), f32(SHAPE(4, 3, 8)), cu, cu, &p), E_SHAPE,
            "k f32[4,3,8]"); /* 4 heads, 3 groups */
    REFUSED(op_attention(c, i32(4), k, k, cu, cu, &p), E_DTYPE, "i32[4]");
}

static void test_cross_entropy(void **state)
{
    (void)state;
    struct cross_entropy_result r;
    struct array *h = f32(SHAPE(2, 8)), *one = array_full(c, DTYPE_F32, SHAPE(2), 1);
    FAILED(op_linear_cross_entropy(c, h, &weight, i32(3), one, false, &r), E_SHAPE, "targets i32[3], weights f32[2]");
    FAILED(op_linear_cross_entropy(c, f32(SHAPE(2, 7)), &weight, i32(2), one, false, &r), E_SHAPE,
           "h f32[2,7], weight [4,8]");
    FAILED(op_linear_cross_entropy(c, h, &weight, i32(2), i32(2), false, &r), E_SHAPE, "weights i32[2]");
    FAILED(op_linear_cross_entropy(c, h, &whole, i32(2), one, false, &r), E_DTYPE, "I32");
    const int32_t target[2] = {1, -100};
    struct array *targets = array_from_host(c, DTYPE_I32, SHAPE(2), target);
    FAILED(op_linear_cross_entropy(c, h, &weight, targets, one, false, &r), E_SHAPE, "ids[1] = -100 is not in [0, 4)");
    assert_true(!r.loss && !r.stats && !r.logprobs);
}

static void test_in_place(void **state)
{
    (void)state;
    const struct adamw_params p = {.lr = 1};
    struct array *a = f32(SHAPE(2, 3)), *b = f32(SHAPE(3)), *whole_numbers = i32(3);
    FAILED(op_accumulate(c, a, b), E_SHAPE, "accumulate: f32[2,3] and f32[3]"); /* no broadcasting into a gradient */
    FAILED(op_accumulate(c, whole_numbers, whole_numbers), E_SHAPE, "i32[3]");
    FAILED(op_adamw(c, a, b, a, a, NULL, &p), E_SHAPE, "adamw: f32[2,3] and f32[3]");
    FAILED(op_adamw(c, a, a, a, b, NULL, &p), E_SHAPE, "adamw");
    FAILED(op_sum_squares(c, whole_numbers, array_zeros(c, DTYPE_F64, 0, NULL)), E_DTYPE, "sum_squares: i32[3]");
}

/* While an error is recorded every op returns at once. */
static void test_errors_stay(void **state)
{
    (void)state;
    struct cross_entropy_result r;
    struct array *a = f32(SHAPE(2, 8)), *y[1], *sum;
    const struct weight *w = &weight;
    const struct attention_params p = {.scale = 1};
    const struct adamw_params adam = {.lr = 1};
    ctx_fail(c, E_IO, "first");
    assert_true(!op_add(c, a, a) && !op_exp(c, a) && !op_sum(c, a, NULL, -1, false) && !op_contiguous(c, a));
    assert_true(!op_reshape(c, a, 2, a->shape) && !op_transpose(c, a, NULL) && !op_concat(c, &a, 1, 0) &&
                !op_matmul(c, a, a));
    assert_true(!op_rms_norm(c, a, a, 1) && !op_rms_norm_add(c, a, a, a, 1, &sum) && !op_swiglu(c, a, a));
    assert_true(!op_embed(c, &weight, a, DTYPE_F32) && !op_rope(c, a, a, a, 1) && !op_attention(c, a, a, a, a, a, &p));
    assert_true(op_linear(c, a, &w, 1, false, y) == E_IO && !y[0]);
    assert_true(op_linear_cross_entropy(c, a, w, a, a, false, &r) == E_IO && !r.loss);
    assert_true(op_accumulate(c, a, a) == E_IO && op_adamw(c, a, a, a, a, NULL, &adam) == E_IO &&
                op_sum_squares(c, a, a) == E_IO);
    assert_true(!array_view(a, 0, NULL, NULL, 0) && isnan(array_item(a)));
    assert_string_equal(c->message, "first");
    ctx_clear(c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_generic),       TEST(test_norm_and_friends), TEST(test_linear),      TEST(test_attention),
        TEST(test_cross_entropy), TEST(test_in_place),         TEST(test_errors_stay),
    };
    return cmocka_run_group_tests_name("op errors", tests, NULL, NULL);
}
