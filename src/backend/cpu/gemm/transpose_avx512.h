/* transpose_avx512: transposes 16 x 16 elements of 4 bytes in registers, in four rounds of pairwise exchanges (of
 * elements, pairs, quarters and halves). For files that are compiled for AVX-512. */
#ifndef YA_BACKEND_CPU_TRANSPOSE_AVX512_H
#define YA_BACKEND_CPU_TRANSPOSE_AVX512_H

#include <immintrin.h>
#include <stdint.h>

/* Element k of the 16 rows r at dst + k * ld, k < n; of each only the rows of the mask `rows` are written. */
static inline __attribute__((always_inline)) void transpose_16x16(void *dst, int64_t ld, const __m512i r[16], int64_t n,
                                                                  __mmask16 rows)
{
    __m512i p[16], q[16];
    for (int i = 0; i < 8; i++) {
        p[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        p[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) { /* q[4 i + j]: element j of each quarter, rows 4 i .. 4 i + 3 */
        q[4 * i] = _mm512_unpacklo_epi64(p[4 * i], p[4 * i + 2]);
        q[4 * i + 1] = _mm512_unpackhi_epi64(p[4 * i], p[4 * i + 2]);
        q[4 * i + 2] = _mm512_unpacklo_epi64(p[4 * i + 1], p[4 * i + 3]);
        q[4 * i + 3] = _mm512_unpackhi_epi64(p[4 * i + 1], p[4 * i + 3]);
    }
    for (int j = 0; j < 4; j++) {
        __m512i even0 = _mm512_shuffle_i32x4(q[j], q[4 + j], 0x88), odd0 = _mm512_shuffle_i32x4(q[j], q[4 + j], 0xdd);
        __m512i even1 = _mm512_shuffle_i32x4(q[8 + j], q[12 + j], 0x88),
                odd1 = _mm512_shuffle_i32x4(q[8 + j], q[12 + j], 0xdd);
        p[j] = _mm512_shuffle_i32x4(even0, even1, 0x88);
        p[4 + j] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
        p[8 + j] = _mm512_shuffle_i32x4(even0, even1, 0xdd);
        p[12 + j] = _mm512_shuffle_i32x4(odd0, odd1, 0xdd);
    }
    for (int i = 0; i < 16; i++)
        if (i < n) _mm512_mask_storeu_epi32((uint32_t *)dst + i * ld, rows, p[i]);
}

#endif
