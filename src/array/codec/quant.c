/* quant: widening of stored weight elements, one row piece at a time. Block layouts are described in quant.h; they are read
 * byte by byte, because blocks in a mapped file have no alignment.
 *
 * Products are taken in the target type. An f16 scale times a 4- or 8-bit integer fits the 24 bits of f32 exactly, so f32
 * and f64 agree except for Q4_1, whose sum d * q + m may need a rounding in f32. */
#include "array/codec/quant.h"

#include <string.h>

#include "array/dtype.h"

enum { BLOCK = 32 };

bool quant_is_weight_type(enum tensor_type type)
{
    switch (type) {
    case TENSOR_F32:
    case TENSOR_F16:
    case TENSOR_BF16:
    case TENSOR_F64:
    case TENSOR_Q4_0:
    case TENSOR_Q4_1:
    case TENSOR_Q8_0:
        return true;
    default:
        return false;
    }
}

static uint16_t load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

/* The integers of the block that starts at p, and what they are multiplied by and offset with. */
static void block_decode(enum tensor_type type, const uint8_t *p, int8_t q[BLOCK], float *scale, float *offset)
{
    *scale = f16_to_f32(load_u16(p));
    *offset = 0;
    if (type == TENSOR_Q8_0) {
        memcpy(q, p + 2, BLOCK);
        return;
    }
    const uint8_t *nibbles = p + 2;
    int zero = 8;
    if (type == TENSOR_Q4_1) {
        *offset = f16_to_f32(load_u16(p + 2));
        nibbles = p + 4;
        zero = 0;
    }
    for (int i = 0; i < BLOCK / 2; i++) {
        q[i] = (int8_t)((nibbles[i] & 15) - zero);
        q[i + BLOCK / 2] = (int8_t)((nibbles[i] >> 4) - zero);
    }
}

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
        return (double)f16_to_f32(load_u16(p + i * 2));
    default:
        return (double)bf16_to_f32(load_u16(p + i * 2));
    }
}

static bool is_block_type(enum tensor_type type)
{
    return type == TENSOR_Q4_0 || type == TENSOR_Q4_1 || type == TENSOR_Q8_0;
}

static size_t block_bytes(enum tensor_type type)
{
    return type == TENSOR_Q4_0 ? 18 : type == TENSOR_Q4_1 ? 20 : 34;
}

static void check(enum tensor_type type, int64_t n)
{
    BUG_ON(NULL, !quant_is_weight_type(type), "quant: tensor type %d holds no weights", (int)type);
    BUG_ON(NULL, is_block_type(type) && n % BLOCK, "quant: %lld elements are not whole blocks", (long long)n);
}

void quant_to_f32(enum tensor_type type, const void *src, float *dst, int64_t n)
{
    check(type, n);
    const uint8_t *p = src;
    int8_t q[BLOCK];
    float scale, offset;
    if (type == TENSOR_F32) {
        memcpy(dst, src, (size_t)n * sizeof *dst);
    } else if (type == TENSOR_BF16) {
        for (int64_t i = 0; i < n; i++) dst[i] = bf16_to_f32(load_u16(p + i * 2));
    } else if (!is_block_type(type)) {
        for (int64_t i = 0; i < n; i++) dst[i] = (float)plain_element(type, p, i);
    } else {
        for (int64_t i = 0; i < n; i += BLOCK, p += block_bytes(type)) {
            block_decode(type, p, q, &scale, &offset);
            for (int j = 0; j < BLOCK; j++) dst[i + j] = scale * (float)q[j] + offset;
        }
    }
}

void quant_to_f64(enum tensor_type type, const void *src, double *dst, int64_t n)
{
    check(type, n);
    const uint8_t *p = src;
    int8_t q[BLOCK];
    float scale, offset;
    if (!is_block_type(type)) {
        for (int64_t i = 0; i < n; i++) dst[i] = plain_element(type, p, i);
    } else {
        for (int64_t i = 0; i < n; i += BLOCK, p += block_bytes(type)) {
            block_decode(type, p, q, &scale, &offset);
            for (int j = 0; j < BLOCK; j++) dst[i + j] = (double)scale * q[j] + (double)offset;
        }
    }
}
