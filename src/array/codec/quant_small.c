/* quant_small: types whose blocks have 32 or 64 elements. Layouts of a block, numbers little-endian, d and m f16; a nibble
 * of byte i belongs to element i when it is the low one, to element i + 16 when it is the high one:
 *
 *   Q4_0    d; 16 bytes of nibbles                    element = d * (nibble - 8)
 *   Q4_1    d; m; 16 bytes of nibbles                 d * nibble + m
 *   Q5_0    d; 32 fifth bits; 16 bytes of nibbles     d * (nibble + 16 * bit - 16)
 *   Q5_1    d; m; 32 fifth bits; 16 bytes of nibbles  d * (nibble + 16 * bit) + m
 *   Q8_0    d; 32 int8                                d * q
 *   IQ4_NL  d; 16 bytes of nibbles                    d * level[nibble]
 *   MXFP4   e; 16 bytes of nibbles                    2^(e - 128) * twice the E2M1 number of the nibble
 *   NVFP4   4 scales; for each 16 elements 8 bytes: low nibbles elements 0 .. 7, high ones 8 .. 15
 *                                                     half the scale * twice the E2M1 number of the nibble
 *
 * MXFP4's e is an E8M0 number (OCP microscaling formats 1.0), NVFP4's scales are E4M3 numbers. What is not a number there
 * is read as gguf reads it: e = 255 is 2^127, a scale of 127 is 0, and the sign of a scale is not looked at. */
#include <math.h>
#include <string.h>

#include "array/codec/quant_codebook.h"
#include "array/codec/quant_decode.h"

enum { HALF = 16, SMALL_GROUPS = 2 * HALF / QUANT_GROUP };

/* 16 bytes as 32 codes, low nibbles first, each minus the type's zero. */
static void split_nibbles(const uint8_t *restrict p, int zero, int8_t *restrict code)
{
    for (int i = 0; i < HALF; i++) {
        code[i] = (int8_t)((p[i] & 15) - zero);
        code[i + HALF] = (int8_t)((p[i] >> 4) - zero);
    }
}

/* 16 in byte i where bit i is set: the product has a copy of the bits in every byte, the mask leaves bit i of byte i, adding
 * 0x7f carries it, whichever bit it is, to the byte's highest, and that is moved to the place of 16. */
static uint64_t spread_bits(uint8_t bits)
{
    uint64_t one_each = bits * 0x0101010101010101u & 0x8040201008040201u;
    return ((one_each + 0x7f7f7f7f7f7f7f7fu) & 0x8080808080808080u) >> 3;
}

/* Elements of 5 bits, eight at a time in the bytes of a word: bit i of `bits` is the highest one of element i. `zero` in
 * every byte is taken off. */
static void split_fifths(const uint8_t *bits, const uint8_t *p, uint64_t zero, int8_t *code)
{
    const uint64_t nibble = 0x0f0f0f0f0f0f0f0fu, top = 0x8080808080808080u;
    for (int i = 0; i < 2; i++) {
        uint64_t q, low, high;
        memcpy(&q, p + 8 * i, sizeof q);
        low = (q & nibble) | spread_bits(bits[i]);
        high = (q >> 4 & nibble) | spread_bits(bits[2 + i]);
        low = ((low | top) - zero) ^ top; /* the set bit keeps bytes from borrowing of each other */
        high = ((high | top) - zero) ^ top;
        memcpy(code + 8 * i, &low, sizeof low);
        memcpy(code + HALF + 8 * i, &high, sizeof high);
    }
}

/* `count` bytes of nibbles, which choose from a table. */
static void look_up_nibbles(const uint8_t *p, int count, const int8_t level[16], int8_t *restrict code)
{
    for (int i = 0; i < count; i++) {
        code[i] = level[p[i] & 15];
        code[i + count] = level[p[i] >> 4];
    }
}

void quant_decode_q4_0(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    quant_set_groups(out, 0, SMALL_GROUPS, quant_f16(p), -0.0f);
    split_nibbles(p + 2, 8, out->code);
}

void quant_decode_q4_1(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    quant_set_groups(out, 0, SMALL_GROUPS, quant_f16(p), quant_f16(p + 2));
    split_nibbles(p + 4, 0, out->code);
}

void quant_decode_q5_0(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    quant_set_groups(out, 0, SMALL_GROUPS, quant_f16(p), -0.0f);
    split_fifths(p + 2, p + 6, 0x1010101010101010u, out->code);
}

void quant_decode_q5_1(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    quant_set_groups(out, 0, SMALL_GROUPS, quant_f16(p), quant_f16(p + 2));
    split_fifths(p + 4, p + 8, 0, out->code);
}

void quant_decode_q8_0(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    quant_set_groups(out, 0, SMALL_GROUPS, quant_f16(p), -0.0f);
    memcpy(out->code, p + 2, 2 * HALF);
}

void quant_decode_iq4_nl(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    quant_set_groups(out, 0, SMALL_GROUPS, quant_f16(p), -0.0f);
    look_up_nibbles(p + 2, HALF, quant_level_iq4, out->code);
}

/* ---- four-bit floating point ------------------------------------------------------------------------------------------ */

/* Twice the E2M1 numbers: sign, two bits of exponent, one of mantissa. Minus zero is read as zero. */
static const int8_t e2m1_twice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void quant_decode_mxfp4(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    quant_set_groups(out, 0, SMALL_GROUPS, ldexpf(1, p[0] - 128), -0.0f);
    look_up_nibbles(p + 1, HALF, e2m1_twice, out->code);
}

/* Half of an E4M3 number without sign. */
static float half_of_e4m3(uint8_t byte)
{
    int exponent = byte >> 3 & 15, mantissa = byte & 7;
    if (byte == 0x7f) return 0;
    return exponent == 0 ? ldexpf((float)mantissa, -10) : ldexpf((float)(8 + mantissa), exponent - 11);
}

void quant_decode_nvfp4(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    for (int group = 0; group < 4; group++) {
        quant_set_groups(out, group, 1, half_of_e4m3(p[group]), -0.0f);
        look_up_nibbles(p + 4 + 8 * group, 8, e2m1_twice, out->code + QUANT_GROUP * group);
    }
}
