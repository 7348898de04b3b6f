/* quant: block formats of stored weights. Layouts are those of GGUF (blocks of 32 along a row):
 *   Q4_0  f16 d; 16 bytes: element i = d * ((q & 15) - 8), element i+16 = d * ((q >> 4) - 8)
 *   Q4_1  f16 d, f16 m; 16 bytes: element i = d * (q & 15) + m, element i+16 = d * (q >> 4) + m
 *   Q8_0  f16 d; 32 int8: element i = d * q_i
 */
#ifndef YA_ARRAY_QUANT_H
#define YA_ARRAY_QUANT_H

#include "io/tensor.h"

/* Widens n consecutive elements (n a multiple of the block) that start at block boundary `src`. f32, f16, bf16, f64 and the
 * block types; BUG_ON for others. The f64 form is exact in the same way (products in double). */
void quant_to_f32(enum tensor_type type, const void *src, float *dst, int64_t n);
void quant_to_f64(enum tensor_type type, const void *src, double *dst, int64_t n);
bool quant_is_weight_type(enum tensor_type type);

#endif
