/* gemm_bf16_avx2: bf16 products for AVX2, the loops of gemm_bf16_loops.h compiled for vectors of eight floats. */
#define LANES 8
#define NR    16 /* of cpu_loops_avx2.c */
#include "backend/cpu/gemm_bf16/gemm_bf16_loops.h"

const struct bf16_kernels bf16_kernels_avx2 = BF16_LOOPS(512, NULL);
