/* gemm_neon: the micro-tile for AArch64's NEON: 6 x 16 elements of C in 24 of the 32 vector registers. */
#ifndef YA_BACKEND_CPU_GEMM_NEON_H
#define YA_BACKEND_CPU_GEMM_NEON_H

#include "backend/cpu/cpu_kernels.h"

/* struct cpu_kernels.tile and .transpose of the tables with this tile. */
enum { GEMM_NEON_MR = 6, GEMM_NEON_NR = 16 };
void gemm_neon_tile(const struct gemm_tile *t);
void gemm_neon_transpose(float *dst, int64_t dst_ld, const float *src, int64_t ld, int64_t rows, int64_t n, float scale);

#endif
