/* quant_encode: blocks of 32. Layouts: quant_small.c. Every operation is one of f32 in the order in which the Python package
 * gguf does it, so that the bits are the same; the compiler must not fuse products and sums (CMakeLists.txt). */
#include "array/codec/quant_encode.h"

#include <math.h>
#include <string.h>

#include "array/dtype.h"
#include "base/ctx.h"

enum { ELEMENTS = 32, HALF = ELEMENTS / 2 };

static void quant_encode_put_f16(uint8_t *p, float v)
{
    uint16_t h = f32_to_f16(v);
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

/* Element i in the low nibble of byte i, element i + 16 in the high one. */
static void put_nibbles(uint8_t *restrict p, const uint8_t *restrict q)
{
    for (int i = 0; i < HALF; i++) p[i] = (uint8_t)((q[i] & 15) | q[i + HALF] << 4);
}

/* The highest of five bits of each element, then the nibbles. */
static void put_fifths(uint8_t *restrict p, const uint8_t *restrict q)
{
    memset(p, 0, 4);
    for (int i = 0; i < ELEMENTS; i++) p[i / 8] = (uint8_t)(p[i / 8] | (q[i] >> 4) << i % 8);
    put_nibbles(p + 4, q);
}

static float inverse(float d)
{
    return d == 0 ? 0 : 1 / d;
}

/* The number of largest magnitude with its sign, the first of equals. */
static float peak(const float *x)
{
    float most = x[0];
    for (int i = 1; i < ELEMENTS; i++)
        if (fabsf(x[i]) > fabsf(most)) most = x[i];
    return most;
}

/* q = x / d + zero, rounded half up, in [0, most], most = 2 zero - 1; what q says when it is read is (q - zero) d. There is
 * one step more below `zero` than above, and the number of largest magnitude gets it, whatever its sign: d = peak / -zero,
 * so that the peak is q = 0 exactly. No q is negative; only -peak would be 2 zero and is cut to `most`. */
static float scale_around_zero(const float *x, float zero, int most, uint8_t *q)
{
    float d = peak(x) / -zero, id = inverse(d);
    for (int i = 0; i < ELEMENTS; i++) {
        float product = x[i] * id, v = product + (zero + 0.5f);
        q[i] = (uint8_t)(v >= (float)most ? most : (int)v);
    }
    return d;
}

/* q = (x - least) / d, rounded half up, in [0, most]; d is the range divided by `most`. */
static float scale_above_least(const float *x, int most, uint8_t *q, float *least)
{
    float low = x[0], high = x[0];
    for (int i = 1; i < ELEMENTS; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    float d = (high - low) / (float)most, id = inverse(d);
    for (int i = 0; i < ELEMENTS; i++) {
        float product = (x[i] - low) * id, v = product + 0.5f;
        q[i] = (uint8_t)(v >= (float)most ? most : (int)v);
    }
    *least = low;
    return d;
}

static void quant_encode_q4_0(const float *restrict x, uint8_t *restrict block)
{
    uint8_t q[ELEMENTS];
    quant_encode_put_f16(block, scale_around_zero(x, 8, 15, q));
    put_nibbles(block + 2, q);
}

static void quant_encode_q4_1(const float *restrict x, uint8_t *restrict block)
{
    uint8_t q[ELEMENTS];
    float least;
    quant_encode_put_f16(block, scale_above_least(x, 15, q, &least));
    quant_encode_put_f16(block + 2, least);
    put_nibbles(block + 4, q);
}

static void quant_encode_q5_0(const float *restrict x, uint8_t *restrict block)
{
    uint8_t q[ELEMENTS];
    quant_encode_put_f16(block, scale_around_zero(x, 16, 31, q));
    put_fifths(block + 2, q);
}

static void quant_encode_q5_1(const float *restrict x, uint8_t *restrict block)
{
    uint8_t q[ELEMENTS];
    float least;
    quant_encode_put_f16(block, scale_above_least(x, 31, q, &least));
    quant_encode_put_f16(block + 2, least);
    put_fifths(block + 4, q);
}

/* q = x / d, rounded half away from zero, in [-127, 127]. */
static void quant_encode_q8_0(const float *restrict x, uint8_t *restrict block)
{
    float d = fabsf(peak(x)) / 127, id = inverse(d);
    quant_encode_put_f16(block, d);
    for (int i = 0; i < ELEMENTS; i++) {
        float v = x[i] * id, a = fabsf(v), whole = floorf(a), up = floorf(2 * (a - whole));
        block[2 + i] = (uint8_t)(int8_t)(v < 0 ? -(whole + up) : whole + up);
    }
}

quant_encode *quant_encoder(enum tensor_type type)
{
    switch (type) {
    case TENSOR_Q4_0:
        return quant_encode_q4_0;
    case TENSOR_Q4_1:
        return quant_encode_q4_1;
    case TENSOR_Q5_0:
        return quant_encode_q5_0;
    case TENSOR_Q5_1:
        return quant_encode_q5_1;
    case TENSOR_Q8_0:
        return quant_encode_q8_0;
    case TENSOR_Q4_K:
        return quant_encode_q4_k;
    case TENSOR_Q5_K:
        return quant_encode_q5_k;
    case TENSOR_Q6_K:
        return quant_encode_q6_k;
    default:
        return NULL;
    }
}

void quant_from_f32(enum tensor_type type, const float *src, void *dst, int64_t n)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    quant_encode *encode = quant_encoder(type);
    BUG_ON(NULL, !encode || n % info->block != 0, "%lld elements as %s", (long long)n, info->name);
    uint8_t *out = dst;
    for (int64_t i = 0; i < n; i += info->block, out += info->bytes) encode(src + i, out);
}
