/* cuda_gemm: products of bf16 matrices with f32 accumulation, by cuBLASLt.
 *
 * A product takes the first algorithm that cuBLASLt proposes for its shape, without split-K (whose sums depend on the
 * order in which blocks finish): a rerun on the same card with the same library gives the same bytes. With `timed` the
 * first product of a shape times every algorithm that is proposed and keeps the fastest; then another run may choose
 * another one. */
#ifndef YA_BACKEND_CUDA_GEMM_H
#define YA_BACKEND_CUDA_GEMM_H

#include "backend/cuda/cuda_device.h"

/* A row-major matrix in device memory. `transposed`: the product uses its transpose. f32 only for results. */
struct cuda_matrix {
    CUdeviceptr data;
    int rows, cols; /* as it lies in memory */
    int64_t stride; /* elements from row to row */
    bool transposed, f32;
};

/* Queues c = alpha op(a) op(b) + beta c, where op transposes a matrix that says so. For y = x W^T with W (M, K): a = x, b
 * = W transposed. Operands are bf16, c is bf16 or f32; sums are f32. Shapes that do not match are a bug of ours (BUG_ON).
 * E_UNSUPPORTED when cuBLASLt has no algorithm without split-K, E_IO when it fails, E_MEMORY for the table of shapes. */
enum status cuda_gemm(struct cuda *d, const struct cuda_matrix *a, const struct cuda_matrix *b, const struct cuda_matrix *c,
                      float alpha, float beta);

/* Frees the descriptors and choices of all shapes; the next product of a shape makes them anew. */
void cuda_gemm_forget(struct cuda *d);

#endif
