/* gemm_avx2: 6 x 16 sums in 12 of the 16 registers; two hold a row of the B panel, one the broadcast element of A. Per step
 * of k that is 12 multiply-adds for 8 loads, which a core with two FMA and two load ports sustains (BLIS's haswell shape).
 * The row count is a constant of an inlined function, so that each count gets a loop of its own. */
#include "backend/cpu/gemm/gemm_avx2.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

/* One row of the tile: its sums are two named variables, because gcc 12 stores an array of them back in every round of the
 * loop. `rows` is a constant where this is expanded. Rows of C are fetched before the loop and used behind it; 16 floats may
 * lie across two cache lines, so both ends are. */
#define ROWS(DO)   DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define DECLARE(i) __m256 low##i = _mm256_setzero_ps(), high##i = low##i;
#define PREFETCH(i)                                                                                                         \
    if (rows > (i)) {                                                                                                       \
        _mm_prefetch((const char *)(t->c + (i)*t->ldc), _MM_HINT_T0);                                                       \
        _mm_prefetch((const char *)(t->c + (i)*t->ldc + 15), _MM_HINT_T0);                                                  \
    }
/* Rows 3 to 5 have a pointer of their own: all six addresses are then base + {0, 1, 2} * stride, which x86 adds for free. */
#define MULTIPLY(i)                                                                                                         \
    if (rows > (i)) {                                                                                                       \
        __m256 x = _mm256_broadcast_ss(((i) < 3 ? a : a3) + (i) % 3 * rs);                                                  \
        low##i = _mm256_fmadd_ps(x, b0, low##i);                                                                            \
        high##i = _mm256_fmadd_ps(x, b1, high##i);                                                                          \
    }
#define STORE(i)                                                                                                            \
    if (rows > (i)) store_row(t->c + (i)*t->ldc, low##i, high##i, t->accumulate);

/* 16 sums to a row of C. */
INLINE void store_row(float *c, __m256 low, __m256 high, bool accumulate)
{
    if (accumulate) {
        low = _mm256_add_ps(low, _mm256_loadu_ps(c));
        high = _mm256_add_ps(high, _mm256_loadu_ps(c + 8));
    }
    _mm256_storeu_ps(c, low);
    _mm256_storeu_ps(c + 8, high);
}

/* `rows` x 16 sums of C. */
INLINE void tile_rows(const struct gemm_tile *t, const int rows)
{
    const float *a = t->a, *a3 = rows > 3 ? a + 3 * t->rs : a, *b = t->b;
    const int64_t rs = t->rs, cs = t->cs, ldb = t->ldb;
    ROWS(PREFETCH)
    ROWS(DECLARE)
    for (int64_t k = t->k; k > 0; k--) {
        __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
        ROWS(MULTIPLY)
        a += cs;
        a3 += cs;
        b += ldb;
    }
    ROWS(STORE)
}

void gemm_avx2_tile(const struct gemm_tile *t){CPU_TILE_OF_SIX(t)}

/* dst[k][i] = scale * src[i][k], 8 x 8 in registers. In each half of a register: elements of two rows side by side (unpack),
 * then of four rows (shuffle 0x44 takes the low pairs of both operands, 0xee the high ones); then the halves of rows 0 to 3
 * and of rows 4 to 7 are put together (permute). */
INLINE void transpose_8x8(float *dst, int64_t dst_ld, const float *src, int64_t ld, __m256 scale)
{
    __m256 r[8], p[8];
    for (int i = 0; i < 8; i++) r[i] = _mm256_mul_ps(scale, _mm256_loadu_ps(src + i * ld));
    for (int i = 0; i < 4; i++) {
        p[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        p[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        r[4 * i + 0] = _mm256_shuffle_ps(p[4 * i], p[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(p[4 * i], p[4 * i + 2], 0xee);
        r[4 * i + 2] = _mm256_shuffle_ps(p[4 * i + 1], p[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(p[4 * i + 1], p[4 * i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(dst + i * dst_ld, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(dst + (i + 4) * dst_ld, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

void gemm_avx2_transpose(float *dst, int64_t dst_ld, const float *src, int64_t ld, int64_t rows, int64_t n, float scale)
{
    int64_t whole_rows = rows & ~(int64_t)7, whole_n = n & ~(int64_t)7;
    __m256 s = _mm256_set1_ps(scale);
    for (int64_t k = 0; k < whole_n; k += 8)
        for (int64_t i = 0; i < whole_rows; i += 8) transpose_8x8(dst + k * dst_ld + i, dst_ld, src + i * ld + k, ld, s);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = i < whole_rows ? whole_n : 0; k < n; k++) dst[k * dst_ld + i] = scale * src[i * ld + k];
}
