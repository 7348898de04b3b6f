/* quant: tensors of every stored type, widened to floating point. The types are the rows of io/tensor_types.def: plain
 * numbers, and the block-quantised types of llama.cpp. A block of any of the latter can be taken apart into 8-bit integers
 * in groups of 16, each group with a scale, and with an offset where the type has one:
 *
 *   element i = scale[i / 16] * code[i] + offset[i / 16]
 *
 * One function for each type takes a block apart into these (quant_small.c, quant_k.c, quant_codebook.c, which describe
 * the layouts of their types); whatever widens or multiplies blocks starts from there. A product of scale and code is
 * exact in f32 for every type, so at most one rounding is made, by the addition, and f32 and f64 agree where there is no
 * offset. Elements have the bits that dequantize() of the Python package gguf gives them, signs of zeros included. */
#ifndef YA_ARRAY_QUANT_H
#define YA_ARRAY_QUANT_H

#include "io/tensor.h"

enum { QUANT_GROUP = 16, QUANT_GROUPS = TENSOR_MAX_BLOCK / QUANT_GROUP };

/* A block taken apart; types with shorter blocks fill the first groups. Where a type has no offset it is -0.0, which added
 * to any number leaves its bits. */
struct quant_codes {
    int8_t code[TENSOR_MAX_BLOCK];
    float scale[QUANT_GROUPS], offset[QUANT_GROUPS];
};

/* Takes the block at `block` (at any address) apart. */
typedef void quant_decode(const uint8_t *restrict block, struct quant_codes *restrict out);

/* The function of a type; NULL for types that do not come in blocks. */
quant_decode *quant_decoder(enum tensor_type type);

/* Whether tensors of the type may be weights: floating-point numbers and blocks. */
bool quant_is_weight_type(enum tensor_type type);

/* Widens n consecutive elements (n a multiple of the block) that start at block boundary `src`, at any address. BUG_ON for
 * types that hold no weights. In the f64 form products and sums are taken in double. */
void quant_to_f32(enum tensor_type type, const void *src, float *dst, int64_t n);
void quant_to_f64(enum tensor_type type, const void *src, double *dst, int64_t n);

#endif
