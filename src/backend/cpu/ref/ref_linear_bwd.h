/* ref_linear_bwd: part of ref_real.h. With u_i = scale_i dy_i B_i (N, R) and d_i = the dropout factors of x (0 or
 * 1/(1-p)):
 *
 *   dx   = sum_i dy_i W_i + d_i * (u_i A_i)
 *   dA_i = u_i^T (d_i * x)
 *   dB_i = scale_i dy_i^T h_i
 *
 * Base weights are frozen: they have no gradient. Four passes, each of whose results is summed whole by one thread: u and
 * the masks by tokens, dx by tokens, dA by rows of A, dB by rows of B. */

struct ref_linear_bwd_work {
    struct ref_linear_work l; /* x, slots, sizes; l.rows is a widened weight row for each worker */
    const struct array *dy, *dx;
    const struct linear_view *view;     /* the call's operands: dA_i, dB_i and h_i are taken from it */
    double *u[LINEAR_MAX];              /* (N, R) */
    uint8_t *keep[LINEAR_MAX];          /* (N, K), NULL without dropout */
    int64_t rank_start[LINEAR_MAX + 1]; /* rows of all A before slot i */
    double *sums;                       /* (workers, LINEAR_TOKENS, K) */
};

/* The gradient of weight i's columns of y for one token. */
static const REAL *dy_of(const struct ref_linear_bwd_work *work, const struct linear_slot *s, int64_t token)
{
    return real_row(work->dy, token) + s->first;
}

/* u of LINEAR_TOKENS tokens, and their masks. */
static void linear_bwd_u_block(void *arg, int64_t block, int worker)
{
    const struct ref_linear_bwd_work *work = arg;
    (void)worker;
    int64_t end = min_i64(work->l.n_tokens, (block + 1) * LINEAR_TOKENS);
    for (int64_t n = block * LINEAR_TOKENS; n < end; n++) {
        for (int i = 0; i < work->l.params->n; i++) {
            const struct linear_slot *s = &work->l.slot[i];
            if (!s->a) continue;
            const REAL *dy = dy_of(work, s, n);
            double *u = work->u[i] + n * s->rank;
            for (int64_t m = 0; m < s->w->rows; m++) axpy(s->scale * (double)dy[m], real_row(s->b, m), u, s->rank);
            if (work->keep[i]) linear_mask(&work->l, i, n, work->keep[i] + n * work->l.k);
        }
    }
}

/* sums[k] += factor_k * sum_r u_r A[r][k] for one token. */
static void linear_bwd_dx_adapter(const struct ref_linear_bwd_work *work, int i, int64_t token, double *sums)
{
    const struct linear_slot *s = &work->l.slot[i];
    const uint8_t *keep = work->keep[i] ? work->keep[i] + token * work->l.k : NULL;
    double up = 1.0 / (1.0 - (double)s->p);
    for (int64_t r = 0; r < s->rank; r++) {
        double u = work->u[i][token * s->rank + r] * up;
        const REAL *a = real_row(s->a, r);
        for (int64_t k = 0; k < work->l.k; k++) {
            if (!keep || keep[k]) sums[k] += u * (double)a[k];
        }
    }
}

/* dx of LINEAR_TOKENS tokens, which share the widening of each weight row. */
static void linear_bwd_dx_block(void *arg, int64_t block, int worker)
{
    const struct ref_linear_bwd_work *work = arg;
    int64_t k = work->l.k, first = block * LINEAR_TOKENS, n = min_i64(LINEAR_TOKENS, work->l.n_tokens - first);
    REAL *row = work->l.rows + worker * k;
    double *sums = work->sums + worker * LINEAR_TOKENS * k;
    memset(sums, 0, (size_t)(LINEAR_TOKENS * k) * sizeof(*sums));
    for (int i = 0; i < work->l.params->n; i++) {
        const struct linear_slot *s = &work->l.slot[i];
        for (int64_t m = 0; m < s->w->rows; m++) {
            REAL_WEIGHT_ROW(s->w, m, row);
            for (int64_t t = 0; t < n; t++) axpy((double)dy_of(work, s, first + t)[m], row, sums + t * k, k);
        }
        for (int64_t t = 0; s->a && t < n; t++) linear_bwd_dx_adapter(work, i, first + t, sums + t * k);
    }
    for (int64_t t = 0; t < n; t++) store_row(sums + t * k, real_row(work->dx, first + t), k, false);
}

/* One row of one A: sums over tokens in order. */
static void linear_bwd_da_block(void *arg, int64_t block, int worker)
{
    const struct ref_linear_bwd_work *work = arg;
    int i = 0;
    while (block >= work->rank_start[i + 1]) i++;
    const struct linear_slot *s = &work->l.slot[i];
    const struct array *da = work->view->slot[i].da;
    if (!da) return;
    int64_t r = block - work->rank_start[i], k = work->l.k;
    double *sums = work->sums + worker * LINEAR_TOKENS * k, up = 1.0 / (1.0 - (double)s->p);
    memset(sums, 0, (size_t)k * sizeof(*sums));
    for (int64_t n = 0; n < work->l.n_tokens; n++) {
        double u = work->u[i][n * s->rank + r] * up;
        const REAL *x = real_row(work->l.x, n);
        const uint8_t *keep = work->keep[i] ? work->keep[i] + n * k : NULL;
        for (int64_t j = 0; j < k; j++) {
            if (!keep || keep[j]) sums[j] += u * (double)x[j];
        }
    }
    store_row(sums, real_row(da, r), k, work->l.params->accumulate);
}

/* LINEAR_ROWS rows of dB, numbered over all slots as the columns of y are. */
static void linear_bwd_db_block(void *arg, int64_t block, int worker)
{
    const struct ref_linear_bwd_work *work = arg;
    double *sums = work->sums + worker * LINEAR_TOKENS * work->l.k; /* R <= K * LINEAR_TOKENS is checked */
    int64_t end = min_i64(work->l.m, (block + 1) * LINEAR_ROWS);
    for (int64_t m = block * LINEAR_ROWS; m < end; m++) {
        const struct linear_slot *s = linear_slot_of(&work->l, m);
        const struct array *db = work->view->slot[s - work->l.slot].db;
        if (!s->a || !db) continue;
        memset(sums, 0, (size_t)s->rank * sizeof(*sums));
        for (int64_t n = 0; n < work->l.n_tokens; n++) {
            axpy(s->scale * (double)real_row(work->dy, n)[m], s->h + n * s->h_stride, sums, s->rank);
        }
        store_row(sums, real_row(db, m - s->first), s->rank, work->l.params->accumulate);
    }
}

/* Reads h_i, checks the gradients' shapes, and allocates u_i and the masks. */
static bool linear_bwd_prepare(struct ctx *c, const struct op_call *call, struct ref_linear_bwd_work *work)
{
    for (int i = 0; i < work->l.params->n; i++) {
        struct linear_slot *s = &work->l.slot[i];
        const struct array *h = work->view->slot[i].h, *da = work->view->slot[i].da, *db = work->view->slot[i].db;
        work->rank_start[i + 1] = work->rank_start[i] + s->rank;
        BUG_ON(c, !s->a && (da || db), "linear_bwd: a gradient without its adapter");
        if (!s->a) continue;
        check_operand(c, call->op, h, 2);
        BUG_ON(c, h->shape[0] != work->l.n_tokens || h->shape[1] != s->rank, "linear_bwd: h has the wrong shape");
        BUG_ON(c, da && !array_same_shape(da, s->a), "linear_bwd: dA has the wrong shape");
        BUG_ON(c, db && !array_same_shape(db, s->b), "linear_bwd: dB has the wrong shape");
        s->h = h->data;
        s->h_stride = h->stride[0];
        work->u[i] = mem_alloc(c, (size_t)(work->l.n_tokens * s->rank), sizeof(double));
        if (s->p > 0) work->keep[i] = mem_alloc(c, (size_t)(work->l.n_tokens * work->l.k), 1);
    }
    size_t workers = (size_t)threads_count(c);
    int64_t widest = max_i64(work->l.k * LINEAR_TOKENS, work->rank_start[work->l.params->n]);
    work->l.rows = mem_alloc(c, workers, (size_t)work->l.k * sizeof(REAL));
    work->sums = mem_alloc(c, workers, (size_t)widest * sizeof(double));
    return ctx_ok(c);
}

/* LINEAR_BWD: the four passes, each a parallel loop. */
static enum status run_linear_bwd(struct ctx *c, const struct op_call *call)
{
    const struct linear_view v = linear_view_of(call);
    struct ref_linear_bwd_work work = {.view = &v, .dy = v.dy, .dx = v.dx};
    work.l.params = call->params;
    work.l.step = call->step;
    work.l.x = v.x;
    check_operand(c, call->op, work.dy, 2);
    check_operand(c, call->op, work.l.x, 2);
    linear_slots(c, call, &work.l, &v);
    BUG_ON(c, work.dy->shape[0] != work.l.n_tokens || work.dy->shape[1] != work.l.m, "linear_bwd: dy has the wrong shape");
    if (work.dx) {
        check_operand(c, call->op, work.dx, 2);
        BUG_ON(c, !array_same_shape(work.dx, work.l.x), "linear_bwd: dx has the wrong shape");
    }
    if (linear_bwd_prepare(c, call, &work)) {
        int64_t token_blocks = ref_blocks(work.l.n_tokens, LINEAR_TOKENS), ranks = work.rank_start[work.l.params->n];
        if (ranks > 0) threads_run(c, token_blocks, linear_bwd_u_block, &work);
        if (work.dx) threads_run(c, token_blocks, linear_bwd_dx_block, &work);
        if (ranks > 0) threads_run(c, ranks, linear_bwd_da_block, &work);
        if (ranks > 0) threads_run(c, ref_blocks(work.l.m, LINEAR_ROWS), linear_bwd_db_block, &work);
    }
    for (int i = 0; i < LINEAR_MAX; i++) {
        mem_free(c, work.u[i]);
        mem_free(c, work.keep[i]);
    }
    mem_free(c, work.l.rows);
    mem_free(c, work.sums);
    return c->status;
}
