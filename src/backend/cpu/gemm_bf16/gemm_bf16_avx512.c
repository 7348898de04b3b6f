/* gemm_bf16_avx512: bf16 products for processors with AVX-512 but without its instructions for bf16: the loops of
 * gemm_bf16_loops.h compiled for vectors of sixteen floats. */
#define LANES 16
#define NR    32 /* of cpu_loops_avx512.c */
#include "backend/cpu/gemm_bf16/bf16_nf4_avx512.h"
#include "backend/cpu/gemm_bf16/gemm_bf16_loops.h"

const struct bf16_kernels bf16_kernels_avx512 = BF16_LOOPS(512, bf16_avx512_widen_nf4);
