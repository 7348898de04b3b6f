/* dtype: element types of arrays, their sizes, and type promotion (the JAX/MLX table). */
#ifndef YA_ARRAY_DTYPE_H
#define YA_ARRAY_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype { DTYPE_BOOL, DTYPE_U8, DTYPE_I32, DTYPE_I64, DTYPE_F16, DTYPE_BF16, DTYPE_F32, DTYPE_F64, DTYPE_COUNT };

/* Bytes of an element, and its name in messages: "f32", "bf16", ... (static). */
size_t dtype_size(enum dtype t);
const char *dtype_name(enum dtype t);
/* True for f16, bf16, f32 and f64. */
bool dtype_is_float(enum dtype t);
/* The dtype in which a sum or product of both is: the larger in the enum's order, but f16 with bf16 gives f32. */
enum dtype dtype_promote(enum dtype a, enum dtype b);

/* Conversions of one element; round to nearest even, NaN stays NaN. */
float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);
static inline float bf16_to_f32(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)h << 16};
    return v.f;
}
uint16_t f32_to_bf16(float f);

/* Converts n elements; strides in elements. Floats go to integers towards zero, saturating, NaN to 0; wider integers wrap
 * into narrower ones; anything not 0 is true. Operands must not overlap. */
void dtype_convert(enum dtype to, void *out, int64_t out_stride, enum dtype from, const void *in, int64_t in_stride,
                   int64_t n);

#endif
