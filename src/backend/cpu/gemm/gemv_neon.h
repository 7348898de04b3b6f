/* gemv_neon: dot products of stored rows with one f32 vector, for AArch64's NEON. Rows are decoded in registers on the way
 * from memory, which is what bounds these products. */
#ifndef YA_BACKEND_CPU_GEMV_NEON_H
#define YA_BACKEND_CPU_GEMV_NEON_H

#include "backend/cpu/cpu_kernels.h"

/* struct cpu_kernels.dot_rows: every plain stored type, the common block types and int8. */
bool gemv_neon_dot_rows(const struct cpu_dot *d, float *out);

#endif
