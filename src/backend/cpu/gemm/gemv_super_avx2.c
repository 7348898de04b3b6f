/* gemv_super_avx2: the vector in fixed point, and the products of gemv_super.h by AVX2. */
#include "backend/cpu/gemm/gemv_super_avx2.h"

#include <immintrin.h>

static inline __attribute__((always_inline)) __m256i super_add_madd(__m256i sum, __m256i a, __m256i b)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}

#include "backend/cpu/gemm/gemv_super.h"

SUPER_DOTS(avx2, )

size_t gemv_super_avx2_bytes(enum weight_form form, enum tensor_type type, int64_t k)
{
    bool is_known = type == TENSOR_Q4_K || type == TENSOR_Q5_K || type == TENSOR_Q6_K || type == TENSOR_IQ4_XS;
    return form == WEIGHT_STORED && is_known ? (size_t)(k / SUPER_BLOCK) * sizeof(struct super_vector) : 0;
}

/* The sum of 16 signed bytes: in pairs (times an unsigned 1), in fours, then across. */
static int16_t sum_bytes(__m128i bytes)
{
    __m128i sums = _mm_madd_epi16(_mm_maddubs_epi16(_mm_set1_epi8(1), bytes), _mm_set1_epi16(1));
    sums = _mm_hadd_epi32(sums, sums);
    return (int16_t)_mm_cvtsi128_si32(_mm_hadd_epi32(sums, sums));
}

/* The vector in fixed point, 256 elements with one scale at a time, and two kinds of sums that products need: half_sum, of
 * each part of 16 elements, which takes off the 32 by which the codes of Q6_K are too large; and run_sum, of 32 elements,
 * which the offsets of Q4_K and Q5_K are multiplied with. */
void gemv_super_avx2_fix(void *fixed, const float *x, int64_t k)
{
    struct super_vector *v = fixed;
    for (; k > 0; k -= SUPER_BLOCK, v++, x += SUPER_BLOCK) {
        v->scale = parts_scale(x, SUPER_BLOCK);
        __m256 factor = parts_factor(v->scale);
        for (int run = 0; run < SUPER_RUNS; run++) {
            __m256i sum = _mm256_setzero_si256();
            for (int half = 0; half < 2; half++) {
                __m128i part[PARTS];
                sum = _mm256_add_epi32(sum, parts_split(part, x + run * SUPER_RUN + half * 16, factor));
                for (int p = 0; p < PARTS; p++) {
                    _mm_store_si128((__m128i *)(void *)(v->part[p][run] + half * 16), part[p]);
                    v->half_sum[p][half][run] = sum_bytes(part[p]);
                }
            }
            v->run_sum[run] = v->scale * (float)parts_sum(sum);
        }
    }
}
