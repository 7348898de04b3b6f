/* gemm_bf16_avx512bf16: the tile of gemm_avx512.c by vdpbf16ps, twice the multiply-adds of vfmadd, for processors without
 * AMX; rounding by vcvtneps2bf16 and packing in registers for both. */
#include "backend/cpu/gemm_bf16/gemm_bf16_avx512bf16.h"

#include <immintrin.h>
#include <string.h>

#include "backend/cpu/gemm/gemm_avx512.h"
#include "backend/cpu/gemm/transpose_avx512.h"
#include "backend/cpu/gemm_bf16/bf16_nf4_avx512.h"
#include "backend/cpu/gemm_bf16/gemm_bf16.h"

#define INLINE static inline __attribute__((always_inline))

enum { MR = GEMM_AVX512_MR, NR = GEMM_AVX512_NR };

/* Rows as in gemm_int_avx512.c; `rows` is a constant where this is expanded. */
#define ROWS(DO)   DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13)
#define DECLARE(i) __m512 low##i = _mm512_setzero_ps(), high##i = low##i;
#define BASE(i)    ((i) < 3 ? a : (i) < 6 ? a3 : (i) < 9 ? a6 : (i) < 12 ? a9 : a12)
/* Assembly, because gcc 12 copies the sums of the intrinsic and then has to spill. */
#define MULTIPLY(i)                                                                                                         \
    if (rows > (i)) {                                                                                                       \
        __m512i x = _mm512_set1_epi32((int)BASE(i)[(i) % 3 * rs]);                                                          \
        __asm__("vdpbf16ps %3, %2, %0\n\tvdpbf16ps %4, %2, %1" : "+v"(low##i), "+v"(high##i) : "v"(x), "v"(b0), "v"(b1));   \
    }
#define STORE(i)                                                                                                            \
    if (rows > (i)) store_row(t, i, low##i, high##i, left, right);

/* Row i of the tile: `left` and `right` are the lanes that belong to C in its two vectors of 16. */
INLINE void store_row(const struct bf16_tile *t, int i, __m512 low, __m512 high, __mmask16 left, __mmask16 right)
{
    float *c = t->c + i * t->ldc;
    if (t->accumulate) {
        low = _mm512_add_ps(_mm512_maskz_loadu_ps(left, c), low);
        high = _mm512_add_ps(_mm512_maskz_loadu_ps(right, c + 16), high);
    }
    _mm512_mask_storeu_ps(c, left, low);
    _mm512_mask_storeu_ps(c + 16, right, high);
}

/* A row of A is read by broadcasting one step (two k, 4 bytes); a step of B is 32 columns, two registers. Five pointers
 * stand for the 14 rows, three rows each: base + {0, 1, 2} * stride is an addressing mode. The empty assembly keeps them
 * apart; otherwise clang walks from row to row by one long chain of additions. */
INLINE void tile_rows(const struct bf16_tile *t, const int rows)
{
    const int64_t rs = t->part->rs;
    const uint32_t *a = t->part->a, *a3 = a + 3 * rs, *a6 = a + 6 * rs, *a9 = a + 9 * rs, *a12 = a + 12 * rs,
                   *b = t->part->b;
    const uint32_t columns = t->columns >= 32 ? 0xffffffffu : (1u << t->columns) - 1;
    const __mmask16 left = (__mmask16)columns, right = (__mmask16)(columns >> 16);
    __asm__("" : "+r"(a3), "+r"(a6), "+r"(a9), "+r"(a12));
    ROWS(DECLARE)
    for (int64_t s = t->part->steps; s > 0; s--) {
        __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + 16);
        ROWS(MULTIPLY)
        a++, a3++, a6++, a9++, a12++;
        b += NR;
    }
    ROWS(STORE)
}

#define COUNTS(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14)
#define TILE(n)                                                                                                             \
    static void tile_##n(const struct bf16_tile *t)                                                                         \
    {                                                                                                                       \
        tile_rows(t, n);                                                                                                    \
    }
#define NAME(n) tile_##n,

COUNTS(TILE)

/* Each count of rows has a function of its own, so that a tile at the lower edge computes no rows that C does not have. */
static void avx512bf16_tile(const struct bf16_tile *t)
{
    static void (*const tiles[MR])(const struct bf16_tile *t) = {COUNTS(NAME)};
    tiles[t->rows - 1](t);
}

/* ---- rounding and packing -------------------------------------------------------------------------------------------- */

/* The instruction rounds to nearest, halves to even, and makes subnormals 0, as gemm_bf16.h asks. */
void bf16_avx512bf16_round(uint16_t *out, const float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + 32 <= n; i += 32)
        _mm512_storeu_si512(out + i, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + 16), _mm512_loadu_ps(x + i)));
    for (; i < n; i += 16) {
        __mmask16 there = (__mmask16)(n - i >= 16 ? 0xffff : (1 << (n - i)) - 1);
        _mm256_mask_storeu_epi16(out + i, there, (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(there, x + i)));
    }
}

/* The first n of 32 words. */
INLINE __mmask32 words(int64_t n)
{
    return n >= 32 ? 0xffffffffu : n <= 0 ? 0 : (1u << n) - 1;
}

/* 16 columns at a time: 16 steps of each, transposed in registers. */
void bf16_avx512bf16_pack_columns(uint32_t *panel, const uint16_t *const *rows, int n, int64_t k)
{
    for (int64_t at = 0; at < k; at += BF16_GROUP, panel += BF16_GROUP_STEPS * NR)
        for (int half = 0; half < NR; half += 16) {
            __m512i r[16];
            for (int i = 0; i < 16; i++)
                r[i] = half + i < n ? _mm512_maskz_loadu_epi16(words(k - at), rows[half + i] + at) : _mm512_setzero_si512();
            transpose_16x16(panel + half, NR, r, 16, 0xffff);
        }
}

/* Two rows of B, an even and an odd k, are interleaved element by element: `first` and `second` are the places of the lower
 * and the upper 16 columns. */
void bf16_avx512bf16_pack_rows(uint32_t *panel, int64_t panel_stride, const uint16_t *const *rows, int64_t k, int64_t n)
{
    const __m512i first = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5,
                                           36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
    int64_t steps = (k + BF16_GROUP - 1) / BF16_GROUP * BF16_GROUP_STEPS;
    for (int64_t j = 0; j < n; j += NR, panel += panel_stride) {
        uint32_t *out = panel;
        for (int64_t s = 0; s < steps; s++, out += NR) {
            __m512i even = 2 * s < k ? _mm512_maskz_loadu_epi16(words(n - j), rows[2 * s] + j) : _mm512_setzero_si512();
            __m512i odd =
                2 * s + 1 < k ? _mm512_maskz_loadu_epi16(words(n - j), rows[2 * s + 1] + j) : _mm512_setzero_si512();
            _mm512_storeu_si512(out, _mm512_permutex2var_epi16(even, first, odd));
            _mm512_storeu_si512(out + 16, _mm512_permutex2var_epi16(even, second, odd));
        }
    }
}

const struct bf16_kernels bf16_kernels_avx512bf16 = {.mr = MR,
                                                     .block_rows = 96,
                                                     .run = 512,
                                                     .fast = true,
                                                     .tile = avx512bf16_tile,
                                                     .round = bf16_avx512bf16_round,
                                                     .widen_nf4 = bf16_avx512_widen_nf4,
                                                     .pack_columns = bf16_avx512bf16_pack_columns,
                                                     .pack_rows = bf16_avx512bf16_pack_rows};
