/* gemv_neon: dot products of stored rows with one f32 vector, for AArch64's NEON. */
#ifndef YA_BACKEND_CPU_GEMV_NEON_H
#define YA_BACKEND_CPU_GEMV_NEON_H

#include "backend/cpu/cpu_kernels.h"

/* struct cpu_kernels.dot_rows */
bool gemv_neon_dot_rows(const struct cpu_dot *d, float *out);

#endif
