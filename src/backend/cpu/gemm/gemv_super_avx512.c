/* gemv_super_avx512: the products of gemv_super.h by VNNI: vpdpwssd is vpmaddwd and the addition in one. Registers of 32
 * bytes, because a run has 32 codes: twice as long ones save no time, as two ports take 64 bytes where three take 32. */
#include <immintrin.h>

#include "backend/cpu/gemm/gemv_super_avx2.h"

static inline __attribute__((always_inline)) __m256i super_add_madd(__m256i sum, __m256i a, __m256i b)
{
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}

#include "backend/cpu/gemm/gemv_avx2.h"
#include "backend/cpu/gemm/gemv_dots.h"
#include "backend/cpu/gemm/gemv_super.h"

SUPER_DOTS(avx512, static)

bool gemv_super_avx512_dot_rows(const struct cpu_dot *d, float *out)
{
    static const struct gemv_dots dots = {.stored = {[TENSOR_Q4_K] = gemv_super_avx512_q4_k,
                                                     [TENSOR_Q5_K] = gemv_super_avx512_q5_k,
                                                     [TENSOR_Q6_K] = gemv_super_avx512_q6_k,
                                                     [TENSOR_IQ4_XS] = gemv_super_avx512_iq4_xs}};
    return gemv_dots_run(&dots, d, out) || gemv_avx2_dot_rows(d, out);
}
