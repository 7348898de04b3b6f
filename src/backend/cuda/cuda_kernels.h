/* cuda_kernels: one function a kernel family: checks what the kernels rely on, works out the grid and queues the launch.
 * Shapes that the kernels do not cover are refused with E_UNSUPPORTED and the shape. */
#ifndef YA_BACKEND_CUDA_KERNELS_H
#define YA_BACKEND_CUDA_KERNELS_H

#include "backend/cuda/cuda_args.h"
#include "backend/cuda/cuda_device.h"

/* Columns: a multiple of 8, at most 16,384. */
enum status cuda_rms_norm(struct cuda *d, const struct cuda_rms_norm_args *a);
enum status cuda_rms_norm_bwd(struct cuda *d, const struct cuda_rms_norm_bwd_args *a);
enum status cuda_rope(struct cuda *d, const struct cuda_rope_args *a); /* dim a multiple of 16, at most 512 */
enum status cuda_swiglu(struct cuda *d, const struct cuda_swiglu_args *a, bool backward);
enum status cuda_move(struct cuda *d, const struct cuda_move_args *a, bool from_f32, bool to_f32);
enum status cuda_fill(struct cuda *d, const struct cuda_fill_args *a, int element_bytes); /* 2 or 4 */
enum status cuda_rows(struct cuda *d, const struct cuda_rows_args *a);
enum status cuda_sum_squares(struct cuda *d, const struct cuda_sum_squares_args *a);
enum status cuda_adamw(struct cuda *d, const struct cuda_adamw_args *a);
enum status cuda_tall_product(struct cuda *d, const struct cuda_tall_args *a); /* r 16, 32, 48, 64 or 96 */
bool cuda_thin_has(int r, bool columns); /* r 16, 32, 48, 64 or 96; by columns 16, 32 or 64 */
enum status cuda_thin(struct cuda *d, const struct cuda_thin_args *a, int r, bool columns);
enum status cuda_pack(struct cuda *d, const struct cuda_pack_args *a);
int cuda_tall_slices(const struct cuda *d, int rows, int n); /* what to set `slices` to; partial holds slices * n * r */
enum status cuda_attention_bounds(struct cuda *d, const struct cuda_attention_bounds_args *a);
enum status cuda_attention(struct cuda *d, const struct cuda_attention_args *a);     /* dim 16, 32, 64, 96 or 128 */
enum status cuda_attention_bwd(struct cuda *d, const struct cuda_attention_args *a); /* delta is scratch */

/* Columns and strides: multiples of 8. */
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
enum status cuda_cross_entropy(struct cuda *d, const struct cuda_cross_entropy *a);
enum status cuda_negate(struct cuda *d, const struct cuda_negate_args *a);

#endif
