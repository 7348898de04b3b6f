/* op_inplace: front ends of the rows that change or measure what they are given: gradient sums, norms, the optimizer. */
#include "array/front.h"

/* Operands of one shape and dtype, f32 or f64. */
static enum status check_pair(struct ctx *c, const char *op, const struct array *a, const struct array *b)
{
    if (array_same_shape(a, b) && a->dtype == b->dtype && (a->dtype == DTYPE_F32 || a->dtype == DTYPE_F64)) return OK;
    return ctx_fail(c, E_SHAPE, "%s: %s and %s must have one shape and be f32 or f64", op, FRONT_DESCRIBE(a),
                    FRONT_DESCRIBE(b));
}

/* Two arrays of one shape in the backend's dtype of activations, which may be bf16. */
static bool are_activations(struct ctx *c, const struct array *a, const struct array *b)
{
    return array_same_shape(a, b) && a->dtype == front_activations(c) && b->dtype == a->dtype;
}

enum status op_fill(struct ctx *c, struct array *dst, double value)
{
    if (!front_operand(c, dst)) return c->status;
    BUG_ON(c, !array_has_unit_last(dst), "fill: the destination's last stride is not 1");
    struct fill_params p = {.value = value};
    struct op_call call = {OP_FILL, .in = {dst}, .params = &p};
    return front_run(c, &call);
}

enum status op_write(struct ctx *c, struct array *dst, struct array *src)
{
    if (!front_operand(c, dst) || !front_operand(c, src)) return c->status;
    if (!array_same_shape(dst, src) || dst->dtype != src->dtype) {
        return ctx_fail(c, E_SHAPE, "write: %s does not fit into %s", FRONT_DESCRIBE(src), FRONT_DESCRIBE(dst));
    }
    struct op_call call = {OP_COPY, .in = {src}, .out = {dst}};
    return front_run(c, &call);
}

enum status op_accumulate(struct ctx *c, struct array *dst, struct array *src)
{
    if (!front_operand(c, dst) || !front_operand(c, src)) return c->status;
    if (!are_activations(c, dst, src)) TRY(check_pair(c, "accumulate", dst, src));
    BUG_ON(c, !array_has_unit_last(dst), "accumulate: the destination's last stride is not 1");
    src = front_prepare(c, src, src->dtype);
    if (!src) return c->status;
    struct op_call call = {OP_ACCUMULATE, .in = {dst, src}};
    return front_run(c, &call);
}

/* What sums of squares and the guard of AdamW are stored in. */
static bool is_f64_scalar(const struct array *a)
{
    return a->dtype == DTYPE_F64 && a->ndim == 0;
}

/* A dtype that kernels do not read is widened to f32 first, in a scope of its own. */
enum status op_sum_squares(struct ctx *c, struct array *a, struct array *out)
{
    if (!front_operand(c, a) || !front_operand(c, out)) return c->status;
    if (!dtype_is_float(a->dtype)) return ctx_fail(c, E_DTYPE, "sum_squares: %s is not a float", FRONT_DESCRIBE(a));
    BUG_ON(c, !is_f64_scalar(out), "sum_squares: the result must be f64[]");
    int mark = scope_open(c);
    a = front_prepare(c, a, front_compute_dtype(a->dtype));
    struct op_call call = {OP_SUM_SQUARES, .in = {a}, .out = {out}};
    enum status status = a ? front_run(c, &call) : c->status;
    scope_close(c, mark);
    return status;
}

enum status op_adamw(struct ctx *c, struct array *param, struct array *grad, struct array *m, struct array *v,
                     const struct adamw_guard *guard, const struct adamw_params *p)
{
    if (!front_operand(c, param) || !front_operand(c, grad) || !front_operand(c, m) || !front_operand(c, v)) {
        return c->status;
    }
    TRY(check_pair(c, "adamw", param, grad));
    TRY(check_pair(c, "adamw", param, m));
    TRY(check_pair(c, "adamw", param, v));
    BUG_ON(c,
           !array_is_contiguous(param) || !array_is_contiguous(grad) || !array_is_contiguous(m) || !array_is_contiguous(v),
           "adamw: operands must be contiguous");
    struct op_call call = {OP_ADAMW, .in = {param, grad, m, v}, .params = p};
    if (guard) {
        BUG_ON(c, !is_f64_scalar(guard->sum_squares) || !is_f64_scalar(guard->stopped), "adamw: the guard must be f64[]");
        call.in[4] = guard->sum_squares;
        call.in[5] = guard->stopped;
    }
    return front_run(c, &call);
}
