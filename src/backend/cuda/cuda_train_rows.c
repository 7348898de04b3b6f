/* cuda_train_rows: the rows of training alone: the loss with its gradient (cuda_cross_entropy.c), the squared norm of the
 * gradient and the update of the parameters. Each brings its operands into the kernel's argument struct (cuda_args.h) and
 * queues it. */
#include "backend/cuda/cuda_backend.h"

/* Logits of a chunk of rows exist at a time, LOGITS_BYTES of them; a chunk is a multiple of LOGITS_ROWS rows, whole tiles of
 * the product. dh has few tiles where h is narrow: there a chunk grows until each of a large card's multiprocessors (132,
 * whatever the card, so that every card computes the same) has a tile of 128 x 256, or to LOGITS_MOST bytes. For instance
 * SmolLM2-135M (576 columns): 44 tiles by 3, so 5,632 rows and 553 MB. */
enum { LOGITS_BYTES = 256 << 20, LOGITS_MOST = 1 << 30, LOGITS_ROWS = 128, LOGITS_COLS = 256, LOGITS_TILES = 132 };

/* Rows of a chunk of logits. */
static int rows_a_chunk(int64_t rows, int cols, int padded)
{
    int64_t line = (int64_t)padded * 2, fit = LOGITS_BYTES / line / LOGITS_ROWS * LOGITS_ROWS;
    int64_t most = LOGITS_MOST / line / LOGITS_ROWS * LOGITS_ROWS;
    int64_t full = LOGITS_TILES / ((cols + LOGITS_COLS - 1) / LOGITS_COLS) * LOGITS_ROWS;
    if (full > most) full = most;
    if (fit < full) fit = full;
    if (fit < LOGITS_ROWS) fit = LOGITS_ROWS;
    int64_t chunks = (rows + fit - 1) / fit,
            equal = (rows + chunks * LOGITS_ROWS - 1) / (chunks * LOGITS_ROWS) * LOGITS_ROWS;
    return (int)(equal < rows ? equal : rows); /* no short chunk at the end: its product would take as long as a whole one */
}

/* The head in bf16, with rows of zeros up to `padded`: widened into scratch where it is compressed. NULL on failure. */
static const bf16_bits *bf16_head(struct cuda_backend *b, const struct weight *w, int padded)
{
    if (cuda_weight_code(w) == CODE_BF16) return w->data;
    bf16_bits *to = cuda_scratch(b, DTYPE_BF16, padded * w->cols);
    size_t filled = (size_t)(w->rows * w->cols) * sizeof(*to), all = (size_t)(padded * w->cols) * sizeof(*to);
    if (!to || cuda_weight_widen(b, w, NULL, w->rows, to) != OK) return NULL;
    return cuda_zero(b->d, (CUdeviceptr)to + filled, all - filled) == OK ? to : NULL;
}

/* h (N, C) times the head (V, C) transposed, chunk by chunk. The vocabulary is padded with rows of zeros to a multiple
 * of 8 (cuda_padded), as rows of logits must begin at multiples of 16 bytes; `vocab` tells the kernel where to stop. */
enum status cuda_row_cross_entropy(struct cuda_backend *b, const struct op_call *call)
{
    const struct linear_cross_entropy_params *p = call->params;
    const struct array *logprobs = call->out[2], *dh = call->out[3];
    struct cuda_rows h;
    TRY(cuda_expect(b, OP_LINEAR_CROSS_ENTROPY, call->in[0], DTYPE_BF16));
    TRY(cuda_rows_in(b, call->in[0], 1, &h));
    struct cuda_cross_entropy a = {.h = h.data,
                                   .table = bf16_head(b, p->w, cuda_padded(p->w->rows)),
                                   .targets = call->in[1]->data,
                                   .weights = call->in[2]->data,
                                   .dh = p->want_dh ? dh->data : NULL,
                                   .loss = call->out[0]->data,
                                   .stats = call->out[1]->data,
                                   .fault = b->fault ? &b->fault->row_fault : NULL,
                                   .h_stride = h.stride,
                                   .table_stride = h.cols,
                                   .dh_stride = h.cols,
                                   .rows = (int)h.rows,
                                   .cols = h.cols,
                                   .vocab = (int)p->w->rows,
                                   .padded = cuda_padded(p->w->rows)};
    a.chunk = rows_a_chunk(h.rows, h.cols, a.padded);
    a.nll = cuda_scratch(b, DTYPE_F32, h.rows);
    a.logits = cuda_scratch(b, DTYPE_BF16, (int64_t)a.chunk * a.padded);
    if (!a.table || !a.nll || !a.logits) return b->backend.c->status;
    TRY(cuda_cross_entropy(b->d, &a));
    if (!p->want_logprobs) return OK;
    const struct cuda_negate_args n = {a.nll, logprobs->data, (int)h.rows};
    return cuda_negate(b->d, &n);
}

enum status cuda_row_sum_squares(struct cuda_backend *b, const struct op_call *call)
{
    struct cuda_rows x;
    TRY(cuda_expect(b, OP_SUM_SQUARES, call->in[0], DTYPE_F32));
    TRY(cuda_rows_in(b, call->in[0], call->in[0]->ndim, &x));
    const struct cuda_sum_squares_args a = {x.data, (double *)b->partial, call->out[0]->data, array_size(call->in[0])};
    return cuda_sum_squares(b->d, &a);
}

/* What differs from step to step (rate, corrections, threshold) is uploaded into b->step, so that the launch itself is the
 * same in every step and can be replayed. */
enum status cuda_row_adamw(struct cuda_backend *b, const struct op_call *call)
{
    const struct adamw_params *p = call->params;
    const struct cuda_adamw_step step = {p->lr, p->correction1, p->correction2, p->grad_scale, p->threshold};
    for (int i = 0; i < 4; i++) TRY(cuda_expect(b, OP_ADAMW, call->in[i], DTYPE_F32));
    cuda_backend_upload(&b->backend, (void *)b->step, &step, sizeof(step));
    const struct cuda_adamw_args a = {.param = call->in[0]->data,
                                      .m = call->in[2]->data,
                                      .v = call->in[3]->data,
                                      .grad = call->in[1]->data,
                                      .sum_squares = call->in[4] ? call->in[4]->data : NULL,
                                      .stopped = call->in[5] ? call->in[5]->data : NULL,
                                      .step = (const struct cuda_adamw_step *)b->step,
                                      .count = array_size(call->in[0]),
                                      .beta1 = p->beta1,
                                      .beta2 = p->beta2,
                                      .eps = p->eps,
                                      .weight_decay = p->weight_decay};
    return cuda_adamw(b->d, &a);
}
