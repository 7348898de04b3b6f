/* vjp: the derivative rules of the generic rows, one short function each.
 *
 * A rule reads the gradients n->grad[j] of the row's outputs (NULL: zero) and what the row saved, and gives a gradient for
 * every input that needs one. Rules are written in ops; recording is off while they run. For rows with one output the walk
 * only calls a rule when n->grad[0] is there. */
#include <string.h>

#include "array/front.h"

/* The constants of the recorded call. */
static const void *params(const struct node *n)
{
    return n->params;
}

/* A scalar 0, which broadcasts. */
static struct array *zero(struct ctx *c, const struct array *like)
{
    return array_scalar(c, like->dtype, 0);
}

/* ---- elementwise -------------------------------------------------------------------------------------------------- */

/* dy reaches both. Kernels see equal shapes: a broadcast was a row of its own, whose rule sums. */
static void rule_add(struct ctx *c, struct node *n)
{
    vjp_give(c, n, 0, n->grad[0]);
    vjp_give(c, n, 1, n->grad[0]);
}

static void rule_sub(struct ctx *c, struct node *n)
{
    vjp_give(c, n, 0, n->grad[0]);
    if (vjp_needs(n, 1)) vjp_give(c, n, 1, op_neg(c, n->grad[0]));
}

/* da = dy b, db = dy a. */
static void rule_mul(struct ctx *c, struct node *n)
{
    if (vjp_needs(n, 0)) vjp_give(c, n, 0, op_mul(c, n->grad[0], n->saved_in[1]));
    if (vjp_needs(n, 1)) vjp_give(c, n, 1, op_mul(c, n->grad[0], n->saved_in[0]));
}

/* a / b: da = dy / b, db = -dy a / b^2. */
static void rule_div(struct ctx *c, struct node *n)
{
    struct array *b = n->saved_in[1], *da = op_div(c, n->grad[0], b);
    vjp_give(c, n, 0, da);
    if (vjp_needs(n, 1)) vjp_give(c, n, 1, op_neg(c, op_div(c, op_mul(c, da, n->saved_in[0]), b)));
}

/* At a tie the second operand takes all (MLX). */
static void rule_maximum(struct ctx *c, struct node *n)
{
    struct array *first = op_less(c, n->saved_in[1], n->saved_in[0]), *none = zero(c, n->grad[0]);
    if (vjp_needs(n, 0)) vjp_give(c, n, 0, op_where(c, first, n->grad[0], none));
    if (vjp_needs(n, 1)) vjp_give(c, n, 1, op_where(c, first, none, n->grad[0]));
}

static void rule_neg(struct ctx *c, struct node *n)
{
    vjp_give(c, n, 0, op_neg(c, n->grad[0]));
}

/* dx = dy y. */
static void rule_exp(struct ctx *c, struct node *n)
{
    vjp_give(c, n, 0, op_mul(c, n->grad[0], n->saved_out[0]));
}

/* dx = dy / x. */
static void rule_log(struct ctx *c, struct node *n)
{
    vjp_give(c, n, 0, op_div(c, n->grad[0], n->saved_in[0]));
}

/* dx = dy / (2 y). */
static void rule_sqrt(struct ctx *c, struct node *n)
{
    struct array *y = n->saved_out[0];
    vjp_give(c, n, 0, op_div(c, n->grad[0], op_add(c, y, y)));
}

/* dx = dy y (1 - y). */
static void rule_sigmoid(struct ctx *c, struct node *n)
{
    struct array *y = n->saved_out[0], *slope = op_mul(c, y, op_sub(c, array_scalar(c, y->dtype, 1), y));
    vjp_give(c, n, 0, op_mul(c, n->grad[0], slope));
}

/* Each operand gets dy where it was taken, else 0. The condition has no gradient. */
static void rule_where(struct ctx *c, struct node *n)
{
    struct array *cond = n->saved_in[0], *none = zero(c, n->grad[0]);
    if (vjp_needs(n, 1)) vjp_give(c, n, 1, op_where(c, cond, n->grad[0], none));
    if (vjp_needs(n, 2)) vjp_give(c, n, 2, op_where(c, cond, none, n->grad[0]));
}

/* dy in the operand's dtype. */
static void rule_cast(struct ctx *c, struct node *n)
{
    vjp_give(c, n, 0, op_cast(c, n->grad[0], n->in[0].dtype));
}

static void rule_copy(struct ctx *c, struct node *n)
{
    vjp_give(c, n, 0, n->grad[0]);
}

/* ---- reductions --------------------------------------------------------------------------------------------------- */

/* `a`, a result of reducing input 0 over the axes of `set`, with those axes back as 1. */
static struct array *with_axes(struct ctx *c, const struct node *n, struct array *a, uint32_t set)
{
    int64_t shape[ARRAY_MAX_DIMS];
    for (int i = 0; i < n->in[0].ndim; i++) shape[i] = set >> i & 1 ? 1 : n->in[0].shape[i];
    return op_reshape(c, a, n->in[0].ndim, shape);
}

/* Every element that was added gets dy. */
static void rule_sum(struct ctx *c, struct node *n)
{
    const struct axes_params *p = params(n);
    vjp_give(c, n, 0, op_broadcast(c, with_axes(c, n, n->grad[0], p->axes), n->in[0].ndim, n->in[0].shape));
}

/* Every element that equals the maximum takes an equal share (MLX). */
static void rule_max(struct ctx *c, struct node *n)
{
    const struct axes_params *p = params(n);
    int axes[ARRAY_MAX_DIMS], n_axes = 0;
    for (int i = 0; i < n->in[0].ndim; i++) {
        if (p->axes >> i & 1) axes[n_axes++] = i;
    }
    struct array *hit = op_equal(c, n->saved_in[0], with_axes(c, n, n->saved_out[0], p->axes));
    struct array *share = op_cast(c, hit, n->in[0].dtype);
    struct array *dy = op_div(c, with_axes(c, n, n->grad[0], p->axes), op_sum(c, share, axes, n_axes, true));
    vjp_give(c, n, 0, op_mul(c, share, dy));
}

/* y = softmax(x): dx = y (dy - sum(dy y)). */
static void rule_softmax(struct ctx *c, struct node *n)
{
    const struct axis_params *p = params(n);
    struct array *y = n->saved_out[0], *weighted = op_mul(c, n->grad[0], y);
    struct array *sum = op_sum(c, weighted, &p->axis, 1, true);
    vjp_give(c, n, 0, op_sub(c, weighted, op_mul(c, y, sum)));
}

/* dx = dy exp(x - lse), which is dy softmax(x). */
static void rule_logsumexp(struct ctx *c, struct node *n)
{
    const struct axis_params *p = params(n);
    struct array *lse = with_axes(c, n, n->saved_out[0], 1u << p->axis);
    struct array *dy = with_axes(c, n, n->grad[0], 1u << p->axis);
    vjp_give(c, n, 0, op_mul(c, op_exp(c, op_sub(c, n->saved_in[0], lse)), dy));
}

/* ---- shape -------------------------------------------------------------------------------------------------------- */

static void rule_reshape(struct ctx *c, struct node *n)
{
    vjp_give(c, n, 0, op_reshape(c, n->grad[0], n->in[0].ndim, n->in[0].shape));
}

/* The inverse permutation. */
static void rule_transpose(struct ctx *c, struct node *n)
{
    const struct perm_params *p = params(n);
    int inverse[ARRAY_MAX_DIMS];
    for (int i = 0; i < n->in[0].ndim; i++) inverse[p->perm[i]] = i;
    vjp_give(c, n, 0, op_transpose(c, n->grad[0], inverse));
}

/* dy summed over the axes that were repeated or added. */
static void rule_broadcast(struct ctx *c, struct node *n)
{
    const struct shape_params *p = params(n);
    int axes[ARRAY_MAX_DIMS], n_axes = 0, extra = p->ndim - n->in[0].ndim;
    for (int i = 0; i < p->ndim; i++) {
        if (i < extra || n->in[0].shape[i - extra] != p->shape[i]) axes[n_axes++] = i;
    }
    struct array *sum = op_sum(c, n->grad[0], axes, n_axes, true);
    vjp_give(c, n, 0, op_reshape(c, sum, n->in[0].ndim, n->in[0].shape));
}

/* The part of `whole`, shaped like input 0, that the slice shows. */
static struct array *sliced(struct ctx *c, const struct node *n, struct array *whole)
{
    const struct slice_params *p = params(n);
    return op_slice(c, whole, p->start, p->stop, p->step);
}

/* Adds dy to the part of the input's gradient that the slice shows, in place when there is one already: a gradient of the
 * whole input for each of its slices would cost as many times its memory. ACCUMULATE wants a unit last stride; a part with
 * another (a slice with steps) is added into a new array, which is copied back. */
static void rule_slice(struct ctx *c, struct node *n)
{
    struct array *whole = vjp_buffer(n, 0), *fresh = NULL;
    if (!whole) whole = fresh = array_zeros(c, n->in[0].dtype, n->in[0].ndim, n->in[0].shape);
    struct array *part = whole ? sliced(c, n, whole) : NULL;
    if (!part) return;
    if (fresh) {
        struct op_call call = {OP_COPY, .in = {n->grad[0]}, .out = {part}};
        front_run(c, &call);
    } else if (array_has_unit_last(part)) {
        op_accumulate(c, part, n->grad[0]);
    } else {
        struct op_call call = {OP_COPY, .in = {op_add(c, part, n->grad[0])}, .out = {part}};
        front_run(c, &call);
    }
    vjp_give(c, n, 0, fresh);
}

/* Every input takes its stretch of the axis. The row has up to eight inputs; edges of those that a call has not are all 0,
 * and no real one has ndim 0. Empty inputs were left out by the front end. */
static void rule_concat(struct ctx *c, struct node *n)
{
    const struct axis_params *p = params(n);
    struct array *dy = n->grad[0];
    int64_t start[ARRAY_MAX_DIMS] = {0}, stop[ARRAY_MAX_DIMS];
    memcpy(stop, dy->shape, sizeof stop);
    for (int i = 0; i < n->n_in && n->in[i].ndim > 0; i++) {
        stop[p->axis] = start[p->axis] + n->in[i].shape[p->axis];
        if (vjp_needs(n, i)) vjp_give(c, n, i, op_slice(c, dy, start, stop, NULL));
        start[p->axis] = stop[p->axis];
    }
}

/* The gradient of what was indexed: dy at the places that the ids name and 0 elsewhere, which TAKE_BWD and TAKE_ALONG_BWD
 * write; `rows` is the size of the axis that was indexed. */
static void scatter(struct ctx *c, struct node *n, enum op op, int64_t rows)
{
    struct rows_params p = {rows};
    struct array *dy = front_prepare(c, n->grad[0], n->grad[0]->dtype);
    struct array *dx = array_empty(c, n->in[0].dtype, n->in[0].ndim, n->in[0].shape);
    struct op_call call = {op, .in = {dy, n->saved_in[1]}, .out = {dx}, .params = &p};
    if (dy && dx && front_run(c, &call) == OK) vjp_give(c, n, 0, dx);
}

static void rule_take(struct ctx *c, struct node *n)
{
    scatter(c, n, OP_TAKE_BWD, n->in[0].shape[0]);
}

static void rule_take_along(struct ctx *c, struct node *n)
{
    scatter(c, n, OP_TAKE_ALONG_BWD, n->in[0].shape[1]);
}

/* ---- matrices ----------------------------------------------------------------------------------------------------- */

/* The last two axes exchanged. */
static struct array *flipped(struct ctx *c, struct array *a)
{
    int perm[ARRAY_MAX_DIMS];
    for (int i = 0; i < a->ndim; i++) perm[i] = i;
    perm[a->ndim - 2] = a->ndim - 1;
    perm[a->ndim - 1] = a->ndim - 2;
    return op_transpose(c, a, perm);
}

/* Y = A B: dA = dY B^T, dB = A^T dY, matrix by matrix over equal leading axes: the front end made vectors matrices and
 * broadcast the leading axes by rows of their own. The other operand is saved only where this one wants a gradient. */
static void rule_matmul(struct ctx *c, struct node *n)
{
    if (vjp_needs(n, 0)) vjp_give(c, n, 0, op_matmul(c, n->grad[0], flipped(c, n->saved_in[1])));
    if (vjp_needs(n, 1)) vjp_give(c, n, 1, op_matmul(c, flipped(c, n->saved_in[0]), n->grad[0]));
}

/* ---- the list ----------------------------------------------------------------------------------------------------- */

static const vjp_rule rules[OP_COUNT] = {
    [OP_ADD] = rule_add,
    [OP_SUB] = rule_sub,
    [OP_MUL] = rule_mul,
    [OP_DIV] = rule_div,
    [OP_MAXIMUM] = rule_maximum,
    [OP_NEG] = rule_neg,
    [OP_EXP] = rule_exp,
    [OP_LOG] = rule_log,
    [OP_SQRT] = rule_sqrt,
    [OP_SIGMOID] = rule_sigmoid,
    [OP_WHERE] = rule_where,
    [OP_CAST] = rule_cast,
    [OP_COPY] = rule_copy,
    [OP_SUM] = rule_sum,
    [OP_MAX] = rule_max,
    [OP_SOFTMAX] = rule_softmax,
    [OP_LOGSUMEXP] = rule_logsumexp,
    [OP_RESHAPE] = rule_reshape,
    [OP_TRANSPOSE] = rule_transpose,
    [OP_BROADCAST] = rule_broadcast,
    [OP_SLICE] = rule_slice,
    [OP_CONCAT] = rule_concat,
    [OP_TAKE] = rule_take,
    [OP_TAKE_ALONG] = rule_take_along,
    [OP_MATMUL] = rule_matmul,
    [OP_RMS_NORM] = vjp_rms_norm,
    [OP_LINEAR] = vjp_linear,
    [OP_ROPE] = vjp_rope,
    [OP_ATTENTION] = vjp_attention,
    [OP_SWIGLU] = vjp_swiglu,
    [OP_LINEAR_CROSS_ENTROPY] = vjp_linear_cross_entropy,
};

vjp_rule vjp_find(enum op op)
{
    return rules[op];
}
