/* cpu_loops_neon: the table for AArch64, whose baseline has vectors of four floats with fused multiply-add. */
#define LANES 4
#include "backend/cpu/cpu_loops.h"

#include "backend/cpu/gemm_neon.h"
#include "backend/cpu/gemv_neon.h"

const struct cpu_kernels cpu_kernels_neon = {.name = "neon",
                                             .mr = GEMM_NEON_MR,
                                             .nr = GEMM_NEON_NR,
                                             .tile = gemm_neon_tile,
                                             .transpose = gemm_neon_transpose,
                                             .dot_rows = gemv_neon_dot_rows,
                                             CPU_LOOPS};
