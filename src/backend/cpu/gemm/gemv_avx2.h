/* gemv_avx2: dot products of stored rows with one vector, for AVX2 + FMA + F16C. */
#ifndef YA_BACKEND_CPU_GEMV_AVX2_H
#define YA_BACKEND_CPU_GEMV_AVX2_H

#include "backend/cpu/cpu_kernels.h"

/* struct cpu_kernels.dot_rows: every stored type and int8; 4-bit blocks by gemv_fixed_avx2.h. */
bool gemv_avx2_dot_rows(const struct cpu_dot *d, float *out);

#endif
