/* ref_loss: part of ref_real.h. Softmax cross-entropy of h W^T, a few rows of logits at a time:
 *
 *   nll_i = log sum_v exp(h_i . W_v) - h_i . W_t      dh_i = weight_i (sum_v p_v W_v - W_t)
 *
 * A block of tokens widens each row of the table once for its logits and, when dh is wanted, once more. The per-token
 * values are added in token order afterwards, in double. Rows of weight 0 (padding, prompts) cost nothing. */

enum { LOSS_ROWS = 8 }; /* tokens of a block */

/* One call, as all its work items see it: h (N, C), targets i32 (N), weights f32 (N), dh (N, C). */
struct ref_loss_work {
    const struct linear_cross_entropy_params *p;
    const struct array *h, *targets, *weights, *dh; /* dh NULL: not wanted */
    int64_t n, c, v;
    double *nll;    /* (N), 0 on skipped rows */
    double *logits; /* (workers, LOSS_ROWS, V) */
    double *sums;   /* (workers, LOSS_ROWS, C) */
    REAL *rows;     /* (workers, C) */
};

/* The loss weight of row i. */
static double loss_weight_at(const struct array *weights, int64_t i)
{
    return (double)((const float *)weights->data)[i * weights->stride[0]];
}

/* Turns logits into probabilities and returns the log-sum-exp. */
static double softmax_in_place(double *logits, int64_t n)
{
    double m = -INFINITY, total = 0;
    for (int64_t v = 0; v < n; v++) m = maximum(m, logits[v]);
    for (int64_t v = 0; v < n; v++) total += logits[v] = exp(logits[v] - m);
    for (int64_t v = 0; v < n; v++) logits[v] /= total;
    return n > 0 ? m + log(total) : -INFINITY;
}

/* The counted tokens of a block, as their indices; returns how many. */
static int loss_rows(const struct ref_loss_work *work, int64_t block, int64_t rows[LOSS_ROWS])
{
    int n = 0;
    int64_t end = min_i64(work->n, (block + 1) * LOSS_ROWS);
    for (int64_t i = block * LOSS_ROWS; i < end; i++) {
        if (loss_weight_at(work->weights, i) != 0) rows[n++] = i;
    }
    return n;
}

/* dh of a block's counted tokens: sum over the vocabulary of weight (p_v - [v is the target]) W_v. */
static void loss_dh(const struct ref_loss_work *work, const int64_t *rows, int n, const double *probs, REAL *row,
                    double *sums)
{
    memset(sums, 0, (size_t)(n * work->c) * sizeof(*sums));
    for (int64_t v = 0; v < work->v; v++) {
        REAL_WEIGHT_ROW(work->p->w, v, row);
        for (int t = 0; t < n; t++) {
            double target = id_at(work->targets, rows[t]) == v ? 1.0 : 0.0;
            axpy(loss_weight_at(work->weights, rows[t]) * (probs[t * work->v + v] - target), row, sums + t * work->c,
                 work->c);
        }
    }
    for (int t = 0; t < n; t++) store_row(sums + t * work->c, real_row(work->dh, rows[t]), work->c, false);
}

/* A block of tokens: logits against every row of the table, then nll and, when wanted, dh. */
static void loss_block(void *arg, int64_t block, int worker)
{
    const struct ref_loss_work *work = arg;
    int64_t rows[LOSS_ROWS];
    int n = loss_rows(work, block, rows);
    if (n == 0) return;
    double *logits = work->logits + worker * LOSS_ROWS * work->v;
    REAL *row = work->rows + worker * work->c;
    for (int64_t v = 0; v < work->v; v++) {
        REAL_WEIGHT_ROW(work->p->w, v, row);
        for (int t = 0; t < n; t++) logits[t * work->v + v] = dot(real_row(work->h, rows[t]), row, work->c);
    }
    for (int t = 0; t < n; t++) {
        double target = logits[t * work->v + id_at(work->targets, rows[t])];
        work->nll[rows[t]] = softmax_in_place(logits + t * work->v, work->v) - target;
    }
    if (work->dh) loss_dh(work, rows, n, logits, row, work->sums + worker * LOSS_ROWS * work->c);
}

/* stats and the scalar result, added in token order; logprobs where asked for. */
static void loss_totals(const struct ref_loss_work *work, const struct op_call *call)
{
    double weighted = 0, unweighted = 0, count = 0;
    for (int64_t i = 0; i < work->n; i++) {
        double w = loss_weight_at(work->weights, i);
        if (call->out[2]) ((float *)call->out[2]->data)[i * call->out[2]->stride[0]] = (float)(w != 0 ? -work->nll[i] : 0.0);
        if (w == 0) continue;
        weighted += w * work->nll[i];
        unweighted += work->nll[i];
        count += 1;
    }
    double *stats = call->out[1]->data;
    stats[0] = weighted;
    stats[1] = unweighted;
    stats[2] = count;
    *(REAL *)call->out[0]->data = (REAL)weighted;
}

/* Broken operands are bugs of the front end, so they stop the program. */
static void check_loss(struct ctx *c, const struct op_call *call, const struct ref_loss_work *work)
{
    check_operand(c, call->op, work->h, 2);
    check_operand(c, call->op, call->out[0], 0);
    BUG_ON(c, work->p->w->cols != work->c, "linear_cross_entropy: the table has %lld columns, h %lld",
           (long long)work->p->w->cols, (long long)work->c);
    BUG_ON(c, work->targets->dtype != DTYPE_I32 || work->targets->ndim != 1 || work->targets->shape[0] != work->n,
           "linear_cross_entropy: targets");
    BUG_ON(c, work->weights->dtype != DTYPE_F32 || work->weights->ndim != 1 || work->weights->shape[0] != work->n,
           "linear_cross_entropy: weights");
    BUG_ON(c, call->out[1]->dtype != DTYPE_F64 || array_size(call->out[1]) != 3, "linear_cross_entropy: stats");
    BUG_ON(c, call->out[2] && (call->out[2]->dtype != DTYPE_F32 || array_size(call->out[2]) != work->n),
           "linear_cross_entropy: logprobs");
    BUG_ON(c, work->dh && !array_same_shape(work->dh, work->h), "linear_cross_entropy: dh");
    if (work->dh) check_operand(c, call->op, work->dh, 2);
}

/* LINEAR_CROSS_ENTROPY: logits of LOSS_ROWS rows at a time, in f64. */
static enum status run_linear_cross_entropy(struct ctx *c, const struct op_call *call)
{
    struct ref_loss_work work = {.p = call->params, .h = call->in[0], .targets = call->in[1], .weights = call->in[2]};
    work.dh = call->out[3];
    work.n = work.h->shape[0];
    work.c = work.h->shape[1];
    work.v = work.p->w->rows;
    check_loss(c, call, &work);
    /* As ref_index_check, a second look. */
    TRY(ref_ids_check(c, op_name(call->op), work.targets, work.weights, work.v));
    size_t workers = (size_t)threads_count(c);
    work.nll = mem_alloc(c, (size_t)work.n, sizeof(double));
    work.logits = mem_alloc(c, workers, (size_t)(LOSS_ROWS * work.v) * sizeof(double));
    work.sums = mem_alloc(c, workers, (size_t)(LOSS_ROWS * work.c) * sizeof(double));
    work.rows = mem_alloc(c, workers, (size_t)work.c * sizeof(REAL));
    if (work.nll && work.logits && work.sums && work.rows) {
        for (int64_t i = 0; work.dh && i < work.n; i++) memset(real_row(work.dh, i), 0, (size_t)work.c * sizeof(REAL));
        threads_run(c, ref_blocks(work.n, LOSS_ROWS), loss_block, &work);
        loss_totals(&work, call);
    }
    mem_free(c, work.nll);
    mem_free(c, work.logits);
    mem_free(c, work.sums);
    mem_free(c, work.rows);
    return c->status;
}
