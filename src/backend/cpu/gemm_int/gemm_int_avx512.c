/* gemm_int_avx512: the tile of gemm_avx512.c in integers, with three kinds of instructions. vpmaddwd with vpaddd: 32
 * multiply-adds of 16-bit codes in two instructions, to the 16 of vfmadd in one. With VNNI one instruction: vpdpwssd for
 * 16-bit codes, vpdpbusd for 8-bit ones, 64 multiply-adds.
 *
 * vpdpbusd wants one operand without sign: activations have 128 added, which adds 128 times the sum of a column's codes to
 * its products. The head of a run of a panel holds that with the other sign, for each column, and sums begin with it. None
 * of them saturates: 255 * 127 * 512 < 2^31. */
#include <immintrin.h>

#include "backend/cpu/gemm/transpose_avx512.h"
#include "backend/cpu/gemm_int/gemm_int_avx512.h"
#include "backend/cpu/gemm_int/gemm_int_loops.h"

#define INLINE static inline __attribute__((always_inline))

enum { MR = GEMM_AVX512_MR, NR = GEMM_AVX512_NR, OFFSET = 128 };
/* How a step is multiplied: vpmaddwd and vpaddd, vpdpwssd, vpdpbusd. */
enum multiply { MADD, DOT_16, DOT_8 };

/* Rows of 14 as in gemm_avx512.c; `rows` and `multiply` are constants where this is expanded. */
#define ROWS(DO)   DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13)
#define DECLARE(i) __m512i low##i = low, high##i = high;
#define PREFETCH(i)                                                                                                         \
    if (rows > (i)) {                                                                                                       \
        _mm_prefetch((const char *)(t->c + (i)*t->ldc), _MM_HINT_T0);                                                       \
        _mm_prefetch((const char *)(t->c + (i)*t->ldc + 16), _MM_HINT_T0);                                                  \
        _mm_prefetch((const char *)(t->c + (i)*t->ldc + 31), _MM_HINT_T0);                                                  \
    }
#define BASE(i) ((i) < 3 ? a : (i) < 6 ? a3 : (i) < 9 ? a6 : (i) < 12 ? a9 : a12)
#define MULTIPLY(i)                                                                                                         \
    if (rows > (i)) multiply_add(&low##i, &high##i, BASE(i) + (i) % 3 * rs, b0, b1, multiply);
#define STORE(i)                                                                                                            \
    if (rows > (i)) int_avx512_store_row(t, i, low##i, high##i);

/* One row's step. Assembly, because gcc 12 moves all products of the intrinsics in front of all sums, or copies the sums
 * of the VNNI ones, and then has to spill. The product of vpmaddwd with b1 takes the register of x: 28 sums, two vectors
 * of B, x and one product are all 32. */
INLINE void multiply_add(__m512i *low, __m512i *high, const char *a, __m512i b0, __m512i b1, const enum multiply multiply)
{
    int32_t step;
    memcpy(&step, a, sizeof step);
    __m512i x = _mm512_set1_epi32(step);
    if (multiply == MADD) {
        __m512i product;
        __asm__("vpmaddwd %4, %2, %3\n\tvpmaddwd %5, %2, %2\n\tvpaddd %3, %0, %0\n\tvpaddd %2, %1, %1"
                : "+v"(*low), "+v"(*high), "+v"(x), "=&v"(product)
                : "v"(b0), "v"(b1));
    } else if (multiply == DOT_16) {
        __asm__("vpdpwssd %3, %2, %0\n\tvpdpwssd %4, %2, %1" : "+v"(*low), "+v"(*high) : "v"(x), "v"(b0), "v"(b1));
    } else {
        __asm__("vpdpbusd %3, %2, %0\n\tvpdpbusd %4, %2, %1" : "+v"(*low), "+v"(*high) : "v"(x), "v"(b0), "v"(b1));
    }
}

/* rows x 32 columns of 32-bit sums; a step is 4 bytes of codes of A, broadcast, against two registers of B. */
INLINE void tile_rows(const struct int_tile *t, const int rows, const enum multiply multiply)
{
    const int64_t rs = 4 * t->rs;
    const char *a = t->a, *a3 = rows > 3 ? a + 3 * rs : a, *a6 = rows > 6 ? a + 6 * rs : a, *a9 = rows > 9 ? a + 9 * rs : a,
               *a12 = rows > 12 ? a + 12 * rs : a;
    const int32_t *b = t->b;
    __m512i low = _mm512_setzero_si512(), high = low;
    if (multiply == DOT_8) {
        low = _mm512_loadu_si512(b);
        high = _mm512_loadu_si512(b + 16);
        b += NR;
    }
    /* Or clang walks from row to row by one long chain of additions. */
    __asm__("" : "+r"(a3), "+r"(a6), "+r"(a9), "+r"(a12));
    ROWS(PREFETCH)
    ROWS(DECLARE)
    for (int64_t s = t->steps; s > 0; s--) {
        __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + 16);
        ROWS(MULTIPLY)
        a += 4;
        a3 += 4;
        a6 += 4;
        a9 += 4;
        a12 += 4;
        b += NR;
    }
    ROWS(STORE)
}

#define COUNTS(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14)
#define TILES(n)                                                                                                            \
    static void madd_##n(const struct int_tile *t)                                                                          \
    {                                                                                                                       \
        tile_rows(t, n, MADD);                                                                                              \
    }                                                                                                                       \
    static void dot_16_##n(const struct int_tile *t)                                                                        \
    {                                                                                                                       \
        tile_rows(t, n, DOT_16);                                                                                            \
    }                                                                                                                       \
    static void dot_8_##n(const struct int_tile *t)                                                                         \
    {                                                                                                                       \
        tile_rows(t, n, DOT_8);                                                                                             \
    }
#define KINDS(n) {madd_##n, dot_16_##n, dot_8_##n},

COUNTS(TILES)

static void (*const tiles[MR][3])(const struct int_tile *t) = {COUNTS(KINDS)};

static void tile_madd(const struct int_tile *t)
{
    tiles[t->rows - 1][MADD](t);
}

static void tile_dot_16(const struct int_tile *t)
{
    tiles[t->rows - 1][DOT_16](t);
}

static void tile_dot_8(const struct int_tile *t)
{
    tiles[t->rows - 1][DOT_8](t);
}

/* ---- packing ---------------------------------------------------------------------------------------------------------- */

/* The first n of 16 or 32 lanes. */
INLINE uint32_t lanes(int64_t n)
{
    return n >= 32 ? 0xffffffffu : (1u << n) - 1;
}

/* Up to 16 steps of one row, `codes` codes in each step; what is not there is 0. */
INLINE __m512i load_steps(const int8_t *row, int64_t k, const int codes)
{
    if (codes == 4) {
        __mmask64 there = k >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << k) - 1;
        return _mm512_maskz_loadu_epi8(there, row);
    }
    return _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(lanes(k), row));
}

/* Columns [0, n) of a panel from their rows: 16 steps of 16 columns at a time are loaded, a row each, and transposed; the
 * last steps of a run may be fewer, and only these are written. */
INLINE void pack_columns(int32_t *run, const int8_t *const *rows, int n, int64_t k, const int codes)
{
    for (int64_t at = 0; at < k; at += 16 * codes)
        for (int half = 0; half < NR; half += 16) {
            __m512i r[16];
            for (int i = 0; i < 16; i++)
                r[i] = half + i < n ? load_steps(rows[half + i] + at, k - at, codes) : _mm512_setzero_si512();
            transpose_16x16(run + at / codes * NR + half, NR, r, (k - at + codes - 1) / codes, 0xffff);
        }
}

static void int_avx512_pack_columns_16(void *run, const int8_t *const *rows, int n, int64_t k)
{
    pack_columns(run, rows, n, k, 2);
}

/* -128 times the sums of the columns of a run that is packed behind the head: of each step the four codes are added, in
 * pairs (vpmaddubsw with ones) and again (vpmaddwd with ones). */
static void fill_head(int32_t *head, int64_t k)
{
    const __m512i ones = _mm512_set1_epi8(1);
    for (int half = 0; half < NR; half += 16) {
        __m512i sum = _mm512_setzero_si512();
        const int32_t *run = head + NR + half;
        for (int64_t at = 0; at < k; at += 4, run += NR)
            sum = _mm512_add_epi32(
                sum, _mm512_madd_epi16(_mm512_maddubs_epi16(ones, _mm512_loadu_si512(run)), _mm512_set1_epi16(1)));
        _mm512_storeu_si512(head + half, _mm512_mullo_epi32(sum, _mm512_set1_epi32(-OFFSET)));
    }
}

void int_avx512_pack_columns_bytes(int32_t *run, const int8_t *const *rows, int n, int64_t k)
{
    pack_columns(run, rows, n, k, 4);
}

static void int_avx512_pack_columns_8(void *run, const int8_t *const *rows, int n, int64_t k)
{
    pack_columns((int32_t *)run + NR, rows, n, k, 4);
    fill_head(run, k);
}

/* Up to 32 codes of a row; NULL: zeros. */
INLINE __m256i load_codes(const int8_t *row, int64_t n)
{
    return row ? _mm256_maskz_loadu_epi8(lanes(n), row) : _mm256_setzero_si256();
}

/* Unpacking goes by halves of a register: low columns are 0-7 and 16-23, high ones 8-15 and 24-31. */
static void int_avx512_pack_rows_16(void *run, int64_t panel_stride, const int8_t *const *rows, int64_t k, int64_t n)
{
    for (int64_t s = 0; 2 * s < k; s++) {
        const int8_t *odd = 2 * s + 1 < k ? rows[2 * s + 1] : NULL;
        int32_t *out = (int32_t *)run + s * NR;
        for (int64_t j = 0; j < n; j += NR, out += panel_stride) {
            __m256i x = load_codes(rows[2 * s] + j, n - j), y = load_codes(odd ? odd + j : NULL, n - j);
            __m256i p = _mm256_unpacklo_epi8(x, y), q = _mm256_unpackhi_epi8(x, y);
            _mm512_storeu_si512(out, _mm512_cvtepi8_epi16(_mm256_permute2x128_si256(p, q, 0x20)));
            _mm512_storeu_si512(out + 16, _mm512_cvtepi8_epi16(_mm256_permute2x128_si256(p, q, 0x31)));
        }
    }
}

/* Four rows, a step, are interleaved byte by byte: in pairs, then pairs of pairs. Unpacking goes by halves of a register, so
 * that s0 has columns 0 to 3 and 16 to 19, s1 4 to 7 and 20 to 23, and so on; the halves are put in order at the end. */
void int_avx512_pack_rows_bytes(int32_t *run, int64_t panel_stride, const int8_t *const *rows, int64_t k, int64_t n)
{
    for (int64_t s = 0; 4 * s < k; s++) {
        int32_t *out = run + s * NR;
        for (int64_t j = 0; j < n; j += NR, out += panel_stride) {
            __m256i r[4];
            for (int i = 0; i < 4; i++) r[i] = load_codes(4 * s + i < k ? rows[4 * s + i] + j : NULL, n - j);
            __m256i p0 = _mm256_unpacklo_epi8(r[0], r[1]), p1 = _mm256_unpackhi_epi8(r[0], r[1]);
            __m256i q0 = _mm256_unpacklo_epi8(r[2], r[3]), q1 = _mm256_unpackhi_epi8(r[2], r[3]);
            __m256i s0 = _mm256_unpacklo_epi16(p0, q0), s1 = _mm256_unpackhi_epi16(p0, q0);
            __m256i s2 = _mm256_unpacklo_epi16(p1, q1), s3 = _mm256_unpackhi_epi16(p1, q1);
            _mm256_storeu_si256((__m256i_u *)out, _mm256_permute2x128_si256(s0, s1, 0x20));
            _mm256_storeu_si256((__m256i_u *)(out + 8), _mm256_permute2x128_si256(s2, s3, 0x20));
            _mm256_storeu_si256((__m256i_u *)(out + 16), _mm256_permute2x128_si256(s0, s1, 0x31));
            _mm256_storeu_si256((__m256i_u *)(out + 24), _mm256_permute2x128_si256(s2, s3, 0x31));
        }
    }
}

static void int_avx512_pack_rows_8(void *run, int64_t panel_stride, const int8_t *const *rows, int64_t k, int64_t n)
{
    int32_t *head = run;
    int_avx512_pack_rows_bytes(head + NR, panel_stride, rows, k, n);
    for (int64_t j = 0; j < n; j += NR, head += panel_stride) fill_head(head, k);
}

/* ---- quantising ------------------------------------------------------------------------------------------------------- */

static float int_avx512_quantise_16(void *codes, const float *x, const float *fold, int64_t n, int limit)
{
    return int_quantise_16(codes, x, fold, n, limit);
}

/* The 16-bit codes, which have at most 8 bits here, with 128 added. The padding becomes 128 too, and meets zeros in B. */
static float int_avx512_quantise_8(void *codes, const float *x, const float *fold, int64_t n, int limit)
{
    int16_t wide[INT_RUN];
    uint8_t *out = codes;
    int64_t padded = (n + INT_ALIGN - 1) / INT_ALIGN * INT_ALIGN;
    float scale = int_quantise_16(wide, x, fold, n, limit);
    for (int64_t i = 0; i < padded; i++) out[i] = (uint8_t)(wide[i] + OFFSET);
    return scale;
}

#define KERNELS(CODES, HEAD, LIMIT, TILE, BITS)                                                                             \
    {                                                                                                                       \
        .mr = MR, .codes = CODES, .panel_codes = CODES, .group = CODES, .head = HEAD, .limit = LIMIT, .tile = TILE,         \
        .quantise = int_avx512_quantise_##BITS, .pack_columns = int_avx512_pack_columns_##BITS,                             \
        .pack_rows = int_avx512_pack_rows_##BITS                                                                            \
    }
const struct int_kernels int_kernels_avx512_16 = KERNELS(2, 0, 32767, tile_madd, 16);
const struct int_kernels int_kernels_avx512_8 = KERNELS(2, 0, 127, tile_madd, 16);
const struct int_kernels int_kernels_avx512vnni_16 = KERNELS(2, 0, 32767, tile_dot_16, 16);
const struct int_kernels int_kernels_avx512vnni_8 = KERNELS(4, 1, 127, tile_dot_8, 8);
