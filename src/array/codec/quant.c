/* quant: the table of decoders, and widening on top of it, one row piece at a time. Everything is read byte by byte,
 * because blocks in a mapped file have no alignment. */
#include "array/codec/quant.h"

#include <string.h>

#include "array/codec/quant_decode.h"

static const struct {
    bool is_weight;
    quant_decode *decode; /* NULL: one number for each element */
} rows[TENSOR_TYPE_COUNT] = {
#define NUMBER(name, gguf, bytes)               [TENSOR_##name] = {true, NULL},
#define BLOCK(name, gguf, block, bytes, decode) [TENSOR_##name] = {true, quant_decode_##decode},
#include "io/tensor_types.def"
};

quant_decode *quant_decoder(enum tensor_type type)
{
    return rows[type].decode;
}

bool quant_is_weight_type(enum tensor_type type)
{
    return rows[type].is_weight;
}

/* Element i of a type that holds one number for each element, at any address. */
static double plain_element(enum tensor_type type, const uint8_t *p, int64_t i)
{
    float f;
    double d;
    switch (type) {
    case TENSOR_F32:
        memcpy(&f, p + i * 4, sizeof f);
        return (double)f;
    case TENSOR_F64:
        memcpy(&d, p + i * 8, sizeof d);
        return d;
    case TENSOR_F16:
        return (double)quant_f16(p + i * 2);
    default:
        return (double)bf16_to_f32(le_u16(p + i * 2));
    }
}

/* What callers must have made sure of: a type of weights, and whole blocks. */
static void check(enum tensor_type type, int64_t n)
{
    BUG_ON(NULL, !quant_is_weight_type(type), "quant: tensor type %d holds no weights", (int)type);
    BUG_ON(NULL, n % tensor_type_info(type)->block, "quant: %lld elements are not whole blocks", (long long)n);
}

void quant_to_f32(enum tensor_type type, const void *src, float *dst, int64_t n)
{
    check(type, n);
    const struct tensor_type_info *info = tensor_type_info(type);
    quant_decode *decode = quant_decoder(type);
    const uint8_t *p = src;
    struct quant_codes codes;
    if (type == TENSOR_F32) {
        memcpy(dst, src, (size_t)n * sizeof *dst);
    } else if (type == TENSOR_BF16) {
        for (int64_t i = 0; i < n; i++) dst[i] = bf16_to_f32(le_u16(p + i * 2));
    } else if (!decode) {
        for (int64_t i = 0; i < n; i++) dst[i] = (float)plain_element(type, p, i);
    } else {
        for (int64_t i = 0; i < n; i += info->block, p += info->bytes) {
            decode(p, &codes);
            for (int j = 0; j < info->block; j++)
                dst[i + j] = codes.scale[j / QUANT_GROUP] * (float)codes.code[j] + codes.offset[j / QUANT_GROUP];
        }
    }
}

void quant_to_f64(enum tensor_type type, const void *src, double *dst, int64_t n)
{
    check(type, n);
    const struct tensor_type_info *info = tensor_type_info(type);
    quant_decode *decode = quant_decoder(type);
    const uint8_t *p = src;
    struct quant_codes codes;
    if (!decode) {
        for (int64_t i = 0; i < n; i++) dst[i] = plain_element(type, p, i);
        return;
    }
    for (int64_t i = 0; i < n; i += info->block, p += info->bytes) {
        decode(p, &codes);
        for (int j = 0; j < info->block; j++)
            dst[i + j] = (double)codes.scale[j / QUANT_GROUP] * codes.code[j] + (double)codes.offset[j / QUANT_GROUP];
    }
}
