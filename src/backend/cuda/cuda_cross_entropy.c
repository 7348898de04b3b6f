/* cuda_cross_entropy: the loss head by chunks of rows: logits = h table^T in bf16, softmax and gradient in place, dh =
 * dlogits table. All logits never exist at once. */
#include "backend/cuda/cuda_gemm.h"
#include "backend/cuda/cuda_kernels.h"

/* Logits of `rows` rows, their softmax and gradient in place, and dh of these rows. */
static enum status cross_entropy_chunk(struct cuda *d, const struct cuda_cross_entropy *a, int first, int rows)
{
    struct cuda_matrix h = {(CUdeviceptr)(a->h + first * a->h_stride), rows, a->cols, a->h_stride, false, false};
    struct cuda_matrix table = {(CUdeviceptr)a->table, a->padded, a->cols, a->table_stride, true, false};
    struct cuda_matrix logits = {(CUdeviceptr)a->logits, rows, a->padded, a->padded, false, false};
    struct cuda_softmax_loss_args softmax = {
        .logits = a->logits,
        .targets = a->targets + first,
        .weights = a->weights + first,
        .nll = a->nll + first,
        .fault = a->fault,
        .stride = a->padded,
        .rows = rows,
        .vocab = a->vocab,
        .want_grad = a->dh != NULL,
    };
    TRY(cuda_gemm(d, &h, &table, &logits, 1, 0));
    TRY(cuda_launch(d, CUDA_softmax_loss, (struct cuda_grid){(unsigned)rows, 1, LOSS_THREADS, 0}, &softmax));
    if (!a->dh) return OK;
    struct cuda_matrix dh = {(CUdeviceptr)(a->dh + first * a->dh_stride), rows, a->cols, a->dh_stride, false, false};
    table.transposed = false;
    return cuda_gemm(d, &logits, &table, &dh, 1, 0);
}

enum status cuda_cross_entropy(struct cuda *d, const struct cuda_cross_entropy *a)
{
    BUG_ON(d->c, a->padded != (a->vocab + 7) / 8 * 8, "cross-entropy: %d words padded to %d", a->vocab, a->padded);
    if (a->cols % 8)
        return ctx_fail(d->c, E_UNSUPPORTED, "CUDA: cross-entropy of rows of %d: a multiple of 8 is supported", a->cols);
    for (int first = 0; first < a->rows; first += a->chunk) {
        TRY(cross_entropy_chunk(d, a, first, a->rows - first < a->chunk ? a->rows - first : a->chunk));
    }
    struct cuda_loss_stats_args stats = {a->nll, a->weights, a->stats, a->loss, a->rows};
    return cuda_launch(d, CUDA_loss_stats, (struct cuda_grid){1, 1, LOSS_THREADS, 0}, &stats);
}

enum status cuda_negate(struct cuda *d, const struct cuda_negate_args *a)
{
    unsigned x = (unsigned)(a->count + LOSS_THREADS - 1) / LOSS_THREADS;
    return cuda_launch(d, CUDA_negate, (struct cuda_grid){x, 1, LOSS_THREADS, 0}, a);
}
