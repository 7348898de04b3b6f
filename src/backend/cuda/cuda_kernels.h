/* cuda_kernels: one function for each family of kernels: checks what the kernels rely on, works out the grid and queues
 * the launch. Formulas, shapes and dtypes stand at the argument structs in cuda_args.h. All return at once, without
 * waiting for the card; shapes that the kernels do not cover are refused with E_UNSUPPORTED and the shape, and a launch
 * that the driver refuses is E_IO. Operands are the caller's and must live until the queued work is done. */
#ifndef YA_BACKEND_CUDA_KERNELS_H
#define YA_BACKEND_CUDA_KERNELS_H

#include "backend/cuda/cuda_args.h"
#include "backend/cuda/cuda_device.h"

/* RMS normalisation of rows of bf16: a multiple of 8 columns, at most 16,384. */
enum status cuda_rms_norm(struct cuda *d, const struct cuda_rms_norm_args *a);
enum status cuda_rms_norm_bwd(struct cuda *d, const struct cuda_rms_norm_bwd_args *a);
/* Rotary embedding: heads of a multiple of 16 elements, at most 512. */
enum status cuda_rope(struct cuda *d, const struct cuda_rope_args *a);
/* silu(gate) * up, or with `backward` its derivative: a multiple of 8 columns. */
enum status cuda_swiglu(struct cuda *d, const struct cuda_swiglu_args *a, bool backward);
/* Copies rows, or adds them, between bf16 and f32 on either side; any number of columns. */
enum status cuda_move(struct cuda *d, const struct cuda_move_args *a, bool from_f32, bool to_f32);
/* Fills contiguous elements of 2 or 4 bytes with one value. */
enum status cuda_fill(struct cuda *d, const struct cuda_fill_args *a, int element_bytes);
/* Gathers or scatters rows of bf16 by id: a multiple of 8 columns. */
enum status cuda_rows(struct cuda *d, const struct cuda_rows_args *a);
/* The sum of squares of an f32 slab in f64, and AdamW over such slabs in one launch. */
enum status cuda_sum_squares(struct cuda *d, const struct cuda_sum_squares_args *a);
enum status cuda_adamw(struct cuda *d, const struct cuda_adamw_args *a);

/* Gradients of adapters: r is 16, 32, 48, 64 or 96. cuda_tall_slices says into how many slices of tokens the product is
 * cut so that all multiprocessors have work; `partial` needs slices * n * r f32, and `slices` must be that number. */
enum status cuda_tall_product(struct cuda *d, const struct cuda_tall_args *a);
int cuda_tall_slices(const struct cuda *d, int rows, int n);
/* Products of activations with thin matrices (struct cuda_thin_args): z = x A^T with the matrix by rows, u = dy B by
 * columns, or that and dB. cuda_thin_has: whether there is a kernel for r: 16, 32, 48, 64 or 96 by rows, 16, 32 or 64 by
 * columns, 16 or 32 with the gradient; others are a bug of the caller. The plan sets how the pass is cut, for the caller to
 * allocate partial sums. */
enum cuda_thin_kind { THIN_BY_ROWS, THIN_BY_COLUMNS, THIN_GRADIENT };
bool cuda_thin_has(int r, enum cuda_thin_kind kind);
void cuda_thin_plan(const struct cuda *d, struct cuda_thin_args *a);
enum status cuda_thin(struct cuda *d, const struct cuda_thin_args *a, enum cuda_thin_kind kind);
/* What adapters add, z B^T or with `columns` u A, of r as by rows above. */
enum status cuda_spread(struct cuda *d, const struct cuda_spread_args *a, int r, bool columns);
/* Rounds the f32 matrices of adapters that share an input to bf16 and joins them. */
enum status cuda_pack(struct cuda *d, const struct cuda_pack_args *a);
/* n such groups, at most 65,535, in one launch: `table` is `list` on the card, which must stay as it is until the launch is
 * done. */
enum status cuda_pack_all(struct cuda *d, const struct cuda_pack_args *list, const struct cuda_pack_args *table, int n);

/* Causal attention over segments. First the bounds, which both passes read; heads have 16, 32, 64, 96 or 128 elements. On
 * cards of compute capability 9.x heads of 64 and 128 use the kernels with wgmma and the copy engine. In backward `delta` is
 * scratch of the caller. */
enum status cuda_attention_bounds(struct cuda *d, const struct cuda_attention_bounds_args *a);
enum status cuda_attention(struct cuda *d, const struct cuda_attention_args *a);
enum status cuda_attention_bwd(struct cuda *d, const struct cuda_attention_args *a);
/* The same of one query, forward. cuda_attention_one_fits: whether the call has one query, heads of 64 or 128 and at most 8
 * of them to a key head; then it sets `piece` and `pieces`, and `partial` is the caller's. */
bool cuda_attention_one_fits(const struct cuda *d, struct cuda_attention_one_args *a);
enum status cuda_attention_one(struct cuda *d, const struct cuda_attention_one_args *a);

/* A weight of any code with one vector; rows of a compressed weight (not CODE_BF16) in bf16. A multiple of 8 columns, and
 * of the code's block. */
enum status cuda_vector(struct cuda *d, const struct cuda_vector_args *a, enum cuda_code code);
enum status cuda_widen(struct cuda *d, const struct cuda_widen_args *a, enum cuda_code code);

/* Sums, dropout and sums of rows by id: columns and strides are multiples of 8. A bias, arrays of any strides, and the
 * search for ids out of range have no such condition. */
enum status cuda_add(struct cuda *d, const struct cuda_add_args *a);
enum status cuda_dropout(struct cuda *d, const struct cuda_dropout_args *a);
enum status cuda_rows_sum(struct cuda *d, const struct cuda_rows_sum_args *a);
enum status cuda_bias(struct cuda *d, const struct cuda_bias_args *a);
enum status cuda_strided(struct cuda *d, const struct cuda_strided_args *a);
enum status cuda_check_ids(struct cuda *d, const struct cuda_check_ids_args *a);

/* Cross-entropy of h table^T by chunks of `chunk` rows: logits is scratch of chunk * padded. dh may be NULL. */
struct cuda_cross_entropy {
    const bf16_bits *h, *table; /* (rows, cols), (padded, cols): rows of the table from vocab on are zeros */
    const int32_t *targets;
    const float *weights;
    bf16_bits *logits, *dh;
    float *nll, *loss;
    double *stats;
    int32_t *fault;
    int64_t h_stride, table_stride, dh_stride;
    int rows, cols, vocab, chunk;
    int padded; /* vocab rounded up to a multiple of 8 */
};
/* cols must be a multiple of 8. On the card afterwards: nll of each row, the sums `stats` and `loss`, and dh where
 * wanted. */
enum status cuda_cross_entropy(struct cuda *d, const struct cuda_cross_entropy *a);
/* Log-probabilities out of negative log-likelihoods. */
enum status cuda_negate(struct cuda *d, const struct cuda_negate_args *a);

#endif
