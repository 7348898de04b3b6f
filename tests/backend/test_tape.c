/* The tape: what it keeps, when it lets go, accumulation, pauses, checkpoints, and scopes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "array/tape.h"
#include "backend/backend_open.h"
#include "support_case.h"
#include "support_oom.h"

enum { N = 6, C = 8, R = 2, LAYERS = 3 };

static struct array *filled(struct ctx *c, int ndim, const int64_t *shape, uint64_t seed)
{
    double values[N * C * C];
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= shape[i];
    assert_true(n <= N * C * C);
    case_numbers(values, n, seed, -1, 1);
    return case_array(c, DTYPE_F32, ndim, shape, values, LAYOUT_PLAIN);
}

static double first_of(struct array *a)
{
    double values[N * C * C];
    assert_non_null(a);
    assert_int_equal(array_to_host(a, DTYPE_F64, values), OK);
    return values[0];
}

/* ---- accumulation --------------------------------------------------------------------------------------------------- */

static void test_gradients_add_into_the_callers_buffer(void **state)
{
    (void)state;
    struct ctx *c = case_open("cpu-reference");
    struct array *x = array_scalar(c, DTYPE_F32, 3), *buffer = array_scalar(c, DTYPE_F32, 100);
    for (int micro_batch = 1; micro_batch <= 2; micro_batch++) {
        assert_int_equal(tape_begin(c), OK);
        assert_int_equal(tape_watch(c, x, buffer), OK);
        assert_int_equal(tape_backward(c, op_mul(c, x, x), 0.5), OK);
        assert_ptr_equal(tape_grad(c, x), buffer);
        tape_end(c);
        assert_true(array_item(buffer) == 100 + 3 * micro_batch); /* 0.5 * 2x */
    }
    assert_null(x->node);
    case_close(c);
}

/* y = x + x hands one array to one slot twice; z = reshape(x) hands a view on it: sums must not write through either. */
static void test_shared_cotangents_are_not_changed_in_place(void **state)
{
    (void)state;
    struct ctx *c = case_open("cpu-reference");
    const int64_t shape[1] = {4}, two[2] = {2, 2};
    struct array *x = array_full(c, DTYPE_F32, 1, shape, 1), *w = array_full(c, DTYPE_F32, 1, shape, 5);
    tape_begin(c);
    tape_watch(c, x, NULL);
    tape_watch(c, w, NULL);
    struct array *a = op_add(c, x, w), *b = op_add(c, a, x), *view = op_reshape(c, op_add(c, b, a), 2, two);
    assert_int_equal(tape_backward(c, op_sum(c, view, NULL, -1, false), 1), OK);
    assert_true(first_of(tape_grad(c, x)) == 3 && first_of(tape_grad(c, w)) == 2);
    tape_end(c);
    case_close(c);
}

static void test_constants_have_no_gradient(void **state)
{
    (void)state;
    struct ctx *c = case_open("cpu-reference");
    struct array *x = array_scalar(c, DTYPE_F32, 2), *k = array_scalar(c, DTYPE_F32, 7);
    tape_begin(c);
    tape_watch(c, x, NULL);
    struct array *y = op_mul(c, k, k);
    assert_null(y->node); /* no work is recorded for constants */
    assert_int_equal(tape_backward(c, y, 1), OK);
    assert_null(tape_grad(c, x));
    struct array *compared = op_less(c, x, k), *counted = op_cast(c, x, DTYPE_I32);
    assert_true(!compared->node && !counted->node);
    tape_end(c);
    case_close(c);
}

static void test_pause_nests(void **state)
{
    (void)state;
    struct ctx *c = case_open("cpu-reference");
    struct array *x = array_scalar(c, DTYPE_F32, 2);
    assert_false(tape_recording(c));
    tape_begin(c);
    tape_watch(c, x, NULL);
    tape_pause(c);
    tape_pause(c);
    tape_resume(c);
    assert_false(tape_recording(c));
    assert_null(op_mul(c, x, x)->node);
    tape_resume(c);
    assert_true(tape_recording(c));
    struct array *y = op_mul(c, x, x);
    assert_non_null(y->node);
    tape_end(c);
    struct array *after = op_mul(c, y, y); /* y's node is dead: a constant from now on */
    tape_begin(c);
    assert_null(op_mul(c, after, y)->node);
    tape_watch(c, x, NULL); /* may be watched again by the next tape */
    assert_int_equal(tape_backward(c, op_mul(c, x, y), 1), OK);
    assert_true(array_item(tape_grad(c, x)) == 4);
    tape_end(c);
    case_close(c);
}

static void test_backward_starts_from_a_scalar(void **state)
{
    (void)state;
    struct ctx *c = case_open("cpu-reference");
    const int64_t shape[1] = {4};
    struct array *x = array_zeros(c, DTYPE_F32, 1, shape);
    tape_begin(c);
    tape_watch(c, x, NULL);
    assert_int_equal(tape_backward(c, op_neg(c, x), 1), E_SHAPE);
    assert_non_null(strstr(c->message, "f32[4]"));
    ctx_clear(c);
    tape_end(c);
    case_close(c);
}

/* ---- memory --------------------------------------------------------------------------------------------------------- */

static void test_memory_returns_while_backward_runs(void **state)
{
    (void)state;
    struct ctx *c = case_open("cpu-reference");
    const int64_t shape[2] = {64, 64};
    struct array *x = array_full(c, DTYPE_F32, 2, shape, 0.1), *grad = array_zeros(c, DTYPE_F32, 2, shape);
    const size_t one = 64 * 64 * 4, before = array_pool_stats(c).live_bytes;
    int mark = scope_open(c);
    tape_begin(c);
    tape_watch(c, x, grad);
    struct array *y = x;
    for (int i = 0; i < 20; i++) {
        int inner = scope_open(c);
        y = scope_close_keep(c, inner, op_exp(c, op_neg(c, y))); /* exp keeps its result, neg nothing */
    }
    y = op_sum(c, y, NULL, -1, false);
    size_t recorded = array_pool_stats(c).live_bytes - before;
    assert_true(recorded >= 20 * one && recorded < 25 * one + 30 * 8192);
    scope_close_keep(c, mark, y);
    assert_int_equal(tape_backward(c, y, 1), OK);
    size_t after = array_pool_stats(c).live_bytes - before;
    assert_true(after < one); /* nodes and gradients in flight are gone before tape_end */
    assert_true(array_pool_stats(c).peak_bytes < before + recorded + 4 * one);
    tape_end(c);
    case_close(c);
}

/* The same step again takes the same addresses: the pool never grows after the first. */
static void test_steps_reuse_the_pool(void **state)
{
    (void)state;
    struct ctx *c = case_open("cpu-reference");
    const int64_t shape[2] = {16, 16};
    struct array *x = array_full(c, DTYPE_F32, 2, shape, 0.1), *grad = array_zeros(c, DTYPE_F32, 2, shape);
    size_t held = 0;
    const void *address = NULL;
    for (int step = 0; step < 4; step++) {
        int mark = scope_open(c);
        tape_begin(c);
        tape_watch(c, x, grad);
        struct array *y = op_matmul(c, op_exp(c, x), x);
        if (step > 0) assert_ptr_equal(y->data, address);
        address = y->data;
        tape_backward(c, op_sum(c, y, NULL, -1, false), 1);
        tape_end(c);
        scope_close(c, mark);
        if (step > 0) assert_int_equal(array_pool_stats(c).held_bytes, held);
        held = array_pool_stats(c).held_bytes;
    }
    case_close(c);
}

static void test_scopes(void **state)
{
    (void)state;
    struct ctx *c = case_open("cpu-reference");
    const size_t before = array_pool_stats(c).live_bytes;
    int outer = scope_open(c);
    struct array *a = array_scalar(c, DTYPE_F32, 1);
    int inner = scope_open(c);
    struct array *kept[3] = {array_scalar(c, DTYPE_F32, 2), NULL, a}; /* a belongs to the outer scope already */
    struct array *own = array_retain(array_scalar(c, DTYPE_F32, 3));
    scope_close_keep_n(c, inner, kept, 3);
    assert_true(array_item(kept[0]) == 2 && !kept[1] && array_item(kept[2]) == 1 && array_item(own) == 3);
    scope_close(c, outer);
    assert_true(array_item(own) == 3); /* an owner of its own */
    struct array *view = array_view(own, 0, NULL, NULL, 0);
    array_release(own);
    assert_true(array_item(view) == 3); /* views keep the storage */
    scope_close(c, outer);
    assert_int_equal(array_pool_stats(c).live_bytes, before);
    case_close(c);
}

static struct array *square(struct ctx *c, void *arg, struct array *x)
{
    (void)arg;
    return op_mul(c, x, op_exp(c, x));
}

static enum status small_step(struct ctx *c, double *gradient)
{
    const int64_t shape[2] = {3, 3};
    struct array *x = array_full(c, DTYPE_F32, 2, shape, 0.5);
    if (!x || tape_begin(c) != OK) return c->status;
    if (tape_watch(c, x, NULL) == OK) {
        struct array *y = tape_checkpoint(c, square, NULL, 0, op_matmul(c, x, op_swiglu(c, x, x)), false);
        if (y && tape_backward(c, op_sum(c, y, NULL, -1, false), 1) == OK) {
            struct array *g = tape_grad(c, x);
            if (g) array_to_host(g, DTYPE_F64, gradient);
        }
    }
    tape_end(c);
    return c->status;
}

/* Every allocation of a step fails once: each time the error is reported and everything is given back. */
static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    int failures = 0;
    double expected[9] = {0};
    for (int n = -1; n < 100000; n++) {
        struct oom oom = {.fail_at = n, .once = true};
        struct ctx *c = oom_ctx(&oom);
        if (!c) continue;
        double gradient[9] = {0};
        bool open = array_env_new(c, backend_open(c, "cpu-reference")) == OK;
        enum status status = open ? small_step(c, gradient) : c->status;
        bool done = n >= 0 && oom.calls <= n;
        if (n < 0) memcpy(expected, gradient, sizeof expected);
        assert_int_equal(status, n < 0 || done ? OK : E_MEMORY);
        if (status == OK) assert_memory_equal(gradient, expected, sizeof expected);
        failures += status != OK;
        array_env_free(c); /* the pool's own check: nothing is left out */
        ctx_clear(c);
        ctx_free(c);
        assert_int_equal(oom.live, 0);
        if (done) break;
    }
    assert_true(failures > 20 && expected[0] > 0);
}

/* ---- checkpoints ---------------------------------------------------------------------------------------------------- */

/* A small net with everything that a block has: norm with residual, adapters with dropout, swiglu; leaves are adapters. */
struct net {
    float weights[LAYERS][3][C * C];
    struct weight w[LAYERS][3];
    struct lora_slot slot[LAYERS][3];
    struct array *gain, *extra;
    bool keep_all; /* nothing is made again in backward: rows read views, and a view is kept as it is */
};

struct block_arg {
    struct net *net;
    int layer;
};

static int block_runs;

/* x, or a view of all of it, whose node makes nothing again. */
static struct array *kept(struct ctx *c, const struct net *net, struct array *x)
{
    return net->keep_all && x ? op_reshape(c, x, x->ndim, x->shape) : x;
}

static struct array *block(struct ctx *c, void *arg, struct array *x)
{
    const struct block_arg *b = arg;
    struct net *net = b->net;
    const struct weight *gate_up[2] = {&net->w[b->layer][0], &net->w[b->layer][1]}, *down = &net->w[b->layer][2];
    struct array *y[2], *out, *sum, *normed = op_rms_norm_add(c, x, net->extra, net->gain, 1e-5, &sum);
    block_runs++;
    if (op_linear(c, kept(c, net, normed), gate_up, 2, true, y) != OK) return NULL;
    struct array *hidden = kept(c, net, op_swiglu(c, y[0], y[1]));
    if (tape_replaying(c)) return op_add(c, sum, op_linear_unread(c, hidden, down, true));
    return op_linear(c, hidden, &down, 1, true, &out) == OK ? op_add(c, sum, out) : NULL;
}

static void net_make(struct ctx *c, struct net *net)
{
    const int64_t a_shape[2] = {R, C}, b_shape[2] = {C, R}, gain_shape[1] = {C}, x_shape[2] = {N, C};
    memset(net, 0, sizeof *net);
    for (int l = 0; l < LAYERS; l++) {
        for (int i = 0; i < 3; i++) {
            uint64_t seed = (uint64_t)(l * 3 + i);
            double values[C * C];
            case_numbers(values, C * C, 500 + seed, -0.5, 0.5);
            for (int k = 0; k < C * C; k++) net->weights[l][i][k] = (float)values[k];
            net->slot[l][i] = (struct lora_slot){.scale = 2, .dropout = 0.25f, .id = (uint32_t)(l * 8 + i)};
            net->slot[l][i].a = filled(c, 2, a_shape, 100 + seed);
            net->slot[l][i].b = filled(c, 2, b_shape, 200 + seed);
            net->w[l][i] = (struct weight){.name = "w", .type = TENSOR_F32, .rows = C, .cols = C};
            net->w[l][i].data = net->weights[l][i];
            net->w[l][i].row_bytes = C * sizeof(float);
            net->w[l][i].lora = &net->slot[l][i];
        }
    }
    net->gain = filled(c, 1, gain_shape, 300);
    net->extra = filled(c, 2, x_shape, 400);
}

enum mode { MODE_PLAIN, MODE_BLOCKS, MODE_NESTED, MODE_KEEP_ALL, MODE_ASIDE };

static struct array *two_blocks(struct ctx *c, void *arg, struct array *x)
{
    struct block_arg a = *(struct block_arg *)arg, b = a;
    b.layer++;
    x = tape_checkpoint(c, block, &a, sizeof a, x, false);
    return tape_checkpoint(c, block, &b, sizeof b, x, false);
}

/* Gradients of all adapters and of x and `extra` (captured by every block) as one list of f32. */
static int net_gradients(const char *backend, enum mode mode, bool watch_x, float *out, size_t *peak)
{
    static struct net net;
    struct ctx *c = case_open(backend);
    const int64_t x_shape[2] = {N, C};
    int n = 0;
    net_make(c, &net);
    net.keep_all = mode == MODE_KEEP_ALL;
    struct array *x = filled(c, 2, x_shape, 1), *leaves[3 + 6 * LAYERS];
    int n_leaves = 0;
    tape_begin(c);
    if (watch_x) leaves[n_leaves++] = x;
    if (watch_x) leaves[n_leaves++] = net.extra;
    for (int i = 0; i < 3 * LAYERS; i++) {
        leaves[n_leaves++] = net.slot[i / 3][i % 3].a;
        leaves[n_leaves++] = net.slot[i / 3][i % 3].b;
    }
    for (int i = 0; i < n_leaves; i++) assert_int_equal(tape_watch(c, leaves[i], NULL), OK);
    struct array *y = x;
    int mark = scope_open(c);
    for (int l = 0; l < LAYERS; l++) {
        struct block_arg arg = {&net, l};
        if (mode == MODE_NESTED && l == 0) {
            y = tape_checkpoint(c, two_blocks, &arg, sizeof arg, y, false);
            l++;
        } else {
            y = mode == MODE_PLAIN || mode == MODE_KEEP_ALL
                    ? block(c, &arg, y)
                    : tape_checkpoint(c, block, &arg, sizeof arg, y, mode == MODE_ASIDE);
        }
        memset(&arg, 0xEE, sizeof arg); /* the tape has a copy */
        y = scope_close_keep(c, mark, y);
        assert_non_null(y);
    }
    *peak = array_pool_stats(c).live_bytes;
    y = op_sum(c, op_mul(c, y, y), NULL, -1, false);
    assert_int_equal(tape_backward(c, y, 1), OK);
    for (int i = 0; i < n_leaves; i++) {
        struct array *g = tape_grad(c, leaves[i]);
        assert_non_null(g);
        assert_int_equal(array_to_host(g, DTYPE_F32, out + n), OK);
        n += (int)array_size(g);
    }
    tape_end(c);
    case_close(c);
    return n;
}

static void check_checkpoints(const char *backend, bool watch_x)
{
    static float plain[4096], blocks[4096], nested[4096], put_aside[4096];
    size_t plain_bytes, blocks_bytes, nested_bytes, aside_bytes;
    block_runs = 0;
    int n = net_gradients(backend, MODE_PLAIN, watch_x, plain, &plain_bytes);
    assert_int_equal(block_runs, LAYERS);
    assert_int_equal(net_gradients(backend, MODE_BLOCKS, watch_x, blocks, &blocks_bytes), n);
    assert_int_equal(block_runs, 3 * LAYERS); /* each ran again */
    assert_int_equal(net_gradients(backend, MODE_NESTED, watch_x, nested, &nested_bytes), n);
    assert_int_equal(block_runs, 5 * LAYERS + 2); /* the inner two once more */
    assert_int_equal(net_gradients(backend, MODE_ASIDE, watch_x, put_aside, &aside_bytes), n);
    for (int i = 0; i < n; i++) assert_true(plain[i] != 0 && isfinite(plain[i]));
    assert_memory_equal(put_aside, plain, (size_t)n * sizeof *plain);
    /* of the inputs only the first and the one in use are on the device */
    assert_int_equal(blocks_bytes - aside_bytes, (LAYERS - 1) * pool_class_bytes(N * C * sizeof(float)));
    assert_memory_equal(blocks, plain, (size_t)n * sizeof *plain); /* bit for bit */
    assert_memory_equal(nested, plain, (size_t)n * sizeof *plain);
    assert_true(blocks_bytes < plain_bytes && nested_bytes < blocks_bytes);
}

static void test_checkpoints_change_no_bit(void **state)
{
    (void)state;
    for (int watch_x = 0; watch_x < 2; watch_x++) { /* 0: x is frozen, as the embedding is */
        check_checkpoints("cpu-reference", watch_x);
        for (int i = 0; case_tuned(i); i++) check_checkpoints(case_tuned(i), watch_x);
    }
}

/* ---- outputs made again --------------------------------------------------------------------------------------------- */

static void check_made_again(const char *backend, bool watch_x)
{
    static float again[4096], kept_all[4096];
    size_t again_bytes, kept_bytes;
    int n = net_gradients(backend, MODE_PLAIN, watch_x, again, &again_bytes);
    assert_int_equal(net_gradients(backend, MODE_KEEP_ALL, watch_x, kept_all, &kept_bytes), n);
    assert_memory_equal(again, kept_all, (size_t)n * sizeof *again); /* bit for bit */
    assert_true(again_bytes < kept_bytes);
}

static void test_made_again_is_what_was_kept(void **state)
{
    (void)state;
    for (int watch_x = 0; watch_x < 2; watch_x++) {
        check_made_again("cpu-reference", watch_x);
        for (int i = 0; case_tuned(i); i++) check_made_again(case_tuned(i), watch_x);
    }
}

/* An output made again that several rows save, that one saves twice, that a row of its own kind saves (a chain makes every
 * second link again), and that a checkpoint captures; and the norm's other output, which nothing makes again. */
struct fan {
    struct net net; /* only keep_all and gain */
    struct array *b, *s;
};

static struct array *times_captured(struct ctx *c, void *arg, struct array *x)
{
    const struct fan *fan = *(struct fan **)arg;
    return op_mul(c, x, fan->s);
}

static struct array *fan_out(struct ctx *c, struct fan *fan, struct array *a)
{
    struct array *s = kept(c, &fan->net, op_swiglu(c, a, fan->b)), *t = s;
    for (int i = 0; i < 3; i++) t = kept(c, &fan->net, op_swiglu(c, t, fan->b));
    fan->s = s;
    struct array *sum, *h = kept(c, &fan->net, op_rms_norm_add(c, t, s, fan->net.gain, 1e-5, &sum));
    t = op_add(c, op_mul(c, h, kept(c, &fan->net, sum)), op_mul(c, s, s));
    t = op_add(c, tape_checkpoint(c, times_captured, &fan, sizeof fan, t, false), op_matmul(c, s, a));
    return op_sum(c, op_mul(c, t, s), NULL, -1, false);
}

static void fan_gradients(const char *backend, bool keep_all, float *out)
{
    static struct fan fan;
    struct ctx *c = case_open(backend);
    const int64_t shape[2] = {C, C};
    struct array *a = filled(c, 2, shape, 1);
    fan = (struct fan){.net.keep_all = keep_all, .net.gain = filled(c, 1, shape, 3), .b = filled(c, 2, shape, 2)};
    assert_int_equal(tape_begin(c), OK);
    assert_int_equal(tape_watch(c, a, NULL), OK);
    assert_int_equal(tape_watch(c, fan.b, NULL), OK);
    assert_int_equal(tape_backward(c, fan_out(c, &fan, a), 1), OK);
    assert_int_equal(array_to_host(tape_grad(c, a), DTYPE_F32, out), OK);
    assert_int_equal(array_to_host(tape_grad(c, fan.b), DTYPE_F32, out + C * C), OK);
    tape_end(c);
    case_close(c);
}

static void test_made_again_for_several(void **state)
{
    (void)state;
    float again[2 * C * C], kept_all[2 * C * C];
    for (int i = -1; i < 0 || case_tuned(i); i++) {
        const char *backend = i < 0 ? "cpu-reference" : case_tuned(i);
        fan_gradients(backend, false, again);
        fan_gradients(backend, true, kept_all);
        assert_memory_equal(again, kept_all, sizeof again);
        for (int k = 0; k < 2 * C * C; k++) assert_true(again[k] != 0 && isfinite(again[k]));
    }
}

/* What stays of x -> swiglu -> norm -> matrix product: not the results of the first two. */
static void test_made_again_is_not_held(void **state)
{
    (void)state;
    struct ctx *c = case_open("cpu-reference");
    const int64_t shape[2] = {64, 64}, row[1] = {64};
    const size_t one = 64 * 64 * 4;
    struct array *x = array_full(c, DTYPE_F32, 2, shape, 0.1), *w = array_full(c, DTYPE_F32, 2, shape, 0.2);
    struct array *gain = array_full(c, DTYPE_F32, 1, row, 1), *grad = array_zeros(c, DTYPE_F32, 2, shape);
    tape_begin(c);
    tape_watch(c, w, grad);
    size_t before = array_pool_stats(c).live_bytes;
    int mark = scope_open(c);
    struct array *g = op_add(c, w, x);                                        /* kept by swiglu */
    struct array *s = op_swiglu(c, g, x), *h = op_rms_norm(c, s, gain, 1e-5); /* s is kept by the norm, h by nobody */
    struct array *y = scope_close_keep(c, mark, op_sum(c, op_matmul(c, h, w), NULL, -1, false));
    size_t recorded = array_pool_stats(c).live_bytes - before;
    assert_true(recorded >= 2 * one && recorded < 3 * one);
    assert_int_equal(tape_backward(c, y, 1), OK);
    assert_true(((const float *)grad->data)[0] != 0);
    tape_end(c);
    case_close(c);
}

static struct array *same(struct ctx *c, void *arg, struct array *x)
{
    (void)c, (void)arg;
    return x;
}

static void test_checkpoint_edges(void **state)
{
    (void)state;
    struct ctx *c = case_open("cpu-reference");
    struct array *x = array_scalar(c, DTYPE_F32, 0.5), *k = array_scalar(c, DTYPE_F32, 0.5);
    struct array *plain = tape_checkpoint(c, square, NULL, 0, x, false); /* without a tape: a plain call */
    assert_true(fabs(array_item(plain) - 0.5 * exp(0.5)) < 1e-6);
    tape_begin(c);
    tape_watch(c, x, NULL);
    assert_ptr_equal(tape_checkpoint(c, same, NULL, 0, x, true), x);
    assert_null(tape_checkpoint(c, square, NULL, 0, k, true)->node); /* nothing inside wants a gradient */
    struct array *y = tape_checkpoint(c, square, NULL, 0, tape_checkpoint(c, same, NULL, 0, x, true), true);
    assert_int_equal(tape_backward(c, y, 1), OK);
    assert_true(fabs(array_item(tape_grad(c, x)) - 1.5 * exp(0.5)) < 1e-6);
    tape_end(c);
    case_close(c);
}

/* Inputs of many lengths that are put aside take no more than the limit; without one each size class keeps a block. */
static void test_what_is_put_aside_has_a_limit(void **state)
{
    (void)state;
    struct ctx *c = case_open("cpu-reference");
    const int64_t longest = 4096;
    size_t limit = pool_class_bytes((size_t)longest * sizeof(float));
    array_pool_limit(c, 0, limit);
    for (int64_t n = longest; n >= 16; n /= 2) {
        int mark = scope_open(c);
        struct array *x = array_full(c, DTYPE_F32, 1, &n, 0.5);
        tape_begin(c);
        tape_watch(c, x, NULL);
        struct array *y = tape_checkpoint(c, square, NULL, 0, x, true);
        assert_int_equal(tape_backward(c, op_sum(c, y, NULL, -1, false), 1), OK);
        tape_end(c);
        scope_close(c, mark);
        assert_int_equal(array_aside_bytes(c), limit);
    }
    case_close(c);
}

/* ---- what ops keep ---------------------------------------------------------------------------------------------------- */

/* A product keeps an operand only for the other one's gradient. */
static void test_only_what_is_needed_is_kept(void **state)
{
    (void)state;
    struct ctx *c = case_open("cpu-reference");
    const int64_t shape[2] = {64, 64};
    struct array *x = array_full(c, DTYPE_F32, 2, shape, 0.1);
    tape_begin(c);
    tape_watch(c, x, NULL);
    struct array *before = op_neg(c, x), *k = array_full(c, DTYPE_F32, 2, shape, 2);
    int refs_before = before->refs, refs_k = k->refs;
    struct array *y = op_matmul(c, op_mul(c, before, k), k);
    assert_int_equal(before->refs, refs_before); /* k needs no gradient, so `before` is not kept */
    assert_int_equal(k->refs, refs_k + 2);
    assert_non_null(y->node);
    tape_end(c);
    assert_int_equal(k->refs, refs_k);
    case_close(c);
}

/* ---- errors --------------------------------------------------------------------------------------------------------- */

static enum status no_kernel(struct backend *b, const struct op_call *call)
{
    return ctx_fail(b->c, E_NUMERIC, "%s was called", op_name(call->op));
}

static void test_refused_rows_and_failed_kernels(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct backend *partial = backend_open(c, NULL);
    assert_non_null(partial);
    partial->name = "partial";
    partial->kernel[OP_EXP] = NULL;
    assert_int_equal(array_env_new(c, partial), OK);
    struct array *x = array_scalar(c, DTYPE_F32, 1);
    assert_null(op_exp(c, x));
    assert_int_equal(c->status, E_UNSUPPORTED);
    assert_non_null(strstr(c->message, "partial"));
    assert_non_null(strstr(c->message, "exp"));
    assert_null(op_add(c, x, x)); /* at once */
    assert_non_null(strstr(c->message, "exp"));
    ctx_clear(c);
    partial->kernel[OP_EXP] = no_kernel;
    assert_null(op_exp(c, x));
    assert_int_equal(c->status, E_NUMERIC);
    ctx_clear(c);
    array_env_free(c);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_add_into_the_callers_buffer),
        cmocka_unit_test(test_shared_cotangents_are_not_changed_in_place),
        cmocka_unit_test(test_constants_have_no_gradient),
        cmocka_unit_test(test_pause_nests),
        cmocka_unit_test(test_backward_starts_from_a_scalar),
        cmocka_unit_test(test_memory_returns_while_backward_runs),
        cmocka_unit_test(test_steps_reuse_the_pool),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_checkpoints_change_no_bit),
        cmocka_unit_test(test_checkpoint_edges),
        cmocka_unit_test(test_what_is_put_aside_has_a_limit),
        cmocka_unit_test(test_made_again_is_what_was_kept),
        cmocka_unit_test(test_made_again_for_several),
        cmocka_unit_test(test_made_again_is_not_held),
        cmocka_unit_test(test_only_what_is_needed_is_kept),
        cmocka_unit_test(test_refused_rows_and_failed_kernels),
    };
    return cmocka_run_group_tests_name("tape", tests, NULL, NULL);
}
