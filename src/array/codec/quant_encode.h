/* quant_encode: numbers as blocks, the way back from quant.h, for files that are written.
 *
 * Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 have the bits that quantize() of the Python package gguf gives. Q4_K, Q5_K and Q6_K leave
 * the choice of scales to the writer: here they are searched for the least sum of squared errors (quant_encode_k.c). */
#ifndef YA_ARRAY_QUANT_ENCODE_H
#define YA_ARRAY_QUANT_ENCODE_H

#include "io/tensor.h"

/* Makes a block of the type's length at `block` (any address) of finite numbers below 65504. */
typedef void quant_encode(const float *restrict x, uint8_t *restrict block);

/* The function of a type; NULL for types that are not written here. */
quant_encode *quant_encoder(enum tensor_type type);

/* Turns n elements (a multiple of the block) into blocks. BUG_ON for types without an encoder. */
void quant_from_f32(enum tensor_type type, const float *src, void *dst, int64_t n);

/* The encoders of K types, for quant_encoder. */
quant_encode quant_encode_q4_k, quant_encode_q5_k, quant_encode_q6_k;

#endif
