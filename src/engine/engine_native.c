/* engine_native: the engine that runs src/model on the ctx's backend.
 *
 * One micro-batch is one scope and one tape: everything but the adapter's gradients goes back to the step pool before the
 * next begins, so a step's memory is that of its longest micro-batch. Gradients accumulate in place (tape_watch with the
 * adapter's own buffers); the loss's normaliser is the cotangent that backward starts from, so no per-micro-batch mean ever
 * exists. */
#include <math.h>
#include <string.h>

#include "array/tape.h"
#include "base/mem.h"
#include "model/llama.h"
#include "engine/engine.h"

struct native {
    struct engine base;
    struct model *model;
};

static struct native *native_of(struct engine *e)
{
    return (struct native *)e;
}

/* ---- one pass -------------------------------------------------------------------------------------------------------- */

static struct array *wrap_row(struct ctx *c, enum dtype dtype, int64_t n, const void *data)
{
    /* batches are read-only by contract of the ops: they never modify operands */
    return array_wrap(c, dtype, 1, &n, (void *)(uintptr_t)data);
}

static enum status watch_all(struct engine *e)
{
    for (size_t i = 0; i < e->n_params; i++) TRY(tape_watch(e->c, engine_param(e, i), engine_grad(e, i)));
    return OK;
}

static enum status read_loss(struct ctx *c, const struct cross_entropy_result *r, struct engine_loss *loss)
{
    double stats[3] = {0, 0, 0};
    TRY(array_to_host(r->stats, DTYPE_F64, stats));
    if (!ctx_ok(c)) return c->status;
    *loss = (struct engine_loss){stats[0], stats[1], (int64_t)stats[2]};
    return OK;
}

/* What the loss is computed on: the batch, or its rows of a weight other than 0, whose numbers `rows` then has. */
struct loss_rows {
    struct array *rows, *targets, *weights;
};

static struct array *gather(struct ctx *c, enum dtype dtype, const void *data, const struct array *rows)
{
    struct array *out = rows ? array_empty(c, dtype, 1, rows->shape) : NULL;
    for (int64_t i = 0; out && i < rows->shape[0]; i++)
        memcpy((char *)out->data + 4 * i, (const char *)data + 4 * (int64_t)((const int32_t *)rows->data)[i], 4);
    return out;
}

/* Leaves rows out when `may` and a quarter of them or more do not count: below that (a document's last token never counts)
 * taking the others costs more time and memory than is saved. */
static struct loss_rows loss_rows_of(struct ctx *c, const struct batch *b, bool may)
{
    int64_t n = 0;
    for (int64_t i = 0; i < b->n; i++) n += b->weights[i] != 0;
    if (!may || n == 0 || 4 * n > 3 * b->n)
        return (struct loss_rows){NULL, wrap_row(c, DTYPE_I32, b->n, b->targets), wrap_row(c, DTYPE_F32, b->n, b->weights)};
    struct array *rows = array_empty(c, DTYPE_I32, 1, &n);
    n = 0;
    for (int64_t i = 0; rows && i < b->n; i++)
        if (b->weights[i] != 0) ((int32_t *)rows->data)[n++] = (int32_t)i;
    return (struct loss_rows){rows, gather(c, DTYPE_I32, b->targets, rows), gather(c, DTYPE_F32, b->weights, rows)};
}

static bool drops(const struct native *n, const struct forward_options *o)
{
    bool any = false;
    for (size_t i = 0; n->base.lora && i < n->base.lora->n_modules; i++)
        any = any || n->base.lora->modules[i].slot.dropout > 0;
    return any && o->dropout.on;
}

/* Final hidden states and the loss on them, in the innermost scope. */
static enum status forward(struct native *n, const struct batch *b, const struct forward_options *o, bool want_logprobs,
                           struct cross_entropy_result *result)
{
    struct ctx *c = n->base.c;
    struct loss_rows l = loss_rows_of(c, b, !want_logprobs && !drops(n, o));
    struct forward_options options = *o;
    options.rows = l.rows;
    struct array *hidden = llama_hidden(n->model, b, &options); /* (N, C), or of the rows that count */
    return op_linear_cross_entropy(c, hidden, &n->model->head, l.targets, l.weights, want_logprobs, result);
}

static enum status step_recorded(struct native *n, const struct batch *b, const struct engine_step_options *o,
                                 struct engine_loss *loss)
{
    struct ctx *c = n->base.c;
    struct forward_options options = {
        .dropout = {.seed = o->seed, .step = o->step, .first_token = b->first_token, .on = true},
        .recomputed_blocks = o->recomputed_blocks,
    };
    struct cross_entropy_result result = {0};
    TRY(watch_all(&n->base));
    TRY(forward(n, b, &options, false, &result));
    TRY(read_loss(c, &result, loss));
    /* a loss that is no number would poison the gradients of the micro-batches before it: the caller stops */
    if (!isfinite(loss->weighted)) return OK;
    return tape_backward(c, result.loss, o->inv_n);
}

static enum status native_step(struct engine *e, const struct batch *b, const struct engine_step_options *o,
                               struct engine_loss *loss)
{
    int mark = scope_open(e->c);
    enum status status = tape_begin(e->c);
    if (status == OK) {
        status = step_recorded(native_of(e), b, o, loss);
        tape_end(e->c);
    }
    scope_close(e->c, mark);
    return status;
}

static enum status native_evaluate(struct engine *e, const struct batch *b, struct engine_loss *loss, float *logprobs)
{
    struct cross_entropy_result result = {0};
    struct forward_options options = {0};
    int mark = scope_open(e->c);
    enum status status = forward(native_of(e), b, &options, logprobs != NULL, &result);
    if (status == OK) status = read_loss(e->c, &result, loss);
    if (status == OK && logprobs) status = array_to_host(result.logprobs, DTYPE_F32, logprobs);
    scope_close(e->c, mark);
    return status;
}

static enum status native_logits(struct engine *e, const struct batch *b, float *logits)
{
    struct model *model = native_of(e)->model;
    int mark = scope_open(e->c);
    struct array *hidden = llama_hidden(model, b, &(struct forward_options){0});
    struct array *last = llama_logits(model, hidden, b->n - 1); /* (1, V) */
    enum status status = last ? array_to_host(last, DTYPE_F32, logits) : e->c->status;
    scope_close(e->c, mark);
    return status;
}

/* ---- gradients and update -------------------------------------------------------------------------------------------- */

static void native_zero_grad(struct engine *e)
{
    for (size_t i = 0; i < e->n_params; i++) {
        struct array *g = engine_grad(e, i);
        memset(g->data, 0, (size_t)array_size(g) * dtype_size(g->dtype));
    }
}

static double native_grad_norm(struct engine *e)
{
    double sum = 0.0;
    for (size_t i = 0; i < e->n_params; i++) sum += op_sum_squares(e->c, engine_grad(e, i));
    return sqrt(sum);
}

static enum status native_update(struct engine *e, const struct adamw_params *p)
{
    for (size_t i = 0; i < e->n_params; i++) TRY(op_adamw(e->c, engine_param(e, i), engine_grad(e, i), e->m[i], e->v[i], p));
    return OK;
}

static enum status native_check(struct engine *e)
{
    return model_check(native_of(e)->model);
}

static struct engine_memory native_memory(const struct engine *e)
{
    const struct native *n = (const struct native *)e;
    size_t parameters = e->lora ? (size_t)lora_parameter_count(e->lora) : 0;
    return (struct engine_memory){
        .weights_bytes = model_weight_bytes(n->model),
        .adapter_bytes = parameters * sizeof(float) * 4,
        .peak_bytes = e->c->alloc_peak,
    };
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void native_free(struct engine *e)
{
    if (!e) return;
    for (size_t i = 0; i < e->n_params; i++) {
        if (e->m) array_release(e->m[i]);
        if (e->v) array_release(e->v[i]);
    }
    mem_free(e->c, e->m);
    mem_free(e->c, e->v);
    mem_free(e->c, e);
}

static enum status make_moments(struct engine *e)
{
    for (size_t i = 0; i < e->n_params && ctx_ok(e->c); i++) {
        const struct array *p = engine_param(e, i);
        e->m[i] = array_persistent(e->c, DTYPE_F32, p->ndim, p->shape);
        e->v[i] = array_persistent(e->c, DTYPE_F32, p->ndim, p->shape);
    }
    return e->c->status;
}

static const struct engine_ops native_ops = {
    .name = "native",
    .step = native_step,
    .evaluate = native_evaluate,
    .logits = native_logits,
    .zero_grad = native_zero_grad,
    .grad_norm = native_grad_norm,
    .update = native_update,
    .check = native_check,
    .memory = native_memory,
    .free = native_free,
};

struct engine *engine_native_new(struct ctx *c, struct model *model, struct lora *lora)
{
    struct native *n = mem_alloc(c, 1, sizeof(*n));
    if (!n) return NULL;
    n->model = model;
    n->base = (struct engine){.ops = &native_ops, .c = c, .lora = lora, .n_params = lora ? 2 * lora->n_modules : 0};
    n->base.m = mem_alloc(c, n->base.n_params, sizeof(*n->base.m));
    n->base.v = mem_alloc(c, n->base.n_params, sizeof(*n->base.v));
    if (!n->base.m || !n->base.v || make_moments(&n->base) != OK) {
        native_free(&n->base);
        return NULL;
    }
    return &n->base;
}
