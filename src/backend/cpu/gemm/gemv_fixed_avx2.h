/* gemv_fixed_avx2: dot products of rows of 4- and 5-bit blocks with one vector in fixed point, for processors with AVX2,
 * FMA and F16C. The vector is converted once and then multiplied with thousands of rows, which is what a token's products
 * are. */
#ifndef YA_BACKEND_CPU_GEMV_FIXED_AVX2_H
#define YA_BACKEND_CPU_GEMV_FIXED_AVX2_H

#include "backend/cpu/cpu_kernels.h"

/* struct cpu_kernels.fixed_bytes and .fix; a fixed vector is aligned to 32 bytes. */
size_t gemv_fixed_avx2_bytes(enum weight_form form, enum tensor_type type, int64_t k);
void gemv_fixed_avx2_fix(void *fixed, const float *x, int64_t k);

/* struct cpu_kernels.dot_rows of the types for which gemv_fixed_avx2_bytes asks. */
void gemv_fixed_avx2_dot_rows(const struct cpu_dot *d, float *out);

#endif
