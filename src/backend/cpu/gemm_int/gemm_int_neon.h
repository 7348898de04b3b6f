/* gemm_int_neon: how the integer tiles of AArch64 end. */
#ifndef YA_BACKEND_CPU_GEMM_INT_NEON_H
#define YA_BACKEND_CPU_GEMM_INT_NEON_H

#include <arm_neon.h>

#include "backend/cpu/gemm_int/gemm_int.h"

/* Four exact sums of row i as f32, times the row's scale and, where there are any, the columns', stored in or added to its
 * columns [j, j + 4); each float operation rounds by itself. */
static inline __attribute__((always_inline)) void int_neon_store(const struct int_tile *t, int i, int j, int32x4_t sum)
{
    float *c = t->c + i * t->ldc + j;
    float32x4_t y = vmulq_n_f32(vcvtq_f32_s32(sum), t->row_scale[i * t->row_scale_stride]);
    if (t->column_scale) y = vmulq_f32(y, vld1q_f32(t->column_scale + j));
    vst1q_f32(c, t->accumulate ? vaddq_f32(vld1q_f32(c), y) : y);
}

#endif
