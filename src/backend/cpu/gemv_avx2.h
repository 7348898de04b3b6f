/* gemv_avx2: dot products of stored rows with one f32 vector, for AVX2 + FMA + F16C. */
#ifndef YA_BACKEND_CPU_GEMV_AVX2_H
#define YA_BACKEND_CPU_GEMV_AVX2_H

#include "backend/cpu/cpu_kernels.h"

/* struct cpu_kernels.dot_rows */
bool gemv_avx2_dot_rows(enum tensor_type type, const void *const *rows, const float *x, int64_t k, float *out);

#endif
