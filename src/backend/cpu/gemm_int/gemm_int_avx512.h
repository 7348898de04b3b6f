/* gemm_int_avx512: what the AVX-512 files of integer products share: the end of a tile and the packing of panels of bytes.
 */
#ifndef YA_BACKEND_CPU_GEMM_INT_AVX512_H
#define YA_BACKEND_CPU_GEMM_INT_AVX512_H

#include <immintrin.h>

#include "backend/cpu/gemm/gemm_avx512.h"
#include "backend/cpu/gemm_int/gemm_int.h"

/* Row i of C from its 32 sums of a run, columns 0 to 15 and 16 to 31: scaled, and added where the tile accumulates. Each
 * float operation rounds by itself (the files that include this are compiled without contraction). */
static inline __attribute__((always_inline)) void int_avx512_store_row(const struct int_tile *t, int i, __m512i low,
                                                                       __m512i high)
{
    float *c = t->c + i * t->ldc;
    __m512 scale = _mm512_set1_ps(t->row_scale[i * t->row_scale_stride]);
    __m512 y0 = _mm512_mul_ps(_mm512_cvtepi32_ps(low), scale), y1 = _mm512_mul_ps(_mm512_cvtepi32_ps(high), scale);
    if (t->column_scale) {
        y0 = _mm512_mul_ps(y0, _mm512_loadu_ps(t->column_scale));
        y1 = _mm512_mul_ps(y1, _mm512_loadu_ps(t->column_scale + 16));
    }
    if (t->accumulate) {
        y0 = _mm512_add_ps(_mm512_loadu_ps(c), y0);
        y1 = _mm512_add_ps(_mm512_loadu_ps(c + 16), y1);
    }
    _mm512_storeu_ps(c, y0);
    _mm512_storeu_ps(c + 16, y1);
}

/* Steps of four codes of 32 columns, from rows that are the columns (n <= 32 of them, the others are 0), or from k rows of
 * B, columns [0, n), into the panels from `run` on, panel_stride steps apart. The last step is filled with zeros. */
void int_avx512_pack_columns_bytes(int32_t *run, const int8_t *const *rows, int n, int64_t k);
void int_avx512_pack_rows_bytes(int32_t *run, int64_t panel_stride, const int8_t *const *rows, int64_t k, int64_t n);

#endif
