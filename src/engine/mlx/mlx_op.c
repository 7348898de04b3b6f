/* mlx_op: each operation makes a handle, calls mlx-c, and gives the handle to the graph's scope. */
#include "engine/mlx/mlx_op.h"

#include <limits.h>
#include <string.h>

#include "base/mem.h"

enum { DIMS_MAX = 4 };

/* ---- graph and scopes ------------------------------------------------------------------------------------------------ */

/* The stream that MLX itself would use: of the GPU where MLX has one. */
static enum status graph_open_stream(struct mlx_graph *g)
{
    const struct mlx_library *l = &g->library;
    enum mlx_device_type type = MLX_DEVICE_CPU;
    struct mlx_device device = l->device_new();
    bool good = l->get_default_device(&device) == 0 && l->device_get_type(&type, device) == 0;
    g->stream = l->stream_new();
    good = good && l->get_default_stream(&g->stream, device) == 0;
    l->device_free(device);
    g->on_gpu = type == MLX_DEVICE_GPU;
    return good ? OK : mlx_library_fail(g->c, "opening the default device");
}

enum status mlx_graph_open(struct ctx *c, struct mlx_graph *g)
{
    *g = (struct mlx_graph){.c = c};
    TRY(mlx_library_open(c, &g->library));
    return graph_open_stream(g);
}

void mlx_graph_close(struct mlx_graph *g)
{
    if (!g->c) return;
    mlx_scope_close(g, 0);
    mlx_op_forget_calls(g);
    mem_free(g->c, g->arrays);
    if (g->stream.ctx) g->library.stream_free(g->stream);
    mlx_library_close(&g->library);
    *g = (struct mlx_graph){0};
}

void mlx_graph_limit(struct mlx_graph *g, size_t bytes, size_t cached)
{
    const struct mlx_library *l = &g->library;
    size_t before;
    if (l->set_memory_limit(&before, bytes) != 0 || l->set_cache_limit(&before, cached) != 0 || l->reset_peak_memory() != 0)
        mlx_library_fail(g->c, "setting its memory limits");
    if (g->on_gpu && l->set_wired_limit(&before, bytes) != 0) mlx_library_forget(); /* more than this system lets it wire */
}

size_t mlx_scope_open(const struct mlx_graph *g)
{
    return g->n_arrays;
}

void mlx_scope_close(struct mlx_graph *g, size_t mark)
{
    while (g->n_arrays > mark) g->library.array_free(g->arrays[--g->n_arrays]);
}

void mlx_scope_close_keep(struct mlx_graph *g, size_t mark, const struct mlx_array *kept, size_t n)
{
    size_t end = mark;
    for (size_t i = mark; i < g->n_arrays; i++) {
        bool keeps = false;
        for (size_t j = 0; j < n; j++) keeps = keeps || kept[j].ctx == g->arrays[i].ctx;
        if (keeps)
            g->arrays[end++] = g->arrays[i];
        else
            g->library.array_free(g->arrays[i]);
    }
    g->n_arrays = end;
}

/* Gives a handle to the innermost scope. Without memory for it, the handle is freed. */
static struct mlx_array graph_keep(struct mlx_graph *g, struct mlx_array a)
{
    if (!a.ctx) return a;
    if (g->n_arrays == g->capacity) {
        size_t capacity = 2 * g->capacity + 256;
        struct mlx_array *arrays = mem_resize(g->c, g->arrays, g->capacity, capacity, sizeof *arrays);
        if (!arrays) {
            g->library.array_free(a);
            return (struct mlx_array){NULL};
        }
        g->arrays = arrays;
        g->capacity = capacity;
    }
    g->arrays[g->n_arrays++] = a;
    return a;
}

/* What a call left in `a`: kept where its result was 0, else freed and recorded. */
static struct mlx_array graph_result(struct mlx_graph *g, const char *what, int failed, struct mlx_array a)
{
    if (!failed) return graph_keep(g, a);
    if (a.ctx) g->library.array_free(a);
    mlx_library_fail(g->c, what);
    return (struct mlx_array){NULL};
}

struct mlx_array mlx_op_hold(struct mlx_graph *g, struct mlx_array a)
{
    if (!ctx_ok(g->c)) return (struct mlx_array){NULL};
    struct mlx_array held = g->library.array_new();
    if (g->library.array_set(&held, a) == 0) return held;
    mlx_op_release(g, held);
    mlx_library_fail(g->c, "another handle on an array");
    return (struct mlx_array){NULL};
}

void mlx_op_release(struct mlx_graph *g, struct mlx_array a)
{
    if (a.ctx) g->library.array_free(a);
}

/* Extents as mlx-c takes them. */
static void graph_shape(const struct mlx_graph *g, int ndim, const int64_t *shape, int out[DIMS_MAX])
{
    BUG_ON(g->c, ndim > DIMS_MAX, "%d dimensions", ndim);
    for (int i = 0; i < ndim; i++) {
        BUG_ON(g->c, shape[i] < -1 || shape[i] > INT_MAX, "extent %lld", (long long)shape[i]);
        out[i] = (int)shape[i];
    }
}

/* ---- in and out ------------------------------------------------------------------------------------------------------ */

struct mlx_array mlx_op_upload(struct mlx_graph *g, enum mlx_dtype dtype, int ndim, const int64_t *shape, const void *data)
{
    int extents[DIMS_MAX];
    if (!ctx_ok(g->c)) return (struct mlx_array){NULL};
    graph_shape(g, ndim, shape, extents);
    struct mlx_array a = g->library.array_new_data(data, extents, ndim, dtype);
    return graph_result(g, "a copy to the device", !a.ctx, a);
}

/* The memory stays its owner's. */
static void graph_release_nothing(void *payload)
{
    (void)payload;
}

struct mlx_array mlx_op_wrap(struct mlx_graph *g, enum mlx_dtype dtype, int ndim, const int64_t *shape, const void *data)
{
    int extents[DIMS_MAX];
    if (!ctx_ok(g->c)) return (struct mlx_array){NULL};
    graph_shape(g, ndim, shape, extents);
    struct mlx_array a = g->library.array_new_data_managed_payload((void *)(uintptr_t)data, extents, ndim, dtype, NULL,
                                                                   graph_release_nothing); /* MLX only reads it */
    return graph_result(g, "an array on mapped memory", !a.ctx, a);
}

enum status mlx_op_eval(struct mlx_graph *g, const struct mlx_array *arrays, size_t n)
{
    if (!ctx_ok(g->c)) return g->c->status;
    struct mlx_vector v = g->library.vector_array_new_data(arrays, n);
    if (!v.ctx || g->library.eval(v) != 0) mlx_library_fail(g->c, "the computation");
    if (v.ctx) g->library.vector_array_free(v);
    return g->c->status;
}

enum status mlx_op_download(struct mlx_graph *g, struct mlx_array a, int64_t n, float *out)
{
    if (!ctx_ok(g->c)) return g->c->status;
    struct mlx_array rows = {g->library.array_new().ctx}; /* row-major, whatever view `a` is */
    rows = graph_result(g, "contiguous", g->library.contiguous(&rows, a, false, g->stream), rows);
    TRY(mlx_op_eval(g, &rows, 1));
    size_t size = g->library.array_size(rows);
    BUG_ON(g->c, size != (size_t)n || g->library.array_dtype(rows) != MLX_F32, "%zu elements for %lld", size, (long long)n);
    const float *data = g->library.array_data_float32(rows);
    if (!data) return mlx_library_fail(g->c, "reading a result");
    memcpy(out, data, size * sizeof *out);
    return OK;
}

/* ---- operations ------------------------------------------------------------------------------------------------------ */

/* Declares the result `y` and leaves where the ctx holds an error; then one call fills it. */
#define BEGIN(g)                                                                                                            \
    if (!ctx_ok((g)->c)) return (struct mlx_array){NULL};                                                                   \
    struct mlx_array y = (g)->library.array_new()
#define END(g, what, call) return graph_result(g, what, call, y)

/* An operation on two arrays; `what` names it in messages. */
static struct mlx_array op_binary(struct mlx_graph *g, const char *what,
                                  int (*call)(struct mlx_array *, struct mlx_array, struct mlx_array, struct mlx_stream),
                                  struct mlx_array a, struct mlx_array b)
{
    BEGIN(g);
    END(g, what, call(&y, a, b, g->stream));
}

struct mlx_array mlx_op_add(struct mlx_graph *g, struct mlx_array a, struct mlx_array b)
{
    return op_binary(g, "add", g->library.add, a, b);
}

struct mlx_array mlx_op_subtract(struct mlx_graph *g, struct mlx_array a, struct mlx_array b)
{
    return op_binary(g, "subtract", g->library.subtract, a, b);
}

struct mlx_array mlx_op_multiply(struct mlx_graph *g, struct mlx_array a, struct mlx_array b)
{
    return op_binary(g, "multiply", g->library.multiply, a, b);
}

struct mlx_array mlx_op_matmul(struct mlx_graph *g, struct mlx_array a, struct mlx_array b)
{
    return op_binary(g, "matmul", g->library.matmul, a, b);
}

struct mlx_array mlx_op_sigmoid(struct mlx_graph *g, struct mlx_array a)
{
    BEGIN(g);
    END(g, "sigmoid", g->library.sigmoid(&y, a, g->stream));
}

struct mlx_array mlx_op_cast(struct mlx_graph *g, struct mlx_array a, enum mlx_dtype dtype)
{
    BEGIN(g);
    END(g, "astype", g->library.astype(&y, a, dtype, g->stream));
}

struct mlx_array mlx_op_scale(struct mlx_graph *g, struct mlx_array a, float factor)
{
    return factor == 1 ? a : mlx_op_multiply(g, a, mlx_op_upload(g, MLX_F32, 0, NULL, &factor));
}

struct mlx_array mlx_op_reshape(struct mlx_graph *g, struct mlx_array a, int ndim, const int64_t *shape)
{
    int extents[DIMS_MAX];
    BEGIN(g);
    graph_shape(g, ndim, shape, extents);
    END(g, "reshape", g->library.reshape(&y, a, extents, (size_t)ndim, g->stream));
}

struct mlx_array mlx_op_transpose(struct mlx_graph *g, struct mlx_array a, int n, const int *axes)
{
    BEGIN(g);
    END(g, "transpose", g->library.transpose_axes(&y, a, axes, (size_t)n, g->stream));
}

struct mlx_array mlx_op_slice(struct mlx_graph *g, struct mlx_array a, int n, const int64_t *start, const int64_t *stop)
{
    static const int step[DIMS_MAX] = {1, 1, 1, 1};
    int from[DIMS_MAX], to[DIMS_MAX];
    const size_t dims = (size_t)n;
    BEGIN(g);
    graph_shape(g, n, start, from);
    graph_shape(g, n, stop, to);
    END(g, "slice", g->library.slice(&y, a, from, dims, to, dims, step, dims, g->stream));
}

struct mlx_array mlx_op_concat(struct mlx_graph *g, const struct mlx_array *parts, size_t n, int axis)
{
    BEGIN(g);
    struct mlx_vector v = g->library.vector_array_new_data(parts, n);
    int failed = !v.ctx || g->library.concatenate_axis(&y, v, axis, g->stream);
    if (v.ctx) g->library.vector_array_free(v);
    END(g, "concatenate", failed);
}

struct mlx_array mlx_op_take(struct mlx_graph *g, struct mlx_array a, struct mlx_array ids)
{
    BEGIN(g);
    END(g, "take", g->library.take_axis(&y, a, ids, 0, g->stream));
}

struct mlx_array mlx_op_take_along(struct mlx_graph *g, struct mlx_array a, struct mlx_array ids)
{
    BEGIN(g);
    END(g, "take_along_axis", g->library.take_along_axis(&y, a, ids, 1, g->stream));
}

struct mlx_array mlx_op_sum(struct mlx_graph *g, struct mlx_array a)
{
    BEGIN(g);
    END(g, "sum", g->library.sum(&y, a, false, g->stream));
}

struct mlx_array mlx_op_logsumexp(struct mlx_graph *g, struct mlx_array a)
{
    BEGIN(g);
    END(g, "logsumexp", g->library.logsumexp_axis(&y, a, -1, true, g->stream));
}

struct mlx_array mlx_op_quantised_matmul(struct mlx_graph *g, struct mlx_array x, const struct mlx_quantised *w)
{
    BEGIN(g);
    END(g, "quantized_matmul",
        g->library.quantized_matmul(&y, x, w->words, w->scales, w->biases, true, (struct mlx_optional_int){w->group, true},
                                    (struct mlx_optional_int){w->bits, true}, "affine", g->stream));
}

struct mlx_array mlx_op_dequantise(struct mlx_graph *g, const struct mlx_quantised *w)
{
    const struct mlx_array none = {NULL};
    BEGIN(g);
    END(g, "dequantize",
        g->library.dequantize(&y, w->words, w->scales, w->biases, (struct mlx_optional_int){w->group, true},
                              (struct mlx_optional_int){w->bits, true}, "affine", none,
                              (struct mlx_optional_dtype){MLX_F32, false}, g->stream));
}

struct mlx_array mlx_op_rms_norm(struct mlx_graph *g, struct mlx_array x, struct mlx_array gain, double eps)
{
    BEGIN(g);
    END(g, "rms_norm", g->library.fast_rms_norm(&y, x, gain, (float)eps, g->stream));
}

struct mlx_array mlx_op_attention(struct mlx_graph *g, struct mlx_array q, struct mlx_array k, struct mlx_array v,
                                  double scale, struct mlx_array mask)
{
    const struct mlx_array none = {NULL};
    BEGIN(g);
    END(g, "attention",
        g->library.fast_scaled_dot_product_attention(&y, q, k, v, (float)scale, mask.ctx ? "array" : "causal", mask, none,
                                                     g->stream));
}

/* ---- derivatives ----------------------------------------------------------------------------------------------------- */

struct mlx_call {
    struct mlx_call *next;
    struct mlx_graph *g;
    mlx_function f;
    size_t n_in, n_out;
    struct mlx_array *in;    /* n_in, of the call that runs */
    _Alignas(16) char arg[]; /* the copy */
};

void mlx_op_forget_calls(struct mlx_graph *g)
{
    while (g->calls) {
        struct mlx_call *call = g->calls;
        g->calls = call->next;
        mem_free(g->c, call->in);
        mem_free(g->c, call);
    }
}

static struct mlx_call *call_new(struct mlx_graph *g, mlx_function f, const void *arg, size_t arg_bytes, size_t n_in,
                                 size_t n_out)
{
    BUG_ON(g->c, n_out < 1 || n_out > MLX_OUT_MAX, "%zu outputs", n_out);
    struct mlx_call *call = ctx_ok(g->c) ? mem_alloc(g->c, 1, sizeof *call + arg_bytes) : NULL;
    if (!call) return NULL;
    *call = (struct mlx_call){.next = g->calls, .g = g, .f = f, .n_in = n_in, .n_out = n_out};
    memcpy(call->arg, arg, arg_bytes);
    g->calls = call;
    call->in = mem_alloc(g->c, n_in, sizeof *call->in);
    return call->in ? call : NULL;
}

/* n arrays of a vector into the innermost scope. */
static void call_unpack(struct mlx_graph *g, struct mlx_vector v, size_t n, struct mlx_array *out)
{
    const struct mlx_library *l = &g->library;
    size_t held = ctx_ok(g->c) ? l->vector_array_size(v) : n;
    BUG_ON(g->c, held != n, "%zu arrays, not %zu", held, n);
    for (size_t i = 0; i < n && ctx_ok(g->c); i++) {
        struct mlx_array a = l->array_new();
        out[i] = graph_result(g, "reading a list of arrays", l->vector_array_get(&a, v, i), a);
    }
}

/* What MLX calls: runs the function in a scope of its own. */
static int call_run(struct mlx_vector *out, struct mlx_vector in, void *payload)
{
    struct mlx_call *call = payload;
    struct mlx_graph *g = call->g;
    struct mlx_array y[MLX_OUT_MAX] = {{NULL}, {NULL}};
    size_t mark = mlx_scope_open(g);
    call_unpack(g, in, call->n_in, call->in);
    if (ctx_ok(g->c)) call->f(g, call->arg, call->in, y);
    if (ctx_ok(g->c) && g->library.vector_array_set_data(out, y, call->n_out) != 0)
        mlx_library_fail(g->c, "returning arrays");
    mlx_scope_close(g, mark);
    return !ctx_ok(g->c);
}

void mlx_op_checkpoint(struct mlx_graph *g, mlx_function f, const void *arg, size_t arg_bytes, const struct mlx_array *in,
                       size_t n_in, struct mlx_array *out, size_t n_out)
{
    const struct mlx_library *l = &g->library;
    struct mlx_call *call = call_new(g, f, arg, arg_bytes, n_in, n_out);
    if (!call) return;
    struct mlx_closure plain = l->closure_new_func_payload(call_run, call, NULL), again = l->closure_new();
    struct mlx_vector inputs = l->vector_array_new_data(in, n_in), outputs = l->vector_array_new();
    if (l->checkpoint(&again, plain) != 0 || l->closure_apply(&outputs, again, inputs) != 0)
        mlx_library_fail(g->c, "a checkpointed block");
    if (ctx_ok(g->c)) call_unpack(g, outputs, n_out, out);
    l->vector_array_free(outputs);
    l->vector_array_free(inputs);
    l->closure_free(again);
    l->closure_free(plain);
}

/* value_and_grad of a closure with respect to all n inputs. */
static enum status call_differentiate(struct mlx_graph *g, struct mlx_gradient *out, struct mlx_closure f, size_t n)
{
    int *argnums = mem_alloc(g->c, n, sizeof *argnums);
    for (size_t i = 0; argnums && i < n; i++) argnums[i] = (int)i;
    if (argnums && g->library.value_and_grad(out, f, argnums, n) != 0) mlx_library_fail(g->c, "value_and_grad");
    mem_free(g->c, argnums);
    return g->c->status;
}

enum status mlx_op_value_and_grad(struct mlx_graph *g, mlx_function f, const void *arg, size_t arg_bytes,
                                  const struct mlx_array *in, size_t n_in, struct mlx_array *out, size_t n_out,
                                  struct mlx_array *gradients)
{
    const struct mlx_library *l = &g->library;
    struct mlx_call *call = call_new(g, f, arg, arg_bytes, n_in, n_out);
    if (!call) return g->c->status;
    struct mlx_closure plain = l->closure_new_func_payload(call_run, call, NULL);
    struct mlx_gradient both = l->closure_value_and_grad_new();
    struct mlx_vector inputs = l->vector_array_new_data(in, n_in), values = l->vector_array_new();
    struct mlx_vector slopes = l->vector_array_new();
    if (call_differentiate(g, &both, plain, n_in) == OK &&
        l->closure_value_and_grad_apply(&values, &slopes, both, inputs) != 0)
        mlx_library_fail(g->c, "forward and backward");
    if (ctx_ok(g->c)) call_unpack(g, values, n_out, out);
    if (ctx_ok(g->c)) call_unpack(g, slopes, n_in, gradients);
    l->vector_array_free(slopes);
    l->vector_array_free(values);
    l->vector_array_free(inputs);
    l->closure_value_and_grad_free(both);
    l->closure_free(plain);
    return g->c->status;
}
