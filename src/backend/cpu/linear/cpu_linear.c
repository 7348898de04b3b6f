/* cpu_linear: LINEAR and LINEAR_BWD as sums of products (gemm.h). A call has up to LINEAR_MAX weights W_i (M_i, K) that
 * share the input x (N, K), each with or without an adapter A_i (R, K), B_i (M_i, R) of scale s_i. With u_i = s_i dy_i
 * B_i:
 *
 *   forward   h_i = drop_i(x) A_i^T          y_i = x W_i^T + h_i (s_i B_i)^T + bias_i
 *   backward  dx = sum_i dy_i W_i + u_i A_i  dA_i = u_i^T drop_i(x)            dB_i = s_i dy_i^T h_i
 *
 * A product may have several terms, C = sum of A_t B_t, whose reductions go on in the same accumulators: the adapter is a
 * second term of the base product, so y and dx are written once. With dropout u_i A_i must pass the mask before it is
 * added, so it cannot be a term: it takes a pass of its own then, and drop_i(x) is copied. */
#include <string.h>

#include "array/linear_view.h"
#include "backend/cpu/linear/cpu_adapter.h"
#include "backend/cpu/rows/cpu_rows.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm/gemm_round.h"
#include "backend/cpu/gemm/gemm_small.h"
#include "base/threads.h"

enum { MASK_ROWS = 32 };

/* What products read of an operand that came rounded is there. */
_Static_assert((int)ROUNDED_GROUP % (int)BF16_GROUP == 0 && (int)ROUNDED_GROUP >= (int)BF16_MAX_MR,
               "rounded operands have too little to spare");

/* Weight i of the call and its adapter. */
struct cpu_linear_slot {
    const struct weight *w;    /* (M, K) */
    const struct array *a, *b; /* (R, K), (M, R); NULL without an adapter */
    int64_t first, rank;       /* first column of y; R */
    float scale, rate;         /* rate 0: no dropout in this call */
    uint32_t id;
    float *h, *u;               /* (N, R), stride R */
    const uint32_t *dy_rounded; /* its columns of dy in bf16, where a product reads them so; else NULL */
    int64_t dy_rs;              /* steps from row to row of them */
};

/* One call with its operands by name. */
struct linear {
    struct linear_view view; /* the call's operands */
    const struct linear_params *params;
    const struct step_values *step;
    const struct cpu_kernels *kernels;
    int64_t n, k, m;         /* N, K, sum of M */
    const uint32_t *rounded; /* x in bf16, where a product reads it so; else NULL */
    int64_t rounded_rs;      /* steps from row to row of it */
    struct cpu_linear_slot slot[LINEAR_MAX];
};

/* Names the call's operands and finds each weight's columns in y. */
static void linear_init(struct linear *l, const struct op_call *call, const struct cpu_kernels *kernels)
{
    const struct linear_params *p = call->params;
    *l = (struct linear){.view = linear_view_of(call), .params = p, .step = call->step, .kernels = kernels};
    l->n = l->view.x->shape[0];
    l->k = l->view.x->shape[1];
    for (int i = 0; i < p->n; i++) {
        struct cpu_linear_slot *s = &l->slot[i];
        *s = (struct cpu_linear_slot){.w = p->w[i], .first = l->m, .scale = p->scale[i], .id = p->id[i]};
        s->a = l->view.slot[i].a;
        s->b = l->view.slot[i].b;
        s->rank = s->a ? s->a->shape[0] : 0;
        s->rate = s->a ? p->p[i] : 0.0f;
        l->m += s->w->rows;
    }
}

/* A matrix of an adapter as operand: in bf16 where the products with its weight are. */
static struct gemm_source adapter_source(const struct cpu_linear_slot *s, const struct array *a, enum gemm_form form,
                                         float scale)
{
    return (struct gemm_source){
        .form = form, .data = a->data, .ld = a->stride[0], .scale = scale, .bf16 = s->w->compute == COMPUTE_BF16};
}

/* Whether x or dy came rounded (op_call): in bf16. */
static bool is_rounded(const struct array *a)
{
    return a->dtype == DTYPE_BF16;
}

/* Rounds x once for all products of the call in bf16, unless it was. Not for the few rows of generation, which read weights
 * unrounded. */
static void round_x(struct ctx *c, struct linear *l)
{
    struct gemm_rounding list[1];
    int n = 0;
    bool wanted = false;
    for (int i = 0; i < l->params->n; i++) wanted = wanted || bf16_kernels_for(l->kernels, l->slot[i].w);
    if (is_rounded(l->view.x)) {
        l->rounded = l->view.x->data;
        l->rounded_rs = l->view.x->stride[0] / 2;
        return;
    }
    if (!wanted || l->n <= GEMM_SMALL_M) return;
    l->rounded_rs = bf16_row_steps(l->k);
    l->rounded = gemm_rounding_add(c, list, &n, l->view.x->data, l->view.x->stride[0], l->n, l->k);
    gemm_round(c, l->kernels->bf16, list, n);
}

/* x (N, K) as the A operand of a product. */
static struct gemm_term term_of_x(const struct linear *l, struct gemm_source b)
{
    const struct array *x = l->view.x;
    return (struct gemm_term){
        .a = x->data, .lda = x->stride[0], .k = l->k, .rounded = l->rounded, .rounded_rs = l->rounded_rs, .b = b};
}

static struct gemm_source weight_operand(const struct weight *w, enum gemm_form form)
{
    return (struct gemm_source){.form = form, .weight = w, .scale = 1.0f};
}

/* ---- dropout -------------------------------------------------------------------------------------------------------- */

/* One pass of a dropout mask over rows, as all its work items see it. */
struct mask_work {
    const struct linear *l;
    const struct cpu_linear_slot *s;
    const float *x; /* (N, K), row stride ldx */
    int64_t ldx;
    float *out; /* (N, K), row stride ld_out */
    int64_t ld_out;
    bool add; /* out += instead of = */
    uint8_t *keep;
};

/* MASK_ROWS rows: the mask of each token is made again from the counters, used and forgotten. */
static void mask_item(void *arg, int64_t item, int worker)
{
    const struct mask_work *w = arg;
    int64_t k = w->l->k, end = cpu_min((item + 1) * MASK_ROWS, w->l->n);
    uint8_t *keep = w->keep + worker * k;
    float up = 1.0f / (1.0f - w->s->rate);
    const struct step_values *step = w->l->step;
    for (int64_t i = item * MASK_ROWS; i < end; i++) {
        dropout_mask(step, w->s->id, step->first_token + i, w->s->rate, k, keep);
        const float *x = w->x + i * w->ldx;
        float *out = w->out + i * w->ld_out;
        for (int64_t j = 0; j < k; j++) {
            float dropped = keep[j] ? x[j] * up : 0.0f;
            out[j] = w->add ? out[j] + dropped : dropped;
        }
    }
}

/* out (+)= the mask of w->s times x / (1 - p). */
static void mask_run(struct ctx *c, struct mask_work *w)
{
    int mark = scope_open(c);
    w->keep = cpu_scratch(c, DTYPE_U8, threads_count(c) * w->l->k);
    if (w->keep && w->out) threads_run(c, cpu_div_up(w->l->n, MASK_ROWS), mask_item, w);
    scope_close(c, mark);
}

/* drop(x) / (1 - p) in scratch of the innermost scope, row stride K. NULL with E_MEMORY. */
static const float *dropped_copy(struct ctx *c, const struct linear *l, const struct cpu_linear_slot *s,
                                 const struct array *x)
{
    struct mask_work w = {
        .l = l, .s = s, .x = x->data, .ldx = x->stride[0], .out = cpu_scratch_f32(c, l->n * l->k), .ld_out = l->k};
    mask_run(c, &w);
    return w.out;
}

/* ---- forward -------------------------------------------------------------------------------------------------------- */

/* h_i = drop_i(x) A_i^T of all adapters. */
static void adapter_hidden(struct ctx *c, struct linear *l)
{
    struct gemm list[LINEAR_MAX];
    int n = 0;
    for (int i = 0; i < l->params->n && ctx_ok(c); i++) {
        struct cpu_linear_slot *s = &l->slot[i];
        if (!s->a) continue;
        const struct array *h = l->view.slot[i].h; /* wanted by the tape */
        s->h = h ? h->data : cpu_scratch_f32(c, l->n * s->rank);
        struct gemm_term t = term_of_x(l, adapter_source(s, s->a, GEMM_TRANSPOSED, 1.0f));
        if (s->rate > 0) t.a = dropped_copy(c, l, s, l->view.x), t.lda = l->k, t.rounded = NULL;
        list[n++] = (struct gemm){.m = l->n, .n = s->rank, .c = s->h, .ldc = s->rank, .n_terms = 1, .term = {t}};
    }
    if (n && ctx_ok(c)) gemm_run_all(c, l->kernels, list, n);
}

/* All h first, in one list of products, then all y: those of a few rows share a parallel loop (gemm_run_all). Without y,
 * which nobody reads then, the h are all that is made. */
enum status cpu_linear(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    struct gemm list[LINEAR_MAX];
    struct linear l;
    linear_init(&l, call, kernels);
    const struct array *y = l.view.y;
    int mark = scope_open(c);
    round_x(c, &l);
    adapter_hidden(c, &l);
    for (int i = 0; i < l.params->n && y; i++) {
        const struct cpu_linear_slot *s = &l.slot[i];
        struct gemm *g = &list[i];
        *g = (struct gemm){.m = l.n,
                           .n = s->w->rows,
                           .c = (float *)y->data + s->first,
                           .ldc = y->stride[0],
                           .bias = s->w->bias ? s->w->bias->data : NULL,
                           .n_terms = 1};
        g->term[0] = term_of_x(&l, weight_operand(s->w, GEMM_TRANSPOSED));
        if (s->a)
            g->term[g->n_terms++] = (struct gemm_term){
                .a = s->h, .lda = s->rank, .k = s->rank, .b = adapter_source(s, s->b, GEMM_TRANSPOSED, s->scale)};
    }
    if (ctx_ok(c) && y) gemm_run_all(c, kernels, list, l.params->n);
    scope_close(c, mark);
    return c->status;
}

/* ---- backward ------------------------------------------------------------------------------------------------------- */

/* Rounds dy once for dx and for the gradients of the adapters, unless it was. Not for few rows, as in round_x. */
static void round_dy(struct ctx *c, struct linear *l)
{
    struct gemm_rounding list[LINEAR_MAX];
    const struct array *dy = l->view.dy;
    int n = 0;
    for (int i = 0; i < l->params->n && l->n > GEMM_SMALL_M; i++) {
        struct cpu_linear_slot *s = &l->slot[i];
        if (!bf16_kernels_for(l->kernels, s->w)) continue;
        s->dy_rs = is_rounded(dy) ? dy->stride[0] / 2 : bf16_row_steps(s->w->rows);
        if (is_rounded(dy)) {
            s->dy_rounded = (const uint32_t *)dy->data + s->first / 2;
            continue;
        }
        s->dy_rounded = gemm_rounding_add(c, list, &n, (const float *)dy->data + s->first, dy->stride[0], l->n, s->w->rows);
    }
    gemm_round(c, l->kernels->bf16, list, n);
}

/* u, dA and dB of all adapters; u stays in the scope of the call, dropped copies of x do not. */
static void adapter_grads(struct ctx *c, struct linear *l)
{
    const struct array *dy = l->view.dy, *x = l->view.x;
    struct cpu_adapter list[LINEAR_MAX];
    bool bf16 = true;
    int n = 0;
    for (int i = 0; i < l->params->n; i++)
        if (l->slot[i].a) l->slot[i].u = cpu_scratch_f32(c, l->n * l->slot[i].rank);
    int mark = scope_open(c);
    for (int i = 0; i < l->params->n && ctx_ok(c); i++) {
        const struct cpu_linear_slot *s = &l->slot[i];
        const struct array *da = l->view.slot[i].da, *db = l->view.slot[i].db, *h = l->view.slot[i].h;
        if (!s->a) continue;
        struct cpu_adapter *a = &list[n++];
        *a = (struct cpu_adapter){.m = s->w->rows, .k = l->k, .r = s->rank, .scale = s->scale, .u = s->u};
        a->dy = (const float *)dy->data + s->first, a->ldy = dy->stride[0];
        a->dy_rounded = s->dy_rounded, a->dy_rs = s->dy_rs;
        bf16 = bf16 && s->dy_rounded;
        a->x = x->data, a->ldx = x->stride[0];
        a->x_is_rounded = is_rounded(x);
        a->b = s->b->data, a->ldb = s->b->stride[0];
        if (da) a->da = da->data, a->ld_da = da->stride[0];
        if (da && s->rate > 0) a->x = dropped_copy(c, l, s, x), a->ldx = l->k;
        if (db) a->db = db->data, a->ld_db = db->stride[0], a->h = h->data, a->ldh = h->stride[0];
    }
    if (ctx_ok(c)) (bf16 ? cpu_adapter_bf16_run : cpu_adapter_run)(c, l->kernels, l->n, list, n, l->params->accumulate);
    scope_close(c, mark);
}

/* dx += mask_i * (u_i A_i) */
static void masked_dx(struct ctx *c, const struct linear *l, const struct cpu_linear_slot *s, const struct array *dx)
{
    int mark = scope_open(c);
    float *product = cpu_scratch_f32(c, l->n * l->k);
    struct gemm g = {.m = l->n, .n = l->k, .c = product, .ldc = l->k, .n_terms = 1};
    g.term[0] = (struct gemm_term){.a = s->u, .lda = s->rank, .k = s->rank, .b = adapter_source(s, s->a, GEMM_ROWS, 1.0f)};
    if (product && gemm_run(c, l->kernels, &g) == OK) {
        struct mask_work w = {
            .l = l, .s = s, .x = product, .ldx = l->k, .out = dx->data, .ld_out = dx->stride[0], .add = true};
        mask_run(c, &w);
    }
    scope_close(c, mark);
}

/* dx = sum of dy_i W_i and of u_i A_i; those with dropout are added afterwards, through their masks. */
static void linear_dx(struct ctx *c, const struct linear *l, const struct array *dy, const struct array *dx)
{
    struct gemm g = {.m = l->n, .n = l->k, .c = dx->data, .ldc = dx->stride[0]};
    for (int i = 0; i < l->params->n; i++) {
        const struct cpu_linear_slot *s = &l->slot[i];
        g.term[g.n_terms++] = (struct gemm_term){.a = (const float *)dy->data + s->first,
                                                 .lda = dy->stride[0],
                                                 .k = s->w->rows,
                                                 .rounded = s->dy_rounded,
                                                 .rounded_rs = s->dy_rs,
                                                 .b = weight_operand(s->w, GEMM_ROWS)};
        if (s->a && s->rate <= 0)
            g.term[g.n_terms++] =
                (struct gemm_term){.a = s->u, .lda = s->rank, .k = s->rank, .b = adapter_source(s, s->a, GEMM_ROWS, 1.0f)};
    }
    gemm_run(c, l->kernels, &g);
    for (int i = 0; i < l->params->n && ctx_ok(c); i++)
        if (l->slot[i].rate > 0) masked_dx(c, l, &l->slot[i], dx);
}

enum status cpu_linear_bwd(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    struct linear l;
    linear_init(&l, call, kernels);
    int mark = scope_open(c);
    round_dy(c, &l);
    adapter_grads(c, &l);
    if (ctx_ok(c) && l.view.dx) linear_dx(c, &l, l.view.dy, l.view.dx);
    scope_close(c, mark);
    return c->status;
}
