/* cpu_loops_portable: the table for any CPU. Vectors of four floats are SSE2 on every x86-64 and NEON on every AArch64. */
#define LANES 4
#include "backend/cpu/loops/cpu_loops.h"

#include "backend/cpu/gemm_bf16/gemm_bf16.h"
#include "backend/cpu/gemm_int/gemm_int.h"

enum { MR = 4, NR = 8 };

/* 4 x 8 sums are 8 of 16 registers; what a compiler can keep there without being told how. */
INLINE void tile_rows(const struct gemm_tile *t, const int rows)
{
    vf sum[MR][2] = {{{0}}};
    const float *a = t->a, *b = t->b;
    for (int64_t k = t->k; k > 0; k--) {
        vf b0 = load(b), b1 = load(b + LANES);
        for (int i = 0; i < rows; i++) {
            float x = a[i * t->rs];
            sum[i][0] += x * b0;
            sum[i][1] += x * b1;
        }
        a += t->cs;
        b += t->ldb;
    }
    for (int i = 0; i < rows; i++) {
        float *c = t->c + i * t->ldc;
        store(c, t->accumulate ? load(c) + sum[i][0] : sum[i][0]);
        store(c + LANES, t->accumulate ? load(c + LANES) + sum[i][1] : sum[i][1]);
    }
}

/* One loop for each number of rows, so that the compiler knows it and keeps the sums in registers. */
static void portable_tile(const struct gemm_tile *t)
{
    switch (t->rows) {
    case 1:
        tile_rows(t, 1);
        break;
    case 2:
        tile_rows(t, 2);
        break;
    case 3:
        tile_rows(t, 3);
        break;
    default:
        tile_rows(t, 4);
        break;
    }
}

/* struct cpu_kernels.transpose in plain C. */
static void transpose(float *dst, int64_t dst_ld, const float *src, int64_t ld, int64_t rows, int64_t n, float scale)
{
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = 0; i < rows; i++) dst[k * dst_ld + i] = scale * src[i * ld + k];
}

const struct cpu_kernels cpu_kernels_portable = {
    .name = "portable",
    .integer = {[COMPUTE_INT8X2] = &int_kernels_portable_16, [COMPUTE_INT8] = &int_kernels_portable_8},
    .bf16 = &bf16_kernels_portable,
    .mr = MR,
    .nr = NR,
    .column_step = NR,
    .block_rows = 96,
    .tile = portable_tile,
    .transpose = transpose,
    CPU_LOOPS};
