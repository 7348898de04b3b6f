/* gemv_parts_avx2: a vector in fixed point, as products with coded rows want it: numbers that share a scale t become
 * x = t q, |q| <= 127 * 2^14, and q = q_2 + 2^7 q_1 + 2^14 q_0 in three signed bytes, which vpmaddubsw multiplies with codes
 * as they are. That keeps 22 bits below the largest of the numbers that share the scale. */
#ifndef YA_BACKEND_CPU_GEMV_PARTS_AVX2_H
#define YA_BACKEND_CPU_GEMV_PARTS_AVX2_H

#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <stdint.h>

enum { PARTS = 3, PART_BITS = 7, PARTS_LARGEST = 127 << 2 * PART_BITS };

/* The largest of eight lanes. */
static inline float parts_largest(__m256 v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/* The scale of n numbers, n a multiple of 8: 0 when none is large enough to count, NaN when one is not finite. */
static inline float parts_scale(const float *x, int n)
{
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff)), most = _mm256_set1_ps(FLT_MAX);
    __m256 largest = _mm256_setzero_ps(), strange = largest;
    for (int i = 0; i < n; i += 8) {
        __m256 size = _mm256_and_ps(_mm256_loadu_ps(x + i), magnitude);
        strange = _mm256_or_ps(strange, _mm256_cmp_ps(size, most, _CMP_NLE_UQ));
        largest = _mm256_max_ps(largest, size);
    }
    if (_mm256_movemask_ps(strange)) return NAN;
    float scale = parts_largest(largest) * (1.0f / PARTS_LARGEST);
    return scale < 1e-36f ? 0 : scale;
}

/* What numbers of this scale are multiplied with to become integers. */
static inline __m256 parts_factor(float scale)
{
    return _mm256_set1_ps(scale > 0 ? 1 / scale : 0);
}

/* Sixteen dwords, each within a byte. */
static inline __m128i parts_bytes(__m256i a, __m256i b)
{
    __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), _MM_SHUFFLE(3, 1, 2, 0));
    return _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

/* The lowest bits as a signed number. */
static inline __m256i parts_low(__m256i q)
{
    return _mm256_srai_epi32(_mm256_slli_epi32(q, 32 - PART_BITS), 32 - PART_BITS);
}

/* Sixteen numbers as bytes of each part, highest first; returns their integers, two a lane added. */
static inline __m256i parts_split(__m128i part[PARTS], const float *x, __m256 factor)
{
    __m256i split[PARTS][2], sum = _mm256_setzero_si256();
    for (int i = 0; i < 2; i++) {
        __m256i q = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i * 8), factor));
        sum = _mm256_add_epi32(sum, q);
        for (int p = PARTS - 1; p > 0; p--) {
            split[p][i] = parts_low(q);
            q = _mm256_srai_epi32(_mm256_sub_epi32(q, split[p][i]), PART_BITS);
        }
        split[0][i] = q;
    }
    for (int p = 0; p < PARTS; p++) part[p] = parts_bytes(split[p][0], split[p][1]);
    return sum;
}

/* The sum of eight dwords. */
static inline int32_t parts_sum(__m256i v)
{
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    four = _mm_hadd_epi32(four, four);
    return _mm_cvtsi128_si32(_mm_hadd_epi32(four, four));
}

#endif
