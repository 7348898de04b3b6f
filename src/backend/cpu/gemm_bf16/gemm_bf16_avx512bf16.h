/* gemm_bf16_avx512bf16: what the two tables with AVX512_BF16 share: struct bf16_kernels' round and pack. */
#ifndef YA_BACKEND_CPU_GEMM_BF16_AVX512BF16_H
#define YA_BACKEND_CPU_GEMM_BF16_AVX512BF16_H

#include <stdint.h>

/* struct bf16_kernels.round, .pack_columns and .pack_rows, which the table of AMX uses too. */
void bf16_avx512bf16_round(uint16_t *out, const float *x, int64_t n);
void bf16_avx512bf16_pack_columns(uint32_t *panel, const uint16_t *const *rows, int n, int64_t k);
void bf16_avx512bf16_pack_rows(uint32_t *panel, int64_t panel_stride, const uint16_t *const *rows, int64_t k, int64_t n);

#endif
