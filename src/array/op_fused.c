/* op_fused: front ends of the rows that training is made of. They work in the backend's dtype of activations, in f32 or in
 * f64 (for the oracle), and refuse other dtypes instead of converting: an activation of another type here is a mistake in
 * the model code. */
#include <string.h>

#include "array/front.h"
#include "array/linear_view.h"
#include "array/codec/quant.h"

/* E_DTYPE unless `a` is f32, f64 or of the backend's activations. */
static enum status check_real(struct ctx *c, const char *op, const struct array *a)
{
    if (a->dtype == DTYPE_F32 || a->dtype == DTYPE_F64 || a->dtype == front_activations(c)) return OK;
    return ctx_fail(c, E_DTYPE, "%s works in f32 or f64, not on %s", op, FRONT_DESCRIBE(a));
}

/* E_DTYPE for tensors of integers, which a file may hold under a weight's name. */
static enum status check_weight(struct ctx *c, const char *op, const struct weight *w)
{
    if (quant_is_weight_type(w->type)) return OK;
    return ctx_fail(c, E_DTYPE, "%s: the weight %s has type %s, which holds no weights", op, w->name ? w->name : "?",
                    tensor_type_info(w->type)->name);
}

/* Statistics of a row, gains and adapters are f32, but f64 for f64. */
static enum dtype stat_dtype(enum dtype t)
{
    return t == DTYPE_F64 ? DTYPE_F64 : DTYPE_F32;
}

/* ---- embed -------------------------------------------------------------------------------------------------------- */

struct array *op_embed(struct ctx *c, const struct weight *table, struct array *ids, enum dtype dtype)
{
    struct embed_params p;
    memset(&p, 0, sizeof p);
    if (!front_operand(c, ids) || check_weight(c, "embed", table) != OK) return NULL;
    BUG_ON(c, dtype != DTYPE_F32 && dtype != DTYPE_F64 && dtype != front_activations(c), "embed does not give %s",
           dtype_name(dtype));
    ids = front_prepare_ids(c, "embed", ids, NULL, table->rows);
    if (!ids) return NULL;
    p.table = table;
    p.dtype = dtype;
    const int64_t shape[2] = {ids->shape[0], table->cols};
    struct op_call call = {OP_EMBED, .in = {ids}, .out = {array_empty(c, dtype, 2, shape)}, .params = &p};
    return front_finish(c, &call, 0);
}

/* ---- rms_norm ----------------------------------------------------------------------------------------------------- */

/* The gain must be as long as the last axis of x, and the residual must have x's shape and dtype. */
static enum status check_rms_norm(struct ctx *c, const struct array *x, const struct array *residual,
                                  const struct array *gain)
{
    TRY(check_real(c, "rms_norm", x));
    if (x->ndim < 1 || gain->ndim != 1 || gain->shape[0] != x->shape[x->ndim - 1] || !dtype_is_float(gain->dtype)) {
        return ctx_fail(c, E_SHAPE, "rms_norm: the gain %s does not fit the last axis of %s", FRONT_DESCRIBE(gain),
                        FRONT_DESCRIBE(x));
    }
    if (residual && (!array_same_shape(x, residual) || x->dtype != residual->dtype)) {
        return ctx_fail(c, E_SHAPE, "rms_norm: the residual %s does not match %s", FRONT_DESCRIBE(residual),
                        FRONT_DESCRIBE(x));
    }
    return OK;
}

/* y; the sum that was normalised goes to *sum when there is a residual. */
static struct array *rms_norm(struct ctx *c, struct array *x, struct array *residual, struct array *gain, double eps,
                              struct array **sum)
{
    struct rms_norm_params p;
    memset(&p, 0, sizeof p);
    if (check_rms_norm(c, x, residual, gain) != OK) return NULL;
    x = front_prepare(c, x, x->dtype);
    gain = front_prepare(c, gain, x ? stat_dtype(x->dtype) : DTYPE_F32);
    if (residual) residual = front_prepare(c, residual, residual->dtype);
    if (!x || !gain || !ctx_ok(c)) return NULL;
    p.eps = eps;
    p.residual = residual != NULL;
    struct op_call call = {OP_RMS_NORM, .in = {x, gain, residual}, .params = &p};
    call.out[0] = array_empty(c, x->dtype, x->ndim, x->shape);
    call.out[1] = residual ? array_empty(c, x->dtype, x->ndim, x->shape) : x;
    call.out[2] = array_empty(c, stat_dtype(x->dtype), x->ndim - 1, x->shape);
    if (!ctx_ok(c) || front_run(c, &call) != OK) return NULL;
    tape_record(c, &call, residual ? 2 : 1, op_info(OP_RMS_NORM)->saves);
    if (sum) *sum = call.out[1];
    return ctx_ok(c) ? call.out[0] : NULL;
}

struct array *op_rms_norm(struct ctx *c, struct array *x, struct array *gain, double eps)
{
    if (!front_operand(c, x) || !front_operand(c, gain)) return NULL;
    return rms_norm(c, x, NULL, gain, eps, NULL);
}

struct array *op_rms_norm_add(struct ctx *c, struct array *x, struct array *residual, struct array *gain, double eps,
                              struct array **sum)
{
    *sum = NULL;
    if (!front_operand(c, x) || !front_operand(c, residual) || !front_operand(c, gain)) return NULL;
    return rms_norm(c, x, residual, gain, eps, sum);
}

/* ---- linear ------------------------------------------------------------------------------------------------------- */

/* Shapes of an adapter are set by our own code, so a misfit is a bug; its dtype depends on what the caller computes in. */
static enum status check_lora(struct ctx *c, const struct array *x, const struct weight *w)
{
    const struct array *a = w->lora->a, *b = w->lora->b;
    bool fits = a && b && a->ndim == 2 && b->ndim == 2 && a->shape[0] == b->shape[1] && a->shape[1] == w->cols &&
                b->shape[0] == w->rows && a->shape[0] > 0;
    BUG_ON(c, !fits, "linear: the adapter of %s does not fit its weight", w->name ? w->name : "?");
    BUG_ON(c, w->lora->dropout < 0 || w->lora->dropout >= 1, "linear: dropout %g", (double)w->lora->dropout);
    if (a->dtype != stat_dtype(x->dtype) || b->dtype != a->dtype) {
        return ctx_fail(c, E_DTYPE, "linear: the adapter (%s, %s) of %s has another dtype than x (%s)", FRONT_DESCRIBE(a),
                        FRONT_DESCRIBE(b), w->name ? w->name : "?", FRONT_DESCRIBE(x));
    }
    return OK;
}

/* x (N, K) must fit the weight's K columns; a bias is f32, one value for each row of the weight. */
static enum status check_linear(struct ctx *c, const struct array *x, const struct weight *w)
{
    TRY(check_weight(c, "linear", w));
    if (x->ndim != 2 || x->shape[1] != w->cols) {
        return ctx_fail(c, E_SHAPE, "linear: x %s does not fit the weight %s [%lld,%lld]", FRONT_DESCRIBE(x),
                        w->name ? w->name : "?", (long long)w->rows, (long long)w->cols);
    }
    BUG_ON(c, w->bias && (w->bias->ndim != 1 || w->bias->shape[0] != w->rows || w->bias->dtype != DTYPE_F32),
           "linear: the bias of %s does not fit its weight", w->name ? w->name : "?");
    return w->lora ? check_lora(c, x, w) : OK;
}

/* Of what a LINEAR row makes of x: x's own, but f32 of an x that was rounded for it. */
static enum dtype linear_dtype(const struct ctx *c, const struct array *x)
{
    return front_is_rounded(c, x) ? DTYPE_F32 : x->dtype;
}

bool op_linear_takes_rounded(const struct ctx *c, const struct weight *w, int64_t n, bool dropout)
{
    bool drops = dropout && w->lora && w->lora->dropout > 0;
    return front_takes_rounded(c, w, n) && w->cols % ROUNDED_GROUP == 0 && !drops;
}

/* x is f32, f64 or of the backend's activations, or rounded for these weights. */
static enum status check_linear_x(struct ctx *c, const struct array *x, const struct weight *const *w, int n, bool dropout)
{
    bool takes = front_is_rounded(c, x);
    for (int i = 0; i < n && takes; i++) takes = op_linear_takes_rounded(c, w[i], x->shape[0], dropout);
    return takes ? OK : check_real(c, "linear", x);
}

/* The h_i that backward wants, each an array of its own; on bf16 they are columns of one array, which a card makes and
 * reads in one product. */
static void linear_keeps(struct ctx *c, struct linear_view *v, const struct linear_params *p)
{
    const struct array *x = v->x;
    enum dtype dtype = linear_dtype(c, x);
    int64_t shape[2] = {x->shape[0], 0}, first = 0;
    struct array *all = NULL;
    for (int i = 0; i < p->n; i++)
        if (v->slot[i].a) shape[1] += v->slot[i].a->shape[0];
    for (int i = 0; i < p->n; i++) {
        struct linear_view_slot *s = &v->slot[i];
        const struct array *a = s->a;
        if (!a) continue;
        const int64_t part[2] = {x->shape[0], a->shape[0]};
        bool wanted = tape_wants(c, a) || tape_wants(c, s->b);
        if (wanted && dtype != DTYPE_BF16) s->h = array_empty(c, dtype, 2, part);
        if (wanted && dtype == DTYPE_BF16) {
            if (!all) all = array_empty(c, dtype, 2, shape);
            s->h = all ? array_view(all, 2, part, all->stride, first) : NULL;
        }
        first += part[1];
    }
}

/* The params, the adapters as inputs, and the outputs of the call. */
static void linear_call(struct ctx *c, struct op_call *call, struct linear_params *p, const struct weight *const *w,
                        bool dropout, bool unread)
{
    struct linear_view v = {.x = call->in[0]};
    int64_t shape[2] = {v.x->shape[0], 0};
    for (int i = 0; i < p->n; i++) {
        const struct lora_slot *lora = w[i]->lora;
        p->w[i] = w[i];
        shape[1] += w[i]->rows;
        if (!lora) continue;
        p->scale[i] = lora->scale;
        p->p[i] = dropout ? lora->dropout : 0;
        p->id[i] = lora->id;
        v.slot[i].a = front_prepare(c, lora->a, lora->a->dtype);
        v.slot[i].b = front_prepare(c, lora->b, lora->b->dtype);
    }
    linear_keeps(c, &v, p);
    if (!unread) v.y = array_empty(c, linear_dtype(c, v.x), 2, shape);
    linear_view_put(&v, call);
}

/* Backward needs the adapters for dx and for each other, x only for dA. */
static uint32_t linear_saves(struct ctx *c, const struct op_call *call)
{
    uint32_t saves = op_info(OP_LINEAR)->saves & ~1u;
    const struct linear_view v = linear_view_of(call);
    for (int i = 0; i < LINEAR_MAX; i++) {
        if (tape_wants(c, v.slot[i].a)) saves |= 1u;
    }
    return saves;
}

/* The one front end behind both functions: checks, runs the call, and records it. With several weights y is one array and
 * the results are views of its columns, each of which carries its own gradient. */
static enum status run_linear(struct ctx *c, struct array *x, const struct weight *const *w, int n, bool dropout,
                              bool unread, struct array **y)
{
    struct linear_params p;
    memset(&p, 0, sizeof p);
    for (int i = 0; i < n; i++) y[i] = NULL;
    if (!front_operand(c, x)) return c->status;
    BUG_ON(c, n < 1 || n > LINEAR_MAX, "linear: %d weights", n);
    TRY(check_linear_x(c, x, w, n, dropout));
    for (int i = 0; i < n; i++) TRY(check_linear(c, x, w[i]));
    x = front_prepare(c, x, x->dtype);
    if (!x) return c->status;
    struct op_call call = {OP_LINEAR, .in = {x}, .params = &p};
    p.n = n;
    linear_call(c, &call, &p, w, dropout, unread);
    if (!ctx_ok(c) || front_run(c, &call) != OK) return c->status;
    if (unread) call.out[0] = front_zeros(c, linear_dtype(c, x), x->shape[0], w[0]->rows);
    if (!ctx_ok(c)) return c->status;
    struct node *node = tape_record(c, &call, 0, linear_saves(c, &call));
    for (int64_t i = 0, first = 0; i < n && ctx_ok(c); first += w[i++]->rows) { /* each view has a gradient of its own */
        const int64_t shape[2] = {x->shape[0], w[i]->rows};
        y[i] = n == 1 ? call.out[0] : array_view(call.out[0], 2, shape, call.out[0]->stride, first);
        if (node && y[i]) node_carry(y[i], node, (int)i);
    }
    return c->status;
}

enum status op_linear(struct ctx *c, struct array *x, const struct weight *const *w, int n, bool dropout, struct array **y)
{
    return run_linear(c, x, w, n, dropout, false, y);
}

struct array *op_linear_unread(struct ctx *c, struct array *x, const struct weight *w, bool dropout)
{
    struct array *y = NULL;
    run_linear(c, x, &w, 1, dropout, true, &y);
    return y;
}

/* ---- rope, attention, swiglu ------------------------------------------------------------------------------------------ */

struct array *op_rope(struct ctx *c, struct array *x, struct array *positions, struct array *inv_freq, double scale)
{
    struct rope_params p;
    memset(&p, 0, sizeof p);
    if (!front_operand(c, x) || !front_operand(c, positions) || !front_operand(c, inv_freq)) return NULL;
    if (check_real(c, "rope", x) != OK) return NULL;
    if (x->ndim != 3 || positions->ndim != 1 || positions->shape[0] != x->shape[0] || inv_freq->ndim != 1 ||
        x->shape[2] != 2 * inv_freq->shape[0] || dtype_is_float(positions->dtype)) {
        ctx_fail(c, E_SHAPE, "rope: x %s, positions %s and inv_freq %s do not go together", FRONT_DESCRIBE(x),
                 FRONT_DESCRIBE(positions), FRONT_DESCRIBE(inv_freq));
        return NULL;
    }
    x = front_prepare(c, x, x->dtype);
    positions = front_prepare(c, positions, DTYPE_I32);
    inv_freq = front_prepare(c, inv_freq, DTYPE_F32);
    if (!x || !positions || !inv_freq) return NULL;
    p.scale = scale;
    struct op_call call = {OP_ROPE, .in = {x, positions, inv_freq}, .out = {array_empty(c, x->dtype, 3, x->shape)}};
    call.params = &p;
    return front_finish(c, &call, op_info(OP_ROPE)->saves);
}

/* Offsets of one or more segments, as many for keys as for queries. */
static bool is_offsets(const struct array *cu, const struct array *other)
{
    return cu->ndim == 1 && cu->shape[0] > 1 && cu->shape[0] == other->shape[0] && cu->dtype == DTYPE_I32 &&
           array_has_unit_last(cu);
}

/* Heads of one size, query heads a multiple of key heads, one dtype; and offsets of the same number of segments. */
static enum status check_attention(struct ctx *c, const struct op_call *call)
{
    const struct array *q = call->in[0], *k = call->in[1], *v = call->in[2], *cu_q = call->in[3], *cu_k = call->in[4];
    TRY(check_real(c, "attention", q));
    bool fits = q->ndim == 3 && k->ndim == 3 && array_same_shape(k, v) && q->shape[2] == k->shape[2] && k->shape[1] > 0 &&
                q->shape[1] % k->shape[1] == 0 && k->dtype == q->dtype && v->dtype == q->dtype;
    if (!fits)
        return ctx_fail(c, E_SHAPE, "attention: q %s, k %s and v %s do not go together", FRONT_DESCRIBE(q),
                        FRONT_DESCRIBE(k), FRONT_DESCRIBE(v));
    if (is_offsets(cu_q, cu_k) && is_offsets(cu_k, cu_q)) return OK;
    return ctx_fail(c, E_SHAPE, "attention: offsets of queries %s and of keys %s must be i32 of one length, at least 2",
                    FRONT_DESCRIBE(cu_q), FRONT_DESCRIBE(cu_k));
}

struct array *op_attention(struct ctx *c, struct array *q, struct array *k, struct array *v, struct array *cu_q,
                           struct array *cu_k, const struct attention_params *p)
{
    struct op_call call = {OP_ATTENTION, .in = {q, k, v, cu_q, cu_k}, .params = p};
    for (int i = 0; i < 5; i++)
        if (!front_operand(c, call.in[i])) return NULL;
    BUG_ON(c, p->window < 0, "attention: a window of %d", p->window);
    if (check_attention(c, &call) != OK) return NULL;
    for (int i = 0; i < 3; i++) call.in[i] = front_prepare(c, call.in[i], q->dtype);
    call.out[0] = array_empty(c, q->dtype, 3, q->shape);
    call.out[1] = array_empty(c, stat_dtype(q->dtype), 2, q->shape);
    return ctx_ok(c) ? front_finish(c, &call, op_info(OP_ATTENTION)->saves) : NULL;
}

/* The one front end behind both functions. */
static struct array *run_swiglu(struct ctx *c, struct array *gate, struct array *up, bool rounded)
{
    struct swiglu_params p;
    memset(&p, 0, sizeof p);
    if (!front_operand(c, gate) || !front_operand(c, up) || check_real(c, "swiglu", gate) != OK) return NULL;
    if (!array_same_shape(gate, up) || gate->dtype != up->dtype) {
        ctx_fail(c, E_SHAPE, "swiglu: gate %s and up %s differ", FRONT_DESCRIBE(gate), FRONT_DESCRIBE(up));
        return NULL;
    }
    gate = front_prepare(c, gate, gate->dtype);
    up = front_prepare(c, up, up->dtype);
    if (!gate || !up) return NULL;
    BUG_ON(c, rounded && gate->dtype != DTYPE_F32, "swiglu is rounded from f32");
    p.rounded = rounded;
    struct op_call call = {OP_SWIGLU, .in = {gate, up}, .params = &p};
    call.out[0] = front_swiglu_result(c, gate, rounded);
    return front_finish(c, &call, op_info(OP_SWIGLU)->saves);
}

struct array *op_swiglu(struct ctx *c, struct array *gate, struct array *up)
{
    return run_swiglu(c, gate, up, false);
}

struct array *op_swiglu_rounded(struct ctx *c, struct array *gate, struct array *up)
{
    BUG_ON(c, c->array_env->backend->rounded_from == 0, "this backend takes no rounded operands");
    return run_swiglu(c, gate, up, true);
}

/* ---- linear_cross_entropy --------------------------------------------------------------------------------------------- */

/* h (N, C), the weight (V, C), and one target and one weight for each row. */
static enum status check_cross_entropy(struct ctx *c, const struct array *h, const struct weight *w,
                                       const struct array *targets, const struct array *weights)
{
    TRY(check_real(c, "linear_cross_entropy", h));
    TRY(check_weight(c, "linear_cross_entropy", w));
    if (h->ndim == 2 && h->shape[1] == w->cols && targets->ndim == 1 && weights->ndim == 1 &&
        targets->shape[0] == h->shape[0] && weights->shape[0] == h->shape[0] && dtype_is_float(weights->dtype)) {
        return OK;
    }
    return ctx_fail(c, E_SHAPE, "linear_cross_entropy: h %s, weight [%lld,%lld], targets %s, weights %s", FRONT_DESCRIBE(h),
                    (long long)w->rows, (long long)w->cols, FRONT_DESCRIBE(targets), FRONT_DESCRIBE(weights));
}

/* The gradient dh is made in forward, while each tile of logits is there: backward would have to compute all of them again.
 * Its rule only multiplies it with the gradient of the loss. */
enum status op_linear_cross_entropy(struct ctx *c, struct array *h, const struct weight *w, struct array *targets,
                                    struct array *weights, bool want_logprobs, struct cross_entropy_result *result)
{
    const int64_t three = 3;
    struct linear_cross_entropy_params p;
    memset(&p, 0, sizeof p);
    memset(result, 0, sizeof *result);
    if (!front_operand(c, h) || !front_operand(c, targets) || !front_operand(c, weights)) return c->status;
    TRY(check_cross_entropy(c, h, w, targets, weights));
    weights = front_prepare(c, weights, DTYPE_F32);
    if (!weights) return c->status;
    targets = front_prepare_ids(c, "linear_cross_entropy", targets, weights, w->rows);
    h = front_prepare(c, h, h->dtype);
    if (!targets || !h) return c->status;
    p.w = w;
    p.want_logprobs = want_logprobs;
    p.want_dh = tape_wants(c, h);
    struct op_call call = {OP_LINEAR_CROSS_ENTROPY, .in = {h, targets, weights}, .params = &p};
    call.out[0] = array_empty(c, stat_dtype(h->dtype), 0, NULL);
    call.out[1] = array_empty(c, DTYPE_F64, 1, &three);
    if (want_logprobs) call.out[2] = array_empty(c, DTYPE_F32, 1, h->shape);
    if (p.want_dh) call.out[3] = array_empty(c, h->dtype, 2, h->shape);
    if (!front_finish(c, &call, op_info(OP_LINEAR_CROSS_ENTROPY)->saves)) return c->status;
    *result = (struct cross_entropy_result){call.out[0], call.out[1], call.out[2]};
    return OK;
}
