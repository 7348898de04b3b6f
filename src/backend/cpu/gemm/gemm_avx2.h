/* gemm_avx2: the micro-tile for AVX2 with FMA: 6 x 16 elements of C in 12 of the 16 vector registers. */
#ifndef YA_BACKEND_CPU_GEMM_AVX2_H
#define YA_BACKEND_CPU_GEMM_AVX2_H

#include "backend/cpu/cpu_kernels.h"

/* struct cpu_kernels.tile and .transpose of the tables with this tile. */
enum { GEMM_AVX2_MR = 6, GEMM_AVX2_NR = 16 };
void gemm_avx2_tile(const struct gemm_tile *t);
void gemm_avx2_transpose(float *dst, int64_t dst_ld, const float *src, int64_t ld, int64_t rows, int64_t n, float scale);

#endif
