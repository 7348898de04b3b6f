/* gemm_avx512: the micro-tile for AVX-512 F/BW/DQ/VL: 14 x 32 elements of C in 28 of the 32 vector registers. */
#ifndef YA_BACKEND_CPU_GEMM_AVX512_H
#define YA_BACKEND_CPU_GEMM_AVX512_H

#include "backend/cpu/cpu_kernels.h"

/* struct cpu_kernels.tile and .transpose of the tables with this tile. */
enum { GEMM_AVX512_MR = 14, GEMM_AVX512_NR = 32 };
void gemm_avx512_tile(const struct gemm_tile *t);
void gemm_avx512_transpose(float *dst, int64_t dst_ld, const float *src, int64_t ld, int64_t rows, int64_t n, float scale);

#endif
