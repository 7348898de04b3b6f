/* ref_lookup: part of ref_real.h. Rows of a frozen table, and the derivatives of the two lookups of ref_move.c. */

/* ids (N) -> (N, C), widened. */
static enum status run_embed(struct ctx *c, const struct op_call *call)
{
    const struct embed_params *p = call->params;
    const struct array *ids = call->in[0], *out = call->out[0];
    check_operand(c, call->op, out, 2);
    BUG_ON(c, out->shape[0] != ids->shape[0] || out->shape[1] != p->table->cols, "embed: shapes");
    TRY(ref_index_check(c, call->op, ids, p->table->rows));
    for (int64_t n = 0; n < out->shape[0]; n++) REAL_WEIGHT_ROW(p->table, id_at(ids, n), real_row(out, n));
    return OK;
}

/* Inputs dy (N, C), ids (N); output (R, C): row r sums the dy of every place that took it, in order. */
static enum status run_take_bwd(struct ctx *c, const struct op_call *call)
{
    const struct array *dy = call->in[0], *ids = call->in[1], *out = call->out[0];
    check_operand(c, call->op, dy, 2);
    check_operand(c, call->op, out, 2);
    BUG_ON(c, dy->shape[0] != ids->shape[0] || dy->shape[1] != out->shape[1], "take_bwd: shapes");
    TRY(ref_index_check(c, call->op, ids, out->shape[0]));
    int64_t n_cols = out->shape[1];
    double *sums = mem_alloc(c, (size_t)n_cols, sizeof(double));
    if (!sums) return E_MEMORY;
    for (int64_t r = 0; r < out->shape[0]; r++) {
        memset(sums, 0, (size_t)n_cols * sizeof(*sums));
        for (int64_t n = 0; n < dy->shape[0]; n++) {
            if (id_at(ids, n) == r) axpy(1.0, real_row(dy, n), sums, n_cols);
        }
        store_row(sums, real_row(out, r), n_cols, false);
    }
    mem_free(c, sums);
    return OK;
}

/* Inputs dy (N), ids (N); output (N, C): zero but for one column of each row. */
static enum status run_take_along_bwd(struct ctx *c, const struct op_call *call)
{
    const struct array *dy = call->in[0], *ids = call->in[1], *out = call->out[0];
    check_operand(c, call->op, out, 2);
    BUG_ON(c, dy->ndim != 1 || dy->shape[0] != ids->shape[0] || dy->shape[0] != out->shape[0], "take_along_bwd: shapes");
    TRY(ref_index_check(c, call->op, ids, out->shape[1]));
    for (int64_t n = 0; n < out->shape[0]; n++) {
        REAL *row = real_row(out, n);
        for (int64_t j = 0; j < out->shape[1]; j++) row[j] = 0;
        row[id_at(ids, n)] = *real_at(dy, n * dy->stride[0]);
    }
    return OK;
}
