/* ref_linear_bwd: part of ref_real.h. With u_i = scale_i dy_i B_i (N, R) and d_i = the dropout factors of x (0 or 1/(1-p)):
 *
 *   dx   = sum_i dy_i W_i + d_i * (u_i A_i)
 *   dA_i = u_i^T (d_i * x)
 *   dB_i = scale_i dy_i^T h_i
 *
 * Base weights are frozen: they have no gradient. Four passes, each of whose results is summed whole by one thread: u and
 * the masks by tokens, dx by tokens, dA by rows of A, dB by rows of B. */

struct linear_bwd_job {
    struct linear_job l; /* x, slots, sizes; l.rows is a widened weight row for each worker */
    const struct array *dy, *dx;
    const struct linear_view *view;     /* the call's operands: dA_i, dB_i and h_i are taken from it */
    double *u[LINEAR_MAX];              /* (N, R) */
    uint8_t *keep[LINEAR_MAX];          /* (N, K), NULL without dropout */
    int64_t rank_start[LINEAR_MAX + 1]; /* rows of all A before slot i */
    double *sums;                       /* (workers, LINEAR_TOKENS, K) */
};

static const REAL *dy_of(const struct linear_bwd_job *job, const struct linear_slot *s, int64_t token)
{
    return real_row(job->dy, token) + s->first;
}

static void linear_bwd_u_block(void *arg, int64_t block, int worker)
{
    const struct linear_bwd_job *job = arg;
    (void)worker;
    int64_t end = min_i64(job->l.n_tokens, (block + 1) * LINEAR_TOKENS);
    for (int64_t n = block * LINEAR_TOKENS; n < end; n++) {
        for (int i = 0; i < job->l.params->n; i++) {
            const struct linear_slot *s = &job->l.slot[i];
            if (!s->a) continue;
            const REAL *dy = dy_of(job, s, n);
            double *u = job->u[i] + n * s->rank;
            for (int64_t m = 0; m < s->w->rows; m++) axpy(s->scale * (double)dy[m], real_row(s->b, m), u, s->rank);
            if (job->keep[i]) linear_mask(&job->l, i, n, job->keep[i] + n * job->l.k);
        }
    }
}

/* sums[k] += factor_k * sum_r u_r A[r][k] for one token. */
static void linear_bwd_dx_adapter(const struct linear_bwd_job *job, int i, int64_t token, double *sums)
{
    const struct linear_slot *s = &job->l.slot[i];
    const uint8_t *keep = job->keep[i] ? job->keep[i] + token * job->l.k : NULL;
    double up = 1.0 / (1.0 - (double)s->p);
    for (int64_t r = 0; r < s->rank; r++) {
        double u = job->u[i][token * s->rank + r] * up;
        const REAL *a = real_row(s->a, r);
        for (int64_t k = 0; k < job->l.k; k++) {
            if (!keep || keep[k]) sums[k] += u * (double)a[k];
        }
    }
}

static void linear_bwd_dx_block(void *arg, int64_t block, int worker)
{
    const struct linear_bwd_job *job = arg;
    int64_t k = job->l.k, first = block * LINEAR_TOKENS, n = min_i64(LINEAR_TOKENS, job->l.n_tokens - first);
    REAL *row = job->l.rows + worker * k;
    double *sums = job->sums + worker * LINEAR_TOKENS * k;
    memset(sums, 0, (size_t)(LINEAR_TOKENS * k) * sizeof(*sums));
    for (int i = 0; i < job->l.params->n; i++) {
        const struct linear_slot *s = &job->l.slot[i];
        for (int64_t m = 0; m < s->w->rows; m++) {
            REAL_WEIGHT_ROW(s->w, m, row);
            for (int64_t t = 0; t < n; t++) axpy((double)dy_of(job, s, first + t)[m], row, sums + t * k, k);
        }
        for (int64_t t = 0; s->a && t < n; t++) linear_bwd_dx_adapter(job, i, first + t, sums + t * k);
    }
    for (int64_t t = 0; t < n; t++) store_row(sums + t * k, real_row(job->dx, first + t), k, false);
}

/* One row of one A: sums over tokens in order. */
static void linear_bwd_da_block(void *arg, int64_t block, int worker)
{
    const struct linear_bwd_job *job = arg;
    int i = 0;
    while (block >= job->rank_start[i + 1]) i++;
    const struct linear_slot *s = &job->l.slot[i];
    const struct array *da = job->view->slot[i].da;
    if (!da) return;
    int64_t r = block - job->rank_start[i], k = job->l.k;
    double *sums = job->sums + worker * LINEAR_TOKENS * k, up = 1.0 / (1.0 - (double)s->p);
    memset(sums, 0, (size_t)k * sizeof(*sums));
    for (int64_t n = 0; n < job->l.n_tokens; n++) {
        double u = job->u[i][n * s->rank + r] * up;
        const REAL *x = real_row(job->l.x, n);
        const uint8_t *keep = job->keep[i] ? job->keep[i] + n * k : NULL;
        for (int64_t j = 0; j < k; j++) {
            if (!keep || keep[j]) sums[j] += u * (double)x[j];
        }
    }
    store_row(sums, real_row(da, r), k, job->l.params->accumulate);
}

/* LINEAR_ROWS rows of dB, numbered over all slots as the columns of y are. */
static void linear_bwd_db_block(void *arg, int64_t block, int worker)
{
    const struct linear_bwd_job *job = arg;
    double *sums = job->sums + worker * LINEAR_TOKENS * job->l.k; /* R <= K * LINEAR_TOKENS is checked */
    int64_t end = min_i64(job->l.m, (block + 1) * LINEAR_ROWS);
    for (int64_t m = block * LINEAR_ROWS; m < end; m++) {
        const struct linear_slot *s = linear_slot_of(&job->l, m);
        const struct array *db = job->view->slot[s - job->l.slot].db;
        if (!s->a || !db) continue;
        memset(sums, 0, (size_t)s->rank * sizeof(*sums));
        for (int64_t n = 0; n < job->l.n_tokens; n++) {
            axpy(s->scale * (double)real_row(job->dy, n)[m], s->h + n * s->h_stride, sums, s->rank);
        }
        store_row(sums, real_row(db, m - s->first), s->rank, job->l.params->accumulate);
    }
}

/* Reads h_i, checks the gradients' shapes, and allocates u_i and the masks. */
static bool linear_bwd_prepare(struct ctx *c, const struct op_call *call, struct linear_bwd_job *job)
{
    for (int i = 0; i < job->l.params->n; i++) {
        struct linear_slot *s = &job->l.slot[i];
        const struct array *h = job->view->slot[i].h, *da = job->view->slot[i].da, *db = job->view->slot[i].db;
        job->rank_start[i + 1] = job->rank_start[i] + s->rank;
        BUG_ON(c, !s->a && (da || db), "linear_bwd: a gradient without its adapter");
        if (!s->a) continue;
        check_operand(c, call->op, h, 2);
        BUG_ON(c, h->shape[0] != job->l.n_tokens || h->shape[1] != s->rank, "linear_bwd: h has the wrong shape");
        BUG_ON(c, da && !array_same_shape(da, s->a), "linear_bwd: dA has the wrong shape");
        BUG_ON(c, db && !array_same_shape(db, s->b), "linear_bwd: dB has the wrong shape");
        s->h = h->data;
        s->h_stride = h->stride[0];
        job->u[i] = mem_alloc(c, (size_t)(job->l.n_tokens * s->rank), sizeof(double));
        if (s->p > 0) job->keep[i] = mem_alloc(c, (size_t)(job->l.n_tokens * job->l.k), 1);
    }
    size_t workers = (size_t)threads_count(c);
    int64_t widest = max_i64(job->l.k * LINEAR_TOKENS, job->rank_start[job->l.params->n]);
    job->l.rows = mem_alloc(c, workers, (size_t)job->l.k * sizeof(REAL));
    job->sums = mem_alloc(c, workers, (size_t)widest * sizeof(double));
    return ctx_ok(c);
}

static enum status run_linear_bwd(struct ctx *c, const struct op_call *call)
{
    const struct linear_view v = linear_view_of(call);
    struct linear_bwd_job job = {.view = &v, .dy = v.dy, .dx = v.dx};
    job.l.params = call->params;
    job.l.step = call->step;
    job.l.x = v.x;
    check_operand(c, call->op, job.dy, 2);
    check_operand(c, call->op, job.l.x, 2);
    linear_slots(c, call, &job.l, &v);
    BUG_ON(c, job.dy->shape[0] != job.l.n_tokens || job.dy->shape[1] != job.l.m, "linear_bwd: dy has the wrong shape");
    if (job.dx) {
        check_operand(c, call->op, job.dx, 2);
        BUG_ON(c, !array_same_shape(job.dx, job.l.x), "linear_bwd: dx has the wrong shape");
    }
    if (linear_bwd_prepare(c, call, &job)) {
        int64_t token_blocks = ref_blocks(job.l.n_tokens, LINEAR_TOKENS), ranks = job.rank_start[job.l.params->n];
        if (ranks > 0) threads_run(c, token_blocks, linear_bwd_u_block, &job);
        if (job.dx) threads_run(c, token_blocks, linear_bwd_dx_block, &job);
        if (ranks > 0) threads_run(c, ranks, linear_bwd_da_block, &job);
        if (ranks > 0) threads_run(c, ref_blocks(job.l.m, LINEAR_ROWS), linear_bwd_db_block, &job);
    }
    for (int i = 0; i < LINEAR_MAX; i++) {
        mem_free(c, job.u[i]);
        mem_free(c, job.keep[i]);
    }
    mem_free(c, job.l.rows);
    mem_free(c, job.sums);
    return c->status;
}
