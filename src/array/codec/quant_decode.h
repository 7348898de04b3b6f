/* quant_decode: the functions that take blocks apart, one for each block type of io/tensor_types.def, and what they
 * share. */
#ifndef YA_ARRAY_QUANT_DECODE_H
#define YA_ARRAY_QUANT_DECODE_H

#include "array/codec/quant.h"
#include "array/dtype.h"
#include "base/le.h"

#define BLOCK(name, gguf, block, bytes, decode) quant_decode quant_decode_##decode;
#include "io/tensor_types.def"

/* An f16 at any address, widened to f32; exact. */
static inline float quant_f16(const uint8_t *p)
{
    return f16_to_f32(le_u16(p));
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
