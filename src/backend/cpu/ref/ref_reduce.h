/* ref_reduce: part of ref_real.h. Reductions and scans over a set of axes, in index order, and the in-place sums. */

/* The result's element i belongs to kept element i: both are numbered row-major, with or without the reduced axes. */
static enum status run_sum(struct ctx *c, const struct op_call *call)
{
    const struct axes_params *p = call->params;
    const struct array *a = call->in[0], *out = call->out[0];
    struct axes reduced, kept, ox = axes_all(out);
    axes_split(a, p->axes, &reduced, &kept);
    ref_check_real(c, call->op, out);
    BUG_ON(c, kept.size != ox.size, "sum: the result has the wrong size");
    for (int64_t i = 0; i < kept.size; i++) {
        int64_t base = axes_offset(&kept, i);
        double s = 0;
        for (int64_t j = 0; j < reduced.size; j++) s += (double)*real_at(a, base + axes_offset(&reduced, j));
        *real_at(out, axes_offset(&ox, i)) = (REAL)s;
    }
    return OK;
}

/* Largest of the elements at base + axes_offset(x, j); NaN when one is NaN. */
static double reduce_largest(const struct array *a, int64_t base, const struct axes *x)
{
    double m = -INFINITY;
    for (int64_t j = 0; j < x->size; j++) m = maximum(m, (double)*real_at(a, base + axes_offset(x, j)));
    return m;
}

/* MAX over a set of axes; NaN wins, as in NumPy. */
static enum status run_max(struct ctx *c, const struct op_call *call)
{
    const struct axes_params *p = call->params;
    const struct array *a = call->in[0], *out = call->out[0];
    struct axes reduced, kept, ox = axes_all(out);
    axes_split(a, p->axes, &reduced, &kept);
    ref_check_real(c, call->op, out);
    BUG_ON(c, kept.size != ox.size, "max: the result has the wrong size");
    if (reduced.size == 0 && kept.size > 0) return ctx_fail(c, E_SHAPE, "max of no elements");
    for (int64_t i = 0; i < kept.size; i++) {
        *real_at(out, axes_offset(&ox, i)) = (REAL)reduce_largest(a, axes_offset(&kept, i), &reduced);
    }
    return OK;
}

/* sum exp(a - m) over the axes. */
static double sum_exp(const struct array *a, int64_t base, const struct axes *x, double m)
{
    double s = 0;
    for (int64_t j = 0; j < x->size; j++) s += exp((double)*real_at(a, base + axes_offset(x, j)) - m);
    return s;
}

/* exp(a - max) / sum. A row of nothing but -inf has no softmax: NaN, as in NumPy. */
static enum status run_softmax(struct ctx *c, const struct op_call *call)
{
    const struct axis_params *p = call->params;
    const struct array *a = call->in[0], *out = call->out[0];
    ref_check_real(c, call->op, out);
    BUG_ON(c, !array_same_shape(a, out), "softmax: shapes differ");
    struct axes along, kept, out_along, out_kept;
    axes_split(a, UINT32_C(1) << p->axis, &along, &kept);
    axes_split(out, UINT32_C(1) << p->axis, &out_along, &out_kept);
    for (int64_t i = 0; i < kept.size; i++) {
        int64_t from = axes_offset(&kept, i), to = axes_offset(&out_kept, i);
        double m = reduce_largest(a, from, &along), s = sum_exp(a, from, &along, m);
        for (int64_t j = 0; j < along.size; j++) {
            double e = exp((double)*real_at(a, from + axes_offset(&along, j)) - m);
            *real_at(out, to + axes_offset(&out_along, j)) = (REAL)(e / s);
        }
    }
    return OK;
}

/* max + log sum exp(a - max); an infinite maximum is the result itself (inf - inf would be NaN). */
static enum status run_logsumexp(struct ctx *c, const struct op_call *call)
{
    const struct axis_params *p = call->params;
    const struct array *a = call->in[0], *out = call->out[0];
    struct axes along, kept, ox = axes_all(out);
    axes_split(a, UINT32_C(1) << p->axis, &along, &kept);
    ref_check_real(c, call->op, out);
    BUG_ON(c, kept.size != ox.size, "logsumexp: the result has the wrong size");
    for (int64_t i = 0; i < kept.size; i++) {
        int64_t from = axes_offset(&kept, i);
        double m = reduce_largest(a, from, &along);
        double value = isinf(m) ? m : m + log(sum_exp(a, from, &along, m));
        *real_at(out, axes_offset(&ox, i)) = (REAL)value;
    }
    return OK;
}

/* out, one f64, = the sum of a's squares in index order. */
static enum status run_sum_squares(struct ctx *c, const struct op_call *call)
{
    const struct array *a = call->in[0], *out = call->out[0];
    BUG_ON(c, out->dtype != DTYPE_F64 || array_size(out) != 1, "sum_squares: the result is one f64");
    struct axes ax = axes_all(a);
    double s = 0;
    for (int64_t i = 0; i < ax.size; i++) {
        double x = (double)*real_at(a, axes_offset(&ax, i));
        s += x * x;
    }
    *(double *)out->data = s;
    return OK;
}

/* in[0] += in[1] */
static enum status run_accumulate(struct ctx *c, const struct op_call *call)
{
    const struct array *dst = call->in[0], *src = call->in[1];
    ref_check_real(c, call->op, src);
    BUG_ON(c, !array_same_shape(dst, src), "accumulate: shapes differ");
    struct axes dx = axes_all(dst), sx = axes_all(src);
    for (int64_t i = 0; i < dx.size; i++) {
        REAL *to = real_at(dst, axes_offset(&dx, i));
        *to = (REAL)((double)*to + (double)*real_at(src, axes_offset(&sx, i)));
    }
    return OK;
}
