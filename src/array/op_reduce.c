/* op_reduce: front ends of sums, maxima, softmax and log-sum-exp. */
#include <math.h>
#include <string.h>

#include "array/front.h"

/* The shape of `a` with the axes of the set made 1 (keep) or left out. */
static int reduced_shape(const struct array *a, uint32_t set, bool keep, int64_t *shape)
{
    int n = 0;
    for (int i = 0; i < a->ndim; i++) {
        if (!(set >> i & 1)) {
            shape[n++] = a->shape[i];
        } else if (keep) {
            shape[n++] = 1;
        }
    }
    return n;
}

/* Sums of small integers are i32 (MLX: int32 or uint32; there is no u32 here), everything else keeps its type. */
static enum dtype sum_dtype(enum dtype t)
{
    return t == DTYPE_BOOL || t == DTYPE_U8 ? DTYPE_I32 : t;
}

/* Runs SUM or MAX over the axes of the set, in the dtype in which `result` is computed, and casts. */
static struct array *reduce_axes(struct ctx *c, enum op op, struct array *a, struct axes_params p, enum dtype result)
{
    int64_t shape[ARRAY_MAX_DIMS];
    enum dtype compute = front_compute_dtype(result);
    a = front_prepare(c, a, compute);
    if (!a) return NULL;
    int ndim = reduced_shape(a, p.axes, p.keep, shape);
    struct op_call call = {op, .in = {a}, .out = {array_empty(c, compute, ndim, shape)}, .params = &p};
    struct array *y = front_finish(c, &call, op_info(op)->saves);
    return y ? op_cast(c, y, result) : NULL;
}

struct array *op_sum(struct ctx *c, struct array *a, const int *axes, int n_axes, bool keep)
{
    struct axes_params p = {.keep = keep};
    if (!front_operand(c, a) || front_axes(c, "sum", a, axes, n_axes, &p.axes) != OK) return NULL;
    if (p.axes == 0) return n_axes == 0 ? a : op_cast(c, a, sum_dtype(a->dtype)); /* no axes asked for, or none there */
    return reduce_axes(c, OP_SUM, a, p, sum_dtype(a->dtype));
}

struct array *op_mean(struct ctx *c, struct array *a, const int *axes, int n_axes, bool keep)
{
    uint32_t set;
    int64_t n = 1;
    if (!front_operand(c, a) || front_axes(c, "mean", a, axes, n_axes, &set) != OK) return NULL;
    a = op_cast(c, a, front_float_dtype(a->dtype));
    if (!a || set == 0) return a;
    for (int i = 0; i < a->ndim; i++) n *= set >> i & 1 ? a->shape[i] : 1;
    struct array *sum = op_sum(c, a, axes, n_axes, keep);
    return op_mul(c, sum, array_scalar(c, a->dtype, 1.0 / (double)n)); /* n = 0: 0 * infinity = NaN, as NumPy */
}

struct array *op_max(struct ctx *c, struct array *a, const int *axes, int n_axes, bool keep)
{
    struct axes_params p = {.keep = keep};
    if (!front_operand(c, a) || front_axes(c, "max", a, axes, n_axes, &p.axes) != OK) return NULL;
    if (p.axes == 0) return a;
    if (array_size(a) == 0) {
        ctx_fail(c, E_SHAPE, "max: %s has no elements", FRONT_DESCRIBE(a));
        return NULL;
    }
    return reduce_axes(c, OP_MAX, a, p, a->dtype);
}

struct array *op_softmax(struct ctx *c, struct array *a, int axis)
{
    if (!front_operand(c, a) || front_axis(c, "softmax", a, a->ndim, &axis) != OK) return NULL;
    enum dtype result = front_float_dtype(a->dtype);
    struct axis_params p = {axis, true};
    a = front_prepare(c, a, front_compute_dtype(result));
    if (!a) return NULL;
    struct op_call call = {OP_SOFTMAX, .in = {a}, .out = {array_empty(c, a->dtype, a->ndim, a->shape)}, .params = &p};
    struct array *y = front_finish(c, &call, op_info(OP_SOFTMAX)->saves);
    return y ? op_cast(c, y, result) : NULL;
}

struct array *op_logsumexp(struct ctx *c, struct array *a, int axis, bool keep)
{
    int64_t shape[ARRAY_MAX_DIMS];
    if (!front_operand(c, a) || front_axis(c, "logsumexp", a, a->ndim, &axis) != OK) return NULL;
    enum dtype result = front_float_dtype(a->dtype);
    struct axis_params p = {axis, keep};
    int ndim = reduced_shape(a, 1u << axis, keep, shape);
    if (array_size(a) == 0) return array_full(c, result, ndim, shape, -INFINITY);
    a = front_prepare(c, a, front_compute_dtype(result));
    if (!a) return NULL;
    struct op_call call = {OP_LOGSUMEXP, .in = {a}, .out = {array_empty(c, a->dtype, ndim, shape)}, .params = &p};
    struct array *y = front_finish(c, &call, op_info(OP_LOGSUMEXP)->saves);
    return y ? op_cast(c, y, result) : NULL;
}
