/* support_blocks: blocks of stored weights whose numbers are tame, for tests that multiply them: any codes and inner scales
 * under a scale that makes the largest element `size`. */
#ifndef TEST_SUPPORT_BLOCKS_H
#define TEST_SUPPORT_BLOCKS_H

#include <math.h>
#include <string.h>

#include "array/codec/quant.h"
#include "array/dtype.h"

/* Where blocks keep their f16 numbers, scale and offset, and an offset for scale 1 that makes elements as often negative as
 * positive. What is not here is a special case below. */
struct block_halves {
    enum tensor_type type;
    int scale_at, offset_at; /* the same: no offset */
    float offset;
};
static const struct block_halves block_halves[] = {
    {TENSOR_Q4_0, 0, 0, 1},     {TENSOR_Q4_1, 0, 2, -7.5f},  {TENSOR_Q5_0, 0, 0, 1},     {TENSOR_Q5_1, 0, 2, -15.5f},
    {TENSOR_Q8_0, 0, 0, 1},     {TENSOR_Q2_K, 80, 82, 1.5f}, {TENSOR_Q3_K, 108, 108, 1}, {TENSOR_Q4_K, 0, 2, 7.5f},
    {TENSOR_Q5_K, 0, 2, 15.5f}, {TENSOR_Q6_K, 208, 208, 1},  {TENSOR_IQ2_XXS, 0, 0, 1},  {TENSOR_IQ2_XS, 0, 0, 1},
    {TENSOR_IQ3_XXS, 0, 0, 1},  {TENSOR_IQ1_S, 0, 0, 1},     {TENSOR_IQ4_NL, 0, 0, 1},   {TENSOR_IQ3_S, 0, 0, 1},
    {TENSOR_IQ2_S, 0, 0, 1},    {TENSOR_IQ4_XS, 0, 0, 1},    {TENSOR_TQ1_0, 52, 52, 1},  {TENSOR_TQ2_0, 64, 64, 1},
};

/* Sets the block's scale to x, and its offset; types whose scales are bytes take the power of two below x. */
static inline void block_set_scale(enum tensor_type type, uint8_t *block, float x)
{
    uint16_t half = f32_to_f16(x);
    for (size_t i = 0; i < sizeof block_halves / sizeof *block_halves; i++) {
        const struct block_halves *b = &block_halves[i];
        uint16_t offset = f32_to_f16(x * b->offset);
        if (b->type != type) continue;
        memcpy(block + b->offset_at, &offset, sizeof offset);
        memcpy(block + b->scale_at, &half, sizeof half);
    }
    for (int i = 0; type == TENSOR_IQ1_M && i < 4; i++)
        block[49 + 2 * i] = (uint8_t)((block[49 + 2 * i] & 15) | (half >> 4 * i & 15) << 4);
    int exponent = x > 0 ? ilogbf(x) : -8;
    if (type == TENSOR_MXFP4) block[0] = (uint8_t)(128 + exponent);
    for (int i = 0; type == TENSOR_NVFP4 && i < 4; i++) /* the three bits below the exponent stay */
        block[i] = (uint8_t)((block[i] & 7) | (exponent < -6 ? 1 : exponent > 6 ? 13 : exponent + 7) << 3);
}

static inline float block_largest(enum tensor_type type, const uint8_t *block)
{
    float x[TENSOR_MAX_BLOCK], largest = 0;
    quant_to_f32(type, block, x, tensor_type_info(type)->block);
    for (int i = 0; i < tensor_type_info(type)->block; i++) largest = fmaxf(largest, fabsf(x[i]));
    return largest;
}

/* Gives a block of any bytes scales with which its largest element is about `size` > 0 (within a factor of 2). */
static inline void block_tame(enum tensor_type type, uint8_t *block, float size)
{
    block_set_scale(type, block, 1);
    float largest = block_largest(type, block);
    block_set_scale(type, block, largest > 0 ? size / largest : size);
}

/* n blocks one behind the other. */
static inline void blocks_tame(enum tensor_type type, void *blocks, size_t n, float size)
{
    uint8_t *p = blocks;
    for (size_t i = 0; i < n; i++) block_tame(type, p + i * (size_t)tensor_type_info(type)->bytes, size);
}

#endif
