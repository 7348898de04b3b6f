/* quant_decode: the functions that take blocks apart, one for each block type of io/tensor_types.def, and what they
 * share. */
#ifndef YA_ARRAY_QUANT_DECODE_H
#define YA_ARRAY_QUANT_DECODE_H

#include "array/codec/quant.h"
#include "array/dtype.h"

#define BLOCK(name, gguf, block, bytes, decode) quant_decode quant_decode_##decode;
#include "io/tensor_types.def"

/* Little-endian numbers at any address: 16 bits, 32 bits, and f16 widened to f32. */
static inline uint16_t quant_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

/* 32 bits, little-endian. */
static inline uint32_t quant_u32(const uint8_t *p)
{
    return (uint32_t)quant_u16(p) | (uint32_t)quant_u16(p + 2) << 16;
}

/* An f16, widened; exact. */
static inline float quant_f16(const uint8_t *p)
{
    return f16_to_f32(quant_u16(p));
}

/* One scale and one offset for `groups` groups from `first` on. */
static inline void quant_set_groups(struct quant_codes *out, int first, int groups, float scale, float offset)
{
    for (int i = first; i < first + groups; i++) {
        out->scale[i] = scale;
        out->offset[i] = offset;
    }
}

#endif
