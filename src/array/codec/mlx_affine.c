/* mlx_affine: see mlx_affine.h. One end of a group's range, the one further from zero, is met exactly: the scale is
 * stretched so that zero is a whole number of steps from it. Operations are those of f32 in MLX's order; the compiler must
 * not fuse them (CMakeLists.txt). */
#include "array/codec/mlx_affine.h"

#include <math.h>
#include <string.h>

#include "array/dtype.h"

/* Scale and bias of a group, before they are rounded. Code 0 stands for `edge`, the end of the range further from zero,
 * which is the bias; with the upper end the scale is negative and codes count down from it. steps: from zero to the edge, a
 * whole number, for which the scale is stretched; where that is 0 (a range of nearly nothing) the scale stays and the bias
 * is 0. */
static void fit_group(const float *x, float most, float *scale, float *bias)
{
    const float least_scale = 1e-7f;
    float low = x[0], high = x[0];
    for (int i = 1; i < MLX_GROUP; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    bool below = fabsf(low) > fabsf(high);
    float s = (high - low) / most;
    s = s > least_scale ? s : least_scale;
    s = below ? s : -s;
    float edge = below ? low : high, steps = rintf(edge / s);
    *scale = steps != 0 ? edge / steps : s;
    *bias = steps != 0 ? edge : 0;
}

void mlx_affine_quantise(const float *x, int64_t n, int bits, uint32_t *words, uint16_t *scales, uint16_t *biases)
{
    float group[MLX_GROUP], scale, bias, most = (float)((1 << bits) - 1);
    int per_word = 32 / bits;
    for (int64_t at = 0; at < n; at += MLX_GROUP) {
        for (int i = 0; i < MLX_GROUP; i++) group[i] = bf16_to_f32(f32_to_bf16(x[at + i]));
        fit_group(group, most, &scale, &bias);
        if (scales) scales[at / MLX_GROUP] = f32_to_bf16(scale);
        if (biases) biases[at / MLX_GROUP] = f32_to_bf16(bias);
        for (int i = 0; words && i < MLX_GROUP; i += per_word) {
            uint32_t word = 0;
            for (int k = 0; k < per_word; k++) {
                float q = rintf((group[i + k] - bias) / scale);
                q = q < 0 ? 0 : q > most ? most : q;
                word |= (uint32_t)q << (k * bits);
            }
            words[(at + i) / per_word] = word;
        }
    }
}

void mlx_affine_widen(const uint32_t *words, const uint16_t *scales, const uint16_t *biases, int64_t n, int bits, float *out)
{
    int per_word = 32 / bits;
    uint32_t mask = bits == 8 ? 0xff : 0xf;
    for (int64_t i = 0; i < n; i++) {
        uint32_t code = words[i / per_word] >> (i % per_word * bits) & mask;
        float product = bf16_to_f32(scales[i / MLX_GROUP]) * (float)code;
        out[i] = product + bf16_to_f32(biases[i / MLX_GROUP]);
    }
}
