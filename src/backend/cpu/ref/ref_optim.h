/* ref_optim: part of ref_real.h. One AdamW update in place (Loshchilov & Hutter 2019; formula in op.h). The moments are
 * rounded when stored, the step uses them unrounded. */

/* In place on in[0] (values), in[2] and in[3] (moments); in[1] is the gradient. Nothing happens when the guard has stopped.
 */
static enum status run_adamw(struct ctx *c, const struct op_call *call)
{
    const struct adamw_params *p = call->params;
    const struct array *param = call->in[0], *grad = call->in[1], *first = call->in[2], *second = call->in[3];
    for (int i = 1; i < 4; i++) {
        ref_check_real(c, call->op, call->in[i]);
        BUG_ON(c, !array_same_shape(param, call->in[i]), "adamw: shapes differ");
    }
    double scale;
    if (!cpu_adamw_scale(call, &scale)) return OK;
    struct axes px = axes_all(param), gx = axes_all(grad), mx = axes_all(first), vx = axes_all(second);
    for (int64_t i = 0; i < px.size; i++) {
        REAL *x = real_at(param, axes_offset(&px, i));
        REAL *m_at = real_at(first, axes_offset(&mx, i)), *v_at = real_at(second, axes_offset(&vx, i));
        double g = (double)*real_at(grad, axes_offset(&gx, i)) * scale;
        double m = p->beta1 * (double)*m_at + (1.0 - p->beta1) * g;
        double v = p->beta2 * (double)*v_at + (1.0 - p->beta2) * g * g;
        double update = m / p->correction1 / (sqrt(v / p->correction2) + p->eps) + p->weight_decay * (double)*x;
        *m_at = (REAL)m;
        *v_at = (REAL)v;
        *x = (REAL)((double)*x - p->lr * update);
    }
    return OK;
}
