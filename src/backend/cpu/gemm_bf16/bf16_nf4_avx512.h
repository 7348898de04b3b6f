/* bf16_nf4_avx512: widen_nf4 of struct bf16_kernels for every table with AVX-512. */
#ifndef YA_BACKEND_CPU_BF16_NF4_AVX512_H
#define YA_BACKEND_CPU_BF16_NF4_AVX512_H

#include <stdint.h>

/* Elements [first, first + n) of a row of `cols` elements in NF4, rounded to bf16 into out (n). */
void bf16_avx512_widen_nf4(const void *row, int64_t cols, int64_t first, int64_t n, uint16_t *out);

#endif
