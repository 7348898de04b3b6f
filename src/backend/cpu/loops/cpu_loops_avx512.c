/* cpu_loops_avx512: the tables for AVX-512 F/BW/DQ/VL: alone, with VNNI, with BF16 too, and with AMX too. Products of stored
 * rows with a token are AVX2's, blocks of 256 in instructions of VNNI, or by gemv_floats_avx512.h where a core does four
 * operations of 64 bytes in a cycle, as most do that have BF16 and no AMX: which are AMD's. */
#define LANES 16
#include "backend/cpu/loops/cpu_loops.h"

#include "backend/cpu/gemm/gemm_avx512.h"
#include "backend/cpu/gemm_bf16/gemm_bf16.h"
#include "backend/cpu/gemm_int/gemm_int.h"
#include "backend/cpu/gemm/gemv_avx2.h"
#include "backend/cpu/gemm/gemv_floats_avx512.h"
#include "backend/cpu/gemm/gemv_super_avx2.h"

#define AVX512                                                                                                              \
    .mr = GEMM_AVX512_MR, .nr = GEMM_AVX512_NR, .column_step = 16, .block_rows = 252, .tile = gemm_avx512_tile,             \
    .transpose = gemm_avx512_transpose, CPU_LOOPS
#define IN_INTEGERS(DOT_ROWS) .dot_rows = DOT_ROWS, .fixed_bytes = gemv_avx2_fixed_bytes, .fix = gemv_avx2_fix

#define INTEGER(SET) .integer = {[COMPUTE_INT8X2] = &int_kernels_##SET##_16, [COMPUTE_INT8] = &int_kernels_##SET##_8}

const struct cpu_kernels cpu_kernels_avx512 = {
    .name = "avx512", INTEGER(avx512), .bf16 = &bf16_kernels_avx512, IN_INTEGERS(gemv_avx2_dot_rows), AVX512};

const struct cpu_kernels cpu_kernels_avx512vnni = {.name = "avx512vnni",
                                                   INTEGER(avx512vnni),
                                                   .bf16 = &bf16_kernels_avx512,
                                                   IN_INTEGERS(gemv_super_avx512_dot_rows),
                                                   AVX512};

const struct cpu_kernels cpu_kernels_avx512bf16 = {.name = "avx512bf16",
                                                   INTEGER(avx512vnni),
                                                   .dot_rows = gemv_floats_avx512_dot_rows,
                                                   .fixed_bytes = gemv_floats_avx512_bytes,
                                                   .fix = gemv_floats_avx512_fix,
                                                   .bf16 = &bf16_kernels_avx512bf16,
                                                   AVX512};

const struct cpu_kernels cpu_kernels_amx = {
    .name = "amx", INTEGER(amx), .bf16 = &bf16_kernels_amx, IN_INTEGERS(gemv_super_avx512_dot_rows), AVX512};
