/* cuda_args: what each CUDA kernel is given, one struct for each, and the sizes by which work is dealt out to blocks, seen
 * by the kernels (nvcc) and by the code that launches them (C). All pointers are device memory. Strides count elements.
 * Activations are bf16; statistics, sums and adapters are f32. Matrices are row-major with unit last stride; rows of bf16
 * start at multiples of 8 elements, so that 16 bytes are read at a time. */
#ifndef YA_BACKEND_CUDA_ARGS_H
#define YA_BACKEND_CUDA_ARGS_H

#include <stdint.h>

typedef uint16_t bf16_bits; /* the upper half of an f32 */

/* Threads of a block, and how much of the work it does: kernels index by these, and cuda_kernels.c makes their grids and
 * shared memory of the same. */
enum { ELEMENT_THREADS = 256 }; /* of kernels that step through elements: moves, sums, swiglu, dropout, widening, packing */
enum { WIDEN_BLOCKS = 16 };     /* for each multiprocessor, of the widening of four-bit codes */
enum { GENERIC_THREADS = 256, OPTIM_THREADS = 256, LOSS_THREADS = 512, BOUNDS_THREADS = 256 };
enum { SUM_THREADS = 256 }; /* of kernels that add partial sums */
enum { NORM_THREADS = 256, NORM_ROWS = NORM_THREADS / 32 /* of a block where a warp has one */ };
enum { ROPE_THREADS = 256, ROPE_TOKENS = 8 };
enum { VECTOR_THREADS = 128, VECTOR_WARPS = VECTOR_THREADS / 32 };
enum { TILE_PAD = 8 }; /* elements between the rows of a tile (cuda_mma.cuh) */
enum { TALL_COLS = 128, TALL_ROWS = 64, TALL_THREADS = 256 };
enum { SPREAD_ROWS = 64, SPREAD_COLS = 256, SPREAD_WARP_ROWS = 32, SPREAD_WARP_COLS = 64, SPREAD_WARPS = 8 };
enum { SPREAD_THREADS = 32 * SPREAD_WARPS };
enum { THIN_TOKENS = 16, THIN_COLS = 576, THIN_STAGES = 3, THIN_WARPS = 9, THIN_THREADS = 32 * THIN_WARPS };
enum { DELTA_THREADS = 128 };
/* Attention by mma.sync: a block of ATTENTION_THREADS owns rows of queries (forward, dq) or of keys (dkv), and walks over
 * tiles of the others. */
enum { ATTENTION_WARPS = 4, ATTENTION_THREADS = 32 * ATTENTION_WARPS };
enum { ATTENTION_ROWS = 128, ATTENTION_KEYS = 64, DQ_KEYS = 32, DKV_ROWS = 64, DKV_QUERIES = 64 };
enum { ONE_THREADS = 128, ONE_WARPS = ONE_THREADS / 32, ONE_HEADS = 8 };
/* Attention by the copy engine: rows that a block owns, and of the tiles that it walks over in backward; buffers of its
 * rings in backward (two tiles each) and in forward (one of BULK_ROWS each); the alignment in bytes of the 128-byte swizzle.
 */
enum { BULK_THREADS = 384, BULK_ROWS = 128, BULK_TILE = 64, BULK_STAGES = 4, BULK_FORWARD_TILES = 6, BULK_ALIGN = 1024 };

/* sum = x + residual (residual NULL: sum is x and is not written); y = sum * rstd * gain; rstd = 1 / sqrt(mean(sum^2) +
 * eps). */
struct cuda_rms_norm_args {
    const bf16_bits *x, *residual;
    const float *gain;
    bf16_bits *y, *sum;
    float *rstd;
    int64_t x_stride, residual_stride, y_stride, sum_stride;
    int rows, cols;
    float eps;
};

/* dx = rstd * (gain * dy - xhat * mean(gain * dy * xhat)) + dsum, xhat = x * rstd; dsum may be NULL. */
struct cuda_rms_norm_bwd_args {
    const bf16_bits *dy, *dsum, *x;
    const float *gain, *rstd;
    bf16_bits *dx;
    int64_t dy_stride, dsum_stride, x_stride, dx_stride;
    int rows, cols;
};

/* Pairs (j, j + dim / 2) of each head turn by position * inv_freq[j]; sign -1 turns back (the derivative). May run in
 * place. */
struct cuda_rope_args {
    const bf16_bits *x;
    bf16_bits *y;
    const int32_t *positions;
    const float *inv_freq;
    int64_t x_stride, y_stride;
    int rows, heads, dim;
    float scale, sign;
};

/* y = silu(gate) * up. Backward: dgate, dup from dy; y is written again when it is not NULL (so it need not be kept). */
struct cuda_swiglu_args {
    const bf16_bits *gate, *up, *dy;
    bf16_bits *y, *dgate, *dup;
    int64_t gate_stride, up_stride, dy_stride, y_stride, dgate_stride, dup_stride;
    int rows, cols;
};

/* to[i] = from[i] with f32 or bf16 on either side; add: to[i] += from[i]. Rows of `cols` elements. */
struct cuda_move_args {
    const void *from;
    void *to;
    int64_t from_stride, to_stride;
    int64_t rows;
    int cols;
    int add;
};

struct cuda_fill_args {
    void *to;
    int64_t count;
    uint32_t word; /* the element's bits */
};

/* to[i] = a[i] + b[i], all bf16, rows of `cols` elements. */
struct cuda_add_args {
    const bf16_bits *a, *b;
    bf16_bits *to;
    int64_t a_stride, b_stride, to_stride, rows;
    int cols;
};

/* y[i] += bias, f32, on every row. */
struct cuda_bias_args {
    bf16_bits *y;
    const float *bias;
    int64_t y_stride, rows;
    int cols;
};

enum { CUDA_MAX_DIMS = 8 };
/* What strided does to each element; STRIDED_BITS copies bytes and reads no types. */
enum cuda_strided_op { STRIDED_BITS, STRIDED_CAST, STRIDED_ADD, STRIDED_SUB, STRIDED_MUL, STRIDED_FILL };
/* Element types, in the order of enum dtype. */
enum cuda_type { CUDA_BOOL, CUDA_U8, CUDA_I32, CUDA_I64, CUDA_F16, CUDA_BF16, CUDA_F32, CUDA_F64 };

/* to = a, or a op b, or `value`, for arrays of any strides: slow, for what is small or rare. */
struct cuda_strided_args {
    const void *a, *b;
    void *to;
    double value;
    int64_t count;
    int64_t shape[CUDA_MAX_DIMS], a_stride[CUDA_MAX_DIMS], b_stride[CUDA_MAX_DIMS], to_stride[CUDA_MAX_DIMS];
    int ndim, op;
    int a_type, b_type, to_type; /* enum cuda_type */
    int bytes;                   /* of an element, for STRIDED_BITS */
};

/* to[r] = sum of from[i] over the i with ids[i] = r, in the order of i: bf16, summed in f32. to has `limit` rows. */
struct cuda_rows_sum_args {
    const bf16_bits *from;
    const int32_t *ids;
    bf16_bits *to;
    int64_t from_stride, to_stride;
    int rows, cols, limit;
};

/* The first id that was found out of range; read by the host when it waits. */
struct cuda_fault {
    int32_t taken;
    int32_t row_fault; /* set by kernels that read by index, should an id get past check_ids */
    int64_t index, value, limit;
    uint64_t what; /* the host's pointer to the name of the op */
};

/* Looks for ids outside [0, limit) where weights (NULL: everywhere) is not 0. */
struct cuda_check_ids_args {
    const void *ids;
    const float *weights;
    struct cuda_fault *fault;
    int64_t count, limit;
    uint64_t what;
    int type; /* enum cuda_type: an integer */
};

/* to = from where the mask of array/dropout.c keeps it, times scale, else 0; add: to += that. key is Philox's for this
 * step. */
struct cuda_dropout_args {
    const bf16_bits *from;
    bf16_bits *to;
    int64_t from_stride, to_stride, first_token;
    uint64_t threshold; /* p * 2^32: kept are random integers from here on */
    uint32_t key[2], slot;
    int rows, cols, add;
    float scale; /* 1 / (1 - p) */
};

/* to[i] = table[ids[i]]; scatter: to[ids[i]] = table[i]. Rows of cols bf16 elements. Rows whose id is outside [0, limit)
 * set *fault to 1 + i and are left alone. */
struct cuda_rows_args {
    const bf16_bits *table;
    const int32_t *ids;
    bf16_bits *to;
    int32_t *fault;
    int64_t table_stride, to_stride, limit;
    int rows, cols;
    int scatter;
};

/* One chunk of logits (rows, vocab) in bf16 becomes weight * (softmax - onehot) in place; nll[i] = lse - logit[target];
 * rows of weight 0 get zeros and nll 0. want_grad 0 leaves the logits alone. A target outside the vocabulary sets
 * *fault. */
struct cuda_softmax_loss_args {
    bf16_bits *logits;
    const int32_t *targets;
    const float *weights;
    float *nll;
    int32_t *fault;
    int64_t stride; /* a multiple of 8, at least vocab; columns from vocab on are padding and become 0 */
    int rows, vocab;
    int want_grad;
};

/* stats[0] = sum weight * nll, [1] = sum of nll where weight is not 0, [2] = their count: f64, one block, fixed order. */
struct cuda_loss_stats_args {
    const float *nll, *weights;
    double *stats;
    float *loss; /* stats[0] as f32; NULL: not wanted */
    int rows;
};

/* to[i] = -from[i]. */
struct cuda_negate_args {
    const float *from;
    float *to;
    int count;
};

enum { CUDA_SUM_BLOCKS = 256 };

/* Sum of squares in f64, in an order that depends on count only: partial[CUDA_SUM_BLOCKS], then one block adds them. */
struct cuda_sum_squares_args {
    const float *x;
    double *partial, *out;
    int64_t count;
};

/* What changes with the step; lives in device memory, so that a recorded launch reads new values. */
struct cuda_adamw_step {
    double lr, correction1, correction2, grad_scale, threshold;
};

/* AdamW over flat slabs; formula in array/op.h. `shadow` (NULL: none) gets the new parameter in bf16, for products. */
struct cuda_adamw_args {
    float *param, *m, *v;
    const float *grad;
    bf16_bits *shadow;
    const double *sum_squares; /* NULL: no guard */
    double *stopped;
    const struct cuda_adamw_step *step;
    int64_t count;
    double beta1, beta2, eps, weight_decay; /* double: 1 - beta2 in f32 would be off by 5e-5 */
};

/* Which keys a query sees and which queries see a key, from segment offsets: query i sees keys [first_key[i],
 * last_key[i]], key j is seen by queries [first_query[j], last_query[j]] (last < first: by none). All four ascend. */
struct cuda_attention_bounds_args {
    const int32_t *cu_q, *cu_k;
    int32_t *first_key, *last_key, *first_query, *last_query;
    int segments, queries, keys, window;
};

/* Attention: q, o, dO, dq (queries, heads, dim), k, v, dk, dv (keys, groups, dim); strides are those of a token, heads
 * follow each other at `dim`. lse, delta (heads, queries) in f32. */
struct cuda_attention_args {
    const bf16_bits *q, *k, *v;
    bf16_bits *o;
    float *lse;
    const bf16_bits *grad_o;
    float *delta; /* sum over dim of grad_o * o */
    bf16_bits *dq, *dk, *dv;
    const int32_t *first_key, *last_key, *first_query, *last_query;
    int64_t q_stride, k_stride, v_stride, o_stride, grad_o_stride, dq_stride, dk_stride, dv_stride;
    int queries, keys, heads, groups, dim;
    float scale;
};

/* What the copy engine must know of a matrix of bf16 (the driver's CUtensorMap, made by cuda_tile_map_make): it brings boxes
 * of 64 rows and 64 columns into shared memory, with the 128-byte swizzle; rows past the end arrive as zeros. */
struct cuda_tile_map {
    uint64_t words[16];
} __attribute__((aligned(64)));

/* Attention whose tiles the copy engine brings: the same arguments, and q, k, v and grad_o as such matrices. */
struct cuda_attention_bulk_args {
    struct cuda_tile_map q, k, v, grad_o;
    struct cuda_attention_args attention;
};

/* Attention of one query without a backward pass: `piece` keys a block, `pieces` blocks a key head. partial has room for
 * (pieces, heads, dim + 2) f32. */
struct cuda_attention_one_args {
    struct cuda_attention_args attention;
    float *partial;
    int piece, pieces;
};

/* How the rows of a frozen matrix lie on the card: bf16, the forms of array/codec/nf4.h and int8.h, or blocks as GGUF files
 * hold them (array/codec/quant.h). */
enum cuda_code {
    CODE_BF16,
    CODE_NF4,
    CODE_INT8,
    CODE_Q4_0,
    CODE_Q5_0,
    CODE_Q8_0,
    CODE_Q4_K,
    CODE_Q5_K,
    CODE_Q6_K,
    CUDA_CODES
};

/* y[i] = w_i x, with `add` y[i] += that: a matrix of any code with one vector. `row_bytes` from row to row of w. */
struct cuda_vector_args {
    const void *w;
    const bf16_bits *x;
    bf16_bits *y;
    int64_t row_bytes;
    int rows, cols; /* cols: a multiple of 8, as for cuda_widen_args */
    int add;
    int rows_a_warp; /* 1 or 2: set by cuda_vector */
};

/* to (rows, cols) = rows of a matrix of any code: row i is row ids[i] of `limit`, or without ids row i. An id outside
 * [0, limit) sets *fault to 1 + i, and its row is left alone. */
struct cuda_widen_args {
    const void *from;
    const int32_t *ids;
    bf16_bits *to;
    int32_t *fault;
    int64_t row_bytes, to_stride, limit;
    int rows, cols;
};

enum { CUDA_ADAPTERS = 3 }; /* most that share an input */

/* out[i] (n, r_i) += alpha[i] * a^T b_i for tall a (rows, n) and b (rows, r), whose columns [first[i], first[i + 1]) are
 * b_i: adapter gradients. Blocks own slices of rows and write partial sums; a second kernel adds them in order. */
struct cuda_tall_args {
    const bf16_bits *a, *b;
    float *partial, *out[CUDA_ADAPTERS];
    int64_t a_stride, b_stride, out_stride;
    int first[CUDA_ADAPTERS + 1];
    float alpha[CUDA_ADAPTERS];
    int rows, n, r, parts;
    int slices, split; /* split: set by cuda_tall_product */
    int transposed;    /* out[i] is (r_i, n) */
};

/* Products of activations with thin matrices of adapters, in one pass over the activations: out_i (rows, r) = wide_i thin_i,
 * and where z_i is not NULL db_i (m_i, r) += alpha_i wide_i^T z_i. wide_i are the columns [column[i], column[i + 1]) of
 * wide, out_i the ranks [first[i], first[i] + r) of out; thin is (ranks, columns) or by columns (columns, ranks), thin_i the
 * part of both. An adapter that is not there has no ranks. How the pass is cut is set by cuda_thin_plan; partial_out needs
 * `partial` f32, which is 0 where no adapter has several chunks, and partial_db slices * column[parts] * r. */
struct cuda_thin_args {
    const bf16_bits *wide, *thin, *z[CUDA_ADAPTERS];
    bf16_bits *out;
    float *partial_out, *partial_db, *db[CUDA_ADAPTERS];
    int64_t wide_stride, thin_stride, z_stride, out_stride, partial;
    float alpha[CUDA_ADAPTERS];
    int first[CUDA_ADAPTERS + 1], column[CUDA_ADAPTERS + 1];
    int chunk[CUDA_ADAPTERS + 1],
        width[CUDA_ADAPTERS]; /* adapter i has chunks [chunk[i], chunk[i + 1]) of width[i] columns */
    int rows, r, parts, slices, split;
};

/* out (rows, cols) = thin (rows, r) wide: wide is (cols, r), used transposed, or by columns (r, cols). */
struct cuda_spread_args {
    const bf16_bits *thin, *wide;
    bf16_bits *out;
    int64_t thin_stride, wide_stride, out_stride;
    int rows, cols;
};

/* Adapters that share an input as bf16: a (r, cols), the A_i one below the other; b (all, r), the B_i times their scales
 * on the diagonal and zeros beside them. Adapter i has ranks [first[i], first[i + 1]) and rows [row[i], row[i + 1]) of b;
 * from_a NULL: none there. */
struct cuda_pack_args {
    const float *from_a[CUDA_ADAPTERS], *from_b[CUDA_ADAPTERS];
    int first[CUDA_ADAPTERS + 1], row[CUDA_ADAPTERS + 1];
    float scale[CUDA_ADAPTERS];
    int parts, cols;
    bf16_bits *a, *b; /* behind all that the packed matrices are made of */
};

/* Groups of them, one a row of the grid. */
struct cuda_pack_all_args {
    const struct cuda_pack_args *group;
};

#endif
