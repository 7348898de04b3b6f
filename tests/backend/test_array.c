/* Arrays: making, views, strides, descriptions, copies to and from the host, and the checks of shapes that come from
 * outside. Device memory is behind a wall here: the array layer must not touch it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "array/backend.h"
#include "array/tape.h"
#include "backend/backend_open.h"
#include "backend/walled.h"

static jmp_buf after_panic;
static char panic_message[256];

static void panic(void *user, const char *message)
{
    (void)user;
    snprintf(panic_message, sizeof panic_message, "%s", message);
    longjmp(after_panic, 1);
}

/* A machine with a gigabyte. */
static void *small_alloc(void *user, void *old, size_t bytes)
{
    (void)user;
    if (bytes > (size_t)1 << 30) return NULL;
    if (bytes > 0) return realloc(old, bytes);
    free(old);
    return NULL;
}

static struct ctx *open_ctx(void)
{
    const struct ctx_hooks hooks = {.alloc = small_alloc, .panic = panic};
    struct ctx *c = ctx_new(&hooks);
    assert_non_null(c);
    assert_int_equal(array_env_new(c, walled_open(backend_open(c, "cpu"))), OK);
    return c;
}

static void close_ctx(struct ctx *c)
{
    if (!ctx_ok(c)) fail_msg("%s", c->message);
    array_env_free(c);
    ctx_free(c);
}

#define SHAPE(...)                                                                                                          \
    (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[])                                      \
    {                                                                                                                       \
        __VA_ARGS__                                                                                                         \
    }

static void test_making(void **state)
{
    (void)state;
    char text[64], small[6];
    double numbers[6];
    const float data[6] = {1, 2, 3, 4, 5, 6};
    struct ctx *c = open_ctx();
    struct array *a = array_from_host(c, DTYPE_F32, SHAPE(2, 3), data);
    assert_true((uintptr_t)a->data % 64 == 0 && array_size(a) == 6 && array_is_contiguous(a) && array_has_unit_last(a));
    assert_string_equal(array_describe(a, text, sizeof text), "f32[2,3]");
    assert_string_equal(array_describe(a, small, sizeof small), "f32[2"); /* cut, never overrun */
    struct array *full = array_full(c, DTYPE_BF16, SHAPE(2), 1.5), *zero = array_zeros(c, DTYPE_I64, SHAPE(3));
    assert_int_equal(array_to_host(full, DTYPE_F64, numbers), OK);
    assert_true(numbers[0] == 1.5 && numbers[1] == 1.5);
    assert_int_equal(array_to_host(zero, DTYPE_F64, numbers), OK);
    assert_true(numbers[0] == 0 && numbers[2] == 0);
    struct array *scalar = array_scalar(c, DTYPE_F64, 0.1);
    assert_true(array_item(scalar) == 0.1 && scalar->ndim == 0 && array_size(scalar) == 1);
    assert_string_equal(array_describe(scalar, text, sizeof text), "f64[]");
    int64_t given[3] = {7, 8, 9};
    assert_int_equal(array_upload(zero, given, 3), OK);
    given[0] = 1; /* the host's copy may be used again */
    assert_int_equal(array_to_host(zero, DTYPE_F64, numbers), OK);
    assert_true(numbers[0] == 7 && numbers[2] == 9);
    struct array *empty = array_empty(c, DTYPE_F32, SHAPE(0, 3));
    assert_true(array_size(empty) == 0 && empty->data && array_is_contiguous(empty));
    assert_int_equal(array_to_host(empty, DTYPE_F32, NULL), OK);
    close_ctx(c);
}

static void test_persistent_arrays_outlive_scopes(void **state)
{
    (void)state;
    struct ctx *c = open_ctx();
    int mark = scope_open(c);
    struct array *a = array_persistent(c, DTYPE_F32, SHAPE(2, 3));
    assert_non_null(a);
    scope_close(c, mark);
    assert_int_equal(a->refs, 1);
    float values[6] = {1, 1, 1, 1, 1, 1};
    assert_int_equal(array_to_host(a, DTYPE_F32, values), OK);
    for (int i = 0; i < 6; i++) assert_true(values[i] == 0.0f);
    array_release(a);
    assert_null(array_persistent(c, DTYPE_F32, SHAPE(-1)));
    assert_int_equal(c->status, E_SHAPE);
    ctx_clear(c);
    close_ctx(c);
}

static void test_shapes_from_outside(void **state)
{
    (void)state;
    struct ctx *c = open_ctx();
    const int64_t nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    const struct {
        int ndim;
        int64_t shape[3];
        const char *words;
    } bad[] = {
        {1, {-1}, "is -1"},
        {2, {INT64_MAX, 2}, "more bytes"},
        {3, {1LL << 30, 1LL << 30, 1LL << 30}, "more bytes"},
        {1, {INT64_MAX / 2}, "more bytes"}, /* in elements it would fit */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(array_empty(c, DTYPE_F32, bad[i].ndim, bad[i].shape));
        assert_int_equal(c->status, E_SHAPE);
        if (!strstr(c->message, bad[i].words)) fail_msg("%s", c->message);
        ctx_clear(c);
    }
    assert_null(array_empty(c, DTYPE_F32, 9, nine));
    assert_int_equal(c->status, E_SHAPE);
    assert_null(array_scalar(c, DTYPE_F32, 1)); /* nothing is made while an error is recorded */
    ctx_clear(c);
    assert_null(array_empty(c, DTYPE_F32, SHAPE(1LL << 46))); /* well-formed, but this machine has not so much */
    assert_int_equal(c->status, E_MEMORY);
    ctx_clear(c);
    close_ctx(c);
}

static void test_views(void **state)
{
    (void)state;
    struct ctx *c = open_ctx();
    int32_t numbers[12], got[12];
    for (int i = 0; i < 12; i++) numbers[i] = i;
    struct array *a = array_from_host(c, DTYPE_I32, SHAPE(3, 4), numbers);
    const int64_t turned[2] = {1, 4}, back[2] = {-4, -1}, same_row[2] = {0, 1};
    struct array *t = array_view(a, SHAPE(4, 3), turned, 0);
    assert_true(!array_is_contiguous(t) && !array_has_unit_last(t) && t->storage->refs == 2);
    assert_int_equal(array_to_host(t, DTYPE_I32, got), OK);
    for (int i = 0; i < 12; i++) assert_int_equal(got[i], i % 3 * 4 + i / 3);
    struct array *reversed = array_view(a, SHAPE(3, 4), back, 11);
    assert_int_equal(array_to_host(reversed, DTYPE_I32, got), OK);
    for (int i = 0; i < 12; i++) assert_int_equal(got[i], 11 - i);
    struct array *repeated = array_view(a, SHAPE(2, 4), same_row, 4);
    assert_int_equal(array_to_host(repeated, DTYPE_I32, got), OK);
    assert_true(got[0] == 4 && got[4] == 4 && got[7] == 7 && !array_is_contiguous(repeated));
    assert_true(array_is_contiguous(array_view(a, SHAPE(1, 4), same_row, 4))); /* the stride of one row does not matter */
    struct array *item = array_view(a, 0, NULL, NULL, 5);
    assert_true(array_item(item) == 5);
    assert_true(isnan(array_item(a)));
    assert_int_equal(c->status, E_SHAPE);
    assert_non_null(strstr(c->message, "i32[3,4]"));
    ctx_clear(c);
    close_ctx(c);
}

static void test_views_stay_inside_their_storage(void **state)
{
    (void)state;
    const int64_t plain[1] = {1}, backwards[1] = {-1};
    const struct {
        int64_t size;
        const int64_t *stride;
        int64_t offset;
        bool inside;
    } cases[] = {
        {4, plain, 0, true},     {5, plain, 0, false},     {1, plain, 4, false},      {3, plain, 1, true},
        {4, backwards, 3, true}, {4, backwards, 2, false}, {0, plain, 1 << 20, true}, {1, plain, -1, false},
    };
    for (volatile size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ctx *volatile c = open_ctx(); /* a ctx can only be freed after a panic */
        struct array *volatile a = array_zeros(c, DTYPE_F32, SHAPE(4));
        volatile bool panicked = false;
        panic_message[0] = 0;
        if (setjmp(after_panic)) {
            panicked = true;
        } else {
            array_view(a, 1, &cases[i].size, cases[i].stride, cases[i].offset);
        }
        if (panicked == cases[i].inside) fail_msg("case %d: %s", (int)i, panic_message);
        if (panicked)
            ctx_free(c);
        else
            close_ctx(c);
    }
}

static void misuse(struct ctx *c, int i)
{
    struct array *x = array_scalar(c, DTYPE_F32, 1), *whole = array_scalar(c, DTYPE_I32, 1),
                 *other = array_zeros(c, DTYPE_F32, SHAPE(2));
    switch (i) {
    case 0:
        tape_resume(c);
        break;
    case 1:
        tape_end(c);
        break;
    case 2:
        scope_close(c, 1000);
        break;
    case 3:
        op_add(c, NULL, x);
        break; /* NULL without an error is the caller's mistake */
    case 4:
        tape_begin(c), tape_watch(c, whole, NULL);
        break;
    default:
        tape_begin(c), tape_watch(c, x, other);
        break;
    }
}

/* Broken invariants are loud. */
static void test_misuse_is_a_panic(void **state)
{
    (void)state;
    volatile int panics = 0;
    for (volatile int i = 0; i < 6; i++) {
        struct ctx *volatile c = open_ctx();
        if (setjmp(after_panic))
            panics++;
        else
            misuse(c, i);
        ctx_free(c);
    }
    assert_int_equal(panics, 6);
}

static void test_op_table(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++) {
        const struct op_info *info = op_info(op);
        assert_non_null(info->name);
        assert_true(info->n_in >= 1 && info->n_in <= OP_MAX_IN && info->n_out <= OP_MAX_OUT);
        assert_true(info->params_bytes > 0 && info->params_bytes <= OP_MAX_PARAMS_BYTES);
        assert_int_equal(info->diff >> info->n_in, 0); /* only inputs that exist */
        assert_int_equal((info->saves & 0xffff) >> info->n_in, 0);
        assert_int_equal((info->saves & ~AGAIN) >> 16 >> info->n_out, 0);
        if (info->saves & AGAIN) assert_true(info->diff && info->saves != AGAIN); /* made again from what is saved */
    }
    assert_string_equal(op_name(OP_LINEAR_CROSS_ENTROPY), "linear_cross_entropy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_making),
        cmocka_unit_test(test_persistent_arrays_outlive_scopes),
        cmocka_unit_test(test_shapes_from_outside),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_views_stay_inside_their_storage),
        cmocka_unit_test(test_misuse_is_a_panic),
        cmocka_unit_test(test_op_table),
    };
    return cmocka_run_group_tests_name("array", tests, NULL, NULL);
}
