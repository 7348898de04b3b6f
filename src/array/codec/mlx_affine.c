/* mlx_affine: see mlx_affine.h. One end of a group's range, the one further from zero, is met exactly: the scale is
 * stretched so that zero is a whole number of steps from it. Operations are those of f32 in MLX's order; the compiler must
 * not fuse them (CMakeLists.txt). */
#include "array/codec/mlx_affine.h"

#include <math.h>
#include <string.h>

#include "array/dtype.h"
#include "base/le.h"

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

/* ---- reading --------------------------------------------------------------------------------------------------------- */

/* Number i of scales or biases. */
static float affine_number(enum tensor_type type, const void *numbers, int64_t i)
{
    const uint8_t *p = (const uint8_t *)numbers + i * tensor_type_info(type)->bytes;
    uint32_t bits = type == TENSOR_F32 ? le_u32(p) : le_u16(p);
    float value;
    if (type == TENSOR_BF16) return bf16_to_f32((uint16_t)bits);
    if (type == TENSOR_F16) return f16_to_f32((uint16_t)bits);
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Words are little-endian and hold their first element in the lowest bits, so a row is a row of bytes, with 4 bits two codes
 * to a byte, the lower half first. */
static const uint8_t *affine_codes(const struct mlx_affine_matrix *m, int64_t row, int64_t cols)
{
    return (const uint8_t *)m->words + row * (cols * m->bits / 8);
}

void mlx_affine_row_f32(const struct mlx_affine_matrix *m, int64_t row, int64_t cols, float *out)
{
    const uint8_t *codes = affine_codes(m, row, cols);
    const int64_t groups = cols / m->group;
    for (int64_t i = 0; i < cols; i += m->group) {
        float scale = affine_number(m->type, m->scales, row * groups + i / m->group);
        float bias = affine_number(m->type, m->biases, row * groups + i / m->group);
        for (int64_t k = i; k < i + m->group; k++) {
            unsigned code = m->bits == 8 ? codes[k] : codes[k / 2] >> (k % 2 * 4) & 15u;
            float product = scale * (float)code;
            out[k] = product + bias;
        }
    }
}

/* A number as f16 to `out`, if f16 holds it exactly. */
static bool affine_as_f16(float x, uint8_t *out)
{
    uint16_t half = f32_to_f16(x);
    out[0] = (uint8_t)half;
    out[1] = (uint8_t)(half >> 8);
    return f16_to_f32(half) == x;
}

/* A block of Q4_1: scale, bias, and 16 bytes in which byte i has elements i (the lower half) and i + 16. */
bool mlx_affine_row_q4_1(const struct mlx_affine_matrix *m, int64_t row, int64_t cols, uint8_t *out)
{
    const struct tensor_type_info *q4_1 = tensor_type_info(TENSOR_Q4_1);
    const uint8_t *codes = affine_codes(m, row, cols);
    const int64_t groups = cols / m->group;
    if (m->bits != 4) return false;
    for (int64_t i = 0; i < cols; i += q4_1->block, out += q4_1->bytes, codes += q4_1->block / 2) {
        int64_t group = row * groups + i / m->group;
        if (!affine_as_f16(affine_number(m->type, m->scales, group), out)) return false;
        if (!affine_as_f16(affine_number(m->type, m->biases, group), out + 2)) return false;
        for (int k = 0; k < 8; k++) { /* bytes k of the first and of the second half of the block's codes */
            out[4 + 2 * k] = (uint8_t)((codes[k] & 15) | codes[8 + k] << 4);
            out[5 + 2 * k] = (uint8_t)(codes[k] >> 4 | (codes[8 + k] & 0xf0));
        }
    }
    return true;
}
