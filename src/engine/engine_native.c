/* engine_native: the engine that runs src/model on the ctx's backend; the only caller of the model's forward pass.
 *
 * One micro-batch is one scope and one tape: everything but the gradients goes back to the step pool before the next
 * begins, so a step's memory is that of its longest micro-batch. Gradients accumulate in place (tape_watch with views of
 * the gradients' slab); the loss is normalised by the value that backward starts from, so no mean over a micro-batch ever
 * exists. What the host reads of a step, its losses and its norm, is written into one of two slots, so that the next step
 * may already be queued when it is read. */
#include <math.h>
#include <string.h>

#include "array/backend.h"
#include "array/tape.h"
#include "base/mem.h"
#include "engine/engine_native.h"
#include "model/llama.h"

enum { SLOTS = 2, STATS = 3 };

/* What one optimizer step leaves for the host to read, on the device until then. */
struct native_slot {
    int64_t step, count;       /* micro-batches of the step */
    int64_t capacity;          /* rows of stats */
    double threshold;          /* of the update */
    struct array *stats;       /* (capacity, 3) f64: weighted sum, unweighted sum and count of each micro-batch */
    struct array *sum_squares; /* f64 []: squared norm of the gradient */

    /* Log-probabilities, where they were asked for: those of the rows that a loss was computed on, one behind the other. */
    int64_t tokens, stored, reserved; /* of the step; written so far; elements of both arrays */
    struct array *logprobs;           /* (reserved) f32 */
    int32_t *place;                   /* (reserved) which token of the step each of them belongs to, owned */
};

struct native {
    struct engine base;
    struct model *model;
    struct lora *lora;             /* NULL: nothing is trained */
    struct array *moments[2];      /* slabs like the adapter's values and gradients */
    struct array **moment_view[2]; /* one for each parameter, owned */
    struct array *stopped;         /* f64 []: a gradient was not finite, nothing is updated any more */
    struct native_slot slot[SLOTS];
};

struct native_sequence {
    struct engine_sequence base;
    struct kv_cache *cache; /* owned */
    int32_t *positions;     /* (capacity) 0, 1, 2, ..., owned */
};

static struct native *native_of(struct engine *e)
{
    return (struct native *)e;
}

struct model *engine_native_model(struct engine *e)
{
    return native_of(e)->model;
}

/* ---- one pass -------------------------------------------------------------------------------------------------------- */

/* What the loss is computed on: the batch, or its rows of a weight other than 0, whose indices `rows` then has, on the host
 * as `index` too. */
struct loss_rows {
    struct array *rows, *targets, *weights;
    int32_t *index; /* (n) owned (mem_free); NULL: all rows */
    int64_t n;
};

/* The n elements of `data` (4 bytes each) whose indices are in `rows`, uploaded as an array. */
static struct array *gather_rows(struct ctx *c, enum dtype dtype, const void *data, const int32_t *rows, int64_t n)
{
    char *picked = mem_alloc(c, (size_t)n, 4);
    for (int64_t i = 0; picked && i < n; i++) memcpy(picked + 4 * i, (const char *)data + 4 * (int64_t)rows[i], 4);
    struct array *out = picked ? array_from_host(c, dtype, 1, &n, picked) : NULL;
    mem_free(c, picked);
    return out;
}

/* The rows that the loss is computed on: all, or, when `may` and at least a quarter of them have weight 0, only the
 * others. With fewer to leave out (a document's last token never counts), copying the others costs more time and memory
 * than is saved. */
static struct loss_rows loss_rows_of(struct ctx *c, const struct batch *b, bool may)
{
    int64_t n = 0;
    for (int64_t i = 0; i < b->n; i++) n += b->weights[i] != 0;
    if (!may || n == 0 || 4 * n > 3 * b->n)
        return (struct loss_rows){NULL, array_from_host(c, DTYPE_I32, 1, &b->n, b->targets),
                                  array_from_host(c, DTYPE_F32, 1, &b->n, b->weights), NULL, b->n};
    int32_t *rows = mem_alloc(c, (size_t)n, sizeof *rows);
    n = 0;
    for (int64_t i = 0; rows && i < b->n; i++)
        if (b->weights[i] != 0) rows[n++] = (int32_t)i;
    if (!rows) return (struct loss_rows){0};
    return (struct loss_rows){array_from_host(c, DTYPE_I32, 1, &n, rows), gather_rows(c, DTYPE_I32, b->targets, rows, n),
                              gather_rows(c, DTYPE_F32, b->weights, rows, n), rows, n};
}

/* Whether this pass has dropout: then rows may not be left out, as masks count them. */
static bool drops(const struct native *n, const struct forward_options *o)
{
    bool any = false;
    for (size_t i = 0; n->lora && i < n->lora->n_modules; i++) any = any || n->lora->modules[i].slot.dropout > 0;
    return any && o->dropout;
}

/* The one call of the model's forward pass: final hidden states in the innermost scope. */
static struct array *run_model(struct native *n, const struct batch *b, const struct forward_options *o)
{
    return llama_hidden(n->model, b, o);
}

/* The loss of a batch, in the innermost scope. *l: the rows it was computed on, which are those of the log-probabilities;
 * its index belongs to the caller, also after a failure. */
static enum status forward(struct native *n, const struct batch *b, const struct forward_options *o, bool want_logprobs,
                           struct cross_entropy_result *result, struct loss_rows *l)
{
    struct ctx *c = n->base.c;
    *l = loss_rows_of(c, b, !drops(n, o));
    struct forward_options options = *o;
    options.rows = l->rows;
    struct array *hidden = run_model(n, b, &options); /* (N, C), or of the rows that count */
    return op_linear_cross_entropy(c, hidden, &n->model->head, l->targets, l->weights, want_logprobs, result);
}

/* ---- training -------------------------------------------------------------------------------------------------------- */

/* Steps alternate between the two slots. */
static struct native_slot *slot_of(struct native *n, int64_t step)
{
    return &n->slot[(uint64_t)step % SLOTS];
}

/* Reserves memory for the log-probabilities of a step, where they are wanted, and sets them to 0. */
static enum status begin_logprobs(struct ctx *c, struct native_slot *s, int64_t tokens)
{
    s->tokens = tokens;
    s->stored = 0;
    if (tokens > s->reserved) {
        array_release(s->logprobs);
        mem_free(c, s->place);
        s->reserved = 0;
        s->logprobs = array_persistent(c, DTYPE_F32, 1, &tokens);
        s->place = mem_alloc(c, (size_t)tokens, sizeof *s->place);
        if (!s->logprobs || !s->place) return c->status;
        s->reserved = tokens;
    }
    return tokens ? op_fill(c, s->logprobs, 0) : OK;
}

/* Before the first micro-batch of a step: its slot is taken, and its gradients start at 0. */
static enum status begin_step(struct native *n, const struct engine_micro *m)
{
    struct native_slot *s = slot_of(n, m->step);
    s->step = m->step;
    s->count = m->count;
    TRY(begin_logprobs(n->base.c, s, m->step_tokens));
    if (m->count > s->capacity) {
        array_release(s->stats);
        s->stats = array_persistent(n->base.c, DTYPE_F64, 2, (int64_t[]){m->count, STATS});
        s->capacity = s->stats ? m->count : 0;
    }
    if (!s->stats) return n->base.c->status;
    TRY(op_fill(n->base.c, s->stats, 0));
    return op_fill(n->base.c, n->lora->gradients, 0);
}

/* Makes every A and B a leaf of the tape whose gradient is added to its view of the gradients' slab. */
static enum status watch_all(struct native *n)
{
    for (size_t i = 0; i < n->lora->n_modules; i++) {
        const struct lora_module *m = &n->lora->modules[i];
        TRY(tape_watch(n->base.c, m->slot.a, m->grad_a));
        TRY(tape_watch(n->base.c, m->slot.b, m->grad_b));
    }
    return OK;
}

/* The checks that every micro-batch begins with, and the step's own beginning before the first. */
static enum status begin_micro(struct native *n, const struct engine_micro *m)
{
    struct ctx *c = n->base.c;
    BUG_ON(c, !n->lora, "step: this engine only evaluates");
    BUG_ON(c, m->index < 0 || m->index >= m->count, "micro-batch %lld of %lld", (long long)m->index, (long long)m->count);
    if (m->index == 0) TRY(begin_step(n, m));
    BUG_ON(c, slot_of(n, m->step)->step != m->step, "micro-batches of step %lld begin with number 0", (long long)m->step);
    return OK;
}

/* Queues the log-probabilities of a micro-batch behind those of the step that are there. */
static enum status store_logprobs(struct ctx *c, struct native_slot *s, const struct batch *b, const struct loss_rows *l,
                                  struct array *logprobs)
{
    BUG_ON(c, s->stored + l->n > s->tokens || b->first_token + b->n > s->tokens, "a step of more than %lld tokens",
           (long long)s->tokens);
    for (int64_t i = 0; i < l->n; i++) s->place[s->stored + i] = (int32_t)(b->first_token + (l->index ? l->index[i] : i));
    struct array *to = array_view(s->logprobs, 1, &l->n, (int64_t[]){1}, s->stored);
    s->stored += l->n;
    return to ? op_accumulate(c, to, logprobs) : c->status; /* onto zeros: a copy */
}

/* Adds a micro-batch's sums, f64 (STATS), to its row of the step's slot, which holds zeros: a copy. */
static enum status add_stats(struct native *n, const struct engine_micro *m, struct array *stats)
{
    struct native_slot *s = slot_of(n, m->step);
    struct array *row = array_view(s->stats, 1, (int64_t[]){STATS}, (int64_t[]){1}, m->index * STATS);
    return row ? op_accumulate(n->base.c, row, stats) : n->base.c->status;
}

/* The log-probabilities that another engine computed. */
static enum status add_logprobs(struct native *n, const struct engine_micro *m, const struct batch *b,
                                const struct engine_computed *r)
{
    struct ctx *c = n->base.c;
    struct loss_rows rows = {.index = (int32_t *)(uintptr_t)r->rows, .n = r->n_rows}; /* only read */
    if (m->step_tokens == 0 || rows.n == 0) return OK;
    struct array *logprobs = array_from_host(c, DTYPE_F32, 1, &rows.n, r->logprobs);
    return logprobs ? store_logprobs(c, slot_of(n, m->step), b, &rows, logprobs) : c->status;
}

enum status engine_native_add(struct engine *e, const struct batch *b, const struct engine_micro *m,
                              const struct engine_computed *r)
{
    struct native *n = native_of(e);
    const double sums[STATS] = {r->loss.weighted, r->loss.unweighted, (double)r->loss.count};
    TRY(begin_micro(n, m));
    int mark = scope_open(e->c);
    struct array *stats = array_from_host(e->c, DTYPE_F64, 1, (int64_t[]){STATS}, sums);
    struct array *slab = array_from_host(e->c, DTYPE_F32, 1, &e->parameters->slab_size, r->gradients);
    enum status status = stats && slab ? add_stats(n, m, stats) : e->c->status;
    if (status == OK) status = op_accumulate(e->c, n->lora->gradients, slab);
    if (status == OK) status = add_logprobs(n, m, b, r);
    scope_close(e->c, mark);
    return status;
}

/* Forward, what the host will read into the step's slot, and backward from inv_n = 1/N: the gradient is then that of the
 * step's mean loss, whatever the number of its micro-batches. */
static enum status step_recorded(struct native *n, const struct batch *b, const struct engine_micro *m)
{
    struct ctx *c = n->base.c;
    struct forward_options options = {
        .dropout = true,
        .recomputed_blocks = m->recomputed_blocks,
        .offloaded_blocks = m->offloaded_blocks,
    };
    struct cross_entropy_result result = {0};
    struct loss_rows rows;
    TRY(watch_all(n));
    enum status status = forward(n, b, &options, m->step_tokens > 0, &result, &rows);
    if (status == OK && m->step_tokens) status = store_logprobs(c, slot_of(n, m->step), b, &rows, result.logprobs);
    mem_free(c, rows.index);
    if (status != OK) return status;
    TRY(add_stats(n, m, result.stats));
    return tape_backward(c, result.loss, m->inv_n);
}

/* One micro-batch in a scope and a tape of its own. */
static enum status native_step(struct engine *e, const struct batch *b, const struct engine_micro *m)
{
    struct native *n = native_of(e);
    TRY(begin_micro(n, m));
    const struct step_values values = {.seed = m->seed, .step = m->step, .first_token = b->first_token};
    int mark = scope_open(e->c);
    array_step_begin(e->c, &values); /* dropout reads them */
    enum status status = tape_begin(e->c);
    if (status == OK) {
        if (m->recomputed_blocks < 0) tape_keep_all(e->c);
        status = step_recorded(n, b, m);
        tape_end(e->c);
    }
    array_step_end(e->c);
    scope_close(e->c, mark);
    return status == OK ? e->c->status : status;
}

/* The norm stays on the device: AdamW clips by it there, and stops where it is not finite, before the host knows it. */
static enum status native_update(struct engine *e, const struct engine_update *u)
{
    struct native *n = native_of(e);
    struct native_slot *s = slot_of(n, u->step);
    BUG_ON(e->c, s->step != u->step, "update of step %lld, whose micro-batches were not queued last", (long long)u->step);
    const struct adamw_guard guard = {s->sum_squares, n->stopped};
    const struct adamw_params p = {.lr = u->lr,
                                   .beta1 = u->beta1,
                                   .beta2 = u->beta2,
                                   .eps = u->eps,
                                   .weight_decay = u->weight_decay,
                                   .correction1 = u->correction1,
                                   .correction2 = u->correction2,
                                   .grad_scale = 1,
                                   .threshold = u->threshold};
    s->threshold = u->threshold;
    TRY(op_sum_squares(e->c, n->lora->gradients, s->sum_squares));
    return op_adamw(e->c, n->lora->values, n->lora->gradients, n->moments[0], n->moments[1], &guard, &p);
}

/* The step's log-probabilities, each at its token; 0 at tokens of weight 0. */
static enum status read_logprobs(struct ctx *c, const struct native_slot *s, float *out)
{
    BUG_ON(c, s->tokens == 0, "log-probabilities of step %lld, which kept none", (long long)s->step);
    float *stored = mem_alloc(c, (size_t)s->reserved, sizeof *stored);
    if (stored && array_to_host(s->logprobs, DTYPE_F32, stored) == OK) {
        memset(out, 0, (size_t)s->tokens * sizeof *out);
        for (int64_t i = 0; i < s->stored; i++) out[s->place[i]] = stored[i];
    }
    mem_free(c, stored);
    return c->status;
}

/* Waits for the step's slot and adds its micro-batches up, in their order. */
static enum status native_result(struct engine *e, int64_t step, struct engine_result *out, float *logprobs)
{
    struct ctx *c = e->c;
    struct native_slot *s = slot_of(native_of(e), step);
    BUG_ON(c, s->step != step || s->count < 1, "result of step %lld, which is not one of the last two", (long long)step);
    double(*stats)[STATS] = mem_alloc(c, (size_t)s->capacity, sizeof *stats);
    *out = (struct engine_result){.bad_micro = -1};
    if (stats && array_to_host(s->stats, DTYPE_F64, stats) == OK) {
        for (int64_t i = 0; i < s->count; i++) {
            out->loss.weighted += stats[i][0];
            out->loss.unweighted += stats[i][1];
            out->loss.count += (int64_t)stats[i][2];
            if (out->bad_micro < 0 && !isfinite(stats[i][0])) out->bad_micro = i;
        }
        out->norm = sqrt(array_item(s->sum_squares));
        out->clipped = out->norm > s->threshold;
    }
    mem_free(c, stats);
    if (logprobs && ctx_ok(c)) read_logprobs(c, s, logprobs);
    return c->status;
}

/* ---- evaluation and generation ---------------------------------------------------------------------------------------- */

static enum status read_loss(const struct cross_entropy_result *r, struct engine_loss *loss)
{
    double stats[STATS] = {0};
    TRY(array_to_host(r->stats, DTYPE_F64, stats));
    *loss = (struct engine_loss){stats[0], stats[1], (int64_t)stats[2]};
    return OK;
}

/* Brings the first n values of the rows that count to their places among all `count` rows, from the last one on, so that
 * none is overwritten before it was moved; 0 elsewhere. */
static void engine_native_spread(float *values, const struct loss_rows *rows, int64_t count)
{
    for (int64_t i = count - 1, k = rows->n - 1; i >= 0; i--) values[i] = k >= 0 && rows->index[k] == i ? values[k--] : 0;
}

static enum status native_evaluate(struct engine *e, const struct batch *b, struct engine_loss *loss, float *logprobs)
{
    struct cross_entropy_result result = {0};
    struct forward_options options = {0};
    struct loss_rows rows;
    int mark = scope_open(e->c);
    enum status status = forward(native_of(e), b, &options, logprobs != NULL, &result, &rows);
    if (status == OK) status = read_loss(&result, loss);
    if (status == OK && logprobs) status = array_to_host(result.logprobs, DTYPE_F32, logprobs);
    if (status == OK && logprobs && rows.index) engine_native_spread(logprobs, &rows, b->n);
    mem_free(e->c, rows.index);
    scope_close(e->c, mark);
    return status;
}

static void native_sequence_free(struct engine_sequence *base)
{
    struct native_sequence *s = (struct native_sequence *)base;
    if (!s) return;
    kv_cache_free(s->cache);
    mem_free(base->engine->c, s->positions);
    mem_free(base->engine->c, s);
}

static struct engine_sequence *native_sequence_new(struct engine *e, int64_t capacity)
{
    struct native_sequence *s = mem_alloc(e->c, 1, sizeof *s);
    if (!s) return NULL;
    s->base = (struct engine_sequence){.engine = e, .capacity = capacity};
    s->positions = mem_alloc(e->c, (size_t)capacity, sizeof *s->positions);
    if (s->positions) s->cache = kv_cache_new(e->c, &native_of(e)->model->config, capacity);
    if (!s->cache) {
        native_sequence_free(&s->base);
        return NULL;
    }
    for (int64_t i = 0; i < capacity; i++) s->positions[i] = (int32_t)i;
    return &s->base;
}

static enum status native_extend(struct engine_sequence *base, const int32_t *tokens, int64_t n, int64_t n_rows,
                                 float *logits)
{
    struct native_sequence *s = (struct native_sequence *)base;
    struct native *native = native_of(base->engine);
    struct ctx *c = base->engine->c;
    const int32_t cu[2] = {0, (int32_t)n};
    BUG_ON(c, n < 1 || n_rows < 1 || n_rows > n, "%lld tokens, logits of %lld", (long long)n, (long long)n_rows);
    if (n > base->capacity - base->n)
        return ctx_fail(c, E_INPUT, "%lld more tokens do not fit in a context of %lld that holds %lld", (long long)n,
                        (long long)base->capacity, (long long)base->n);
    struct batch b = {.n = n, .tokens = tokens, .positions = s->positions + base->n, .n_seg = 1, .cu = cu};
    struct forward_options options = {.cache = s->cache};
    int mark = scope_open(c);
    struct array *rows = llama_logits(native->model, run_model(native, &b, &options), n - n_rows); /* (n_rows, V) */
    enum status status = rows ? array_to_host(rows, DTYPE_F32, logits) : c->status;
    scope_close(c, mark);
    if (status == OK) base->n += n;
    return status;
}

/* ---- parameters ------------------------------------------------------------------------------------------------------ */

/* The array of parameter i (A of module i / 2 for even i, B for odd) in one of the four slabs. */
static struct array *view_of(struct native *n, enum engine_values which, size_t i)
{
    engine_parameter(&n->base, i);
    const struct lora_module *m = &n->lora->modules[i / 2];
    switch (which) {
    case ENGINE_PARAMETERS:
        return i % 2 ? m->slot.b : m->slot.a;
    case ENGINE_GRADIENTS:
        return i % 2 ? m->grad_b : m->grad_a;
    case ENGINE_FIRST_MOMENTS:
    case ENGINE_SECOND_MOMENTS:
        break;
    }
    return n->moment_view[which == ENGINE_SECOND_MOMENTS][i];
}

static enum status native_read(struct engine *e, enum engine_values which, size_t i, float *out)
{
    return parameter_read(view_of(native_of(e), which, i), out);
}

static enum status native_write(struct engine *e, enum engine_values which, size_t i, const float *values)
{
    return parameter_write(view_of(native_of(e), which, i), values);
}

static enum status native_save_config(struct engine *e, const char *dir, const char *base_name)
{
    return lora_save_peft_config(e->c, native_of(e)->lora, dir, base_name);
}

static void native_limit(struct engine *e, size_t held_bytes, size_t aside_bytes)
{
    array_pool_limit(e->c, held_bytes, aside_bytes);
}

static enum status native_lay_out(struct engine *e)
{
    return model_lay_out(native_of(e)->model);
}

static enum status native_check(struct engine *e)
{
    return model_check(native_of(e)->model);
}

static struct engine_memory native_memory(const struct engine *e)
{
    const struct native *n = (const struct native *)e;
    struct backend *b = array_backend(e->c);
    return (struct engine_memory){
        .weights_bytes = model_weight_bytes(n->model),
        .allocated_bytes = model_made_bytes(n->model) + model_laid_out_bytes(n->model),
        .trained_bytes = (size_t)e->parameters->count * sizeof(float) * 4, /* values, gradients, two moments */
        .peak_bytes = b->free_bytes ? b->stats(b).peak_bytes : e->c->alloc_peak,
        .layout_bytes = model_layout_bytes(n->model),
        .free_bytes = b->free_bytes ? b->free_bytes(b) : 0,
    };
}

/* ---- making and freeing --------------------------------------------------------------------------------------------- */

static void native_free(struct engine *e)
{
    struct native *n = (struct native *)e;
    if (!n) return;
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; n->moment_view[k] && i < e->parameters->n; i++) array_release(n->moment_view[k][i]);
        mem_free(e->c, n->moment_view[k]);
        array_release(n->moments[k]);
    }
    for (int k = 0; k < SLOTS; k++) {
        array_release(n->slot[k].stats);
        array_release(n->slot[k].logprobs);
        mem_free(e->c, n->slot[k].place);
        array_release(n->slot[k].sum_squares);
    }
    array_release(n->stopped);
    mem_free(e->c, n);
}

/* One slab of moments, k 0 for the first and 1 for the second, and a view of it for each parameter. */
static enum status make_moments(struct native *n, int k)
{
    const struct parameters *p = n->base.parameters;
    n->moments[k] = parameters_slab(n->base.c, p);
    n->moment_view[k] = mem_alloc(n->base.c, p->n, sizeof *n->moment_view[k]);
    for (size_t i = 0; n->moments[k] && n->moment_view[k] && i < p->n; i++)
        n->moment_view[k][i] = parameter_view(n->moments[k], &p->list[i]);
    return n->base.c->status;
}

/* What only an engine that trains has: gradients, moments, and the scalars of the guarded update. */
static enum status make_training(struct native *n)
{
    struct ctx *c = n->base.c;
    if (!n->lora->gradients) TRY(lora_make_gradients(n->lora));
    for (int k = 0; k < 2; k++) TRY(make_moments(n, k));
    for (int k = 0; k < SLOTS; k++) n->slot[k].sum_squares = array_persistent(c, DTYPE_F64, 0, NULL);
    n->stopped = array_persistent(c, DTYPE_F64, 0, NULL);
    return c->status;
}

static const struct engine_ops native_ops = {
    .name = "native",
    .step = native_step,
    .update = native_update,
    .result = native_result,
    .evaluate = native_evaluate,
    .sequence_new = native_sequence_new,
    .extend = native_extend,
    .sequence_free = native_sequence_free,
    .read = native_read,
    .write = native_write,
    .save_config = native_save_config,
    .check = native_check,
    .memory = native_memory,
    .count = engine_native_count,
    .limit = native_limit,
    .lay_out = native_lay_out,
    .free = native_free,
};

struct engine *engine_native_new(struct ctx *c, struct model *model, struct lora *lora)
{
    static const struct parameters none = {0};
    struct native *n = mem_alloc(c, 1, sizeof(*n));
    if (!n) return NULL;
    n->model = model;
    n->lora = lora;
    n->base = (struct engine){.ops = &native_ops,
                              .c = c,
                              .model_name = model->name,
                              .backend = array_backend(c)->name,
                              .vocab = model->config.vocab,
                              .context = model->config.max_positions,
                              .parameters = lora ? &lora->parameters : &none,
                              .synchronous = array_backend(c)->synchronous};
    for (int k = 0; k < SLOTS; k++) n->slot[k].step = -1;
    if (!lora || make_training(n) == OK) return &n->base;
    native_free(&n->base);
    return NULL;
}
