/* ref_attention: part of ref_real.h. Causal attention over packed segments, one row of scores at a time.
 *
 *   s_j = scale q . k_j    lse = log sum_j exp(s_j)    o = sum_j exp(s_j - lse) v_j
 *
 * over the keys that the query sees (struct attention_params). A query that sees none gets o = 0 and lse = -inf. */

enum { ATTENTION_ROWS = 8 }; /* queries or keys of a block */

/* A range of rows [begin, end). */
struct ref_attention_span {
    int64_t begin, end;
};

/* The segment that holds `row`: the last one that does not begin after it (empty segments begin where the next does). */
static int segment_of(const int32_t *cu, int n_seg, int64_t row)
{
    int low = 0, high = n_seg; /* cu[low] <= row < cu[high] */
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (cu[middle] <= row) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Keys that query row n sees. */
static struct ref_attention_span ref_attention_keys(const struct cpu_segments *g, int64_t n)
{
    int s = segment_of(g->q, g->n, n);
    int64_t nq = g->q[s + 1] - g->q[s], nk = g->k[s + 1] - g->k[s];
    int64_t last = n - g->q[s] + nk - nq, first = g->window > 0 ? max_i64(0, last - g->window + 1) : 0;
    return (struct ref_attention_span){g->k[s] + first, g->k[s] + max_i64(first, last + 1)};
}

/* Queries that see key row j: the inverse of ref_attention_keys. */
static struct ref_attention_span queries_of(const struct cpu_segments *g, int64_t j)
{
    int s = segment_of(g->k, g->n, j);
    int64_t nq = g->q[s + 1] - g->q[s], nk = g->k[s + 1] - g->k[s];
    int64_t own = j - g->k[s] - (nk - nq), first = max_i64(0, own);
    int64_t end = g->window > 0 ? min_i64(nq, own + g->window) : nq;
    return (struct ref_attention_span){g->q[s] + first, g->q[s] + max_i64(first, end)};
}

/* One call, as all its work items see it. */
struct ref_attention_work {
    const struct attention_params *p;
    struct cpu_segments segments;
    const struct array *q, *k, *v, *o, *lse;
    int64_t n, heads, group, d; /* N, H, H / G, D */
    double *scratch;            /* (workers, width): scores, then sums of one output row */
    int64_t width, max_keys;
};

/* One query row and head: scores of the keys that it sees, their maximum, then o and lse. Head h reads key head h / (H /
 * G). */
static void ref_attention_row(const struct ref_attention_work *work, int64_t n, int64_t h, double *scratch)
{
    struct ref_attention_span keys = ref_attention_keys(&work->segments, n);
    const REAL *q = real_head(work->q, n, h);
    double *scores = scratch, *sums = scratch + work->max_keys, m = -INFINITY, total = 0;
    for (int64_t j = keys.begin; j < keys.end; j++) {
        double s = work->p->scale * dot(q, real_head(work->k, j, h / work->group), work->d);
        scores[j - keys.begin] = s;
        m = maximum(m, s);
    }
    memset(sums, 0, (size_t)work->d * sizeof(*sums));
    for (int64_t j = keys.begin; j < keys.end; j++) {
        double e = exp(scores[j - keys.begin] - m);
        total += e;
        axpy(e, real_head(work->v, j, h / work->group), sums, work->d);
    }
    REAL *o = real_head(work->o, n, h);
    for (int64_t d = 0; d < work->d; d++) o[d] = (REAL)(keys.begin < keys.end ? sums[d] / total : 0.0);
    if (work->lse) *real_at(work->lse, n * work->lse->stride[0] + h * work->lse->stride[1]) = (REAL)(m + log(total));
}

/* ATTENTION_ROWS queries of all heads. */
static void attention_block(void *arg, int64_t block, int worker)
{
    const struct ref_attention_work *work = arg;
    int64_t end = min_i64(work->n, (block + 1) * ATTENTION_ROWS);
    for (int64_t n = block * ATTENTION_ROWS; n < end; n++) {
        for (int64_t h = 0; h < work->heads; h++) ref_attention_row(work, n, h, work->scratch + worker * work->width);
    }
}

/* Checks shared with backward: q (N, H, D), k and v (S, G, D), o as q, lse (N, H). */
static enum status ref_attention_check(struct ctx *c, const struct op_call *call, struct ref_attention_work *work)
{
    check_operand(c, call->op, work->q, 3);
    check_operand(c, call->op, work->k, 3);
    check_operand(c, call->op, work->v, 3);
    check_operand(c, call->op, work->o, 3);
    BUG_ON(c, !array_same_shape(work->k, work->v) || !array_same_shape(work->q, work->o), "attention: shapes differ");
    BUG_ON(c, work->q->shape[2] != work->k->shape[2], "attention: head sizes differ");
    if (work->lse) {
        check_operand(c, call->op, work->lse, 2);
        BUG_ON(c, work->lse->shape[0] != work->q->shape[0] || work->lse->shape[1] != work->q->shape[1], "attention: lse");
    }
    BUG_ON(c, work->k->shape[1] < 1 || work->q->shape[1] % work->k->shape[1] != 0,
           "attention: query heads are no multiple of key heads");
    TRY(cpu_segments_check(c, &work->segments, work->q->shape[0], work->k->shape[0]));
    work->n = work->q->shape[0];
    work->heads = work->q->shape[1];
    work->group = work->q->shape[1] / work->k->shape[1];
    work->d = work->q->shape[2];
    const struct cpu_segments *g = &work->segments;
    for (int s = 0; s < g->n; s++) work->max_keys = max_i64(work->max_keys, g->k[s + 1] - g->k[s]);
    return OK;
}

/* ATTENTION: row by row and head by head, all scores of a query at once. */
static enum status run_attention(struct ctx *c, const struct op_call *call)
{
    struct ref_attention_work work = {.p = call->params, .q = call->in[0], .k = call->in[1], .v = call->in[2]};
    work.o = call->out[0];
    work.lse = call->out[1];
    work.segments = cpu_segments_of(work.p, call->in[3], call->in[4]);
    TRY(ref_attention_check(c, call, &work));
    work.width = work.max_keys + work.d;
    work.scratch = mem_alloc(c, (size_t)threads_count(c), (size_t)work.width * sizeof(double));
    if (!work.scratch) return E_MEMORY;
    threads_run(c, ref_blocks(work.n, ATTENTION_ROWS), attention_block, &work);
    mem_free(c, work.scratch);
    return OK;
}
