/* ref_norm: part of ref_real.h. RMSNorm (Zhang & Sennrich 2019) over the last axis.
 *
 * With s = x + residual (rounded to an element: it is an output, and what backward sees), r = 1 / sqrt(mean(s^2) + eps):
 *   y = s r g
 *   ds = r (dy g) - s r^3 mean(dy g s) + dsum        dg = sum over rows of dy s r */

/* One row, all of unit stride; res and sum are NULL without a residual. Returns r. */
static double rms_norm_row(const REAL *x, const REAL *res, const REAL *g, REAL *sum, REAL *y, int64_t n, double eps)
{
    double squares = 0;
    for (int64_t j = 0; j < n; j++) {
        if (res) sum[j] = (REAL)((double)x[j] + (double)res[j]);
        double s = (double)(res ? sum[j] : x[j]);
        squares += s * s;
    }
    double r = 1.0 / sqrt(squares / (double)n + eps);
    const REAL *s = res ? sum : x;
    for (int64_t j = 0; j < n; j++) y[j] = (REAL)((double)s[j] * r * (double)g[j]);
    return r;
}

/* Inputs and outputs: struct rms_norm_params in op.h. rstd is written where the call has it. */
static enum status run_rms_norm(struct ctx *c, const struct op_call *call)
{
    const struct rms_norm_params *p = call->params;
    const struct array *x = call->in[0], *g = call->in[1], *res = p->residual ? call->in[2] : NULL;
    const struct array *y = call->out[0], *sum = res ? call->out[1] : NULL, *rstd = call->out[2];
    check_operand(c, call->op, x, x->ndim);
    check_operand(c, call->op, g, 1);
    check_operand(c, call->op, y, x->ndim);
    BUG_ON(c, p->residual && (!res || !sum), "rms_norm: residual operands are missing");
    BUG_ON(c, x->ndim < 1 || g->shape[0] != last_size(x) || !array_same_shape(x, y), "rms_norm: shapes");
    struct axes xx = axes_rows(x), yx = axes_rows(y), rx = {0}, sx = {0}, tx = {0};
    if (res) {
        check_operand(c, call->op, res, x->ndim);
        check_operand(c, call->op, sum, x->ndim);
        BUG_ON(c, !array_same_shape(x, res) || !array_same_shape(x, sum), "rms_norm: residual shapes");
        rx = axes_rows(res);
        sx = axes_rows(sum);
    }
    if (rstd) tx = axes_all(rstd);
    for (int64_t i = 0; i < xx.size; i++) {
        const REAL *res_row = res ? real_at(res, axes_offset(&rx, i)) : NULL;
        REAL *sum_row = res ? real_at(sum, axes_offset(&sx, i)) : NULL;
        double r = rms_norm_row(real_at(x, axes_offset(&xx, i)), res_row, g->data, sum_row, real_at(y, axes_offset(&yx, i)),
                                last_size(x), p->eps);
        if (rstd) *real_at(rstd, axes_offset(&tx, i)) = (REAL)r;
    }
    return OK;
}

/* The input gradient of one row; dsum is NULL when the sum has no other reader. */
static void rms_norm_bwd_row(const REAL *dy, const REAL *dsum, const REAL *x, const REAL *g, double r, REAL *dx, int64_t n)
{
    double mean = 0;
    for (int64_t j = 0; j < n; j++) mean += (double)dy[j] * (double)g[j] * (double)x[j];
    mean /= (double)n;
    for (int64_t j = 0; j < n; j++) {
        double d = r * ((double)dy[j] * (double)g[j] - (double)x[j] * r * r * mean);
        dx[j] = (REAL)(dsum ? d + (double)dsum[j] : d);
    }
}

/* dx (may be NULL) row by row; dg (may be NULL) summed over rows in order. */
static enum status run_rms_norm_bwd(struct ctx *c, const struct op_call *call)
{
    const struct array *dy = call->in[0], *dsum = call->in[1], *x = call->in[2], *g = call->in[3], *rstd = call->in[4];
    const struct array *dx = call->out[0], *dg = call->out[1];
    check_operand(c, call->op, dy, x->ndim);
    check_operand(c, call->op, x, dy->ndim);
    check_operand(c, call->op, g, 1);
    ref_check_real(c, call->op, rstd);
    BUG_ON(c, !array_same_shape(dy, x) || (dx && !array_same_shape(dx, x)) || g->shape[0] != last_size(x),
           "rms_norm_bwd: shapes");
    int64_t n = last_size(x);
    double *dg_sums = mem_alloc(c, (size_t)n, sizeof(double));
    if (!dg_sums) return E_MEMORY;
    struct axes yx = axes_rows(dy), xx = axes_rows(x), tx = axes_all(rstd), sx = {0}, ox = {0};
    if (dsum) sx = axes_rows(dsum);
    if (dx) ox = axes_rows(dx);
    for (int64_t i = 0; i < xx.size; i++) {
        const REAL *dy_row = real_at(dy, axes_offset(&yx, i)), *x_row = real_at(x, axes_offset(&xx, i));
        const REAL *dsum_row = dsum ? real_at(dsum, axes_offset(&sx, i)) : NULL;
        double r = (double)*real_at(rstd, axes_offset(&tx, i));
        for (int64_t j = 0; j < n; j++) dg_sums[j] += (double)dy_row[j] * (double)x_row[j] * r;
        if (dx) rms_norm_bwd_row(dy_row, dsum_row, x_row, g->data, r, real_at(dx, axes_offset(&ox, i)), n);
    }
    if (dg) store_row(dg_sums, dg->data, n, false);
    mem_free(c, dg_sums);
    return OK;
}
