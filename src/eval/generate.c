/* generate: see generate.h. Memory is the sequence's KV cache, one row of logits and what one pass needs; the cache is made
 * for no more tokens than can come. */
#include "eval/generate.h"

#include <string.h>

#include "base/mem.h"

/* One call of generate_run. */
struct generation {
    struct ctx *c;
    struct engine *engine;
    const struct generate_params *params;
    struct engine_sequence *sequence; /* owned */
    struct sample sample;             /* owned */
    float *logits;                    /* (V), owned */
    uint8_t *seen;                    /* (V) whether a token is in prompt or answer, owned; NULL: no penalty */
    int64_t context;                  /* tokens that prompt and answer may have together */
    size_t held;                      /* tokens of the prompt that the sequence has already */
};

void generate_cache_release(struct ctx *c, struct generate_cache *cache)
{
    if (cache->sequence) cache->sequence->engine->ops->sequence_free(cache->sequence);
    ids_release(c, &cache->held);
    *cache = (struct generate_cache){0};
}

const char *generate_end_name(enum generate_end end)
{
    static const char *const names[] = {"stop", "length", "context", "caller"};
    return names[end];
}

/* Ids come from outside (the library's callers), so they are looked at before the engine reads its embedding table by them.
 */
static enum status check_prompt(const struct engine *e, const int32_t *prompt, size_t n)
{
    if (n == 0) return ctx_fail(e->c, E_INPUT, "the prompt has no tokens");
    if (n > (size_t)e->context)
        return ctx_fail(e->c, E_INPUT, "the prompt has %zu tokens, but the model's context holds %lld", n,
                        (long long)e->context);
    return ids_check(e->c, prompt, n, e->vocab);
}

/* Whether what the cache holds is the beginning of the prompt, with room for what may come. */
static bool cache_serves(const struct generate_cache *k, const int32_t *prompt, size_t n, int64_t context)
{
    return k->sequence && k->sequence->capacity >= context && k->held.n < n &&
           memcmp(k->held.data, prompt, k->held.n * sizeof *prompt) == 0;
}

/* The sequence of the cache, or a new one: with a cache it has room for as much again, so that a text that grows is seldom
 * read twice. */
static struct engine_sequence *open_sequence(struct generation *g, const int32_t *prompt, size_t n)
{
    struct generate_cache *k = g->params->cache;
    int64_t capacity = g->context, most = g->engine->context;
    if (k && cache_serves(k, prompt, n, g->context)) {
        g->held = k->held.n;
        return k->sequence;
    }
    if (k) generate_cache_release(g->c, k);
    if (k) capacity = capacity > most / 2 ? most : 2 * capacity;
    struct engine_sequence *s = g->engine->ops->sequence_new(g->engine, capacity);
    if (k) k->sequence = s;
    return s;
}

/* Sampler, logits and the sequence's KV cache, which is made for as many tokens as can come: prompt and answer, within the
 * context. False with the failure in the ctx. */
static bool open_generation(struct generation *g, const int32_t *prompt, size_t n_prompt)
{
    struct ctx *c = g->c;
    int64_t left = g->engine->context - (int64_t)n_prompt, max = g->params->max_tokens;
    if (max < 1) {
        ctx_fail(c, E_INPUT, "%lld new tokens: it must be 1 or more", (long long)max);
        return false;
    }
    g->context = (int64_t)n_prompt + (max < left ? max : left);
    if (sample_init(&g->sample, c, &g->params->sample, g->engine->vocab) != OK) return false;
    g->logits = mem_alloc(c, (size_t)g->engine->vocab, sizeof(*g->logits));
    double penalty = g->params->repeat_penalty;
    if (!(penalty == 0 || (penalty >= 0.1 && penalty <= 10))) {
        ctx_fail(c, E_INPUT, "repeat penalty %g: it must be 0.1 to 10", penalty);
        return false;
    }
    if (g->logits && penalty != 0 && penalty != 1 && !(g->seen = mem_alloc(c, (size_t)g->engine->vocab, 1))) return false;
    g->sequence = g->logits ? open_sequence(g, prompt, n_prompt) : NULL;
    for (size_t i = 0; g->seen && i < g->held; i++) g->seen[prompt[i]] = 1;
    return g->sequence != NULL;
}

/* Frees what open_generation made, also after it failed half-way. A cache keeps the sequence, unless something failed. */
static void close_generation(struct generation *g)
{
    if (!g->params->cache)
        g->engine->ops->sequence_free(g->sequence);
    else if (!ctx_ok(g->c))
        generate_cache_release(g->c, g->params->cache);
    mem_free(g->c, g->logits);
    mem_free(g->c, g->seen);
    sample_release(&g->sample);
}

/* Makes the n tokens, and all before them, less probable. */
static void penalize(struct generation *g, const int32_t *tokens, int64_t n)
{
    float penalty = (float)g->params->repeat_penalty;
    if (!g->seen) return;
    for (int64_t i = 0; i < n; i++) g->seen[tokens[i]] = 1;
    for (int64_t i = 0; i < g->engine->vocab; i++)
        if (g->seen[i]) g->logits[i] = g->logits[i] > 0 ? g->logits[i] / penalty : g->logits[i] * penalty;
}

/* Appends n tokens to the sequence and chooses the token after them. */
static enum status next_token(struct generation *g, const int32_t *tokens, int64_t n, int32_t *id)
{
    const struct engine_ops *ops = g->engine->ops;
    struct generate_cache *k = g->params->cache;
    TRY(ops->extend(g->sequence, tokens, n, 1, g->logits));
    for (int64_t i = 0; k && i < n; i++) TRY(ids_push(g->c, &k->held, tokens[i]));
    TRY(ops->check(g->engine));
    penalize(g, tokens, n);
    return sample_next(&g->sample, g->logits, id);
}

/* Ids that the caller named, or the tokenizer's own end tokens. */
static bool is_stop(const struct generate_params *p, int32_t id)
{
    for (size_t i = 0; i < p->n_stop; i++) {
        if (p->stop_ids[i] == id) return true;
    }
    return p->tokenizer && tokenizer_is_stop(p->tokenizer, id);
}

/* The prompt goes through the model in one pass, then one token at a time; keys and values of what came before are kept in
 * the sequence, so each pass costs one token. */
static enum status generate_tokens(struct generation *g, const int32_t *prompt, size_t n_prompt, struct ids *out,
                                   enum generate_end *end)
{
    const struct generate_params *p = g->params;
    int64_t most = g->context - (int64_t)n_prompt;
    const int32_t *tokens = prompt + g->held;
    int64_t n = (int64_t)(n_prompt - g->held);
    int32_t id = 0;
    for (int64_t i = 0; i < most; i++) {
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
    *end = most == p->max_tokens ? GENERATE_LENGTH : GENERATE_CONTEXT;
    return OK;
}

enum status generate_run(struct engine *e, const int32_t *prompt, size_t n, const struct generate_params *p, struct ids *out,
                         enum generate_end *end)
{
    struct generation g = {.c = e->c, .engine = e, .params = p, .sample = {.c = e->c}};
    TRY(check_prompt(e, prompt, n));
    enum status status = open_generation(&g, prompt, n) ? generate_tokens(&g, prompt, n, out, end) : e->c->status;
    close_generation(&g);
    return status;
}

/* Logits (V) of the token after the prompt. */
enum status generate_logits(struct engine *e, const int32_t *prompt, size_t n, float *logits)
{
    TRY(check_prompt(e, prompt, n));
    struct engine_sequence *s = e->ops->sequence_new(e, (int64_t)n);
    enum status status = s ? e->ops->extend(s, prompt, (int64_t)n, 1, logits) : e->c->status;
    e->ops->sequence_free(s);
    return status == OK ? e->ops->check(e) : status;
}
