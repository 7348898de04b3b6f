/* bf16_layout: a frozen weight as the panels that its products in bf16 read, made once instead of in every product. Two
 * bytes an element for each form, whichever form the weight is stored in. */
#ifndef YA_BACKEND_CPU_BF16_LAYOUT_H
#define YA_BACKEND_CPU_BF16_LAYOUT_H

#include "backend/cpu/gemm_bf16/gemm_bf16.h"

/* Steps from panel to panel of w (M, K) as a B operand: columns are its M rows and k is K in GEMM_TRANSPOSED, which y = x
 * W^T reads; columns are its K and k is M in GEMM_ROWS, which dx = dy W reads. */
int64_t bf16_layout_stride(const struct cpu_kernels *kernels, const struct weight *w, enum gemm_form form);

/* Bytes of one form; 0: products with w are not in bf16. */
size_t bf16_layout_bytes(const struct cpu_kernels *kernels, const struct weight *w, enum gemm_form form);

/* Fills `panels`, bf16_layout_bytes() of it, aligned to 64 bytes, on the ctx's threads. The same bytes for any number of
 * them. Errors: E_MEMORY for scratch. */
enum status bf16_layout_make(struct ctx *c, const struct cpu_kernels *kernels, const struct weight *w, enum gemm_form form,
                             void *panels);

/* Where panel 0 of a source lies laid out; NULL: it does not, or not with these entries. */
const uint32_t *bf16_layout_of(const struct gemm_source *source);

#endif
