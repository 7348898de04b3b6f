/* gemm_int_avx2: vpmaddwd multiplies 16 pairs of 16-bit codes and adds neighbours, 16 multiply-adds to the 8 of vfmadd, and
 * the addition that it needs besides goes through other ports. 8-bit activations take the same way: vpmaddubsw would need 7
 * of their bits and two more instructions, for a fifth more speed. Tile and names as in gemm_avx2.c. */
#include <immintrin.h>

#include "backend/cpu/gemm/gemm_avx2.h"
#include "backend/cpu/gemm_int/gemm_int_loops.h"

#define INLINE static inline __attribute__((always_inline))

enum { NR = GEMM_AVX2_NR };

#define ROWS(DO)   DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define DECLARE(i) __m256i low##i = _mm256_setzero_si256(), high##i = low##i;
#define PREFETCH(i)                                                                                                         \
    if (rows > (i)) {                                                                                                       \
        _mm_prefetch((const char *)(t->c + (i)*t->ldc), _MM_HINT_T0);                                                       \
        _mm_prefetch((const char *)(t->c + (i)*t->ldc + 15), _MM_HINT_T0);                                                  \
    }
#define MULTIPLY(i)                                                                                                         \
    if (rows > (i)) {                                                                                                       \
        int32_t pair;                                                                                                       \
        memcpy(&pair, ((i) < 3 ? a : a3) + (i) % 3 * rs, sizeof pair);                                                      \
        __m256i x = _mm256_set1_epi32(pair);                                                                                \
        low##i = multiply_add(low##i, x, b0);                                                                               \
        high##i = multiply_add(high##i, x, b1);                                                                             \
    }
#define STORE(i)                                                                                                            \
    if (rows > (i)) store_row(t, i, low##i, high##i);

/* Written as one piece because gcc 12 otherwise moves all products in front of all sums and has to spill half of the sums.
 */
INLINE __m256i multiply_add(__m256i sum, __m256i x, __m256i y)
{
    __m256i product;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(product) : "x"(x), "x"(y));
    return sum;
}

/* The exact sum of a run as float, times the row's scale and, in the forward product, the column's. */
INLINE void store_row(const struct int_tile *t, int i, __m256i low, __m256i high)
{
    float *c = t->c + i * t->ldc;
    __m256 scale = _mm256_set1_ps(t->row_scale[i * t->row_scale_stride]);
    __m256 y0 = _mm256_mul_ps(_mm256_cvtepi32_ps(low), scale), y1 = _mm256_mul_ps(_mm256_cvtepi32_ps(high), scale);
    if (t->column_scale) {
        y0 = _mm256_mul_ps(y0, _mm256_loadu_ps(t->column_scale));
        y1 = _mm256_mul_ps(y1, _mm256_loadu_ps(t->column_scale + 8));
    }
    if (t->accumulate) {
        y0 = _mm256_add_ps(_mm256_loadu_ps(c), y0);
        y1 = _mm256_add_ps(_mm256_loadu_ps(c + 8), y1);
    }
    _mm256_storeu_ps(c, y0);
    _mm256_storeu_ps(c + 8, y1);
}

/* 6 rows x 16 columns of 32-bit sums in 12 registers; a step is two codes of A, broadcast, against two rows of B. */
INLINE void tile_rows(const struct int_tile *t, const int rows)
{
    const int64_t rs = 4 * t->rs;
    const char *a = t->a, *a3 = rows > 3 ? a + 3 * rs : a;
    const __m256i_u *b = t->b;
    ROWS(PREFETCH)
    ROWS(DECLARE)
    for (int64_t s = t->steps; s > 0; s--) {
        __m256i b0 = _mm256_loadu_si256(b), b1 = _mm256_loadu_si256(b + 1);
        ROWS(MULTIPLY)
        a += 4;
        a3 += 4;
        b += 2;
    }
    ROWS(STORE)
}

static void int_avx2_tile(const struct int_tile *t){CPU_TILE_OF_SIX(t)}

/* 8 rows of 8 steps turned: step i of the 8 columns at dst + i * NR steps. */
INLINE void transpose_8x8(int32_t *dst, const __m256i r[8])
{
    __m256i p[8], q[8];
    for (int i = 0; i < 4; i++) {
        p[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        p[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        q[4 * i] = _mm256_unpacklo_epi64(p[4 * i], p[4 * i + 2]);
        q[4 * i + 1] = _mm256_unpackhi_epi64(p[4 * i], p[4 * i + 2]);
        q[4 * i + 2] = _mm256_unpacklo_epi64(p[4 * i + 1], p[4 * i + 3]);
        q[4 * i + 3] = _mm256_unpackhi_epi64(p[4 * i + 1], p[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_si256((__m256i_u *)(dst + i * NR), _mm256_permute2x128_si256(q[i], q[i + 4], 0x20));
        _mm256_storeu_si256((__m256i_u *)(dst + (i + 4) * NR), _mm256_permute2x128_si256(q[i], q[i + 4], 0x31));
    }
}

/* Whole blocks of 16 codes by 8 columns are widened and transposed in registers; what is left goes code by code. */
static void int_avx2_pack_columns(void *run, const int8_t *const *rows, int n, int64_t k)
{
    int64_t whole = n == NR ? k / 16 * 16 : 0;
    for (int64_t at = 0; at < whole; at += 16)
        for (int half = 0; half < NR; half += 8) {
            __m256i r[8];
            for (int i = 0; i < 8; i++)
                r[i] = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i_u *)(rows[half + i] + at)));
            transpose_8x8((int32_t *)run + at / 2 * NR + half, r);
        }
    for (int64_t at = whole; at < k; at += 2) {
        int16_t *out = (int16_t *)run + at * NR;
        for (int j = 0; j < NR; j++, out += 2) {
            out[0] = j < n ? rows[j][at] : 0;
            out[1] = j < n && at + 1 < k ? rows[j][at + 1] : 0;
        }
    }
}

/* One step of a panel, code by code: for a panel with fewer than NR columns, or the last row of an odd k (odd NULL). */
static void interleave(int16_t *out, const int8_t *even, const int8_t *odd, int64_t n)
{
    for (int64_t j = 0; j < NR; j++, out += 2) {
        out[0] = j < n ? even[j] : 0;
        out[1] = j < n && odd ? odd[j] : 0;
    }
}

/* Two rows of B interleaved, 16 columns at a time, and widened to 16 bits. */
static void int_avx2_pack_rows(void *run, int64_t panel_stride, const int8_t *const *rows, int64_t k, int64_t n)
{
    for (int64_t s = 0; 2 * s < k; s++) {
        const int8_t *even = rows[2 * s], *odd = 2 * s + 1 < k ? rows[2 * s + 1] : NULL;
        int32_t *out = (int32_t *)run + s * NR;
        for (int64_t j = 0; j < n; j += NR, out += panel_stride) {
            if (!odd || n - j < NR) {
                interleave((int16_t *)out, even + j, odd ? odd + j : NULL, n - j);
                continue;
            }
            __m128i x = _mm_loadu_si128((const __m128i_u *)(even + j)), y = _mm_loadu_si128((const __m128i_u *)(odd + j));
            _mm256_storeu_si256((__m256i_u *)out, _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(x, y)));
            _mm256_storeu_si256((__m256i_u *)(out + 8), _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(x, y)));
        }
    }
}

const struct int_kernels int_kernels_avx2_16 = INT_KERNELS_16(avx2, GEMM_AVX2_MR, 32767);
const struct int_kernels int_kernels_avx2_8 = INT_KERNELS_16(avx2, GEMM_AVX2_MR, 127);
