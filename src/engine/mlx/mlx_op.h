/* mlx_op: operations of MLX without the bookkeeping of its C binding. Every array that a call makes belongs to the graph and
 * is freed when its scope closes, so code nests calls like mathematics, as with src/array. After a failure, which is in the
 * ctx, calls return an array without content and do nothing more; who asks for results checks once.
 *
 * MLX is lazy: an array is a description of how to compute it until mlx_op_eval. */
#ifndef YA_ENGINE_MLX_OP_H
#define YA_ENGINE_MLX_OP_H

#include "engine/mlx/mlx_library.h"

struct mlx_call; /* a function that MLX calls back, and what it is called with */

struct mlx_graph {
    struct ctx *c;
    struct mlx_library library;
    struct mlx_stream stream; /* of MLX's default device: the GPU where there is one */
    bool on_gpu;
    struct mlx_array *arrays; /* owned; those of the open scopes, oldest first */
    size_t n_arrays, capacity;
    struct mlx_call *calls; /* owned; kept until mlx_op_forget_calls, because backward calls them again */
};

/* Opens the library (mlx_library_open) and its default stream. mlx_graph_close frees every array that is left; a zeroed
 * graph is accepted. */
enum status mlx_graph_open(struct ctx *c, struct mlx_graph *g);
void mlx_graph_close(struct mlx_graph *g);

/* Limits of MLX's allocator for the process: it frees its cache of buffers rather than hold more than `bytes`, and keeps at
 * most `cached` of freed buffers for the next step. On a GPU `bytes` also stay wired, where the system allows it. Neither
 * fails an allocation. The peak that MLX counts begins anew. */
void mlx_graph_limit(struct mlx_graph *g, size_t bytes, size_t cached);

/* A scope: arrays made from `open` on are freed by `close` with the mark that it gave. */
size_t mlx_scope_open(const struct mlx_graph *g);
void mlx_scope_close(struct mlx_graph *g, size_t mark);
/* The same, but n arrays (distinct handles of that scope) go to the scope around it. Closing scopes before mlx_op_eval lets
 * MLX free what is between as it computes. */
void mlx_scope_close_keep(struct mlx_graph *g, size_t mark, const struct mlx_array *kept, size_t n);

/* Another handle on an array, which no scope frees; the caller's, for mlx_op_release, which accepts one without content. */
struct mlx_array mlx_op_hold(struct mlx_graph *g, struct mlx_array a);
void mlx_op_release(struct mlx_graph *g, struct mlx_array a);

/* ---- in and out ------------------------------------------------------------------------------------------------------ */

/* A copy of host memory, row-major; in the innermost scope like every result below. No extent is 0. */
struct mlx_array mlx_op_upload(struct mlx_graph *g, enum mlx_dtype dtype, int ndim, const int64_t *shape, const void *data);
/* Memory that MLX may read in place, without a copy where its device can: it must stay as it is while the graph lives. */
struct mlx_array mlx_op_wrap(struct mlx_graph *g, enum mlx_dtype dtype, int ndim, const int64_t *shape, const void *data);
/* Computes arrays, so that what they were made from can go. */
enum status mlx_op_eval(struct mlx_graph *g, const struct mlx_array *arrays, size_t n);
/* The n elements of an f32 array of that size (E_BUG otherwise), computed if need be. */
enum status mlx_op_download(struct mlx_graph *g, struct mlx_array a, int64_t n, float *out);

/* ---- operations ------------------------------------------------------------------------------------------------------ */

/* Elementwise, and matrix products over the last two axes. Shapes broadcast as in NumPy, dtypes are promoted: f32 and bf16
 * give f32. */
struct mlx_array mlx_op_add(struct mlx_graph *g, struct mlx_array a, struct mlx_array b);
struct mlx_array mlx_op_subtract(struct mlx_graph *g, struct mlx_array a, struct mlx_array b);
struct mlx_array mlx_op_multiply(struct mlx_graph *g, struct mlx_array a, struct mlx_array b);
struct mlx_array mlx_op_matmul(struct mlx_graph *g, struct mlx_array a, struct mlx_array b);
struct mlx_array mlx_op_sigmoid(struct mlx_graph *g, struct mlx_array a);
/* The same values in another dtype; times a factor in f32, for which 1 gives `a` itself. */
struct mlx_array mlx_op_cast(struct mlx_graph *g, struct mlx_array a, enum mlx_dtype dtype);
struct mlx_array mlx_op_scale(struct mlx_graph *g, struct mlx_array a, float factor);

/* The same elements in another shape, in which one extent may be -1; with axes in another order; and the part from `start`
 * up to, not including, `stop` on each of n axes. */
struct mlx_array mlx_op_reshape(struct mlx_graph *g, struct mlx_array a, int ndim, const int64_t *shape);
struct mlx_array mlx_op_transpose(struct mlx_graph *g, struct mlx_array a, int n, const int *axes);
struct mlx_array mlx_op_slice(struct mlx_graph *g, struct mlx_array a, int n, const int64_t *start, const int64_t *stop);
/* n >= 1 arrays one behind the other along an axis. */
struct mlx_array mlx_op_concat(struct mlx_graph *g, const struct mlx_array *parts, size_t n, int axis);
/* Rows of `a`, by ids (N) i32; of a (N, V) and ids (N, 1) i32, element ids[i] of row i, (N, 1). */
struct mlx_array mlx_op_take(struct mlx_graph *g, struct mlx_array a, struct mlx_array ids);
struct mlx_array mlx_op_take_along(struct mlx_graph *g, struct mlx_array a, struct mlx_array ids);
/* The sum of all elements, shape []; the logarithm of the sum of exponentials over the last axis, which stays as 1. */
struct mlx_array mlx_op_sum(struct mlx_graph *g, struct mlx_array a);
struct mlx_array mlx_op_logsumexp(struct mlx_graph *g, struct mlx_array a);

/* A frozen matrix (rows, cols) in MLX's quantised form (array/codec/mlx_affine.h): words (rows, cols * bits / 32) u32,
 * scales and biases (rows, cols / group) of one floating-point dtype. */
struct mlx_quantised {
    struct mlx_array words, scales, biases;
    int bits, group;
};
/* x (N, cols) times its transpose, (N, rows), in the dtype of x and the scales; MLX differentiates it with respect to x. And
 * its values, in the dtype of the scales. */
struct mlx_array mlx_op_quantised_matmul(struct mlx_graph *g, struct mlx_array x, const struct mlx_quantised *w);
struct mlx_array mlx_op_dequantise(struct mlx_graph *g, const struct mlx_quantised *w);

/* x / sqrt(mean(x^2) + eps) * gain over the last axis (Zhang and Sennrich 2019). */
struct mlx_array mlx_op_rms_norm(struct mlx_graph *g, struct mlx_array x, struct mlx_array gain, double eps);
/* q (1, H, N, D), k and v (1, G, K, D): (1, H, N, D). A mask (N, K) of bool, true where a query sees a key; without one
 * (ctx NULL) the last query sees all keys, the one before all but the last, and so on. */
struct mlx_array mlx_op_attention(struct mlx_graph *g, struct mlx_array q, struct mlx_array k, struct mlx_array v,
                                  double scale, struct mlx_array mask);

/* ---- derivatives ----------------------------------------------------------------------------------------------------- */

/* A function of arrays: fills all outputs. It runs in a scope of its own, inputs and outputs belong to the caller, and it
 * may run again later: what `arg` points to must live until mlx_op_forget_calls. Arrays that it reaches by other ways than
 * `in` are constants. */
typedef void (*mlx_function)(struct mlx_graph *g, void *arg, const struct mlx_array *in, struct mlx_array *out);

enum { MLX_OUT_MAX = 2 };

/* f applied to n_in arrays, with n_out <= MLX_OUT_MAX results. Backward computes f again instead of keeping what is between
 * (gradient checkpointing, Chen et al. 2016). `arg_bytes` of arg are copied. */
void mlx_op_checkpoint(struct mlx_graph *g, mlx_function f, const void *arg, size_t arg_bytes, const struct mlx_array *in,
                       size_t n_in, struct mlx_array *out, size_t n_out);
/* The outputs of f, and in gradients[n_in] the derivatives of out[0], of shape [], with respect to each input. */
enum status mlx_op_value_and_grad(struct mlx_graph *g, mlx_function f, const void *arg, size_t arg_bytes,
                                  const struct mlx_array *in, size_t n_in, struct mlx_array *out, size_t n_out,
                                  struct mlx_array *gradients);
/* After the results were computed: the functions will not be called again. */
void mlx_op_forget_calls(struct mlx_graph *g);

#endif
