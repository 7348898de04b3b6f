/* mlx_affine: rows in MLX's own quantised form (mx.quantize, mode "affine"): groups of 64 along a row, each with a scale and
 * a bias in bf16, and codes of 4 or 8 bits packed into 32-bit words, the first element in the lowest bits:
 *
 *   element = scale * code + bias
 *
 * The bits are those that mx.quantize gives a bf16 matrix of the same values. */
#ifndef YA_ARRAY_MLX_AFFINE_H
#define YA_ARRAY_MLX_AFFINE_H

#include "io/tensor.h"

enum { MLX_GROUP = 64 }; /* of what is written here; files of others have groups of 32, 64 or 128 */

/* A matrix in this form as a file holds it: three tensors with the same rows, at any address. Not owned. */
struct mlx_affine_matrix {
    const void *words;           /* (rows, cols * bits / 32) u32 */
    const void *scales, *biases; /* (rows, cols / group) */
    enum tensor_type type;       /* of scales and biases: BF16, F16 or F32 */
    int bits, group;             /* 4 or 8; 32, 64 or 128 */
};

/* Quantises n finite values (a multiple of MLX_GROUP), each rounded to bf16 first, with 4 or 8 bits. words (n * bits / 32),
 * scales and biases (n / MLX_GROUP, bf16) are the caller's; any of them may be NULL and is then not written. */
void mlx_affine_quantise(const float *x, int64_t n, int bits, uint32_t *words, uint16_t *scales, uint16_t *biases);

/* The values of a row again, `cols` of them to `out`: product and sum each rounded to f32, as mx.dequantize rounds. */
void mlx_affine_row_f32(const struct mlx_affine_matrix *m, int64_t row, int64_t cols, float *out);

/* The same row as blocks of Q4_1 (cols / 32 * 20 bytes), which mean the same values to the last bit. false, with `out` in no
 * certain state, where f16 cannot hold a scale or a bias, or the codes have 8 bits. */
bool mlx_affine_row_q4_1(const struct mlx_affine_matrix *m, int64_t row, int64_t cols, uint8_t *out);

#endif
