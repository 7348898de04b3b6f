/* gemm_bf16_loops: the tile as gemm_bf16.h defines its sums, rounding and packing in plain C with the vector extension of
 * gcc and clang, compiled once for each instruction set. Instruction sets with products of bf16 have a tile of their own,
 * which is held against this one bit by bit. The including file defines LANES, the floats of a vector, and NR, the columns
 * of a panel. */
#include <string.h>

#include "backend/cpu/gemm_bf16/gemm_bf16.h"

#define INLINE static inline __attribute__((always_inline))

enum { MR = 4 };

typedef float vf __attribute__((vector_size(LANES * 4)));
typedef uint32_t vu __attribute__((vector_size(LANES * 4)));

/* Of a pair, the even k is the low half; a subnormal counts as 0. */
INLINE uint32_t even_bits(uint32_t pair)
{
    return pair & 0x7f80 ? pair << 16 : 0;
}

/* The odd k is the high half. */
INLINE uint32_t odd_bits(uint32_t pair)
{
    return pair & 0x7f800000 ? pair & 0xffff0000 : 0;
}

INLINE float bits_to_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* One group of LANES columns for MR rows of A (missing ones are row 0 again). */
INLINE void add_group(vf sum[MR], const uint32_t *const a[MR], const uint32_t *b)
{
    vf even[MR], odd[MR];
    for (int i = 0; i < MR; i++) even[i] = odd[i] = (vf){0};
    for (int s = 0; s < BF16_GROUP_STEPS; s++, b += NR) {
        vu pair;
        memcpy(&pair, b, sizeof pair);
        vf low = (vf)(pair << 16), high = (vf)(pair & 0xffff0000u);
        for (int i = 0; i < MR; i++) {
            even[i] = even[i] + bits_to_float(even_bits(a[i][s])) * low;
            odd[i] = odd[i] + bits_to_float(odd_bits(a[i][s])) * high;
        }
    }
    for (int i = 0; i < MR; i++) sum[i] = sum[i] + (even[i] + odd[i]);
}

/* All groups of a part, LANES columns from j on. */
INLINE void add_part(vf sum[MR], const struct bf16_tile_part *part, int rows, int64_t j)
{
    const uint32_t *a[MR];
    for (int i = 0; i < MR; i++) a[i] = part->a + (i < rows ? i : 0) * part->rs;
    for (int64_t s = 0; s < part->steps; s += BF16_GROUP_STEPS) {
        add_group(sum, a, part->b + s * NR + j);
        for (int i = 0; i < MR; i++) a[i] += BF16_GROUP_STEPS;
    }
}

/* LANES columns of all rows at a time: the sums stay in registers over the whole reduction. */
static void bf16_loops_tile(const struct bf16_tile *t)
{
    for (int64_t j = 0; j < t->columns; j += LANES) {
        size_t bytes = (size_t)(t->columns - j < LANES ? t->columns - j : LANES) * sizeof(float);
        vf sum[MR];
        for (int i = 0; i < MR; i++) {
            sum[i] = (vf){0};
            if (t->accumulate && i < t->rows) memcpy(&sum[i], t->c + i * t->ldc + j, bytes);
        }
        for (int p = 0; p < t->n_parts; p++) add_part(sum, &t->part[p], t->rows, j);
        for (int i = 0; i < t->rows; i++) memcpy(t->c + i * t->ldc + j, &sum[i], bytes);
    }
}

/* Round to nearest, halves to even, in integer arithmetic: adding 0x7fff and the lowest bit that stays carries into the
 * upper half exactly when the value rounds up. NaN stays NaN, subnormals become 0. */
static void round_row(uint16_t *out, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
        rounded = (bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded;
        out[i] = (uint16_t)((bits & 0x7f800000) == 0 ? bits >> 16 & 0x8000 : rounded);
    }
}

/* Subnormals of a stored weight become 0 here, where the tile would have to look at each of them again. */
INLINE uint32_t normal(uint16_t x)
{
    return x & 0x7f80 ? x : 0;
}

/* A panel from rows that are columns of B: for each pair of k, the pairs of all NR columns. */
static void bf16_loops_pack_columns(uint32_t *panel, const uint16_t *const *rows, int n, int64_t k)
{
    int64_t padded = (k + BF16_GROUP - 1) / BF16_GROUP * BF16_GROUP;
    for (int64_t at = 0; at < padded; at += 2)
        for (int j = 0; j < NR; j++) {
            uint32_t low = j < n && at < k ? normal(rows[j][at]) : 0,
                     high = j < n && at + 1 < k ? normal(rows[j][at + 1]) : 0;
            *panel++ = high << 16 | low;
        }
}

/* The same panels from rows of B: two rows at a time, interleaved column by column. */
static void bf16_loops_pack_rows(uint32_t *panel, int64_t panel_stride, const uint16_t *const *rows, int64_t k, int64_t n)
{
    int64_t padded = (k + BF16_GROUP - 1) / BF16_GROUP * BF16_GROUP;
    for (int64_t at = 0; at < padded; at += 2)
        for (int64_t first = 0; first < n; first += NR) {
            uint32_t *out = panel + first / NR * panel_stride + at / 2 * NR;
            for (int64_t j = first; j < first + NR; j++) {
                uint32_t low = j < n && at < k ? normal(rows[at][j]) : 0,
                         high = j < n && at + 1 < k ? normal(rows[at + 1][j]) : 0;
                *out++ = high << 16 | low;
            }
        }
}

/* RUN, WIDEN_NF4: struct bf16_kernels. */
#define BF16_LOOPS(RUN, WIDEN_NF4)                                                                                          \
    {                                                                                                                       \
        .mr = MR, .block_rows = 96, .run = RUN, .tile = bf16_loops_tile, .round = round_row, .widen_nf4 = WIDEN_NF4,        \
        .pack_columns = bf16_loops_pack_columns, .pack_rows = bf16_loops_pack_rows                                          \
    }
