/* gemm_int_portable: 16-bit codes for any processor, which is also what the other instruction sets' results are held
 * against, bit by bit. Without instructions for them integers pay in memory only. */
#include "backend/cpu/gemm_int/gemm_int_loops.h"

enum { MR = 4, NR = 8 }; /* of cpu_loops_portable.c */

/* A step is two codes of A and two of each column: their two products, added, are what vpmaddwd computes. */
static void int_portable_tile(const struct int_tile *t)
{
    for (int i = 0; i < t->rows; i++) {
        const int16_t *a = (const int16_t *)t->a + 2 * i * t->rs, *b = t->b;
        int32_t sum[NR] = {0};
        for (int64_t s = 0; s < t->steps; s++, a += 2, b += 2 * NR)
            for (int j = 0; j < NR; j++) sum[j] += a[0] * b[2 * j] + a[1] * b[2 * j + 1];
        float *c = t->c + i * t->ldc, scale = t->row_scale[i * t->row_scale_stride];
        for (int j = 0; j < NR; j++) {
            float value = (float)sum[j] * scale;
            if (t->column_scale) value = value * t->column_scale[j];
            c[j] = t->accumulate ? c[j] + value : value;
        }
    }
}

/* A panel of NR columns: for each step, the pair of codes of column 0, then of column 1, and so on. */
static void int_portable_pack_columns(void *run, const int8_t *const *rows, int n, int64_t k)
{
    int16_t *out = run;
    for (int64_t s = 0; 2 * s < k; s++)
        for (int j = 0; j < NR; j++, out += 2) {
            out[0] = j < n ? rows[j][2 * s] : 0;
            out[1] = j < n && 2 * s + 1 < k ? rows[j][2 * s + 1] : 0;
        }
}

/* The same panel from rows of B: even and odd rows of the reduction are interleaved column by column. */
static void int_portable_pack_rows(void *run, int64_t panel_stride, const int8_t *const *rows, int64_t k, int64_t n)
{
    for (int64_t s = 0; 2 * s < k; s++)
        for (int64_t panel = 0; panel * NR < n; panel++) {
            int16_t *out = (int16_t *)run + 2 * (panel * panel_stride + s * NR);
            for (int64_t j = 0; j < NR; j++, out += 2) {
                int64_t column = panel * NR + j;
                out[0] = column < n ? rows[2 * s][column] : 0;
                out[1] = column < n && 2 * s + 1 < k ? rows[2 * s + 1][column] : 0;
            }
        }
}

const struct int_kernels int_kernels_portable_16 = INT_KERNELS_16(portable, MR, 32767);
const struct int_kernels int_kernels_portable_8 = INT_KERNELS_16(portable, MR, 127);
