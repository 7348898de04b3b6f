/* generate: see generate.h. Each pass is a scope of its own, so memory is the cache, one row of logits and what one pass
 * needs. The cache holds no more than the tokens that can come. */
#include "eval/generate.h"

#include "base/mem.h"

struct generation {
    struct ctx *c;
    struct model *model;
    const struct generate_params *params;
    struct kv_cache *cache; /* owned */
    struct sample sample;   /* owned */
    float *logits;          /* (V), owned */
    int32_t *positions;     /* (context), owned: 0, 1, 2, .. */
    int64_t context;        /* tokens that prompt and answer may have together */
};

const char *generate_end_name(enum generate_end end)
{
    static const char *const names[] = {"stop", "length", "context", "caller"};
    return names[end];
}

static enum status check_prompt(const struct model *m, const int32_t *prompt, size_t n)
{
    const struct model_config *config = &m->config;
    if (n == 0) return ctx_fail(m->c, E_INPUT, "the prompt has no tokens");
    if (n > (size_t)config->max_positions)
        return ctx_fail(m->c, E_INPUT, "the prompt has %zu tokens, but the model's context holds %lld", n,
                        (long long)config->max_positions);
    for (size_t i = 0; i < n; i++) {
        if (prompt[i] < 0 || prompt[i] >= config->vocab)
            return ctx_fail(m->c, E_INPUT, "token %d of the prompt (place %zu) is outside the model's vocabulary of %lld",
                            prompt[i], i, (long long)config->vocab);
    }
    return OK;
}

/* False with the failure in the ctx. */
static bool open_generation(struct generation *g, size_t n_prompt)
{
    struct ctx *c = g->c;
    const struct model_config *config = &g->model->config;
    int64_t room = config->max_positions - (int64_t)n_prompt, max = g->params->max_tokens;
    if (max < 1) {
        ctx_fail(c, E_INPUT, "%lld new tokens: it must be 1 or more", (long long)max);
        return false;
    }
    g->context = (int64_t)n_prompt + (max < room ? max : room);
    if (sample_init(&g->sample, c, &g->params->sample, config->vocab) != OK) return false;
    g->logits = mem_alloc(c, (size_t)config->vocab, sizeof(*g->logits));
    g->positions = mem_alloc(c, (size_t)g->context, sizeof(*g->positions));
    if (!g->logits || !g->positions) return false;
    for (int64_t i = 0; i < g->context; i++) g->positions[i] = (int32_t)i;
    g->cache = kv_cache_new(c, config, g->context);
    return g->cache != NULL;
}

static void close_generation(struct generation *g)
{
    kv_cache_free(g->cache);
    mem_free(g->c, g->positions);
    mem_free(g->c, g->logits);
    sample_release(&g->sample);
}

/* Runs n tokens behind what the cache holds and chooses the token after them. */
static enum status next_token(struct generation *g, const int32_t *tokens, int64_t n, int32_t *id)
{
    const int32_t cu[2] = {0, (int32_t)n};
    struct batch b = {.n = n, .tokens = tokens, .positions = g->positions + g->cache->n, .n_seg = 1, .cu = cu};
    struct forward_options options = {.cache = g->cache};
    int mark = scope_open(g->c);
    struct array *logits = llama_logits(g->model, llama_hidden(g->model, &b, &options), n - 1); /* (1, V) */
    enum status status = logits ? array_to_host(logits, DTYPE_F32, g->logits) : g->c->status;
    scope_close(g->c, mark);
    if (status == OK) status = model_check(g->model);
    return status == OK ? sample_next(&g->sample, g->logits, id) : status;
}

static bool is_stop(const struct generate_params *p, int32_t id)
{
    for (size_t i = 0; i < p->n_stop; i++) {
        if (p->stop_ids[i] == id) return true;
    }
    return p->tokenizer && tokenizer_is_stop(p->tokenizer, id);
}

static enum status run(struct generation *g, const int32_t *prompt, size_t n_prompt, struct ids *out, enum generate_end *end)
{
    const struct generate_params *p = g->params;
    int64_t room = g->context - (int64_t)n_prompt;
    const int32_t *tokens = prompt;
    int64_t n = (int64_t)n_prompt;
    int32_t id = 0;
    for (int64_t i = 0; i < room; i++) {
        TRY(next_token(g, tokens, n, &id));
        TRY(ids_push(g->c, out, id));
        bool go_on = !p->on_token || p->on_token(p->user, id);
        if (!go_on || is_stop(p, id)) {
            *end = go_on ? GENERATE_STOP : GENERATE_CALLER;
            return OK;
        }
        tokens = &id;
        n = 1;
    }
    *end = room == p->max_tokens ? GENERATE_LENGTH : GENERATE_CONTEXT;
    return OK;
}

enum status generate_run(struct model *m, const int32_t *prompt, size_t n, const struct generate_params *p, struct ids *out,
                         enum generate_end *end)
{
    struct generation g = {.c = m->c, .model = m, .params = p, .sample = {.c = m->c}};
    TRY(check_prompt(m, prompt, n));
    enum status status = open_generation(&g, n) ? run(&g, prompt, n, out, end) : m->c->status;
    close_generation(&g);
    return status;
}

enum status generate_logits(struct model *m, const int32_t *prompt, size_t n, float *logits)
{
    const int32_t cu[2] = {0, (int32_t)n};
    struct forward_options options = {0};
    TRY(check_prompt(m, prompt, n));
    int32_t *positions = mem_alloc(m->c, n, sizeof(*positions));
    for (size_t i = 0; positions && i < n; i++) positions[i] = (int32_t)i;
    struct batch b = {.n = (int64_t)n, .tokens = prompt, .positions = positions, .n_seg = 1, .cu = cu};
    int mark = scope_open(m->c);
    struct array *last = positions ? llama_logits(m, llama_hidden(m, &b, &options), b.n - 1) : NULL; /* (1, V) */
    enum status status = last ? array_to_host(last, DTYPE_F32, logits) : m->c->status;
    scope_close(m->c, mark);
    mem_free(m->c, positions);
    return status == OK ? model_check(m) : status;
}
