/* gemm_bf16_neon: bf16 products for AArch64's NEON, the loops of gemm_bf16_loops.h compiled for vectors of four floats. */
#define LANES 4
#define NR    16 /* of cpu_loops_neon.c */
#include "backend/cpu/gemm_bf16/gemm_bf16_loops.h"

const struct bf16_kernels bf16_kernels_neon = BF16_LOOPS(512, NULL);
