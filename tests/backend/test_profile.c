/* The profile: same numbers as without it, every call counted under its row, failures passed through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "array/op.h"
#include "backend/backend_open.h"
#include "backend/profile.h"

static float compute(struct ctx *c)
{
    int mark = scope_open(c);
    struct array *x = array_full(c, DTYPE_F32, 2, (int64_t[]){3, 5}, 0.5);
    struct array *y = op_exp(c, op_add(c, x, op_mul(c, x, x)));
    struct array *sum = op_sum(c, y, NULL, -1, false);
    float value = 0;
    assert_int_equal(array_to_host(sum, DTYPE_F32, &value), OK);
    scope_close(c, mark);
    return value;
}

static void test_counts(void **state)
{
    (void)state;
    struct ctx *plain = ctx_new(NULL), *c = ctx_new(NULL);
    struct profile p;
    assert_int_equal(array_env_new(plain, backend_open(plain, NULL)), OK);
    assert_int_equal(array_env_new(c, profile_open(&p, backend_open(c, NULL))), OK);
    assert_string_equal(array_backend(c)->name, array_backend(plain)->name);

    float want = compute(plain), got = compute(c);
    assert_memory_equal(&want, &got, sizeof want);
    assert_int_equal(p.row[OP_ADD].calls, 1);
    assert_int_equal(p.row[OP_MUL].calls, 1);
    assert_int_equal(p.row[OP_EXP].calls, 1);
    assert_int_equal(p.row[OP_SUM].calls, 1);
    double sum = 0;
    int64_t calls = 0;
    for (int op = 0; op < OP_COUNT; op++) {
        assert_true(p.row[op].calls > 0 || p.row[op].seconds == 0);
        sum += p.row[op].seconds;
        calls += p.row[op].calls;
    }
    assert_true(sum == profile_seconds(&p));
    assert_true(calls >= 4);

    compute(c);
    assert_int_equal(p.row[OP_EXP].calls, 2);
    profile_reset(&p);
    assert_int_equal(p.row[OP_EXP].calls, 0);
    assert_true(profile_seconds(&p) == 0);
    array_env_free(c);
    array_env_free(plain);
    ctx_free(c);
    ctx_free(plain);
}

static enum status refuse(struct backend *b, const struct op_call *call)
{
    return ctx_fail(b->c, E_UNSUPPORTED, "no %s here", op_name(call->op));
}

/* What a kernel reports is what the caller sees, and a slot without a kernel stays without one. */
static void test_failure(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct backend *inner = backend_open(c, NULL);
    struct profile p;
    assert_non_null(inner);
    inner->kernel[OP_EXP] = refuse;
    inner->kernel[OP_LOG] = NULL;
    struct backend *b = profile_open(&p, inner);
    assert_null(b->kernel[OP_LOG]);
    assert_int_equal(array_env_new(c, b), OK);
    int mark = scope_open(c);
    assert_null(op_exp(c, array_full(c, DTYPE_F32, 1, (int64_t[]){4}, 1)));
    scope_close(c, mark);
    assert_int_equal(c->status, E_UNSUPPORTED);
    assert_non_null(strstr(c->message, "no exp here"));
    assert_int_equal(p.row[OP_EXP].calls, 1);
    ctx_clear(c);
    array_env_free(c);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts), cmocka_unit_test(test_failure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
