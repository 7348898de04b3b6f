/* cpu_loops_avx2: the table of inner loops for x86 processors that have AVX2, FMA and F16C. It is filled from the loops of
 * cpu_loops.h, compiled for vectors of eight floats, and the tiles of gemm_avx2.c. */
#define LANES 8
#include "backend/cpu/loops/cpu_loops.h"

#include "backend/cpu/gemm/gemm_avx2.h"
#include "backend/cpu/gemm_bf16/gemm_bf16.h"
#include "backend/cpu/gemm_int/gemm_int.h"
#include "backend/cpu/gemm/gemv_avx2.h"

const struct cpu_kernels cpu_kernels_avx2 = {
    .name = "avx2",
    .integer = {[COMPUTE_INT8X2] = &int_kernels_avx2_16, [COMPUTE_INT8] = &int_kernels_avx2_8},
    .bf16 = &bf16_kernels_avx2,
    .mr = GEMM_AVX2_MR,
    .nr = GEMM_AVX2_NR,
    .column_step = GEMM_AVX2_NR,
    .block_rows = 96,
    .tile = gemm_avx2_tile,
    .transpose = gemm_avx2_transpose,
    .dot_rows = gemv_avx2_dot_rows,
    .fixed_bytes = gemv_avx2_fixed_bytes,
    .fix = gemv_avx2_fix,
    CPU_LOOPS};
