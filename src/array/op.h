/* op: the operations on arrays. Functions return a new array of the innermost scope, or NULL with the ctx's error set
 * (E_SHAPE, E_DTYPE: the message holds both operands). They never modify their operands. Differentiable unless said.
 *
 * Shape glossary: N tokens of the micro-batch, S tokens of keys, C hidden size, K columns and M rows of a weight, H query
 * heads, G key/value heads, D head size, F feed-forward size, V vocabulary, R rank.
 */
#ifndef YA_ARRAY_OP_H
#define YA_ARRAY_OP_H

#include "array/array.h"
#include "array/weight.h"

enum op {
#define OP(NAME, name, n_in, n_out, params, diff, saves) OP_##NAME,
#include "array/ops.def"
    OP_COUNT
};
/* One row of ops.def as data. */
struct op_info {
    const char *name;
    int n_in, n_out;
    size_t params_bytes;
    uint32_t diff, saves; /* bits as in ops.def */
};
/* The row's data and its name, static. */
const struct op_info *op_info(enum op op);
const char *op_name(enum op op);

enum { OP_MAX_IN = 11, OP_MAX_OUT = 7, OP_MAX_PARAMS_BYTES = 256, LINEAR_MAX = 3 };

/* ---- parameter structs of the rows ---------------------------------------------------------------------------------- */

/* Of rows that have no parameters. */
struct none_params {
    char unused;
};
/* dtype: of the result. */
struct cast_params {
    enum dtype dtype;
};
/* Bit i of axes: axis i is reduced. keep: reduced axes stay with size 1, here and in axis_params. */
struct axes_params {
    uint32_t axes;
    bool keep;
};
/* axis is in [0, ndim) of the operand. */
struct axis_params {
    int axis;
    bool keep;
};
/* The shape of the result. */
struct shape_params {
    int ndim;
    int64_t shape[ARRAY_MAX_DIMS];
};
/* Axis i of the result is axis perm[i] of the operand. */
struct perm_params {
    int perm[ARRAY_MAX_DIMS];
};
/* Of each axis, elements start, start + step, .. below stop. */
struct slice_params {
    int64_t start[ARRAY_MAX_DIMS], stop[ARRAY_MAX_DIMS], step[ARRAY_MAX_DIMS];
};
/* rows: of TAKE_BWD the rows R, of TAKE_ALONG_BWD the columns C of the array that was indexed, which `ids` count. */
struct rows_params {
    int64_t rows;
};

/* Input: ids i32 (N). Output: rows ids[i] of the table, (N, C), in `dtype`. */
struct embed_params {
    const struct weight *table;
    enum dtype dtype;
};

/* y = x * rsqrt(mean(x^2) + eps) * g (Zhang & Sennrich 2019), x = in + residual. Inputs: x (.., C), g (C), residual (..,
 * C) or NULL. Outputs: y, the sum x (the input itself, not written, without a residual), rstd (..) =
 * rsqrt(mean(x^2) + eps) in f32 (f64 for f64).
 * Backward inputs: dy, dsum or NULL, x, g, rstd; outputs: dx (of the sum; also the residual's), dg or NULL. */
struct rms_norm_params {
    double eps;
    bool residual;
    bool want_dg;
};

/* What changes from one run of the same calls to the next. Everything else that a call is given is constant while its
 * arrays live, so a device may record a training step once and repeat it with other values. */
struct step_values {
    uint64_t seed;       /* of dropout */
    int64_t step;        /* the optimizer step, from 1 */
    int64_t first_token; /* index in the optimizer step of this micro-batch's row 0 */
};
/* keep[j] for channels [0, n) of one token (its index in the optimizer step: first_token + row): rng_philox keyed by
 * (seed, step), counter (token, slot id, channel / 4). A channel is kept when its random 32-bit integer is >= p * 2^32;
 * kept inputs are scaled by 1 / (1 - p). A mask depends on nothing else, so it is the same whatever the split into
 * micro-batches. Pure: any thread may call it. */
void dropout_mask(const struct step_values *values, uint32_t slot_id, int64_t token, float p, int64_t n, uint8_t *keep);
/* For devices that make the mask themselves: the key, which is the first two of the four words written (Philox gives four,
 * the others are not used), and p * 2^32. */
void dropout_key(const struct step_values *values, uint32_t key[4]);
uint64_t dropout_threshold(float p);

/* y_i = x W_i^T + bias_i + scale_i * drop_i(x) A_i^T B_i^T for n <= 3 weights that share x. Inputs: x (N, K), A_0, B_0,
 * A_1, B_1, A_2, B_2 (NULL where slot i has none). Outputs: y (N, M_0 + M_1 + M_2) or NULL where nobody reads it, and for
 * the tape h_i = drop_i(x) A_i^T (N, R_i) or NULL. Backward inputs: dy (N, sum M), x, A_0, B_0, .., h_0, h_1, h_2;
 * outputs: dx or NULL, dA_i, dB_i or NULL. With `accumulate` the kernel adds dA_i, dB_i to what is there. x is all zeros
 * (row stride 0) when no dA_i is wanted, h_i when neither dA_i nor dB_i is: they need not be kept then. Which place in the
 * call's lists each of these has: linear_view.h. */
struct linear_params {
    int n;
    const struct weight *w[LINEAR_MAX];
    float scale[LINEAR_MAX], p[LINEAR_MAX]; /* p: dropout probability, 0 for none */
    uint32_t id[LINEAR_MAX];                /* slot_id of dropout_mask: lora_slot.id */
    bool want_dx, accumulate;
};

/* Rotary embedding (Su et al. 2021), the half-split ("NeoX", Hugging Face) pairing: pairs (j, j + D/2) turn by
 * t = position * inv_freq[j], and with c = scale cos t, s = scale sin t (scale: the attention factor)
 *
 *   y[j] = c x[j] - s x[j + D/2]        y[j + D/2] = c x[j + D/2] + s x[j]
 *
 * `inverse` turns by -t, which is the derivative. Inputs: x (N, H, D), positions i32 (N), inv_freq f32 (D/2). Output: y. */
struct rope_params {
    double scale;
    bool inverse;
};

/* SWIGLU, and SWIGLU_BWD from dy, gate and up. rounded: outputs are in bf16 (front_rounded). */
struct swiglu_params {
    bool rounded;
};

/* Causal attention over packed segments, o = softmax(scale q k^T) v over the keys that a query sees. Inputs: q (N, H, D), k
 * and v (S, G, D), H a multiple of G, head h reads key head h / (H / G); offsets cu_q and cu_k, i32 (n + 1) for n segments.
 * Segment s has queries [cu_q[s], cu_q[s+1]) and keys [cu_k[s], cu_k[s+1]); query i of a segment with nq queries and nk keys
 * sees key j when j <= i + nk - nq and, with window > 0, j > i + nk - nq - window. Outputs: o (N, H, D), lse (N, H), the
 * log-sum-exp of the scaled scores, f32 (f64 for f64), in whatever order the backend's own backward reads it. Backward
 * inputs: q, k, v, o, lse, do, cu_q, cu_k; outputs: dq, dk, dv, zeros for keys that no query sees. Never holds N x S scores.
 *
 * Offsets ascend from 0, cover the N queries, stay inside the S keys, and every query sees a key. Whoever makes a batch
 * answers for that; a kernel whose memory is the host's checks it (cpu_segments.h) and records E_SHAPE. */
struct attention_params {
    double scale;
    int window;
    enum compute compute; /* COMPUTE_BF16: operands of the products are rounded to bf16; every other value: f32 */
};

/* Softmax cross-entropy of logits h W^T without ever holding (N, V): nll_i = log sum_v e^(h_i . W_v) - h_i . W_target.
 * Inputs: h (N, C), targets i32 (N), weights f32 (N). Outputs: sum_i weight_i * nll_i, scalar f32 (f64 for f64); stats f64
 * (3): the weighted sum, the sum of nll over rows whose weight is not 0, their count; logprobs f32 (N) when asked for (0
 * where skipped), else NULL; dh (N, C) = d out0 / dh while the tape records (wanted by want_dh), else NULL. Rows of weight 0
 * are skipped altogether and their dh is 0. */
struct linear_cross_entropy_params {
    const struct weight *w;
    bool want_logprobs, want_dh;
};

struct fill_params {
    double value;
};

/* What CHECK_IDS looks for: ids (any integer dtype, (N)) outside [0, limit), where `weights` (f32 (N) or NULL) is not 0.
 * The fault is E_SHAPE "op: ids[i] = v is not in [0, limit)". */
struct check_ids_params {
    const char *op; /* static text */
    int64_t limit;
};

/* Decoupled weight decay Adam (Loshchilov & Hutter 2019), bias-corrected: m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, p -=
 * lr * (m / c1 / (sqrt(v / c2) + eps) + wd * p), g taken times grad_scale. c1 and c2 are correction1 and correction2, 1 -
 * b1^t and 1 - b2^t at step t. */
struct adamw_params {
    double lr, beta1, beta2, eps, weight_decay, correction1, correction2, grad_scale;
    double threshold; /* with a guard: a longer gradient is scaled to this L2 norm as well; INFINITY: none is */
};

/* What lets the host queue an update before it knows the gradient's norm. */
struct adamw_guard {
    struct array *sum_squares; /* f64 []: the squared norm, by op_sum_squares */
    struct array *stopped;     /* f64 []: not 0 when a sum of squares was not finite; set by the update that meets it, which
                                * changes nothing else, as does every later update with this guard */
};

/* ---- elementwise; operands broadcast (NumPy rules) and promote (dtype_promote) ---------------------------------------- */

/* a + b, a - b, a b, a / b (integers become f32), max(a, b) with NaN from either side; -a, e^a, ln a, sqrt(a), 1 / (1 +
 * e^-a). E_SHAPE when shapes do not broadcast. Owner of every result: the innermost scope. */
struct array *op_add(struct ctx *c, struct array *a, struct array *b);
struct array *op_sub(struct ctx *c, struct array *a, struct array *b);
struct array *op_mul(struct ctx *c, struct array *a, struct array *b);
struct array *op_div(struct ctx *c, struct array *a, struct array *b);
struct array *op_maximum(struct ctx *c, struct array *a, struct array *b);
struct array *op_neg(struct ctx *c, struct array *a);
struct array *op_exp(struct ctx *c, struct array *a);
struct array *op_log(struct ctx *c, struct array *a);
struct array *op_sqrt(struct ctx *c, struct array *a);
struct array *op_sigmoid(struct ctx *c, struct array *a);
/* Comparisons, a == b, a != b, a < b, a <= b: bool, without a gradient. */
struct array *op_equal(struct ctx *c, struct array *a, struct array *b);
struct array *op_not_equal(struct ctx *c, struct array *a, struct array *b);
struct array *op_less(struct ctx *c, struct array *a, struct array *b);
struct array *op_less_equal(struct ctx *c, struct array *a, struct array *b);
/* cond (bool) ? a : b, all broadcast to one shape. */
struct array *op_where(struct ctx *c, struct array *cond, struct array *a, struct array *b);
/* Converted by dtype_convert; its gradient is converted back. */
struct array *op_cast(struct ctx *c, struct array *a, enum dtype dtype);
/* A row-major copy, or `a` itself when it already is contiguous. */
struct array *op_contiguous(struct ctx *c, struct array *a);

/* ---- reductions: axes may be negative; n_axes -1 means all --------------------------------------------------------- */

/* With `keep`, reduced axes stay with size 1. Sums of f32 are f32, of bool and u8 i32. max of nothing is E_SHAPE. */
struct array *op_sum(struct ctx *c, struct array *a, const int *axes, int n_axes, bool keep);
struct array *op_mean(struct ctx *c, struct array *a, const int *axes, int n_axes, bool keep);
struct array *op_max(struct ctx *c, struct array *a, const int *axes, int n_axes, bool keep);
/* e^(a - max) / sum along the axis; log sum e^a along it, without overflow. */
struct array *op_softmax(struct ctx *c, struct array *a, int axis);
struct array *op_logsumexp(struct ctx *c, struct array *a, int axis, bool keep);

/* ---- shape -------------------------------------------------------------------------------------------------------- */

/* The same elements in row-major order in another shape, whose product must be the same; one dimension may be -1 and is
 * worked out. A view where strides allow it, else a copy. */
struct array *op_reshape(struct ctx *c, struct array *a, int ndim, const int64_t *shape);
/* A view whose axis i is axis perm[i] of `a`; perm NULL reverses the axes. E_SHAPE when perm is no permutation. */
struct array *op_transpose(struct ctx *c, struct array *a, const int *perm);
/* A view: axes of size 1, and new ones in front, repeated to `shape` with stride 0. */
struct array *op_broadcast(struct ctx *c, struct array *a, int ndim, const int64_t *shape);
/* A view of elements start, start + step, .. below stop on each axis; step NULL: all 1. E_SHAPE for what lies outside. */
struct array *op_slice(struct ctx *c, struct array *a, const int64_t *start, const int64_t *stop, const int64_t *step);
/* Columns [first, first + n) of a (N, C): a view. */
struct array *op_columns(struct ctx *c, struct array *a, int64_t first, int64_t n);
/* New axes of size 1 at these places of the result, as NumPy's expand_dims. */
struct array *op_expand_dims(struct ctx *c, struct array *a, const int *axes, int n_axes);
/* Parts that agree in dtype and in all sizes but along `axis`, one behind the other. */
struct array *op_concat(struct ctx *c, struct array **parts, int n, int axis);
/* table (R, C), ids (N) -> (N, C): row ids[i]. a (N, C), ids (N) -> (N): element ids[i] of row i. E_SHAPE for ids out of
 * range. */
struct array *op_take(struct ctx *c, struct array *table, struct array *ids);
struct array *op_take_along(struct ctx *c, struct array *a, struct array *ids);

/* ---- matrices and fused ops ------------------------------------------------------------------------------------------- */

/* The matrix product over the last two axes, by NumPy's rules: a vector on the left is a row, on the right a column, and
 * leading axes broadcast. Integers become f32; f16 and bf16 are multiplied in f32 and rounded. */
struct array *op_matmul(struct ctx *c, struct array *a, struct array *b);

/* (N) i32 ids -> (N, C) rows of a frozen table in dtype: f32, f64 or the backend's activations. No gradient: the table is
 * frozen. E_SHAPE when an id is out of range. */
struct array *op_embed(struct ctx *c, const struct weight *table, struct array *ids, enum dtype dtype);

/* y = rms_norm(x) * gain over the last axis; the second normalises x + residual and gives that sum in *sum as well (NULL
 * on failure). */
struct array *op_rms_norm(struct ctx *c, struct array *x, struct array *gain, double eps);
struct array *op_rms_norm_add(struct ctx *c, struct array *x, struct array *residual, struct array *gain, double eps,
                              struct array **sum);

/* The n products of x with weights that share it, each with its bias and adapter (weight->bias, weight->lora), with the
 * adapters' dropout if `dropout` says so. Results are row-strided views of one (N, sum M) array, written to y[0..n-1]. */
enum status op_linear(struct ctx *c, struct array *x, const struct weight *const *w, int n, bool dropout, struct array **y);

/* The same for one weight where nobody reads the result: recorded alike, with all that backward needs, but y is zeros and
 * the product with the weight is left out. For the end of a function that tape_checkpoint runs again (tape_replaying). */
struct array *op_linear_unread(struct ctx *c, struct array *x, const struct weight *w, bool dropout);

/* x (N, H, D), positions (N), inv_freq f32 (D / 2) -> as x. See struct rope_params. */
struct array *op_rope(struct ctx *c, struct array *x, struct array *positions, struct array *inv_freq, double scale);
/* q (N, H, D), k and v (S, G, D), offsets i32 -> (N, H, D). See struct attention_params. */
struct array *op_attention(struct ctx *c, struct array *q, struct array *k, struct array *v, struct array *cu_q,
                           struct array *cu_k, const struct attention_params *p);
/* silu(gate) * up, silu(g) = g / (1 + e^-g) (Shazeer 2020); operands of one shape. */
struct array *op_swiglu(struct ctx *c, struct array *gate, struct array *up);
/* The same in bf16, an array of front_rounded, for an op_linear that takes it (op_linear_takes_rounded) and for nothing
 * else: the product would round it anyway, so every result has the same bits, for less memory and fewer passes over it.
 * Where gate and up are the two results of one op_linear their gradients are rounded likewise; nothing else may then read
 * the two.
 */
struct array *op_swiglu_rounded(struct ctx *c, struct array *gate, struct array *up);
/* Whether op_linear takes n rounded rows for this weight: the backend does, the product is in bf16, and nothing reads the
 * rows in f32, as dropout would. */
bool op_linear_takes_rounded(const struct ctx *c, const struct weight *w, int64_t n, bool dropout);

struct cross_entropy_result {
    struct array *loss;     /* scalar: sum of weight * nll; what backward starts from */
    struct array *stats;    /* f64 (3): weighted sum, unweighted sum over counted rows, count */
    struct array *logprobs; /* f32 (N) or NULL when not asked for */
};
/* h (N, C), w (V, C), targets i32 (N), weights f32 (N). See struct linear_cross_entropy_params. */
enum status op_linear_cross_entropy(struct ctx *c, struct array *h, const struct weight *w, struct array *targets,
                                    struct array *weights, bool want_logprobs, struct cross_entropy_result *result);

/* ---- in place ------------------------------------------------------------------------------------------------------- */

/* dst += src, of one shape and dtype. */
enum status op_accumulate(struct ctx *c, struct array *dst, struct array *src);
/* Every element of `dst` becomes `value`, converted to its dtype. */
enum status op_fill(struct ctx *c, struct array *dst, double value);
/* Elements of `src` go to the same places of `dst`, which has its shape and dtype and may be a view with any strides. */
enum status op_write(struct ctx *c, struct array *dst, struct array *src);
/* Sum of squares of all elements into out (f64 []), added in f64 in a fixed order. */
enum status op_sum_squares(struct ctx *c, struct array *a, struct array *out);
/* One update of param, m and v (struct adamw_params says the formula): contiguous arrays of one shape, all f32 or all f64.
 * guard: NULL for none. */
enum status op_adamw(struct ctx *c, struct array *param, struct array *grad, struct array *m, struct array *v,
                     const struct adamw_guard *guard, const struct adamw_params *p);

#endif
