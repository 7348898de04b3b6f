/* gemv_super_avx2: dot products of rows of blocks of 256 elements with one vector in fixed point, for AVX2 + FMA + F16C, and
 * the same in the instructions of VNNI, which gives the same bits. */
#ifndef YA_BACKEND_CPU_GEMV_SUPER_AVX2_H
#define YA_BACKEND_CPU_GEMV_SUPER_AVX2_H

#include "backend/cpu/cpu_kernels.h"

/* struct cpu_kernels.fixed_bytes and .fix for the types that have functions below; 0 for others. */
size_t gemv_super_avx2_bytes(enum weight_form form, enum tensor_type type, int64_t k);
void gemv_super_avx2_fix(void *fixed, const float *x, int64_t k);

/* struct gemv_dots.stored of each type. */
void gemv_super_avx2_q4_k(const struct cpu_dot *d, float *out);
void gemv_super_avx2_q5_k(const struct cpu_dot *d, float *out);
void gemv_super_avx2_q6_k(const struct cpu_dot *d, float *out);
void gemv_super_avx2_iq4_xs(const struct cpu_dot *d, float *out);

/* struct cpu_kernels.dot_rows of processors with VNNI and AVX512VL: as gemv_avx2_dot_rows, these types by VNNI. */
bool gemv_super_avx512_dot_rows(const struct cpu_dot *d, float *out);

#endif
