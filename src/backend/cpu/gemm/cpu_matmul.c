/* cpu_matmul: MATMUL of two matrices. Stacks of matrices are the reference's: nothing in a training step has them. */
#include "backend/cpu/rows/cpu_rows.h"
#include "backend/cpu/gemm/gemm.h"

/* (M, K) x (K, N) -> (M, N), f32, row strides as they come. E_MEMORY. */
enum status cpu_matmul(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    const struct array *a = call->in[0], *b = call->in[1], *out = call->out[0];
    struct gemm g = {.m = a->shape[0], .n = b->shape[1], .c = out->data, .ldc = out->stride[0], .n_terms = 1};
    g.term[0] = (struct gemm_term){.a = a->data,
                                   .lda = a->stride[0],
                                   .k = a->shape[1],
                                   .b = {.form = GEMM_ROWS, .data = b->data, .ld = b->stride[0], .scale = 1.0f}};
    return gemm_run(c, kernels, &g);
}
