/* mlx_affine: rows in MLX's own quantised form (mx.quantize, mode "affine"): groups of 64 along a row, each with a scale and
 * a bias in bf16, and codes of 4 or 8 bits packed into 32-bit words, the first element in the lowest bits:
 *
 *   element = scale * code + bias
 *
 * The bits are those that mx.quantize gives a bf16 matrix of the same values. */
#ifndef YA_ARRAY_MLX_AFFINE_H
#define YA_ARRAY_MLX_AFFINE_H

#include <stdint.h>

enum { MLX_GROUP = 64 };

/* Quantises n finite values (a multiple of MLX_GROUP), each rounded to bf16 first, with 4 or 8 bits. words (n * bits / 32),
 * scales and biases (n / MLX_GROUP, bf16) are the caller's; any of them may be NULL and is then not written. */
void mlx_affine_quantise(const float *x, int64_t n, int bits, uint32_t *words, uint16_t *scales, uint16_t *biases);

/* The values again, n of them to `out`: product and sum each rounded to f32. */
void mlx_affine_widen(const uint32_t *words, const uint16_t *scales, const uint16_t *biases, int64_t n, int bits,
                      float *out);

#endif
