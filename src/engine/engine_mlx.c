/* engine_mlx: the engine whose forward and backward run in Apple's MLX, on an Apple GPU or a CPU.
 *
 * A native engine stands behind it and keeps what is trained: masters, gradients and moments in f32, clipping and AdamW,
 * checkpoints and adapter files are that engine's own, so they are the same formulas and the same files. A micro-batch
 * uploads the adapter, which is small, has MLX compute loss and gradients, and adds these to the native engine's
 * (docs/engine_mlx.md).
 *
 * MLX keeps streams for each thread: an engine is used on the thread that made it. */
#include <stdio.h>
#include <string.h>

#include "array/backend.h"
#include "base/mem.h"
#include "engine/engine_native.h"
#include "engine/mlx/mlx_need.h"
#include "engine/mlx/mlx_pass.h"
#include "model/model.h"

struct mlx_engine {
    struct engine base;
    struct engine *native; /* owned */
    struct mlx_graph graph;
    struct mlx_model model;
    struct mlx_array *values, *gradients; /* of each parameter, in a micro-batch; owned lists */
    float *slab;                          /* a slab on the host: gradients of a micro-batch */
    size_t mark;                          /* arrays of the model are below it */
    char backend[48];                     /* "MLX 0.31.2 on a GPU" */
};

static struct mlx_engine *mlx_of(const struct engine *e)
{
    return (struct mlx_engine *)(uintptr_t)e;
}

/* ---- passes ---------------------------------------------------------------------------------------------------------- */

/* The adapter as arrays of MLX, in the order of the table. What is attached when the engine only evaluates is read too. */
static enum status engine_upload(struct mlx_engine *x)
{
    struct ctx *c = x->base.c;
    const struct lora *lora = x->model.lora;
    for (size_t i = 0; lora && i < lora->parameters.n; i++) {
        const struct parameter *p = &lora->parameters.list[i];
        const struct lora_module *m = &lora->modules[i / 2];
        TRY(parameter_read(i % 2 ? m->slot.b : m->slot.a, x->slab));
        x->values[i] = mlx_op_upload(&x->graph, MLX_F32, 2, (const int64_t[]){p->rows, p->cols}, x->slab);
    }
    return c->status;
}

/* The losses of the rows that counted, and their log-probabilities, (n_rows). */
static enum status engine_read_loss(struct mlx_engine *x, const struct mlx_pass *p, struct mlx_array nll,
                                    struct engine_loss *loss, float *logprobs)
{
    TRY(mlx_op_download(&x->graph, nll, p->n_rows, logprobs));
    for (int64_t i = 0; i < p->n_rows; i++) {
        loss->weighted += (double)p->b->weights[p->counted[i]] * (double)logprobs[i];
        loss->unweighted += (double)logprobs[i];
        loss->count++;
        logprobs[i] = -logprobs[i];
    }
    return OK;
}

/* What was made for one pass goes. */
static enum status engine_end(struct mlx_engine *x, struct mlx_pass *p)
{
    mlx_pass_release(p);
    mlx_scope_close(&x->graph, x->mark);
    mlx_op_forget_calls(&x->graph);
    return x->base.c->status;
}

/* Gradients of MLX into the host's slab. */
static enum status engine_read_gradients(struct mlx_engine *x)
{
    const struct parameters *t = x->base.parameters;
    memset(x->slab, 0, (size_t)t->slab_size * sizeof *x->slab);
    TRY(mlx_op_eval(&x->graph, x->gradients, t->n));
    for (size_t i = 0; i < t->n; i++)
        TRY(mlx_op_download(&x->graph, x->gradients[i], t->list[i].rows * t->list[i].cols, x->slab + t->list[i].offset));
    return OK;
}

/* Loss and gradients of a batch in which something counts. Both are computed in one evaluation, so that MLX frees what
 * forward made as backward uses it up. */
static enum status engine_differentiate(struct mlx_engine *x, struct mlx_pass *p, struct engine_loss *loss, float *logprobs)
{
    const struct mlx_pass *pass = p;
    struct mlx_array out[MLX_PASS_OUT] = {{NULL}, {NULL}};
    TRY(engine_upload(x));
    TRY(mlx_op_value_and_grad(&x->graph, mlx_pass_loss, &pass, sizeof pass, x->values, x->base.parameters->n, out,
                              MLX_PASS_OUT, x->gradients));
    TRY(engine_read_gradients(x));
    return engine_read_loss(x, p, out[1], loss, logprobs);
}

static enum status mlx_step(struct engine *e, const struct batch *b, const struct engine_micro *m)
{
    struct mlx_engine *x = mlx_of(e);
    struct engine_computed r = {.gradients = x->slab};
    struct mlx_pass p;
    BUG_ON(e->c, e->parameters->n == 0, "step: this engine only evaluates");
    enum status status = mlx_pass_prepare(&x->model, b, m->inv_n, &p);
    float *logprobs = mem_alloc(e->c, (size_t)p.n_rows, sizeof *logprobs);
    p.recomputed_blocks = m->recomputed_blocks;
    memset(x->slab, 0, (size_t)e->parameters->slab_size * sizeof *x->slab);
    if (status == OK && logprobs && p.n_rows > 0) status = engine_differentiate(x, &p, &r.loss, logprobs);
    r.n_rows = p.n_rows;
    r.rows = p.counted;
    r.logprobs = logprobs;
    if (status == OK && logprobs) status = engine_native_add(x->native, b, m, &r);
    mem_free(e->c, logprobs);
    return engine_end(x, &p);
}

/* The forward pass of mlx_evaluate for a batch in which something counts. */
static enum status engine_measure(struct mlx_engine *x, const struct mlx_pass *p, struct engine_loss *loss, float *logprobs)
{
    struct mlx_array out[MLX_PASS_OUT] = {{NULL}, {NULL}};
    TRY(engine_upload(x));
    size_t mark = mlx_scope_open(&x->graph);
    mlx_pass_loss(&x->graph, &p, x->values, out);
    mlx_scope_close_keep(&x->graph, mark, out + 1, 1);
    float *of_rows = mem_alloc(x->base.c, (size_t)p->n_rows, sizeof *of_rows);
    if (of_rows && engine_read_loss(x, p, out[1], loss, of_rows) == OK)
        for (int64_t i = 0; logprobs && i < p->n_rows; i++) logprobs[p->counted[i]] = of_rows[i];
    mem_free(x->base.c, of_rows);
    return x->base.c->status;
}

static enum status mlx_evaluate(struct engine *e, const struct batch *b, struct engine_loss *loss, float *logprobs)
{
    struct mlx_engine *x = mlx_of(e);
    struct mlx_pass p;
    *loss = (struct engine_loss){0};
    if (logprobs) memset(logprobs, 0, (size_t)b->n * sizeof *logprobs);
    enum status status = mlx_pass_prepare(&x->model, b, 1, &p);
    if (status == OK && p.n_rows > 0) engine_measure(x, &p, loss, logprobs);
    return engine_end(x, &p);
}

/* ---- what the native engine does -------------------------------------------------------------------------------------- */

static enum status mlx_update(struct engine *e, const struct engine_update *u)
{
    struct engine *native = mlx_of(e)->native;
    return native->ops->update(native, u);
}

static enum status mlx_result(struct engine *e, int64_t step, struct engine_result *out, float *logprobs)
{
    struct engine *native = mlx_of(e)->native;
    return native->ops->result(native, step, out, logprobs);
}

static enum status mlx_read(struct engine *e, enum engine_values which, size_t i, float *out)
{
    struct engine *native = mlx_of(e)->native;
    return native->ops->read(native, which, i, out);
}

static enum status mlx_write(struct engine *e, enum engine_values which, size_t i, const float *values)
{
    struct engine *native = mlx_of(e)->native;
    return native->ops->write(native, which, i, values);
}

static enum status mlx_save_config(struct engine *e, const char *dir, const char *base_name)
{
    struct engine *native = mlx_of(e)->native;
    return native->ops->save_config(native, dir, base_name);
}

static enum status mlx_check(struct engine *e)
{
    struct engine *native = mlx_of(e)->native;
    return native->ops->check(native);
}

/* ---- the rest of engine.h -------------------------------------------------------------------------------------------- */

struct mlx_sequence {
    struct engine_sequence base;
    struct mlx_cache cache; /* lists of 2 * layers arrays, owned */
    struct mlx_array *kept; /* (1 + 2 * layers): logits and the cache's next arrays, owned list */
    int32_t *positions;     /* (capacity) 0, 1, 2, ..., owned */
};

static int64_t sequence_arrays(const struct engine *e)
{
    return 2 * mlx_of(e)->model.m->config.n_layers;
}

static void mlx_sequence_free(struct engine_sequence *base)
{
    struct mlx_sequence *s = (struct mlx_sequence *)base;
    if (!s) return;
    struct engine *e = base->engine;
    for (int64_t i = 0; s->cache.held && i < sequence_arrays(e); i++) mlx_op_release(&mlx_of(e)->graph, s->cache.held[i]);
    mem_free(e->c, s->cache.held);
    mem_free(e->c, s->cache.next);
    mem_free(e->c, s->kept);
    mem_free(e->c, s->positions);
    mem_free(e->c, s);
}

static struct engine_sequence *mlx_sequence_new(struct engine *e, int64_t capacity)
{
    const size_t n = (size_t)sequence_arrays(e);
    struct mlx_sequence *s = mem_alloc(e->c, 1, sizeof *s);
    if (!s) return NULL;
    s->base = (struct engine_sequence){.engine = e, .capacity = capacity};
    s->cache.held = mem_alloc(e->c, n, sizeof *s->cache.held);
    s->cache.next = mem_alloc(e->c, n, sizeof *s->cache.next);
    s->kept = mem_alloc(e->c, n + 1, sizeof *s->kept);
    s->positions = mem_alloc(e->c, (size_t)capacity, sizeof *s->positions);
    for (int64_t i = 0; ctx_ok(e->c) && i < capacity; i++) s->positions[i] = (int32_t)i;
    if (ctx_ok(e->c)) return &s->base;
    mlx_sequence_free(&s->base);
    return NULL;
}

/* Puts the appended keys and values in the place of the ones before. */
static enum status sequence_advance(struct mlx_engine *x, struct mlx_sequence *s, int64_t n)
{
    for (int64_t i = 0; i < sequence_arrays(&x->base); i++) {
        struct mlx_array held = mlx_op_hold(&x->graph, s->cache.next[i]);
        if (!held.ctx) return x->base.c->status;
        mlx_op_release(&x->graph, s->cache.held[i]);
        s->cache.held[i] = held;
    }
    s->cache.n = s->base.n += n;
    return OK;
}

/* The pass of mlx_extend. All that stays is computed in one evaluation. */
static enum status sequence_run(struct mlx_engine *x, struct mlx_sequence *s, const struct mlx_pass *p, float *logits)
{
    const size_t n = (size_t)sequence_arrays(&x->base);
    TRY(engine_upload(x));
    size_t mark = mlx_scope_open(&x->graph);
    s->kept[0] = mlx_pass_logits(p, x->values);
    memcpy(s->kept + 1, s->cache.next, n * sizeof *s->kept);
    mlx_scope_close_keep(&x->graph, mark, s->kept, n + 1);
    TRY(mlx_op_eval(&x->graph, s->kept, n + 1));
    return mlx_op_download(&x->graph, s->kept[0], p->n_rows * x->base.vocab, logits);
}

static enum status mlx_extend(struct engine_sequence *base, const int32_t *tokens, int64_t n, int64_t n_rows, float *logits)
{
    struct mlx_sequence *s = (struct mlx_sequence *)base;
    struct mlx_engine *x = mlx_of(base->engine);
    struct ctx *c = x->base.c;
    const int32_t cu[2] = {0, (int32_t)n};
    struct mlx_pass p;
    BUG_ON(c, n < 1 || n_rows < 1 || n_rows > n, "%lld tokens, logits of %lld", (long long)n, (long long)n_rows);
    if (n > base->capacity - base->n)
        return ctx_fail(c, E_INPUT, "%lld more tokens do not fit in a context of %lld that holds %lld", (long long)n,
                        (long long)base->capacity, (long long)base->n);
    const struct batch b = {.n = n, .tokens = tokens, .positions = s->positions + base->n, .n_seg = 1, .cu = cu};
    enum status status = mlx_pass_prepare_logits(&x->model, &b, &s->cache, n_rows, &p);
    if (status == OK) status = sequence_run(x, s, &p, logits);
    if (status == OK) sequence_advance(x, s, n);
    return engine_end(x, &p);
}

/* MLX's own counter of its peak comes on top of the process's: its memory is not the ctx's. Where it reads the mapped file
 * in place, allocated_bytes says too much. */
static struct engine_memory mlx_memory(const struct engine *e)
{
    struct mlx_engine *x = mlx_of(e);
    struct engine_memory m = x->native->ops->memory(x->native);
    size_t peak = 0;
    if (x->graph.library.get_peak_memory(&peak) != 0) peak = 0;
    m.weights_bytes = x->model.bytes;
    m.allocated_bytes = x->model.bytes;
    m.layout_bytes = 0; /* MLX's products read their own form */
    m.peak_bytes += peak;
    return m;
}

/* Memory is the machine's own, so nothing is ever offloaded. */
static enum status mlx_count(struct engine *e, const struct batch *b, int64_t recomputed_blocks, int64_t offloaded_blocks,
                             struct engine_need *out)
{
    (void)offloaded_blocks;
    size_t bytes = mlx_need_step(&mlx_of(e)->model, b, recomputed_blocks);
    *out = (struct engine_need){.held_bytes = bytes, .touched_bytes = bytes};
    return OK;
}

static void mlx_limit(struct engine *e, size_t held_bytes, size_t aside_bytes)
{
    (void)aside_bytes; /* nothing is offloaded */
    struct mlx_engine *x = mlx_of(e);
    mlx_graph_limit(&x->graph, x->model.bytes + held_bytes + held_bytes / 4, held_bytes);
}

static void mlx_free(struct engine *e)
{
    struct mlx_engine *x = mlx_of(e);
    if (!x) return;
    mlx_model_release(&x->model);
    mlx_graph_close(&x->graph);
    mem_free(e->c, x->slab);
    mem_free(e->c, x->gradients);
    mem_free(e->c, x->values);
    if (x->native) x->native->ops->free(x->native);
    mem_free(e->c, x);
}

static const struct engine_ops mlx_ops = {
    .name = "mlx",
    .step = mlx_step,
    .update = mlx_update,
    .result = mlx_result,
    .evaluate = mlx_evaluate,
    .sequence_new = mlx_sequence_new,
    .extend = mlx_extend,
    .sequence_free = mlx_sequence_free,
    .read = mlx_read,
    .write = mlx_write,
    .save_config = mlx_save_config,
    .count = mlx_count,
    .limit = mlx_limit,
    .check = mlx_check,
    .memory = mlx_memory,
    .free = mlx_free,
};

/* The lists of arrays and the slab, as large as the adapter needs. */
static enum status engine_make_lists(struct mlx_engine *x)
{
    const struct lora *lora = x->model.lora;
    size_t n = lora ? lora->parameters.n : 0;
    x->values = mem_alloc(x->base.c, n, sizeof *x->values);
    x->gradients = mem_alloc(x->base.c, n, sizeof *x->gradients);
    x->slab = mem_alloc(x->base.c, lora ? (size_t)lora->parameters.slab_size : 0, sizeof *x->slab);
    return x->base.c->status;
}

/* MLX, the model in it, and the native engine, in an order in which refusals come before memory is taken. */
static enum status engine_open(struct mlx_engine *x, struct model *model, struct lora *lora)
{
    struct ctx *c = x->base.c;
    if (array_backend(c)->free_bytes)
        return ctx_fail(c, E_UNSUPPORTED, "the MLX engine keeps the adapter on the CPU: use it with --device cpu");
    TRY(mlx_graph_open(c, &x->graph));
    TRY(mlx_model_load(&x->graph, model, lora ? lora : model->lora, &x->model));
    x->mark = mlx_scope_open(&x->graph);
    TRY(engine_make_lists(x));
    x->native = engine_native_new(c, model, lora);
    return c->status;
}

struct engine *engine_mlx_new(struct ctx *c, struct model *model, struct lora *lora)
{
    struct mlx_engine *x = mem_alloc(c, 1, sizeof *x);
    if (!x) return NULL;
    x->base = (struct engine){.ops = &mlx_ops, .c = c};
    if (engine_open(x, model, lora) != OK) {
        mlx_free(&x->base);
        return NULL;
    }
    x->base = *x->native;
    x->base.ops = &mlx_ops;
    snprintf(x->backend, sizeof x->backend, "MLX %s on %s", x->graph.library.version_text,
             x->graph.on_gpu ? "a GPU" : "the CPU");
    x->base.backend = x->backend;
    x->base.synchronous = true;
    return &x->base;
}
