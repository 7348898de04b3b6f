/* gemm_avx512: 14 x 32 sums in 28 of the 32 registers; two hold a row of the B panel, one the broadcast element of A. Per
 * step of k that is 28 multiply-adds for 16 loads, where a core does two of either a cycle; 12 x 32 would be as good, 16 x
 * 16 needs a load for each multiply-add. Where C ends in the first half of a panel (the r columns of an adapter, the last
 * third of an attention tile) only that half is computed: 14 x 16.
 */
#include "backend/cpu/gemm/gemm_avx512.h"

#include <immintrin.h>

#include "backend/cpu/gemm/transpose_avx512.h"

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 16 };

/* One row of the tile: its sums are two named variables, because gcc 12 stores an array of them back in every round of the
 * loop (gemm_avx2.c). `rows` and `wide` are constants where this is expanded. */
#define ROWS(DO)   DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13)
#define DECLARE(i) __m512 low##i = _mm512_setzero_ps(), high##i = low##i;
#define PREFETCH(i)                                                                                                         \
    if (rows > (i)) {                                                                                                       \
        _mm_prefetch((const char *)(t->c + (i)*t->ldc), _MM_HINT_T0);                                                       \
        if (wide) _mm_prefetch((const char *)(t->c + (i)*t->ldc + 16), _MM_HINT_T0);                                        \
        _mm_prefetch((const char *)(t->c + (i)*t->ldc + (wide ? 31 : 15)), _MM_HINT_T0);                                    \
    }
/* Every third row has a pointer of its own: all addresses are then base + {0, 1, 2} * stride, which x86 adds for free. */
#define BASE(i) ((i) < 3 ? a : (i) < 6 ? a3 : (i) < 9 ? a6 : (i) < 12 ? a9 : a12)
#define MULTIPLY(i)                                                                                                         \
    if (rows > (i)) {                                                                                                       \
        __m512 x = _mm512_set1_ps(BASE(i)[(i) % 3 * rs]);                                                                   \
        low##i = _mm512_fmadd_ps(x, b0, low##i);                                                                            \
        if (wide) high##i = _mm512_fmadd_ps(x, b1, high##i);                                                                \
    }
#define STORE(i)                                                                                                            \
    if (rows > (i)) {                                                                                                       \
        store_sums(t->c + (i)*t->ldc, low##i, t->accumulate);                                                               \
        if (wide) store_sums(t->c + (i)*t->ldc + LANES, high##i, t->accumulate);                                            \
    }

/* 16 sums to a row of C, added to what is there where asked for. */
INLINE void store_sums(float *c, __m512 sums, bool accumulate)
{
    if (accumulate) sums = _mm512_add_ps(sums, _mm512_loadu_ps(c));
    _mm512_storeu_ps(c, sums);
}

/* `rows` x 32 sums of C, or x 16 where only the first half of the panel belongs to C: k steps of one row of B, two vectors,
 * against one element of each row of A. */
INLINE void tile_rows(const struct gemm_tile *t, const int rows, const bool wide)
{
    const int64_t rs = t->rs, cs = t->cs, ldb = t->ldb;
    const float *a = t->a, *b = t->b;
    const float *a3 = rows > 3 ? a + 3 * rs : a, *a6 = rows > 6 ? a + 6 * rs : a, *a9 = rows > 9 ? a + 9 * rs : a,
                *a12 = rows > 12 ? a + 12 * rs : a;
    /* Or clang walks from row to row by one long chain of additions. */
    __asm__("" : "+r"(a3), "+r"(a6), "+r"(a9), "+r"(a12));
    ROWS(PREFETCH)
    ROWS(DECLARE)
    for (int64_t k = t->k; k > 0; k--) {
        __m512 b0 = _mm512_loadu_ps(b), b1 = wide ? _mm512_loadu_ps(b + LANES) : b0;
        ROWS(MULTIPLY)
        a += cs;
        a3 += cs;
        a6 += cs;
        a9 += cs;
        a12 += cs;
        b += ldb;
    }
    ROWS(STORE)
}

/* Each count of rows gets a loop of its own, in a function of its own so that none costs another registers. */
#define COUNTS(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14)
#define TILES(n)                                                                                                            \
    static void wide_##n(const struct gemm_tile *t)                                                                         \
    {                                                                                                                       \
        tile_rows(t, n, true);                                                                                              \
    }                                                                                                                       \
    static void narrow_##n(const struct gemm_tile *t)                                                                       \
    {                                                                                                                       \
        tile_rows(t, n, false);                                                                                             \
    }
#define PAIR(n) {narrow_##n, wide_##n},

COUNTS(TILES)

void gemm_avx512_tile(const struct gemm_tile *t)
{
    static void (*const tiles[GEMM_AVX512_MR][2])(const struct gemm_tile *t) = {COUNTS(PAIR)};
    tiles[t->rows - 1][t->columns > LANES](t);
}

/* ---- transposition ---------------------------------------------------------------------------------------------------- */

/* The first n of 16 lanes. */
INLINE __mmask16 lanes(int64_t n)
{
    return (__mmask16)(n >= LANES ? 0xffff : (1 << n) - 1);
}

/* Up to 16 rows of src, up to 16 columns of each, times scale. Rows and columns that are not there are masked off. */
INLINE void transpose_block(float *dst, int64_t dst_ld, const float *src, int64_t ld, int64_t rows, int64_t n, __m512 scale)
{
    __m512i r[LANES];
    __mmask16 columns = lanes(n);
    for (int i = 0; i < LANES; i++)
        r[i] = i < rows ? _mm512_castps_si512(_mm512_mul_ps(scale, _mm512_maskz_loadu_ps(columns, src + i * ld)))
                        : _mm512_setzero_si512();
    transpose_16x16(dst, dst_ld, r, n, lanes(rows));
}

void gemm_avx512_transpose(float *dst, int64_t dst_ld, const float *src, int64_t ld, int64_t rows, int64_t n, float scale)
{
    __m512 s = _mm512_set1_ps(scale);
    int64_t whole_rows = rows / LANES * LANES, whole_n = n / LANES * LANES;
    for (int64_t k = 0; k < n; k += LANES)
        for (int64_t i = 0; i < rows; i += LANES) {
            float *to = dst + k * dst_ld + i;
            const float *from = src + i * ld + k;
            if (k < whole_n && i < whole_rows)
                transpose_block(to, dst_ld, from, ld, LANES, LANES, s);
            else
                transpose_block(to, dst_ld, from, ld, rows - i, n - k, s);
        }
}
