/* ref_attention_bwd: part of ref_real.h. With p_ij = exp(s_ij - lse_i) and delta_i = do_i . o_i (Dao et al. 2022):
 *
 *   ds_ij = p_ij (do_i . v_j - delta_i)
 *   dq_i = scale sum_j ds_ij k_j      dk_j = scale sum_i ds_ij q_i      dv_j = sum_i p_ij do_i
 *
 * Scores are computed twice, once for dq by query rows and once for dk and dv by key rows, so that every sum belongs to
 * one thread and nothing of size N x S is kept. Keys outside of every segment get zero gradients. */

/* The forward operands, and the gradients: d_o is the incoming one, the others are results. */
struct ref_attention_bwd_work {
    struct ref_attention_work a;
    const struct array *d_o, *dq, *dk, *dv;
    double *delta; /* (N, H) */
};

/* p_ij and scale * ds_ij of query i, head h. */
static void attention_bwd_pair(const struct ref_attention_bwd_work *work, int64_t i, int64_t j, int64_t h, double *p,
                               double *ds)
{
    const struct ref_attention_work *a = &work->a;
    const REAL *k = real_head(a->k, j, h / a->group), *v = real_head(a->v, j, h / a->group);
    double s = a->p->scale * dot(real_head(a->q, i, h), k, a->d);
    *p = exp(s - (double)*real_at(a->lse, i * a->lse->stride[0] + h * a->lse->stride[1]));
    *ds = *p * (dot(real_head(work->d_o, i, h), v, a->d) - work->delta[i * a->heads + h]) * a->p->scale;
}

/* First pass, over query rows: delta_i, and dq_i as a sum over the keys that the query sees. */
static void attention_bwd_q_block(void *arg, int64_t block, int worker)
{
    const struct ref_attention_bwd_work *work = arg;
    const struct ref_attention_work *a = &work->a;
    double *sums = a->scratch + worker * a->width, p, ds;
    int64_t end = min_i64(a->n, (block + 1) * ATTENTION_ROWS);
    for (int64_t i = block * ATTENTION_ROWS; i < end; i++) {
        struct ref_attention_span keys = ref_attention_keys(&a->segments, i);
        for (int64_t h = 0; h < a->heads; h++) {
            work->delta[i * a->heads + h] = dot(real_head(work->d_o, i, h), real_head(a->o, i, h), a->d);
            memset(sums, 0, (size_t)a->d * sizeof(*sums));
            for (int64_t j = keys.begin; j < keys.end; j++) {
                attention_bwd_pair(work, i, j, h, &p, &ds);
                axpy(ds, real_head(a->k, j, h / a->group), sums, a->d);
            }
            store_row(sums, real_head(work->dq, i, h), a->d, false);
        }
    }
}

/* All query heads that read key head g of key row j. */
static void attention_bwd_key(const struct ref_attention_bwd_work *work, int64_t j, int64_t g, double *k_sums,
                              double *v_sums)
{
    const struct ref_attention_work *a = &work->a;
    struct ref_attention_span queries = {0, 0};
    if (j < a->segments.k[a->segments.n]) queries = queries_of(&a->segments, j);
    double p, ds;
    for (int64_t h = g * a->group; h < (g + 1) * a->group; h++) {
        for (int64_t i = queries.begin; i < queries.end; i++) {
            attention_bwd_pair(work, i, j, h, &p, &ds);
            axpy(ds, real_head(a->q, i, h), k_sums, a->d);
            axpy(p, real_head(work->d_o, i, h), v_sums, a->d);
        }
    }
}

/* Second pass, over key rows: dk_j and dv_j as sums over the queries that see the key. */
static void attention_bwd_k_block(void *arg, int64_t block, int worker)
{
    const struct ref_attention_bwd_work *work = arg;
    const struct ref_attention_work *a = &work->a;
    double *k_sums = a->scratch + worker * a->width, *v_sums = k_sums + a->d;
    int64_t end = min_i64(a->k->shape[0], (block + 1) * ATTENTION_ROWS);
    for (int64_t j = block * ATTENTION_ROWS; j < end; j++) {
        for (int64_t g = 0; g < a->k->shape[1]; g++) {
            memset(k_sums, 0, (size_t)(2 * a->d) * sizeof(*k_sums));
            attention_bwd_key(work, j, g, k_sums, v_sums);
            store_row(k_sums, real_head(work->dk, j, g), a->d, false);
            store_row(v_sums, real_head(work->dv, j, g), a->d, false);
        }
    }
}

/* ATTENTION_BWD: probabilities from lse, then each gradient by the formula above. */
static enum status run_attention_bwd(struct ctx *c, const struct op_call *call)
{
    struct ref_attention_bwd_work work = {.a = {.p = call->params, .q = call->in[0], .k = call->in[1], .v = call->in[2]}};
    work.a.o = call->in[3];
    work.a.lse = call->in[4];
    work.d_o = call->in[5];
    work.dq = call->out[0];
    work.dk = call->out[1];
    work.dv = call->out[2];
    BUG_ON(c, !work.a.lse, "attention_bwd: lse is missing");
    work.a.segments = cpu_segments_of(work.a.p, call->in[6], call->in[7]);
    TRY(ref_attention_check(c, call, &work.a));
    check_operand(c, call->op, work.d_o, 3);
    check_operand(c, call->op, work.dq, 3);
    check_operand(c, call->op, work.dk, 3);
    check_operand(c, call->op, work.dv, 3);
    BUG_ON(c,
           !array_same_shape(work.d_o, work.a.q) || !array_same_shape(work.dq, work.a.q) ||
               !array_same_shape(work.dk, work.a.k) || !array_same_shape(work.dv, work.a.k),
           "attention_bwd: shapes differ");
    work.a.width = 2 * work.a.d;
    work.a.scratch = mem_alloc(c, (size_t)threads_count(c), (size_t)work.a.width * sizeof(double));
    work.delta = mem_alloc(c, (size_t)(work.a.n * work.a.heads), sizeof(double));
    if (work.a.scratch && work.delta) {
        /* The first pass also fills delta, which the second reads. */
        threads_run(c, ref_blocks(work.a.n, ATTENTION_ROWS), attention_bwd_q_block, &work);
        threads_run(c, ref_blocks(work.a.k->shape[0], ATTENTION_ROWS), attention_bwd_k_block, &work);
    }
    mem_free(c, work.a.scratch);
    mem_free(c, work.delta);
    return c->status;
}
