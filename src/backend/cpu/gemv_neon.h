/* gemv_neon: dot products of stored rows with one f32 vector, for AArch64's NEON. */
#ifndef YA_BACKEND_CPU_GEMV_NEON_H
#define YA_BACKEND_CPU_GEMV_NEON_H

#include "backend/cpu/cpu_kernels.h"

/* struct cpu_kernels.dot_rows */
bool gemv_neon_dot_rows(enum tensor_type type, const void *const *rows, const float *x, int64_t k, float *out);

#endif
