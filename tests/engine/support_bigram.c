/* support_bigram: an engine without a model or a backend, a table of bigram scores, which proves that callers need only
 * engine.h. */
#include "engine/support_bigram.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum { SETS = 4, SLOTS = 2 };

/* A queued micro-batch (rows of it that count) or, with n < 0, a queued update. */
struct bigram_work {
    int64_t n;
    int32_t *tokens, *targets, *places; /* (n), owned; places: which token of the step */
    float *weights;
    struct engine_micro micro;
    struct engine_update update;
};

struct bigram {
    struct engine base;
    struct parameters parameters;
    float *slab[SETS]; /* indexed by enum engine_values */
    double *row;       /* (vocab) probabilities of the next token */
    bool stopped;      /* a gradient was not finite */
    struct bigram_work *queue;
    size_t n_queue, capacity;
    struct engine_result result[SLOTS];
    float *logprobs[SLOTS]; /* (tokens) of the step where they are wanted, owned */
    int64_t tokens[SLOTS];
    int64_t updated; /* the step whose update was queued last */
};

static struct bigram *bigram_of(const struct engine *e)
{
    return (struct bigram *)(uintptr_t)e;
}

size_t bigram_queued(const struct engine *e)
{
    return bigram_of(e)->n_queue;
}

/* ---- arithmetic ------------------------------------------------------------------------------------------------------ */

static float *values_of(const struct bigram *g, enum engine_values which, size_t i)
{
    return g->slab[which] + engine_parameter(&g->base, i)->offset;
}

static float logit(const struct bigram *g, int32_t token, int64_t next)
{
    return values_of(g, ENGINE_PARAMETERS, 0)[token * g->base.vocab + next] + values_of(g, ENGINE_PARAMETERS, 1)[next];
}

/* Fills g->row with the probabilities behind a token; returns the log-probability of `target`. */
static double log_probability(struct bigram *g, int32_t token, int32_t target)
{
    double top = -INFINITY, sum = 0;
    for (int64_t v = 0; v < g->base.vocab; v++) top = fmax(top, (double)logit(g, token, v));
    for (int64_t v = 0; v < g->base.vocab; v++) sum += g->row[v] = exp((double)logit(g, token, v) - top);
    for (int64_t v = 0; v < g->base.vocab; v++) g->row[v] /= sum;
    return (double)logit(g, token, target) - top - log(sum);
}

static void add_loss(struct engine_loss *loss, double nll, double weight)
{
    loss->weighted += weight * nll;
    loss->unweighted += nll;
    loss->count++;
}

/* Room for the log-probabilities of a step, all 0. */
static void begin_logprobs(struct bigram *g, const struct engine_micro *micro)
{
    int slot = (int)(micro->step % SLOTS);
    mem_free(g->base.c, g->logprobs[slot]);
    g->tokens[slot] = micro->step_tokens;
    g->logprobs[slot] = micro->step_tokens ? mem_alloc(g->base.c, (size_t)micro->step_tokens, sizeof(float)) : NULL;
}

static void run_micro(struct bigram *g, const struct bigram_work *w)
{
    struct engine_result *r = &g->result[w->micro.step % SLOTS];
    float *logprobs;
    struct engine_loss loss = {0};
    float *table = values_of(g, ENGINE_GRADIENTS, 0), *bias = values_of(g, ENGINE_GRADIENTS, 1);
    if (w->micro.index == 0) {
        *r = (struct engine_result){.bad_micro = -1};
        begin_logprobs(g, &w->micro);
        memset(g->slab[ENGINE_GRADIENTS], 0, (size_t)g->parameters.slab_size * sizeof(float));
    }
    logprobs = g->logprobs[w->micro.step % SLOTS];
    for (int64_t i = 0; i < w->n; i++) {
        double factor = w->micro.inv_n * (double)w->weights[i], lp = log_probability(g, w->tokens[i], w->targets[i]);
        add_loss(&loss, -lp, (double)w->weights[i]);
        if (logprobs) logprobs[w->places[i]] = (float)lp;
        for (int64_t v = 0; v < g->base.vocab; v++) {
            float d = (float)(factor * (g->row[v] - (v == w->targets[i])));
            table[w->tokens[i] * g->base.vocab + v] += d;
            bias[v] += d;
        }
    }
    if (!isfinite(loss.weighted) && r->bad_micro < 0) r->bad_micro = w->micro.index;
    r->loss.weighted += loss.weighted;
    r->loss.unweighted += loss.unweighted;
    r->loss.count += loss.count;
}

static void run_update(struct bigram *g, const struct engine_update *u)
{
    struct engine_result *r = &g->result[u->step % SLOTS];
    double sum = 0;
    for (int64_t i = 0; i < g->parameters.slab_size; i++)
        sum += (double)g->slab[ENGINE_GRADIENTS][i] * (double)g->slab[ENGINE_GRADIENTS][i];
    r->norm = sqrt(sum);
    r->clipped = r->norm > u->threshold;
    g->stopped = g->stopped || !isfinite(r->norm);
    if (g->stopped) return;
    double scale = r->clipped ? u->threshold / r->norm : 1;
    for (int64_t i = 0; i < g->parameters.slab_size; i++) {
        float *p = &g->slab[ENGINE_PARAMETERS][i], *m = &g->slab[ENGINE_FIRST_MOMENTS][i];
        float *v = &g->slab[ENGINE_SECOND_MOMENTS][i];
        double d = scale * (double)g->slab[ENGINE_GRADIENTS][i];
        *m = (float)(u->beta1 * (double)*m + (1 - u->beta1) * d);
        *v = (float)(u->beta2 * (double)*v + (1 - u->beta2) * d * d);
        double step = (double)*m / u->correction1 / (sqrt((double)*v / u->correction2) + u->eps);
        *p -= (float)(u->lr * (step + u->weight_decay * (double)*p));
    }
}

/* ---- the queue ------------------------------------------------------------------------------------------------------- */

static void work_release(struct ctx *c, struct bigram_work *w)
{
    mem_free(c, w->tokens);
    mem_free(c, w->targets);
    mem_free(c, w->places);
    mem_free(c, w->weights);
}

/* Does what is queued. */
static void bigram_wait(struct bigram *g)
{
    for (size_t i = 0; i < g->n_queue; i++) {
        struct bigram_work *w = &g->queue[i];
        if (w->n < 0)
            run_update(g, &w->update);
        else
            run_micro(g, w);
        work_release(g->base.c, w);
    }
    g->n_queue = 0;
}

static struct bigram_work *queue_push(struct bigram *g)
{
    if (g->n_queue == g->capacity) {
        size_t capacity = 2 * g->capacity + 8;
        struct bigram_work *queue = mem_resize(g->base.c, g->queue, g->capacity, capacity, sizeof *queue);
        if (!queue) return NULL;
        g->queue = queue;
        g->capacity = capacity;
    }
    return memset(&g->queue[g->n_queue++], 0, sizeof *g->queue);
}

static enum status bigram_step(struct engine *e, const struct batch *b, const struct engine_micro *micro)
{
    struct bigram_work *w = queue_push(bigram_of(e));
    if (!w) return e->c->status;
    w->micro = *micro;
    w->tokens = mem_alloc(e->c, (size_t)b->n, sizeof *w->tokens);
    w->targets = mem_alloc(e->c, (size_t)b->n, sizeof *w->targets);
    w->weights = mem_alloc(e->c, (size_t)b->n, sizeof *w->weights);
    w->places = mem_alloc(e->c, (size_t)b->n, sizeof *w->places);
    for (int64_t i = 0; ctx_ok(e->c) && i < b->n; i++) {
        if (b->weights[i] == 0) continue;
        w->tokens[w->n] = b->tokens[i];
        w->targets[w->n] = b->targets[i];
        w->places[w->n] = (int32_t)(b->first_token + i);
        w->weights[w->n++] = b->weights[i];
    }
    return e->c->status;
}

static enum status bigram_update(struct engine *e, const struct engine_update *u)
{
    struct bigram_work *w = queue_push(bigram_of(e));
    if (!w) return e->c->status;
    w->n = -1;
    w->update = *u;
    bigram_of(e)->updated = u->step;
    return OK;
}

static enum status bigram_result(struct engine *e, int64_t step, struct engine_result *out, float *logprobs)
{
    struct bigram *g = bigram_of(e);
    BUG_ON(e->c, step > g->updated || step <= g->updated - SLOTS, "step %lld is not one of the last two", (long long)step);
    bigram_wait(g);
    *out = g->result[step % SLOTS];
    BUG_ON(e->c, logprobs && !g->logprobs[step % SLOTS], "log-probabilities that nobody asked for");
    if (logprobs) memcpy(logprobs, g->logprobs[step % SLOTS], (size_t)g->tokens[step % SLOTS] * sizeof *logprobs);
    return OK;
}

/* ---- evaluation and generation --------------------------------------------------------------------------------------- */

static enum status bigram_evaluate(struct engine *e, const struct batch *b, struct engine_loss *loss, float *logprobs)
{
    struct bigram *g = bigram_of(e);
    bigram_wait(g);
    *loss = (struct engine_loss){0};
    for (int64_t i = 0; i < b->n; i++) {
        double lp = b->weights[i] != 0 ? log_probability(g, b->tokens[i], b->targets[i]) : 0;
        if (b->weights[i] != 0) add_loss(loss, -lp, (double)b->weights[i]);
        if (logprobs) logprobs[i] = (float)lp;
    }
    return OK;
}

static struct engine_sequence *bigram_sequence_new(struct engine *e, int64_t capacity)
{
    struct engine_sequence *s = mem_alloc(e->c, 1, sizeof *s);
    if (s) *s = (struct engine_sequence){.engine = e, .capacity = capacity};
    return s;
}

static void bigram_sequence_free(struct engine_sequence *s)
{
    if (s) mem_free(s->engine->c, s);
}

static enum status bigram_extend(struct engine_sequence *s, const int32_t *tokens, int64_t n, int64_t n_rows, float *logits)
{
    struct bigram *g = bigram_of(s->engine);
    bigram_wait(g);
    if (n > s->capacity - s->n) return ctx_fail(g->base.c, E_INPUT, "the sequence is full");
    for (int64_t i = 0; i < n_rows; i++)
        for (int64_t v = 0; v < g->base.vocab; v++) logits[i * g->base.vocab + v] = logit(g, tokens[n - n_rows + i], v);
    s->n += n;
    return OK;
}

/* ---- parameters and life --------------------------------------------------------------------------------------------- */

static size_t bytes_of(const struct engine *e, size_t i)
{
    const struct parameter *p = engine_parameter(e, i);
    return (size_t)(p->rows * p->cols) * sizeof(float);
}

static enum status bigram_read(struct engine *e, enum engine_values which, size_t i, float *out)
{
    bigram_wait(bigram_of(e));
    memcpy(out, values_of(bigram_of(e), which, i), bytes_of(e, i));
    return OK;
}

static enum status bigram_write(struct engine *e, enum engine_values which, size_t i, const float *values)
{
    bigram_wait(bigram_of(e));
    memcpy(values_of(bigram_of(e), which, i), values, bytes_of(e, i));
    return OK;
}

static enum status bigram_save_config(struct engine *e, const char *dir, const char *base_name)
{
    char *path = path_join(e->c, dir, "adapter_config.json");
    char *text = mem_printf(e->c, "{\"peft_type\": \"BIGRAM\", \"base_model_name_or_path\": \"%s\"}\n", base_name);
    if (path && text) file_write_atomic(e->c, path, text, strlen(text));
    mem_free(e->c, text);
    mem_free(e->c, path);
    return e->c->status;
}

static enum status bigram_check(struct engine *e)
{
    return e->c->status;
}

static struct engine_memory bigram_memory(const struct engine *e)
{
    return (struct engine_memory){.trained_bytes = (size_t)e->parameters->slab_size * sizeof(float) * SETS,
                                  .peak_bytes = e->c->alloc_peak};
}

static void bigram_free(struct engine *e)
{
    struct bigram *g = bigram_of(e);
    for (size_t i = 0; i < g->n_queue; i++) work_release(e->c, &g->queue[i]);
    for (int i = 0; i < SETS; i++) mem_free(e->c, g->slab[i]);
    for (int i = 0; i < SLOTS; i++) mem_free(e->c, g->logprobs[i]);
    mem_free(e->c, g->queue);
    mem_free(e->c, g->row);
    parameters_release(e->c, &g->parameters);
    mem_free(e->c, g);
}

static const struct engine_ops bigram_ops = {
    .name = "bigram",
    .step = bigram_step,
    .update = bigram_update,
    .result = bigram_result,
    .evaluate = bigram_evaluate,
    .sequence_new = bigram_sequence_new,
    .extend = bigram_extend,
    .sequence_free = bigram_sequence_free,
    .read = bigram_read,
    .write = bigram_write,
    .save_config = bigram_save_config,
    .check = bigram_check,
    .memory = bigram_memory,
    .free = bigram_free,
};

struct engine *bigram_new(struct ctx *c, int64_t vocab, int64_t context)
{
    struct bigram *g = mem_alloc(c, 1, sizeof *g);
    if (!g) return NULL;
    g->base = (struct engine){
        .ops = &bigram_ops, .c = c, .model_name = "bigram", .backend = "plain C", .vocab = vocab, .context = context};
    g->base.parameters = &g->parameters;
    g->row = mem_alloc(c, (size_t)vocab, sizeof *g->row);
    parameters_add(c, &g->parameters, "bigram.table", vocab, vocab);
    parameters_add(c, &g->parameters, "bigram.bias", 1, vocab);
    for (int i = 0; i < SETS; i++) g->slab[i] = mem_alloc(c, (size_t)g->parameters.slab_size, sizeof(float));
    uint32_t x = 1;
    for (int64_t i = 0; ctx_ok(c) && i < g->parameters.slab_size; i++) {
        x = x * 1664525u + 1013904223u;
        g->slab[ENGINE_PARAMETERS][i] = ((float)(x >> 8) / (1 << 23) - 1.0f) * 0.01f;
    }
    if (ctx_ok(c)) return &g->base;
    bigram_free(&g->base);
    return NULL;
}
