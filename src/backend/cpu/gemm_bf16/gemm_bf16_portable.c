/* gemm_bf16_portable: bf16 products for any processor, which is also what the other instruction sets' results are compared
 * with, bit by bit. */
#define LANES 4
#define NR    8 /* of cpu_loops_portable.c */
#include "backend/cpu/gemm_bf16/gemm_bf16_loops.h"

const struct bf16_kernels bf16_kernels_portable = BF16_LOOPS(0, NULL);
