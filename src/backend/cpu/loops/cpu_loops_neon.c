/* cpu_loops_neon: the table for every AArch64, whose baseline has vectors of four floats with fused multiply-add, and the
 * same with the integer products of processors that have sdot. */
#define LANES 4
#include "backend/cpu/loops/cpu_loops.h"

#include "backend/cpu/gemm_bf16/gemm_bf16.h"
#include "backend/cpu/gemm_int/gemm_int.h"
#include "backend/cpu/gemm/gemm_neon.h"
#include "backend/cpu/gemm/gemv_neon.h"

#define TABLE(NAME, KERNELS_16, KERNELS_8)                                                                                  \
    {                                                                                                                       \
        .name = NAME, .integer = {[COMPUTE_INT8X2] = &(KERNELS_16), [COMPUTE_INT8] = &(KERNELS_8)},                         \
        .bf16 = &bf16_kernels_neon, .mr = GEMM_NEON_MR, .nr = GEMM_NEON_NR, .column_step = GEMM_NEON_NR, .block_rows = 96,  \
        .tile = gemm_neon_tile, .transpose = gemm_neon_transpose, .dot_rows = gemv_neon_dot_rows, CPU_LOOPS                 \
    }
const struct cpu_kernels cpu_kernels_neon = TABLE("neon", int_kernels_neon_16, int_kernels_neon_8);
const struct cpu_kernels cpu_kernels_neon_dot = TABLE("neon-dot", int_kernels_neon_dot_16, int_kernels_neon_dot_8);
