/* cpu_loops_avx512: the table for AVX-512 F/BW/DQ/VL. Products of stored rows with a token are AVX2's: memory bounds them,
 * and a block of 32 codes is what its registers fit. */
#define LANES 16
#include "backend/cpu/cpu_loops.h"

#include "backend/cpu/gemm_avx512.h"
#include "backend/cpu/gemv_avx2.h"

const struct cpu_kernels cpu_kernels_avx512 = {.name = "avx512",
                                               .mr = GEMM_AVX512_MR,
                                               .nr = GEMM_AVX512_NR,
                                               .tile = gemm_avx512_tile,
                                               .transpose = gemm_avx512_transpose,
                                               .dot_rows = gemv_avx2_dot_rows,
                                               CPU_LOOPS};
