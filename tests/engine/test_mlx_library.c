/* Opening mlx-c, and the operations of mlx_op.h on the library that stands for it: what is missing is said, results are
 * right, whatever call fails leaves one message, and every handle is freed. */
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/mlx/mlx_op.h"
#include "engine/mlxc/mock_mlxc.h"

#define MOCK MOCK_MLXC_DIR "/libmock_mlxc.so"

static mock_mlxc_live_fn *live;
static mock_mlxc_fail_fn *fail_at;

static int find_mock(void **state)
{
    (void)state;
    void *mock = dlopen(MOCK, RTLD_NOW | RTLD_LOCAL);
    if (!mock) return -1;
    *(void **)&live = dlsym(mock, "mock_mlxc_live");
    *(void **)&fail_at = dlsym(mock, "mock_mlxc_fail");
    setenv("YA_LIBMLXC", MOCK, 1);
    return live && fail_at ? 0 : -1;
}

static void assert_refused(const char *needle)
{
    struct ctx *c = ctx_new(NULL);
    struct mlx_library l;
    assert_int_equal(mlx_library_open(c, &l), E_UNSUPPORTED);
    if (!strstr(c->message, needle)) fail_msg("'%s' does not say '%s'", c->message, needle);
    assert_null(l.handle);
    mlx_library_close(&l);
    ctx_clear(c);
    ctx_free(c);
}

static void a_library_that_does_not_fit_is_refused_by_name(void **state)
{
    (void)state;
    setenv("YA_LIBMLXC", "/nowhere/libmlxc%s.so", 1);
    assert_refused("YA_LIBMLXC names it");
    setenv("YA_LIBMLXC", MOCK_MLXC_DIR "/libmock_mlxc_old.so", 1);
    assert_refused("no mlx_version");
    setenv("YA_LIBMLXC", MOCK, 1);
    setenv("MOCK_MLXC_VERSION", "9.9.9", 1);
    assert_refused("version 9.9.9; the engine was tested with 0.31.1 and 0.31.2");
    unsetenv("MOCK_MLXC_VERSION");
    assert_int_equal(live(), 0);
    unsetenv("YA_LIBMLXC");
    if (!dlopen("libmlxc.so", RTLD_NOW)) assert_refused("libmlxc is not found");
    setenv("YA_LIBMLXC", MOCK, 1);
}

/* What a report says: path, version, whether it can be used, and why not; the ctx is left alone. */
static void assert_described(bool usable, const char *path, const char *version, const char *problem)
{
    struct ctx *c = ctx_new(NULL);
    struct mlx_library_found found;
    mlx_library_describe(c, &found);
    assert_int_equal(c->status, OK);
    assert_true(found.usable == usable);
    assert_string_equal(found.path, path);
    assert_string_equal(found.version, version);
    if (!strstr(found.problem, problem) || (usable && *found.problem)) fail_msg("'%s' is not '%s'", found.problem, problem);
    ctx_free(c);
    assert_int_equal(live(), 0);
}

static void a_description_says_what_was_found(void **state)
{
    (void)state;
    assert_described(true, MOCK, "0.31.2", "");
    setenv("MOCK_MLXC_VERSION", "9.9.9", 1);
    assert_described(false, MOCK, "9.9.9", "the engine was tested with");
    unsetenv("MOCK_MLXC_VERSION");
    setenv("YA_LIBMLXC", MOCK_MLXC_DIR "/libmock_mlxc_old.so", 1);
    assert_described(false, MOCK_MLXC_DIR "/libmock_mlxc_old.so", "", "no mlx_version");
    setenv("YA_LIBMLXC", "/nowhere/libmlxc.so", 1);
    assert_described(false, "", "", "cannot be opened");
    setenv("YA_LIBMLXC", MOCK, 1);
}

/* (x w)^2 summed, with the product in a checkpointed function: its gradient with respect to x is 2 x w w^T. */
static void product(struct mlx_graph *g, void *arg, const struct mlx_array *in, struct mlx_array *out)
{
    out[0] = mlx_op_matmul(g, in[0], *(struct mlx_array *)arg);
}

static void square_sum(struct mlx_graph *g, void *arg, const struct mlx_array *in, struct mlx_array *out)
{
    struct mlx_array y = {NULL};
    mlx_op_checkpoint(g, product, arg, sizeof y, in, 1, &y, 1);
    out[0] = mlx_op_sum(g, mlx_op_multiply(g, y, y));
    out[1] = y;
}

static enum status differentiate(struct mlx_graph *g, float *loss, float y[2], float gradient[2])
{
    const float x[2] = {1, 2}, w[4] = {1, -1, 3, 0.5f};
    struct mlx_array out[2], slope, in, weights;
    size_t mark = mlx_scope_open(g);
    in = mlx_op_upload(g, MLX_F32, 2, (int64_t[]){1, 2}, x);
    weights = mlx_op_wrap(g, MLX_F32, 2, (int64_t[]){2, 2}, w);
    mlx_op_value_and_grad(g, square_sum, &weights, sizeof weights, &in, 1, out, 2, &slope);
    mlx_op_download(g, out[0], 1, loss);
    mlx_op_download(g, out[1], 2, y);
    mlx_op_download(g, slope, 2, gradient);
    mlx_op_forget_calls(g);
    mlx_scope_close(g, mark);
    return g->c->status;
}

static void derivatives_pass_through_checkpoints(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct mlx_graph g;
    float loss, y[2], gradient[2];
    assert_int_equal(mlx_graph_open(c, &g), OK);
    assert_string_equal(g.library.version_text, "0.31.2");
    assert_int_equal(differentiate(&g, &loss, y, gradient), OK);
    assert_true(fabsf(y[0] - 7) < 1e-6f && fabsf(y[1]) < 1e-6f && fabsf(loss - 49) < 1e-5f);
    assert_true(fabsf(gradient[0] - 14) < 1e-5f && fabsf(gradient[1] - 42) < 1e-5f);
    mlx_graph_close(&g);
    assert_int_equal(live(), 0);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static void every_failing_call_is_reported_and_nothing_leaks(void **state)
{
    (void)state;
    int n = 1;
    for (;; n++) {
        struct ctx *c = ctx_new(NULL);
        struct mlx_graph g;
        float loss, y[2], gradient[2];
        fail_at(n);
        bool whole = mlx_graph_open(c, &g) == OK && differentiate(&g, &loss, y, gradient) == OK;
        int calls = fail_at(0);
        if (!whole && !strstr(c->message, "injected 100% failure")) fail_msg("call %d: '%s'", n, c->message);
        assert_int_equal(c->status, whole ? OK : E_UNSUPPORTED);
        ctx_clear(c);
        mlx_graph_close(&g);
        assert_int_equal(live(), 0);
        assert_int_equal(c->alloc_bytes, 0);
        ctx_free(c);
        if (whole && calls < n) break;
        assert_false(whole);
    }
    assert_true(n > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_library_that_does_not_fit_is_refused_by_name),
        cmocka_unit_test(a_description_says_what_was_found),
        cmocka_unit_test(derivatives_pass_through_checkpoints),
        cmocka_unit_test(every_failing_call_is_reported_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, find_mock, NULL);
}
