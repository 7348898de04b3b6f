/* quant_codebook: types whose elements, 8 or 4 at a time, are a row of a grid. Layouts of a block of 256, numbers
 * little-endian, d f16; rows of 8 (IQ3: of 4) elements have a number, index, and their elements a sign bit each:
 *
 *   IQ2_XXS  d; for each 32: 4 bytes index; 4 times 7 bits sign, 4 bits s    element = d * (2 s + 1) / 8 * level * sign
 *   IQ2_XS   d; 32 times 9 bits index, 7 bits sign; 8 bytes s of groups of 16, nibbles          likewise
 *   IQ2_S    d; 32 bytes index; 32 bytes sign; 8 bytes: bits 8 and 9 of index; 8 bytes s as IQ2_XS    likewise
 *   IQ3_XXS  d; 64 bytes index; for each 32: 4 times 7 bits sign, 4 bits s   d * (2 s + 1) / 4 * level * sign
 *   IQ3_S    d; 64 bytes index; 8 bytes: bit 8 of index; 32 bytes sign; 4 bytes s of 32, nibbles
 *                                                                            d * (2 s + 1) * level * sign
 *   IQ1_S    d; 32 bytes index; for each 32: 4 times 3 bits, index from bit 8 on, 3 bits s, 1 bit shift
 *                                                                            d * (2 s + 1) * (level + shift ? -1/8 : 1/8)
 *   IQ1_M    32 bytes index; 16 bytes: for each row 3 bits, index from bit 8 on, 1 bit shift; for each 64: 4 times 3 bits s
 *            of groups of 16, 4 bits of d                                    likewise
 *
 * A sign of 7 bits stands for 8 with an even number of ones. */
#include "array/codec/quant_codebook.h"
#include "array/codec/quant_decode.h"

enum { ROWS = 32 /* of 8 elements in a block */, ROW = 8, RUN_GROUPS = 32 / QUANT_GROUP };

/* Eight sign bits of which seven are stored: the eighth makes the number of ones even. */
static unsigned even_signs(unsigned seven_bits)
{
    return seven_bits | (unsigned)__builtin_parity(seven_bits) << 7;
}

/* Elements of `bits` each, the first one lowest. */
static void put_levels(uint16_t row, int bits, int n, const int8_t *level, int8_t *code)
{
    for (int i = 0; i < n; i++) code[i] = level[row >> bits * i & ((1 << bits) - 1)];
}

/* Negates the elements of a row whose sign bit is set, the first one lowest. */
static void put_signs(unsigned signs, int8_t *code)
{
    for (int i = 0; i < ROW; i++) code[i] = (int8_t)(signs >> i & 1 ? -code[i] : code[i]);
}

/* A row of an IQ2 grid with its eight signs. */
static void put_iq2(uint16_t row, unsigned signs, int8_t *code)
{
    put_levels(row, 2, ROW, quant_level_iq2, code);
    put_signs(signs, code);
}

/* ---- IQ2 ------------------------------------------------------------------------------------------------------------- */

void quant_decode_iq2_xxs(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    float d = quant_f16(p);
    p += 2;
    for (int run = 0; run < ROWS / 4; run++, p += 8) {
        uint32_t rest = le_u32(p + 4);
        quant_set_groups(out, run * RUN_GROUPS, RUN_GROUPS, d * (0.5f + (float)(rest >> 28)) * 0.25f, -0.0f);
        for (int i = 0; i < 4; i++)
            put_iq2(quant_grid_iq2_xxs[p[i]], even_signs(rest >> 7 * i & 127), out->code + (run * 4 + i) * ROW);
    }
}

/* 8 bytes with the nibbles of 16 groups. */
static void set_iq2_scales(const uint8_t *p, float d, struct quant_codes *out)
{
    for (int i = 0; i < QUANT_GROUPS; i++)
        quant_set_groups(out, i, 1, d * (0.5f + (float)(p[i / 2] >> i % 2 * 4 & 15)) * 0.25f, -0.0f);
}

void quant_decode_iq2_xs(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    set_iq2_scales(p + 66, quant_f16(p), out);
    for (int i = 0; i < ROWS; i++) {
        unsigned row = le_u16(p + 2 + 2 * i);
        put_iq2(quant_grid_iq2_xs[row & 511], even_signs(row >> 9), out->code + i * ROW);
    }
}

void quant_decode_iq2_s(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    const uint8_t *index = p + 2, *signs = p + 34, *high = p + 66;
    set_iq2_scales(p + 74, quant_f16(p), out);
    for (int i = 0; i < ROWS; i++)
        put_iq2(quant_grid_iq2_s[index[i] | (high[i / 4] >> i % 4 * 2 & 3) << 8], signs[i], out->code + i * ROW);
}

/* ---- IQ3 ------------------------------------------------------------------------------------------------------------- */

void quant_decode_iq3_xxs(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    float d = quant_f16(p);
    for (int run = 0; run < ROWS / 4; run++) {
        uint32_t rest = le_u32(p + 66 + 4 * run);
        quant_set_groups(out, run * RUN_GROUPS, RUN_GROUPS, d * (0.5f + (float)(rest >> 28)) * 0.5f, -0.0f);
        for (int i = 0; i < 4; i++) {
            int8_t *code = out->code + (run * 4 + i) * ROW;
            const uint8_t *index = p + 2 + run * 8 + 2 * i;
            put_levels(quant_grid_iq3_xxs[index[0]], 4, ROW / 2, quant_level_iq3_xxs, code);
            put_levels(quant_grid_iq3_xxs[index[1]], 4, ROW / 2, quant_level_iq3_xxs, code + ROW / 2);
            put_signs(even_signs(rest >> 7 * i & 127), code);
        }
    }
}

void quant_decode_iq3_s(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    const uint8_t *index = p + 2, *high = p + 66, *signs = p + 74, *scales = p + 106;
    float d = quant_f16(p);
    for (int run = 0; run < ROWS / 4; run++) {
        int scale = scales[run / 2] >> run % 2 * 4 & 15;
        quant_set_groups(out, run * RUN_GROUPS, RUN_GROUPS, d * (float)(1 + 2 * scale), -0.0f);
    }
    for (int i = 0; i < 2 * ROWS; i++) {
        uint16_t row = quant_grid_iq3_s[index[i] | (high[i / 8] >> i % 8 & 1) << 8];
        put_levels(row, 4, ROW / 2, quant_level_iq3_s, out->code + i * ROW / 2);
    }
    for (int i = 0; i < ROWS; i++) put_signs(signs[i], out->code + i * ROW);
}

/* ---- IQ1: codes are eight times the elements, which takes the shift in ------------------------------------------------ */

/* A row of the IQ1 grid, in eighths: levels -1, 0, 1, all shifted by an eighth up or down. */
static void put_iq1(unsigned index, bool is_shifted_down, int8_t *code)
{
    uint16_t row = quant_grid_iq1[index];
    for (int i = 0; i < ROW; i++) code[i] = (int8_t)(8 * (row >> 2 * i & 3) - 8 + (is_shifted_down ? -1 : 1));
}

void quant_decode_iq1_s(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    float d = quant_f16(p);
    for (int run = 0; run < ROWS / 4; run++) {
        const uint8_t *index = p + 2 + 4 * run;
        unsigned rest = le_u16(p + 34 + 2 * run);
        quant_set_groups(out, run * RUN_GROUPS, RUN_GROUPS, d * (float)(2 * (rest >> 12 & 7) + 1) * 0.125f, -0.0f);
        for (int i = 0; i < 4; i++)
            put_iq1(index[i] | (rest >> 3 * i & 7) << 8, rest >> 15, out->code + (run * 4 + i) * ROW);
    }
}

void quant_decode_iq1_m(const uint8_t *restrict p, struct quant_codes *restrict out)
{
    const uint8_t *high = p + 32, *scales = p + 48;
    unsigned bits = 0;
    for (int i = 0; i < 4; i++) bits |= (unsigned)(scales[2 * i + 1] >> 4) << 4 * i;
    float d = f16_to_f32((uint16_t)bits);
    for (int i = 0; i < QUANT_GROUPS; i++) {
        unsigned scale = le_u16(scales + i / 4 * 2) >> i % 4 * 3 & 7;
        quant_set_groups(out, i, 1, d * (float)(2 * scale + 1) * 0.125f, -0.0f);
    }
    for (int i = 0; i < ROWS; i++) {
        unsigned rest = high[i / 2] >> i % 2 * 4;
        put_iq1(p[i] | (rest & 7) << 8, rest >> 3 & 1, out->code + i * ROW);
    }
}
