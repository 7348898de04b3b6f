/* vjp_fused: the derivative rules of the fused rows. Each builds one call of its backward row (op.h says the operands).
 *
 * Two short cuts keep gradients from being copied around. LINEAR_BWD adds dA and dB straight into the buffers that hold
 * the adapters' gradients. And a LINEAR with several weights has one output y (N, sum M), of which model code sees views:
 * gate and up, or q, k and v. Its backward wants one dy of that shape, so rows that read a view (SWIGLU, ROPE) are told to
 * write their gradients straight into the view's columns of dy (vjp_destination); what came about elsewhere is copied
 * there (fill_part). */
#include <string.h>

#include "array/front.h"
#include "array/linear_view.h"

/* A gradient with unit last stride, as kernels read it; NULL stays NULL. */
static struct array *prepared(struct ctx *c, struct array *dy)
{
    return dy ? front_prepare(c, dy, dy->dtype) : NULL;
}

/* A fresh array, contents undefined, with the shape and dtype of input i. */
static struct array *empty_like_input(struct ctx *c, const struct node *n, int i)
{
    return array_empty(c, n->in[i].dtype, n->in[i].ndim, n->in[i].shape);
}

/* ---- the parts of a linear row's dy ----------------------------------------------------------------------------------- */

/* View i of LINEAR node n as columns of its dy, which is made on first use, rounded or not. */
static struct array *linear_part_in(struct ctx *c, struct node *n, int view, bool rounded)
{
    const struct linear_params *p = (const void *)n->params;
    int64_t first = 0, all = 0;
    for (int i = 0; i < p->n; i++) {
        first += i < view ? p->w[i]->rows : 0;
        all += p->w[i]->rows;
    }
    const int64_t whole[2] = {n->in[0].shape[0], all}, part[2] = {n->in[0].shape[0], p->w[view]->rows};
    if (!n->dy_all)
        n->dy_all = array_retain(rounded ? front_rounded(c, whole[0], all) : array_empty(c, n->in[0].dtype, 2, whole));
    return n->dy_all ? array_view(n->dy_all, 2, part, n->dy_all->stride, first) : NULL;
}

static struct array *linear_part(struct ctx *c, struct node *n, int view)
{
    return linear_part_in(c, n, view, false);
}

/* The part that edge e leads to, if it leads to a view of a LINEAR row that nobody has written a gradient for yet. */
static struct array *claim_part(struct ctx *c, const struct edge *e)
{
    struct node *to = e->node;
    if (!to || to->kind != OP_LINEAR || to->grad[e->out] || (to->claimed >> e->out & 1)) return NULL;
    to->claimed |= 1u << e->out;
    return linear_part(c, to, e->out);
}

struct array *vjp_destination(struct ctx *c, struct node *n, int i)
{
    const struct edge *e = &n->in[i];
    struct array *part = claim_part(c, e);
    if (!part && e->node && e->node->kind == OP_RESHAPE && !e->node->grad[0]) { /* heads: (N, H D) seen as (N, H, D) */
        part = claim_part(c, &e->node->in[0]);
        if (part) part = op_reshape(c, part, e->ndim, e->shape);
    }
    return part ? part : empty_like_input(c, n, i);
}

/* ---- rms_norm ----------------------------------------------------------------------------------------------------- */

/* The row has two outputs that may have gradients: y, and the sum x + residual, whose gradient the kernel adds to its own.
 * x and the residual get the same gradient, that of the sum. */
void vjp_rms_norm(struct ctx *c, struct node *n)
{
    struct rms_norm_params p;
    memcpy(&p, n->params, sizeof p);
    p.want_dg = vjp_needs(n, 1);
    struct array *dx = prepared(c, n->grad[1]);
    if (n->grad[0]) {
        struct op_call call = {OP_RMS_NORM_BWD, .params = &p};
        call.in[0] = prepared(c, n->grad[0]);
        call.in[1] = dx;
        call.in[2] = n->saved_out[1];
        call.in[3] = n->saved_in[1];
        call.in[4] = n->saved_out[2];
        call.out[0] = dx = empty_like_input(c, n, 0);
        if (p.want_dg) call.out[1] = empty_like_input(c, n, 1);
        if (!ctx_ok(c) || front_run(c, &call) != OK) return;
        vjp_give(c, n, 1, call.out[1]);
    }
    vjp_give(c, n, 0, dx);
    vjp_give(c, n, 2, dx);
}

/* ---- linear ------------------------------------------------------------------------------------------------------- */

/* Fills one part of dy from its gradient, unless that was written in place. */
static void fill_part(struct ctx *c, struct node *n, int view)
{
    struct array *part = linear_part(c, n, view), *g = n->grad[view];
    if (!part || (g && g->data == part->data && g->stride[0] == part->stride[0])) return;
    BUG_ON(c, part->dtype != n->in[0].dtype, "a gradient was rounded that something else is added to");
    if (!g) g = op_broadcast(c, array_scalar(c, part->dtype, 0), 2, part->shape);
    struct op_call call = {OP_COPY, .in = {g}, .out = {part}};
    if (g) front_run(c, &call);
}

/* dy (N, sum M) from the gradients of the views. */
static struct array *linear_dy(struct ctx *c, struct node *n, int n_views)
{
    if (n_views == 1) return prepared(c, n->grad[0]);
    for (int i = 0; i < n_views && ctx_ok(c); i++) fill_part(c, n, i);
    return ctx_ok(c) ? n->dy_all : NULL;
}

/* Where LINEAR_BWD adds the gradient of input i: the buffer that holds it already, or zeros in *fresh. An array that
 * serves two slots gets its second gradient through zeros, because one call must not write one buffer twice. */
static struct array *linear_target(struct ctx *c, struct node *n, int i, const struct op_call *call, struct array **fresh)
{
    struct array *g = vjp_needs(n, i) ? vjp_buffer(n, i) : NULL;
    *fresh = NULL;
    if (!vjp_needs(n, i)) return NULL;
    for (int k = 1; g && k < i; k++) {
        if (call->out[k] == g) g = NULL;
    }
    if (!g) g = *fresh = array_zeros(c, n->in[i].dtype, n->in[i].ndim, n->in[i].shape);
    return g;
}

/* One LINEAR_BWD call with dx into a fresh array and dA, dB added into their buffers. */
void vjp_linear(struct ctx *c, struct node *n)
{
    struct linear_params p;
    struct array *fresh[1 + 2 * LINEAR_MAX] = {0};
    struct op_call forward = {.op = OP_LINEAR}, call = {.op = OP_LINEAR_BWD, .params = &p};
    memcpy(&p, n->params, sizeof p);
    p.want_dx = vjp_needs(n, 0);
    p.accumulate = true;
    memcpy(forward.in, n->saved_in, sizeof forward.in);
    memcpy(forward.out, n->saved_out, sizeof forward.out);
    struct linear_view v = linear_view_of(&forward); /* what the tape kept */
    v.dy = linear_dy(c, n, p.n);
    /* zeros stand in for x or h where no gradient needs their values and the tape did not keep them */
    const struct edge *x = &n->in[0];
    if (!v.x) v.x = front_zeros(c, x->dtype, x->shape[0], x->shape[1]);
    for (int i = 0; i < LINEAR_MAX; i++) {
        struct linear_view_slot *s = &v.slot[i];
        if (s->a && !s->h) s->h = front_zeros(c, x->dtype, x->shape[0], s->a->shape[0]);
    }
    linear_view_put(&v, &call);
    /* the gradient of LINEAR's input i is LINEAR_BWD's output i */
    for (int i = 1; i <= 2 * LINEAR_MAX; i++) call.out[i] = linear_target(c, n, i, &call, &fresh[i]);
    if (p.want_dx) call.out[0] = empty_like_input(c, n, 0);
    if (!ctx_ok(c) || front_run(c, &call) != OK) return;
    vjp_give(c, n, 0, call.out[0]);
    for (int i = 1; i <= 2 * LINEAR_MAX; i++) vjp_give(c, n, i, fresh[i]);
}

/* ---- rope, attention, swiglu ------------------------------------------------------------------------------------------ */

/* A rotation's transpose is the rotation back. */
void vjp_rope(struct ctx *c, struct node *n)
{
    struct rope_params p;
    memcpy(&p, n->params, sizeof p);
    p.inverse = !p.inverse;
    struct array *dy = prepared(c, n->grad[0]), *dx = vjp_destination(c, n, 0);
    struct op_call call = {OP_ROPE, .in = {dy, n->saved_in[1], n->saved_in[2]}, .out = {dx}, .params = &p};
    if (ctx_ok(c) && front_run(c, &call) == OK) vjp_give(c, n, 0, dx);
}

/* Gradients of q, k and v by one call, which computes the probabilities again from lse. */
void vjp_attention(struct ctx *c, struct node *n)
{
    struct op_call call = {OP_ATTENTION_BWD, .params = n->params};
    for (int i = 0; i < 3; i++) {
        call.in[i] = n->saved_in[i];
        call.out[i] = empty_like_input(c, n, i);
    }
    call.in[3] = n->saved_out[0];
    call.in[4] = n->saved_out[1];
    call.in[5] = prepared(c, n->grad[0]);
    call.in[6] = n->saved_in[3];
    call.in[7] = n->saved_in[4];
    if (!ctx_ok(c) || front_run(c, &call) != OK) return;
    for (int i = 0; i < 3; i++) vjp_give(c, n, i, call.out[i]);
}

/* Where gate and up are the two results of one LINEAR, of which nothing has a gradient yet, and its products take a rounded
 * dy: the columns of that. False: elsewhere, in f32. */
static bool rounded_destinations(struct ctx *c, struct node *n, struct array **dgate, struct array **dup)
{
    struct node *to = n->in[0].node;
    struct swiglu_params p;
    struct linear_params l;
    memcpy(&p, n->params, sizeof p);
    if (!p.rounded || !to || to != n->in[1].node || to->kind != OP_LINEAR || to->dy_all || to->claimed) return false;
    memcpy(&l, to->params, sizeof l);
    bool takes = l.n == 2 && !to->grad[0] && !to->grad[1] && n->in[0].out != n->in[1].out;
    for (int i = 0; i < l.n; i++)
        takes = takes && front_takes_rounded(c, l.w[i], to->in[0].shape[0]) && l.w[i]->rows % ROUNDED_GROUP == 0;
    if (!takes) return false;
    to->claimed = 3;
    *dgate = linear_part_in(c, to, n->in[0].out, true);
    *dup = linear_part_in(c, to, n->in[1].out, true);
    return true;
}

/* Gradients of gate and up by one call, written into the columns of the LINEAR that made them. */
void vjp_swiglu(struct ctx *c, struct node *n)
{
    struct swiglu_params p;
    memset(&p, 0, sizeof p);
    struct op_call call = {OP_SWIGLU_BWD, .in = {prepared(c, n->grad[0]), n->saved_in[0], n->saved_in[1]}, .params = &p};
    p.rounded = rounded_destinations(c, n, &call.out[0], &call.out[1]);
    for (int i = 0; i < 2 && !p.rounded; i++) call.out[i] = vjp_destination(c, n, i);
    if (!ctx_ok(c) || front_run(c, &call) != OK) return;
    vjp_give(c, n, 0, call.out[0]);
    vjp_give(c, n, 1, call.out[1]);
}

/* ---- outputs made again ---------------------------------------------------------------------------------------------- */

/* Makes y of the norm again: the row kept the sum x + residual, and the norm of that sum, taken as an input without
 * residual, is y. */
static struct array *norm_again(struct ctx *c, const struct node *n)
{
    struct rms_norm_params p;
    memcpy(&p, n->params, sizeof p);
    p.residual = false;
    struct array *sum = n->saved_out[1], *rstd = n->saved_out[2];
    struct op_call call = {OP_RMS_NORM, .in = {sum, n->saved_in[1]}, .params = &p};
    call.out[0] = array_empty(c, sum->dtype, sum->ndim, sum->shape);
    call.out[1] = sum;
    call.out[2] = array_empty(c, rstd->dtype, rstd->ndim, rstd->shape);
    return ctx_ok(c) && front_run(c, &call) == OK ? call.out[0] : NULL;
}

/* Makes y of SWIGLU again from gate and up, which the row kept for its own derivative. */
static struct array *swiglu_again(struct ctx *c, const struct node *n)
{
    struct swiglu_params p;
    memcpy(&p, n->params, sizeof p);
    struct op_call call = {OP_SWIGLU, .in = {n->saved_in[0], n->saved_in[1]}, .params = &p};
    call.out[0] = front_swiglu_result(c, n->saved_in[0], p.rounded);
    return ctx_ok(c) && front_run(c, &call) == OK ? call.out[0] : NULL;
}

struct array *vjp_again(struct ctx *c, const struct node *n)
{
    BUG_ON(c, n->kind != OP_SWIGLU && n->kind != OP_RMS_NORM, "%s cannot be made again", op_name((enum op)n->kind));
    return n->kind == OP_SWIGLU ? swiglu_again(c, n) : norm_again(c, n);
}

/* ---- linear_cross_entropy --------------------------------------------------------------------------------------------- */

/* Forward has computed dh = d loss / dh already, while it had the logits; only the gradient of the loss itself (1/N) is to
 * be multiplied. That factor stays f32 where dh is bf16, because rounding it would scale every gradient alike. */
void vjp_linear_cross_entropy(struct ctx *c, struct node *n)
{
    struct array *dh = op_mul(c, n->saved_out[3], n->grad[0]);
    if (dh) vjp_give(c, n, 0, op_cast(c, dh, n->in[0].dtype));
}
