/* gemv_avx2: dot products of stored rows with one vector, for processors with AVX2, FMA and F16C. Rows are decoded in
 * registers on the way from memory, which is what bounds these products. */
#ifndef YA_BACKEND_CPU_GEMV_AVX2_H
#define YA_BACKEND_CPU_GEMV_AVX2_H

#include "backend/cpu/cpu_kernels.h"

/* struct cpu_kernels.dot_rows: every stored type that is not in blocks, and int8; blocks of 32 by gemv_fixed_avx2.h, blocks
 * of 256 by gemv_super_avx2.h. */
bool gemv_avx2_dot_rows(const struct cpu_dot *d, float *out);

/* struct cpu_kernels.fixed_bytes and .fix: the forms of these two. */
size_t gemv_avx2_fixed_bytes(enum weight_form form, enum tensor_type type, int64_t k);
void gemv_avx2_fix(void *fixed, enum tensor_type type, const float *x, int64_t k);

#endif
