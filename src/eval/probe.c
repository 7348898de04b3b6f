/* probe: probes wait in one list of rows until PASS_TOKENS of them are there, then one forward pass scores them all. A
 * document of n ids takes n - 1 rows, since its last id is only a target. The ids [BOS the sky is blue], of which "blue"
 * is the completion (start = 4), become
 *
 *   tokens   BOS  the  sky  is           positions  0 1 2 3
 *   targets  the  sky  is   blue         weights    0 0 0 1
 *
 * and cu gets one more offset, 4 after the last. Behind the pass, the log-probabilities of a document's rows of weight 1
 * are added up and go, times its factor, to its sum. */
#include "eval/probe.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { PASS_TOKENS = 1024 /* a pass is run when it holds at least so many */ };

/* One waiting document: where its sum and factor are. */
struct probe_document {
    size_t sum;
    double factor;
};

struct probe_set {
    struct ctx *c;
    struct engine *engine;
    const struct tokenizer *tokenizer;
    const char *what;
    double *sums;
    size_t n_sums;
    struct ids document; /* scratch: the one that is being added */
    struct ids tokens, positions, targets, cu;
    float *weights; /* 1 where the target is a token of a completion */
    size_t weights_capacity;
    struct probe_document *documents;
    size_t n_documents, documents_capacity;
};

/* Makes it empty for the next documents: cu starts with 0. */
static enum status probe_clear(struct probe_set *p)
{
    p->tokens.n = p->positions.n = p->targets.n = p->cu.n = p->n_documents = 0;
    return ids_push(p->c, &p->cu, 0);
}

struct probe_set *probe_set_new(struct engine *e, const struct tokenizer *t, const char *what, double *sums, size_t n_sums)
{
    struct probe_set *p = mem_alloc(e->c, 1, sizeof(*p));
    if (!p) return NULL;
    *p = (struct probe_set){.c = e->c, .engine = e, .tokenizer = t, .what = what, .sums = sums, .n_sums = n_sums};
    for (size_t i = 0; i < n_sums; i++) sums[i] = 0;
    if (probe_clear(p) == OK) return p;
    probe_set_free(p);
    return NULL;
}

void probe_set_free(struct probe_set *p)
{
    if (!p) return;
    struct ctx *c = p->c;
    ids_release(c, &p->document);
    ids_release(c, &p->tokens);
    ids_release(c, &p->positions);
    ids_release(c, &p->targets);
    ids_release(c, &p->cu);
    mem_free(c, p->weights);
    mem_free(c, p->documents);
    mem_free(c, p);
}

static enum status grow_probe(struct probe_set *p, size_t n)
{
    struct ctx *c = p->c;
    if (n > p->weights_capacity) {
        float *grown = mem_resize(c, p->weights, p->weights_capacity, 2 * n, sizeof(*grown));
        if (!grown) return c->status;
        p->weights = grown;
        p->weights_capacity = 2 * n;
    }
    if (p->n_documents == p->documents_capacity) {
        size_t capacity = 2 * p->documents_capacity + 64;
        struct probe_document *grown = mem_resize(c, p->documents, p->documents_capacity, capacity, sizeof(*grown));
        if (!grown) return c->status;
        p->documents = grown;
        p->documents_capacity = capacity;
    }
    return OK;
}

/* Appends a document of n ids whose completion begins at `start`. Its last id is a target only, so it takes n - 1 rows. */
static enum status push_document(struct probe_set *p, const int32_t *ids, size_t n, size_t start,
                                 struct probe_document document)
{
    struct ctx *c = p->c;
    TRY(grow_probe(p, p->tokens.n + n));
    for (size_t i = 0; i + 1 < n; i++) {
        p->weights[p->tokens.n] = i + 1 >= start ? 1.0f : 0.0f;
        TRY(ids_push(c, &p->tokens, ids[i]));
        TRY(ids_push(c, &p->positions, (int32_t)i));
        TRY(ids_push(c, &p->targets, ids[i + 1]));
    }
    p->documents[p->n_documents++] = document;
    return ids_push(c, &p->cu, (int32_t)p->tokens.n);
}

/* Runs the waiting documents in one pass and adds their log-probabilities to the sums. */
static enum status probe_run(struct probe_set *p)
{
    struct ctx *c = p->c;
    int64_t n = (int64_t)p->tokens.n;
    if (n == 0) return OK;
    struct batch b = {.n = n,
                      .tokens = p->tokens.data,
                      .positions = p->positions.data,
                      .n_seg = (int)p->n_documents,
                      .cu = p->cu.data,
                      .targets = p->targets.data,
                      .weights = p->weights};
    struct engine_loss loss;
    float *logprobs = mem_alloc(c, (size_t)n, sizeof(*logprobs));
    if (logprobs && p->engine->ops->evaluate(p->engine, &b, &loss, logprobs) == OK)
        for (size_t d = 0; d < p->n_documents; d++) {
            double sum = 0;
            for (int32_t i = p->cu.data[d]; i < p->cu.data[d + 1]; i++) sum += p->weights[i] != 0 ? (double)logprobs[i] : 0;
            if (!isfinite(sum))
                ctx_fail(c, E_NUMERIC, "%s %zu: a log-probability is not finite: the model or the adapter is damaged",
                         p->what, p->documents[d].sum + 1);
            p->sums[p->documents[d].sum] += p->documents[d].factor * sum;
        }
    mem_free(c, logprobs);
    return c->status == OK ? probe_clear(p) : c->status;
}

/* A pass is run when enough rows wait. */
static enum status probe_add_document(struct probe_set *p, const int32_t *ids, size_t n, size_t start, size_t sum,
                                      double factor)
{
    TRY(tokenizer_check_ids(p->c, p->tokenizer, ids, n, p->engine->vocab));
    TRY(push_document(p, ids, n, start, (struct probe_document){sum, factor}));
    return p->tokens.n >= PASS_TOKENS ? probe_run(p) : OK;
}

enum status probe_add(struct probe_set *p, const char *prompt, const char *completion, size_t sum, double factor)
{
    struct ctx *c = p->c;
    const struct tokenizer *t = p->tokenizer;
    struct ids *ids = &p->document;
    BUG_ON(c, sum >= p->n_sums, "sum %zu of %zu", sum, p->n_sums);
    ids->n = 0;
    TRY(tokenizer_begin(c, t, ids));
    TRY(tokenizer_encode(c, t, prompt, strlen(prompt), false, ids));
    size_t start = ids->n;
    TRY(tokenizer_encode(c, t, completion, strlen(completion), false, ids));
    if (start == 0 || ids->n == start)
        return ctx_fail(c, E_INPUT, "%s %zu: prompt and completion must have at least one token each", p->what, sum + 1);
    if ((int64_t)ids->n > p->engine->context)
        return ctx_fail(c, E_INPUT, "%s %zu: %zu tokens, but the model's context holds %lld", p->what, sum + 1, ids->n,
                        (long long)p->engine->context);
    return probe_add_document(p, ids->data, ids->n, start, sum, factor);
}

/* The last id is never fed in, so one more than the context holds may stay. */
enum status probe_add_ids(struct probe_set *p, const int32_t *ids, size_t n, size_t start, size_t sum, double factor)
{
    size_t most = (size_t)p->engine->context + 1, cut = n > most ? n - most : 0;
    BUG_ON(p->c, sum >= p->n_sums, "sum %zu of %zu", sum, p->n_sums);
    if (start < cut + 1) start = cut + 1; /* the first id has nothing in front of it */
    if (n <= start) return ctx_fail(p->c, E_INPUT, "%s %zu: has no token to score", p->what, sum + 1);
    return probe_add_document(p, ids + cut, n - cut, start - cut, sum, factor);
}

enum status probe_finish(struct probe_set *p)
{
    return probe_run(p);
}
