/* gemv_avx2: dot products of stored rows with a vector. A token's product with a weight reads every stored byte once, so
 * decoding must take no longer than reading from memory does.
 *
 * Four rows are computed together: their chains of multiply-adds hide each other's latency, they share the loads of x, and
 * their four sums are reduced by one transposition. Elements of 8 bits or more are widened to f32 in registers; a block of
 * 8-bit codes is summed unscaled and multiplied by its scale once, 12 operations. 4- and 5-bit blocks: gemv_fixed_avx2.c.
 *
 * Bytes become dwords by a shuffle of 16 bytes that stand in both halves: one operation for 8 elements, where sign
 * extension across halves is two. They stay in the high byte, as 2^24 q: the power of two is taken out of the whole sum,
 * exactly. */
#include "backend/cpu/gemm/gemv_avx2.h"

#include <immintrin.h>
#include <string.h>

#include "array/codec/int8.h"
#include "backend/cpu/gemm/gemv_dots.h"
#include "backend/cpu/gemm/gemv_fixed_avx2.h"
#include "backend/cpu/gemm/gemv_super_avx2.h"

#define INLINE static inline __attribute__((always_inline))

enum { BLOCK = 32, ROWS = CPU_DOT_ROWS, Q8_0_BYTES = 34 };

_Static_assert(ROWS == 4, "sum_rows transposes four sums");

/* The sums of four vectors as one. */
INLINE __m128 sum_rows(__m256 a, __m256 b, __m256 c, __m256 d)
{
    __m256 t = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    return _mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
}

/* 16 bytes in both halves of a register. */
INLINE __m256i both_halves(const uint8_t *p)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* Bytes 0 .. 7 or 8 .. 15 of a half as the high bytes of dwords. */
#define SHUFFLE_HIGH(a, b)                                                                                                  \
    _mm256_setr_epi8(-1, -1, -1, a, -1, -1, -1, (a) + 1, -1, -1, -1, (a) + 2, -1, -1, -1, (a) + 3, -1, -1, -1, b, -1, -1,   \
                     -1, (b) + 1, -1, -1, -1, (b) + 2, -1, -1, -1, (b) + 3)

/* The products of x and 32 codes at p by lanes, times 2^24, on top of sum. */
INLINE __m256 add_codes(__m256 sum, const uint8_t *p, const __m256 *x)
{
    const __m256i low = SHUFFLE_HIGH(0, 4), high = SHUFFLE_HIGH(8, 12);
    __m256i a = both_halves(p), b = both_halves(p + 16);
    sum = _mm256_fmadd_ps(x[0], _mm256_cvtepi32_ps(_mm256_shuffle_epi8(a, low)), sum);
    sum = _mm256_fmadd_ps(x[1], _mm256_cvtepi32_ps(_mm256_shuffle_epi8(a, high)), sum);
    sum = _mm256_fmadd_ps(x[2], _mm256_cvtepi32_ps(_mm256_shuffle_epi8(b, low)), sum);
    return _mm256_fmadd_ps(x[3], _mm256_cvtepi32_ps(_mm256_shuffle_epi8(b, high)), sum);
}

/* A block of Q8_0: the scale is that of the block. */
INLINE __m256 add_block(__m256 sum, const struct cpu_dot *d, const uint8_t *p, const __m256 *x)
{
    uint16_t half;
    memcpy(&half, p, sizeof half);
    __m256 scale = _mm256_cvtph_ps(_mm_set1_epi16((int16_t)half));
    cpu_dot_prefetch(d, p);
    return _mm256_fmadd_ps(scale, add_codes(_mm256_setzero_ps(), p + 2, x), sum);
}

/* 32 elements of the vector. */
INLINE void load_x(__m256 v[4], const float *x)
{
    for (int i = 0; i < 4; i++) v[i] = _mm256_loadu_ps(x + 8 * i);
}

/* Four rows of Q8_0 blocks, an f16 scale and 32 codes each. */
static void dot_q8_0(const struct cpu_dot *d, float *out)
{
    const uint8_t *p0 = d->row[0], *p1 = d->row[1], *p2 = d->row[2], *p3 = d->row[3];
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0, v[4];
    for (int64_t j = 0; j < d->k; j += BLOCK) {
        load_x(v, d->x + j);
        s0 = add_block(s0, d, p0, v), p0 += Q8_0_BYTES;
        s1 = add_block(s1, d, p1, v), p1 += Q8_0_BYTES;
        s2 = add_block(s2, d, p2, v), p2 += Q8_0_BYTES;
        s3 = add_block(s3, d, p3, v), p3 += Q8_0_BYTES;
    }
    _mm_storeu_ps(out, _mm_mul_ps(sum_rows(s0, s1, s2, s3), _mm_set1_ps(0x1p-24f)));
}

/* 32 codes of each of four rows. */
INLINE void add_int8(__m256 sum[ROWS], const uint8_t *const p[ROWS], const float *x)
{
    __m256 v[4];
    load_x(v, x);
    for (int i = 0; i < ROWS; i++) sum[i] = add_codes(sum[i], p[i], v);
}

/* Rows of array/codec/int8.h: one scale for the whole row; the rest of a row is copied to where zeros follow it. */
static void gemv_avx2_int8(const struct cpu_dot *d, float *out)
{
    const float *x = d->x;
    int64_t k = d->k;
    const uint8_t *p[ROWS];
    uint8_t codes[ROWS][BLOCK] = {{0}};
    float scale[ROWS], rest[BLOCK] = {0};
    __m256 sum[ROWS];
    for (int i = 0; i < ROWS; i++) {
        p[i] = (const uint8_t *)int8_row_codes(d->row[i]);
        scale[i] = int8_row_scale(d->row[i]);
        sum[i] = _mm256_setzero_ps();
    }
    int64_t whole = k / BLOCK * BLOCK;
    for (int64_t j = 0; j < whole; j += BLOCK) {
        for (int i = 0; i < ROWS; i++) cpu_dot_prefetch(d, p[i]);
        add_int8(sum, p, x + j);
        for (int i = 0; i < ROWS; i++) p[i] += BLOCK;
    }
    if (whole < k) {
        memcpy(rest, x + whole, (size_t)(k - whole) * sizeof(float));
        for (int i = 0; i < ROWS; i++) p[i] = memcpy(codes[i], p[i], (size_t)(k - whole));
        add_int8(sum, p, rest);
    }
    __m128 sums = _mm_mul_ps(sum_rows(sum[0], sum[1], sum[2], sum[3]), _mm_set1_ps(0x1p-24f));
    _mm_storeu_ps(out, _mm_mul_ps(sums, _mm_loadu_ps(scale)));
}

/* ---- types without blocks ------------------------------------------------------------------------------------------- */

/* Eight elements of f32, f16 or bf16, widened. */
INLINE __m256 load_plain(const uint8_t *p, const enum tensor_type type)
{
    if (type == TENSOR_F32) return _mm256_loadu_ps((const float *)(const void *)p);
    __m128i half = _mm_loadu_si128((const __m128i *)(const void *)p);
    if (type == TENSOR_F16) return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

/* What is left of a row behind its last whole vector, as the first of 8 floats. */
INLINE __m256 load_rest(const uint8_t *p, size_t bytes, const enum tensor_type type)
{
    uint8_t copy[32] = {0};
    memcpy(copy, p, bytes);
    return load_plain(copy, type);
}

/* Four rows of elements without blocks; `type` and `bytes` are constants where this is expanded. */
INLINE void dot_plain(const struct cpu_dot *d, float *out, const enum tensor_type type, const int bytes)
{
    const uint8_t *p0 = d->row[0], *p1 = d->row[1], *p2 = d->row[2], *p3 = d->row[3];
    const float *x = d->x;
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    int64_t k = d->k, whole = k & ~(int64_t)7;
    for (int64_t j = 0; j < whole; j += 8) {
        if (j * bytes % 64 == 0) /* a line of each row */
            for (int i = 0; i < ROWS; i++) cpu_dot_prefetch(d, (const uint8_t *)d->row[i] + j * bytes);
        __m256 v = _mm256_loadu_ps(x + j);
        s0 = _mm256_fmadd_ps(v, load_plain(p0 + j * bytes, type), s0);
        s1 = _mm256_fmadd_ps(v, load_plain(p1 + j * bytes, type), s1);
        s2 = _mm256_fmadd_ps(v, load_plain(p2 + j * bytes, type), s2);
        s3 = _mm256_fmadd_ps(v, load_plain(p3 + j * bytes, type), s3);
    }
    if (whole < k) {
        int64_t at = whole * bytes;
        size_t rest = (size_t)((k - whole) * bytes);
        __m256 v = load_rest((const uint8_t *)(const void *)(x + whole), (size_t)(k - whole) * sizeof(float), TENSOR_F32);
        s0 = _mm256_fmadd_ps(v, load_rest(p0 + at, rest, type), s0);
        s1 = _mm256_fmadd_ps(v, load_rest(p1 + at, rest, type), s1);
        s2 = _mm256_fmadd_ps(v, load_rest(p2 + at, rest, type), s2);
        s3 = _mm256_fmadd_ps(v, load_rest(p3 + at, rest, type), s3);
    }
    _mm_storeu_ps(out, sum_rows(s0, s1, s2, s3));
}

/* ---- which rows go where --------------------------------------------------------------------------------------------- */

GEMV_DOTS_PLAIN

bool gemv_avx2_dot_rows(const struct cpu_dot *d, float *out)
{
    static const struct gemv_dots dots = {
        .stored = {GEMV_DOTS_PLAIN_LIST, [TENSOR_Q4_0] = gemv_fixed_avx2_dot_rows, [TENSOR_Q4_1] = gemv_fixed_avx2_dot_rows,
                   [TENSOR_Q5_0] = gemv_fixed_avx2_dot_rows, [TENSOR_Q5_1] = gemv_fixed_avx2_dot_rows,
                   [TENSOR_Q8_0] = dot_q8_0, [TENSOR_Q4_K] = gemv_super_avx2_q4_k, [TENSOR_Q5_K] = gemv_super_avx2_q5_k,
                   [TENSOR_Q6_K] = gemv_super_avx2_q6_k, [TENSOR_IQ4_XS] = gemv_super_avx2_iq4_xs},
        .int8 = gemv_avx2_int8};
    return gemv_dots_run(&dots, d, out);
}

size_t gemv_avx2_fixed_bytes(enum weight_form form, enum tensor_type type, int64_t k)
{
    size_t bytes = gemv_super_avx2_bytes(form, type, k);
    return bytes ? bytes : gemv_fixed_avx2_bytes(form, type, k);
}

void gemv_avx2_fix(void *fixed, enum tensor_type type, const float *x, int64_t k)
{
    if (gemv_super_avx2_bytes(WEIGHT_STORED, type, k))
        gemv_super_avx2_fix(fixed, x, k);
    else
        gemv_fixed_avx2_fix(fixed, x, k);
}
