/* gemv_avx2: a token's product with a weight reads every stored byte once, so decoding must cost no more than memory gives.
 *
 * Four rows go together: their chains of multiply-adds hide each other's latency, they share the loads of x, and their four
 * sums are turned at once. A block of 32 is summed unscaled and multiplied by its scale d once, and its offset m once by the
 * sum of x: sum (d q + m) x = d sum q x + m sum x. That is 20 operations a block of 4 bits, 5 cycles; widening each element
 * first would be 6 more. Integer products (x in 8 bits a block, as llama.cpp has it) would be fewer still, but then a
 * generated token would come from other logits than training and evaluation compute; rejected.
 *
 * Bytes become dwords by a shuffle of a block that stands in both halves: one operation for 8 elements, where sign or zero
 * extension across halves is two. Where a field is left inside its dword (a high nibble as 16 q, a byte as 2^24 q) the power
 * of two goes to the other factor, where it is exact. */
#include "backend/cpu/gemv_avx2.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { BLOCK = 32, ROWS = CPU_DOT_ROWS, Q4_0_BYTES = 18, Q4_1_BYTES = 20, Q8_0_BYTES = 34, PREFETCH_BYTES = 1024 };

_Static_assert(ROWS == 4, "sum_rows turns four sums");

/* The sums of four vectors as one. */
INLINE __m128 sum_rows(__m256 a, __m256 b, __m256 c, __m256 d)
{
    __m256 t = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    return _mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
}

INLINE __m256i both_halves(const uint8_t *p)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* The two numbers at p as f32, alternating: d m d m .. (the second is anything where the block has only d). */
INLINE __m256 load_scales(const uint8_t *p)
{
    int32_t both;
    memcpy(&both, p, sizeof both);
    return _mm256_cvtph_ps(_mm_set1_epi32(both));
}

/* Bytes 0 .. 7 or 8 .. 15 of a half as dwords: into the low byte, or into the high one. */
#define SHUFFLE_LOW(a, b)                                                                                                   \
    _mm256_setr_epi8(a, -1, -1, -1, (a) + 1, -1, -1, -1, (a) + 2, -1, -1, -1, (a) + 3, -1, -1, -1, b, -1, -1, -1, (b) + 1,  \
                     -1, -1, -1, (b) + 2, -1, -1, -1, (b) + 3, -1, -1, -1)
#define SHUFFLE_HIGH(a, b)                                                                                                  \
    _mm256_setr_epi8(-1, -1, -1, a, -1, -1, -1, (a) + 1, -1, -1, -1, (a) + 2, -1, -1, -1, (a) + 3, -1, -1, -1, b, -1, -1,   \
                     -1, (b) + 1, -1, -1, -1, (b) + 2, -1, -1, -1, (b) + 3)

INLINE __m256 field(__m256i bytes, int mask)
{
    return _mm256_cvtepi32_ps(_mm256_and_si256(bytes, _mm256_set1_epi32(mask)));
}

/* One block of one row on top of sum. x[2] and x[3] are divided by 16 for the 4-bit types; xs is the sum of x by lanes. */
INLINE __m256 add_q4(__m256 sum, const uint8_t *p, const __m256 *x, __m256 xs, const bool has_offset)
{
    const __m256i low = SHUFFLE_LOW(0, 4), high = SHUFFLE_LOW(8, 12);
    __m256 scales = load_scales(p), d = _mm256_moveldup_ps(scales);
    __m256i q = both_halves(p + (has_offset ? 4 : 2)), q0 = _mm256_shuffle_epi8(q, low), q1 = _mm256_shuffle_epi8(q, high);
    __m256 t = has_offset ? _mm256_mul_ps(x[0], field(q0, 0x0f)) : _mm256_fmsub_ps(x[0], field(q0, 0x0f), xs);
    t = _mm256_fmadd_ps(x[1], field(q1, 0x0f), t);
    t = _mm256_fmadd_ps(x[2], field(q0, 0xf0), t);
    t = _mm256_fmadd_ps(x[3], field(q1, 0xf0), t);
    sum = _mm256_fmadd_ps(d, t, sum);
    return has_offset ? _mm256_fmadd_ps(_mm256_movehdup_ps(scales), xs, sum) : sum;
}

INLINE __m256 add_q8(__m256 sum, const uint8_t *p, const __m256 *x)
{
    const __m256i low = SHUFFLE_HIGH(0, 4), high = SHUFFLE_HIGH(8, 12);
    __m256i a = both_halves(p + 2), b = both_halves(p + 18);
    __m256 t = _mm256_mul_ps(x[0], _mm256_cvtepi32_ps(_mm256_shuffle_epi8(a, low)));
    t = _mm256_fmadd_ps(x[1], _mm256_cvtepi32_ps(_mm256_shuffle_epi8(a, high)), t);
    t = _mm256_fmadd_ps(x[2], _mm256_cvtepi32_ps(_mm256_shuffle_epi8(b, low)), t);
    t = _mm256_fmadd_ps(x[3], _mm256_cvtepi32_ps(_mm256_shuffle_epi8(b, high)), t);
    return _mm256_fmadd_ps(_mm256_moveldup_ps(load_scales(p)), t, sum);
}

INLINE __m256 add_block(__m256 sum, const uint8_t *p, const __m256 *x, __m256 xs, const enum tensor_type type)
{
    _mm_prefetch((const char *)p + PREFETCH_BYTES, _MM_HINT_T0);
    return type == TENSOR_Q8_0 ? add_q8(sum, p, x) : add_q4(sum, p, x, xs, type == TENSOR_Q4_1);
}

/* The block types; `type` and `bytes` are constants where this is expanded. */
INLINE void dot_blocks(const void *const *rows, const float *x, int64_t k, float *out, const enum tensor_type type,
                       const int bytes)
{
    const uint8_t *p0 = rows[0], *p1 = rows[1], *p2 = rows[2], *p3 = rows[3];
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    const __m256 sixteenth = _mm256_set1_ps(type == TENSOR_Q8_0 ? 1.0f : 1.0f / 16);
    for (int64_t j = 0; j < k; j += BLOCK) {
        __m256 v[4], xs = s0;
        for (int i = 0; i < 4; i++) v[i] = _mm256_loadu_ps(x + j + 8 * i);
        if (type != TENSOR_Q8_0) {
            xs = _mm256_add_ps(_mm256_add_ps(v[0], v[1]), _mm256_add_ps(v[2], v[3]));
            if (type == TENSOR_Q4_0) xs = _mm256_mul_ps(xs, _mm256_set1_ps(8));
            v[2] = _mm256_mul_ps(v[2], sixteenth);
            v[3] = _mm256_mul_ps(v[3], sixteenth);
        }
        s0 = add_block(s0, p0, v, xs, type), p0 += bytes;
        s1 = add_block(s1, p1, v, xs, type), p1 += bytes;
        s2 = add_block(s2, p2, v, xs, type), p2 += bytes;
        s3 = add_block(s3, p3, v, xs, type), p3 += bytes;
    }
    __m128 sums = sum_rows(s0, s1, s2, s3);
    if (type == TENSOR_Q8_0) sums = _mm_mul_ps(sums, _mm_set1_ps(0x1p-24f));
    _mm_storeu_ps(out, sums);
}

/* ---- one number an element ------------------------------------------------------------------------------------------- */

INLINE __m256 load_plain(const uint8_t *p, const enum tensor_type type)
{
    if (type == TENSOR_F32) return _mm256_loadu_ps((const float *)(const void *)p);
    __m128i half = _mm_loadu_si128((const __m128i *)(const void *)p);
    if (type == TENSOR_F16) return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

/* What is left of a row behind its last whole vector, as the first of 8 numbers. */
INLINE __m256 load_rest(const uint8_t *p, size_t bytes, const enum tensor_type type)
{
    uint8_t copy[32] = {0};
    memcpy(copy, p, bytes);
    return load_plain(copy, type);
}

INLINE void dot_plain(const void *const *rows, const float *x, int64_t k, float *out, const enum tensor_type type,
                      const int bytes)
{
    const uint8_t *p0 = rows[0], *p1 = rows[1], *p2 = rows[2], *p3 = rows[3];
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    int64_t whole = k & ~(int64_t)7;
    for (int64_t j = 0; j < whole; j += 8) {
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

bool gemv_avx2_dot_rows(enum tensor_type type, const void *const *rows, const float *x, int64_t k, float *out)
{
    switch (type) {
    case TENSOR_F32:
        dot_plain(rows, x, k, out, TENSOR_F32, 4);
        return true;
    case TENSOR_F16:
        dot_plain(rows, x, k, out, TENSOR_F16, 2);
        return true;
    case TENSOR_BF16:
        dot_plain(rows, x, k, out, TENSOR_BF16, 2);
        return true;
    case TENSOR_Q4_0:
        dot_blocks(rows, x, k, out, TENSOR_Q4_0, Q4_0_BYTES);
        return true;
    case TENSOR_Q4_1:
        dot_blocks(rows, x, k, out, TENSOR_Q4_1, Q4_1_BYTES);
        return true;
    case TENSOR_Q8_0:
        dot_blocks(rows, x, k, out, TENSOR_Q8_0, Q8_0_BYTES);
        return true;
    default:
        return false;
    }
}
