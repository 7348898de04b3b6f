/* quant_k: types whose blocks of 256 elements are divided into groups with integer scales of their own. Layouts of a block,
 * numbers little-endian, d and m f16, s and t the integers of a group:
 *
 *   Q2_K    16 bytes: s of a group of 16 in the low, t in the high nibble; 64 bytes of pairs of bits; d; m
 *                                                            element = d * s * pair - m * t
 *   Q3_K    32 bytes: third bits; 64 bytes of pairs of bits; 12 bytes: s of groups of 16, 6 bits each; d
 *                                                            d * (s - 32) * (pair + 4 * bit - 4)
 *   Q4_K    d; m; 12 bytes: s and t of groups of 32, 6 bits each; 128 bytes of nibbles
 *                                                            d * s * nibble - m * t
 *   Q5_K    as Q4_K, but before the nibbles 32 bytes with the fifth bits
 *                                                            d * s * (nibble + 16 * bit) - m * t
 *   Q6_K    128 bytes of nibbles; 64 bytes of pairs of bits; 16 int8: s of groups of 16; d
 *                                                            d * s * (nibble + 16 * pair - 32)
 *   IQ4_XS  d; 16 bits and 4 bytes: s of groups of 32, 6 bits each; 128 bytes of nibbles
 *                                                            d * (s - 32) * level[nibble]
 *   TQ1_0   48 bytes of five digits to base 3, 4 of four; d  d * (digit - 1)
 *   TQ2_0   64 bytes of pairs of bits; d                     d * (pair - 1)
 *
 * Pairs: 32 bytes hold 128 elements, byte i those at i, i + 32, i + 64 and i + 96, the lowest bits first. Bits beside them:
 * 32 bytes hold 256, byte i those at i, i + 32 and so on. Nibbles: see the functions. */
#include "array/codec/quant_codebook.h"
#include "array/codec/quant_decode.h"

/* RUN: neighbouring elements whose bits lie in neighbouring bytes, at the same place in each. */
enum { ELEMENTS = 256, RUN = 32, RUN_GROUPS = RUN / QUANT_GROUP };

/* 64 bytes of pairs of bits; `zero` is the pair that stands for 0. */
static void split_pairs(const uint8_t *restrict p, int zero, int8_t *restrict code)
{
    for (int run = 0; run < ELEMENTS / RUN; run++)
        for (int i = 0; i < RUN; i++) code[run * RUN + i] = (int8_t)((p[run / 4 * RUN + i] >> run % 4 * 2 & 3) - zero);
}

/* Adds `value` where the bit of an element is set. */
static void add_bits(const uint8_t *restrict p, int value, int8_t *restrict code)
{
    for (int run = 0; run < ELEMENTS / RUN; run++)
        for (int i = 0; i < RUN; i++) code[run * RUN + i] = (int8_t)(code[run * RUN + i] + (p[i] >> run & 1) * value);
}

/* 32 bytes of nibbles: low ones 32 elements, high ones the next 32. */
static void split_nibble_runs(const uint8_t *restrict p, int8_t *restrict code)
{
    for (int run = 0; run < ELEMENTS / RUN; run += 2, p += RUN)
        for (int i = 0; i < RUN; i++) {
            code[run * RUN + i] = (int8_t)(p[i] & 15);
            code[run * RUN + RUN + i] = (int8_t)(p[i] >> 4);
        }
}

void quant_decode_q2_k(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    float d = quant_f16(p + 80), m = quant_f16(p + 82);
    for (int i = 0; i < QUANT_GROUPS; i++) quant_set_groups(out, i, 1, d * (float)(p[i] & 15), -(m * (float)(p[i] >> 4)));
    split_pairs(p + 16, 0, out->code);
}

void quant_decode_q3_k(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    const uint8_t *s = p + 96;
    float d = quant_f16(p + 108);
    /* Four low bits of s: groups 0 to 7 in the low nibbles of 8 bytes, 8 to 15 in the high ones. Two high bits: byte
     * 8 + i % 4, where groups i, i + 4, i + 8 and i + 12 share a byte. */
    for (int i = 0; i < QUANT_GROUPS; i++) {
        int low = i < 8 ? s[i] & 15 : s[i - 8] >> 4, high = s[8 + i % 4] >> i / 4 * 2 & 3;
        quant_set_groups(out, i, 1, d * (float)(low + 16 * high - 32), -0.0f);
    }
    split_pairs(p + 32, 4, out->code);
    add_bits(p, 4, out->code);
}

/* Q4_K's and Q5_K's scales: 4 bytes s of groups 0 .. 3, 4 bytes t of them, whose two highest bits belong to groups 4 .. 7; 4
 * bytes with the rest of these, s in the low nibble. */
static void set_scales(const uint8_t *p, struct quant_codes *out)
{
    float d = quant_f16(p), m = quant_f16(p + 2);
    const uint8_t *s = p + 4;
    for (int i = 0; i < ELEMENTS / RUN; i++) {
        int scale = i < 4 ? s[i] & 63 : (s[i + 4] & 15) | s[i - 4] >> 6 << 4;
        int offset = i < 4 ? s[i + 4] & 63 : s[i + 4] >> 4 | s[i] >> 6 << 4;
        quant_set_groups(out, i * RUN_GROUPS, RUN_GROUPS, d * (float)scale, -(m * (float)offset));
    }
}

void quant_decode_q4_k(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    set_scales(p, out);
    split_nibble_runs(p + 16, out->code);
}

void quant_decode_q5_k(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    set_scales(p, out);
    split_nibble_runs(p + 48, out->code);
    add_bits(p + 16, 16, out->code);
}

/* 64 bytes of nibbles hold 128 elements: low ones the first 64, high ones the next. */
void quant_decode_q6_k(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    float d = quant_f16(p + 208);
    for (int i = 0; i < QUANT_GROUPS; i++) quant_set_groups(out, i, 1, d * (float)(int8_t)p[192 + i], -0.0f);
    for (int half = 0; half < 2; half++) {
        const uint8_t *low = p + 64 * half, *high = p + 128 + 32 * half;
        int8_t *code = out->code + 128 * half;
        for (int i = 0; i < RUN; i++) {
            code[i] = (int8_t)((low[i] & 15) + (high[i] & 3) * 16 - 32);
            code[i + 32] = (int8_t)((low[i + 32] & 15) + (high[i] >> 2 & 3) * 16 - 32);
            code[i + 64] = (int8_t)((low[i] >> 4) + (high[i] >> 4 & 3) * 16 - 32);
            code[i + 96] = (int8_t)((low[i + 32] >> 4) + (high[i] >> 6) * 16 - 32);
        }
    }
}

/* 16 bytes of nibbles hold 32 elements: low ones the first 16, high ones the next. */
void quant_decode_iq4_xs(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    float d = quant_f16(p);
    uint16_t high = le_u16(p + 2);
    for (int i = 0; i < ELEMENTS / RUN; i++) {
        int scale = (p[4 + i / 2] >> i % 2 * 4 & 15) + (high >> 2 * i & 3) * 16 - 32;
        const uint8_t *nibbles = p + 8 + i * RUN / 2;
        quant_set_groups(out, i * RUN_GROUPS, RUN_GROUPS, d * (float)scale, -0.0f);
        for (int j = 0; j < RUN / 2; j++) {
            out->code[i * RUN + j] = quant_level_iq4[nibbles[j] & 15];
            out->code[i * RUN + RUN / 2 + j] = quant_level_iq4[nibbles[j] >> 4];
        }
    }
}

/* ---- ternary --------------------------------------------------------------------------------------------------------- */

/* `count` bytes p[i], each a fraction p[i] / 256 whose digits to base 3 are its elements, the first behind the point first:
 * digit j of byte i is element j count + i. Multiplying by 3^j modulo 256 leaves the digits from j on behind the point, once
 * more by 3 brings digit j in front of it. Example: 184 / 256 = 0.20110 to base 3; 184 * 3 = 2 * 256 + 40, 40 * 3 = 0 * 256
 * + 120, 120 * 3 = 1 * 256 + 104, and so on. */
static void split_digits(const uint8_t *restrict p, int count, int digits, int8_t *restrict code)
{
    for (int j = 0, power = 1; j < digits; j++, power *= 3)
        for (int i = 0; i < count; i++) code[j * count + i] = (int8_t)(((uint8_t)(p[i] * power) * 3 >> 8) - 1);
}

void quant_decode_tq1_0(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    quant_set_groups(out, 0, QUANT_GROUPS, quant_f16(p + 52), -0.0f);
    split_digits(p, 32, 5, out->code);
    split_digits(p + 32, 16, 5, out->code + 160);
    split_digits(p + 48, 4, 4, out->code + 240);
}

void quant_decode_tq2_0(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    quant_set_groups(out, 0, QUANT_GROUPS, quant_f16(p + 64), -0.0f);
    split_pairs(p, 1, out->code);
}
