/* gemm_round: the A operands of products in bf16, rounded once by all threads, for all work items and all products that
 * read them: q, k and v of a block have one input. */
#ifndef YA_BACKEND_CPU_GEMM_ROUND_H
#define YA_BACKEND_CPU_GEMM_ROUND_H

#include "array/array.h"
#include "backend/cpu/gemm_bf16/gemm_bf16.h"

/* Rows [0, m) of f32 memory, k elements of each, rows lda apart; out: row i at out + i * bf16_row_steps(k). */
struct gemm_rounding {
    const float *a;
    int64_t lda, m, k;
    uint32_t *out;
};

/* Appends one to a list of *n and returns its `out`, scratch of the innermost scope with BF16_MAX_MR rows behind the last,
 * which a tile may read. NULL with E_MEMORY. */
const uint32_t *gemm_rounding_add(struct ctx *c, struct gemm_rounding *list, int *n, const float *a, int64_t lda, int64_t m,
                                  int64_t k);
/* For loops that round beside other work: how many work items n of them are, and one of these. */
int64_t gemm_round_items(const struct gemm_rounding *list, int n);
void gemm_round_item(const struct bf16_kernels *q, const struct gemm_rounding *list, int64_t item);
/* Rounds n of them on the ctx's threads, unless the ctx holds an error. */
void gemm_round(struct ctx *c, const struct bf16_kernels *q, const struct gemm_rounding *list, int n);

#endif
