/* ref_attention: part of ref_real.h. Causal attention over packed segments, one row of scores at a time.
 *
 *   s_j = scale q . k_j    lse = log sum_j exp(s_j)    o = sum_j exp(s_j - lse) v_j
 *
 * over the keys that the query sees (struct attention_params). A query that sees none gets o = 0 and lse = -inf. */

enum { ATTENTION_ROWS = 8 }; /* queries or keys a block */

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
struct attention_job {
    const struct attention_params *p;
    struct cpu_segments segments;
    const struct array *q, *k, *v, *o, *lse;
    int64_t n, heads, group, d; /* N, H, H / G, D */
    double *scratch;            /* (workers, width): scores, then sums of one output row */
    int64_t width, max_keys;
};

/* One query row and head: scores of the keys that it sees, their maximum, then o and lse. Head h reads key head h / (H /
 * G). */
static void ref_attention_row(const struct attention_job *job, int64_t n, int64_t h, double *scratch)
{
    struct ref_attention_span keys = ref_attention_keys(&job->segments, n);
    const REAL *q = real_head(job->q, n, h);
    double *scores = scratch, *sums = scratch + job->max_keys, m = -INFINITY, total = 0;
    for (int64_t j = keys.begin; j < keys.end; j++) {
        double s = job->p->scale * dot(q, real_head(job->k, j, h / job->group), job->d);
        scores[j - keys.begin] = s;
        m = maximum(m, s);
    }
    memset(sums, 0, (size_t)job->d * sizeof(*sums));
    for (int64_t j = keys.begin; j < keys.end; j++) {
        double e = exp(scores[j - keys.begin] - m);
        total += e;
        axpy(e, real_head(job->v, j, h / job->group), sums, job->d);
    }
    REAL *o = real_head(job->o, n, h);
    for (int64_t d = 0; d < job->d; d++) o[d] = (REAL)(keys.begin < keys.end ? sums[d] / total : 0.0);
    if (job->lse) *real_at(job->lse, n * job->lse->stride[0] + h * job->lse->stride[1]) = (REAL)(m + log(total));
}

static void attention_block(void *arg, int64_t block, int worker)
{
    const struct attention_job *job = arg;
    int64_t end = min_i64(job->n, (block + 1) * ATTENTION_ROWS);
    for (int64_t n = block * ATTENTION_ROWS; n < end; n++) {
        for (int64_t h = 0; h < job->heads; h++) ref_attention_row(job, n, h, job->scratch + worker * job->width);
    }
}

/* Checks shared with backward: q (N, H, D), k and v (S, G, D), o as q, lse (N, H). */
static enum status ref_attention_check(struct ctx *c, const struct op_call *call, struct attention_job *job)
{
    check_operand(c, call->op, job->q, 3);
    check_operand(c, call->op, job->k, 3);
    check_operand(c, call->op, job->v, 3);
    check_operand(c, call->op, job->o, 3);
    BUG_ON(c, !array_same_shape(job->k, job->v) || !array_same_shape(job->q, job->o), "attention: shapes differ");
    BUG_ON(c, job->q->shape[2] != job->k->shape[2], "attention: head sizes differ");
    if (job->lse) {
        check_operand(c, call->op, job->lse, 2);
        BUG_ON(c, job->lse->shape[0] != job->q->shape[0] || job->lse->shape[1] != job->q->shape[1], "attention: lse");
    }
    BUG_ON(c, job->k->shape[1] < 1 || job->q->shape[1] % job->k->shape[1] != 0,
           "attention: query heads are no multiple of key heads");
    TRY(cpu_segments_check(c, &job->segments, job->q->shape[0], job->k->shape[0]));
    job->n = job->q->shape[0];
    job->heads = job->q->shape[1];
    job->group = job->q->shape[1] / job->k->shape[1];
    job->d = job->q->shape[2];
    const struct cpu_segments *g = &job->segments;
    for (int s = 0; s < g->n; s++) job->max_keys = max_i64(job->max_keys, g->k[s + 1] - g->k[s]);
    return OK;
}

static enum status run_attention(struct ctx *c, const struct op_call *call)
{
    struct attention_job job = {.p = call->params, .q = call->in[0], .k = call->in[1], .v = call->in[2]};
    job.o = call->out[0];
    job.lse = call->out[1];
    job.segments = cpu_segments_of(job.p, call->in[3], call->in[4]);
    TRY(ref_attention_check(c, call, &job));
    job.width = job.max_keys + job.d;
    job.scratch = mem_alloc(c, (size_t)threads_count(c), (size_t)job.width * sizeof(double));
    if (!job.scratch) return E_MEMORY;
    threads_run(c, ref_blocks(job.n, ATTENTION_ROWS), attention_block, &job);
    mem_free(c, job.scratch);
    return OK;
}
