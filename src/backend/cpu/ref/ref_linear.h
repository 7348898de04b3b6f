/* ref_linear: part of ref_real.h. y_i = x W_i^T + bias_i + scale_i drop_i(x) A_i^T B_i^T for up to three weights.
 *
 * Weight rows are widened one at a time, so a quantised matrix is never held whole: a block of results is a block of
 * weight rows times all tokens. Adapters go first (h_i = drop_i(x) A_i^T, blocks of tokens), because every result row
 * needs them. */

enum { LINEAR_TOKENS = 16, LINEAR_ROWS = 16 }; /* tokens and weight rows of a block */

/* One weight of the call. a is NULL without an adapter. */
struct linear_slot {
    const struct weight *w;
    const struct array *a, *b; /* (R, K), (M, R) */
    int64_t first, rank;       /* first column of y; R */
    double scale;
    float p; /* dropout, 0 when off */
    REAL *h; /* (N, R) with row stride h_stride */
    int64_t h_stride;
};

/* One call, as all its work items see it. */
struct ref_linear_work {
    const struct linear_params *params;
    const struct step_values *step;
    const struct array *x, *y;
    struct linear_slot slot[LINEAR_MAX];
    int64_t n_tokens, k, m; /* N, K, sum of M */
    REAL *rows;             /* (workers, K): a widened weight row, or a dropped input row */
    uint8_t *keep;          /* (workers, K) */
};

/* The mask of slot i for a token of this call, keyed by the token's place in the whole optimizer step. */
static void linear_mask(const struct ref_linear_work *work, int i, int64_t token, uint8_t *keep)
{
    dropout_mask(work->step, work->params->id[i], work->step->first_token + token, work->slot[i].p, work->k, keep);
}

/* drop(x) of one token; `token` counts from row 0 of this call. */
static const REAL *dropped(const struct ref_linear_work *work, int i, int64_t token, REAL *row, uint8_t *keep)
{
    const struct linear_slot *s = &work->slot[i];
    const REAL *x = real_row(work->x, token);
    if (s->p <= 0) return x;
    linear_mask(work, i, token, keep);
    double up = 1.0 / (1.0 - (double)s->p);
    for (int64_t j = 0; j < work->k; j++) row[j] = keep[j] ? (REAL)((double)x[j] * up) : 0;
    return row;
}

/* Forward, first loop: h_i = drop_i(x) A_i^T for a block of tokens and every weight that has an adapter. */
static void linear_adapter_block(void *arg, int64_t block, int worker)
{
    const struct ref_linear_work *work = arg;
    REAL *row = work->rows + worker * work->k;
    int64_t end = min_i64(work->n_tokens, (block + 1) * LINEAR_TOKENS);
    for (int64_t n = block * LINEAR_TOKENS; n < end; n++) {
        for (int i = 0; i < work->params->n; i++) {
            const struct linear_slot *s = &work->slot[i];
            if (!s->a) continue;
            const REAL *x = dropped(work, i, n, row, work->keep + worker * work->k);
            for (int64_t r = 0; r < s->rank; r++) s->h[n * s->h_stride + r] = (REAL)dot(x, real_row(s->a, r), work->k);
        }
    }
}

/* The slot that column m of y belongs to. */
static const struct linear_slot *linear_slot_of(const struct ref_linear_work *work, int64_t m)
{
    int i = 0;
    while (i + 1 < work->params->n && m >= work->slot[i + 1].first) i++;
    return &work->slot[i];
}

/* Forward, second loop: a block of columns of y, that is of rows of the weights, for all tokens. */
static void linear_block(void *arg, int64_t block, int worker)
{
    const struct ref_linear_work *work = arg;
    REAL *row = work->rows + worker * work->k;
    int64_t end = min_i64(work->m, (block + 1) * LINEAR_ROWS);
    for (int64_t m = block * LINEAR_ROWS; m < end; m++) {
        const struct linear_slot *s = linear_slot_of(work, m);
        int64_t i = m - s->first; /* row of this weight */
        REAL_WEIGHT_ROW(s->w, i, row);
        double bias = s->w->bias ? (double)((const float *)s->w->bias->data)[i] : 0.0;
        for (int64_t n = 0; n < work->n_tokens; n++) {
            double y = dot(real_row(work->x, n), row, work->k) + bias;
            if (s->a) y += s->scale * dot(s->h + n * s->h_stride, real_row(s->b, i), s->rank);
            *real_at(work->y, n * work->y->stride[0] + m) = (REAL)y;
        }
    }
}

/* Fills the slots and checks every operand of the adapter; x must be set. h comes later. */
static void linear_slots(struct ctx *c, const struct op_call *call, struct ref_linear_work *work,
                         const struct linear_view *v)
{
    const struct linear_params *p = work->params;
    BUG_ON(c, p->n < 1 || p->n > LINEAR_MAX, "%s: %d weights", op_name(call->op), p->n);
    work->n_tokens = work->x->shape[0];
    work->k = work->x->shape[1];
    for (int i = 0; i < p->n; i++) {
        struct linear_slot *s = &work->slot[i];
        *s = (struct linear_slot){.w = p->w[i], .first = work->m, .scale = (double)p->scale[i]};
        BUG_ON(c, s->w->cols != work->k, "%s: weight %d has %lld columns, x %lld", op_name(call->op), i,
               (long long)s->w->cols, (long long)work->k);
        work->m += s->w->rows;
        s->a = v->slot[i].a;
        s->b = v->slot[i].b;
        BUG_ON(c, !s->a != !s->b, "%s: adapter %d is half there", op_name(call->op), i);
        if (!s->a) continue;
        check_operand(c, call->op, s->a, 2);
        check_operand(c, call->op, s->b, 2);
        s->rank = s->a->shape[0];
        s->p = p->p[i];
        BUG_ON(c, s->a->shape[1] != work->k || s->b->shape[0] != s->w->rows || s->b->shape[1] != s->rank,
               "%s: adapter %d has the wrong shape", op_name(call->op), i);
    }
}

/* Where h_i is written: the output that the tape asked for, or `scratch`. Returns how much of it was used. */
static int64_t linear_place_h(struct ctx *c, struct linear_slot *s, const struct array *out, int64_t n, REAL *scratch)
{
    if (!s->a) return 0;
    if (out) {
        check_operand(c, OP_LINEAR, out, 2);
        BUG_ON(c, out->shape[0] != n || out->shape[1] != s->rank, "linear: h has the wrong shape");
        s->h = out->data;
        s->h_stride = out->stride[0];
        return 0;
    }
    s->h = scratch;
    s->h_stride = s->rank;
    return n * s->rank;
}

/* LINEAR: first the h_i, by blocks of tokens; then y, by blocks of weight rows, each of which is widened once. */
static enum status ref_run_linear(struct ctx *c, const struct op_call *call)
{
    const struct linear_view v = linear_view_of(call);
    struct ref_linear_work work = {.params = call->params, .step = call->step, .x = v.x, .y = v.y};
    check_operand(c, call->op, work.x, 2);
    if (work.y) check_operand(c, call->op, work.y, 2);
    linear_slots(c, call, &work, &v);
    BUG_ON(c, work.y && (work.y->shape[0] != work.n_tokens || work.y->shape[1] != work.m), "linear: y has the wrong shape");

    int64_t ranks = 0;
    for (int i = 0; i < work.params->n; i++) ranks += work.slot[i].rank;
    size_t workers = (size_t)threads_count(c);
    REAL *h = mem_alloc(c, (size_t)(work.n_tokens * ranks), sizeof(REAL)), *next = h;
    work.rows = mem_alloc(c, workers, (size_t)work.k * sizeof(REAL));
    work.keep = mem_alloc(c, workers, (size_t)work.k);
    if (h && work.rows && work.keep) {
        for (int i = 0; i < work.params->n; i++) {
            next += linear_place_h(c, &work.slot[i], v.slot[i].h, work.n_tokens, next);
        }
        if (ranks > 0) threads_run(c, ref_blocks(work.n_tokens, LINEAR_TOKENS), linear_adapter_block, &work);
        if (work.y) threads_run(c, ref_blocks(work.m, LINEAR_ROWS), linear_block, &work);
    }
    mem_free(c, h);
    mem_free(c, work.rows);
    mem_free(c, work.keep);
    return c->status;
}
