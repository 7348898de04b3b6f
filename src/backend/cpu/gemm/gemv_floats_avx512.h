/* gemv_floats_avx512: dot products of rows of blocks of 256 elements (Q4_K, Q5_K, IQ4_XS) with one vector in f32, for
 * AVX-512 on cores that do four of its operations in a cycle. */
#ifndef YA_BACKEND_CPU_GEMV_FLOATS_AVX512_H
#define YA_BACKEND_CPU_GEMV_FLOATS_AVX512_H

#include "backend/cpu/cpu_kernels.h"

/* struct cpu_kernels.dot_rows: these types, and all others as gemv_super_avx512_dot_rows. */
bool gemv_floats_avx512_dot_rows(const struct cpu_dot *d, float *out);

/* struct cpu_kernels.fixed_bytes and .fix: the vector of these types is in f32 still, but in the order in which the loops
 * meet its elements; all others as of gemv_avx2.h. */
size_t gemv_floats_avx512_bytes(enum weight_form form, enum tensor_type type, int64_t k);
void gemv_floats_avx512_fix(void *fixed, enum tensor_type type, const float *x, int64_t k);

#endif
