/* sample: see sample.h. Candidates are sorted as a whole when a cut is asked for: some milliseconds for a large vocabulary,
 * next to a forward pass that takes far longer. Selecting the top_k with a heap was rejected as a second path for no gain.
 */
#include "eval/sample.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

enum status sample_init(struct sample *s, struct ctx *c, const struct sample_params *params, int64_t n_vocab)
{
    *s = (struct sample){.c = c, .params = *params, .n_vocab = n_vocab};
    BUG_ON(c, n_vocab < 1, "a vocabulary of %lld tokens", (long long)n_vocab);
    if (!(params->temperature >= 0) || isinf(params->temperature))
        return ctx_fail(c, E_INPUT, "temperature %g: it must be 0 or more", params->temperature);
    if (params->top_k < 0) return ctx_fail(c, E_INPUT, "top-k %lld: it must be 0 or more", (long long)params->top_k);
    if (!(params->top_p > 0 && params->top_p <= 1))
        return ctx_fail(c, E_INPUT, "top-p %g: it must be above 0 and at most 1", params->top_p);
    rng_init(&s->rng, params->seed, RNG_SAMPLE, 0);
    s->candidates = mem_alloc(c, (size_t)n_vocab, sizeof(*s->candidates));
    return s->candidates ? OK : c->status;
}

void sample_release(struct sample *s)
{
    mem_free(s->c, s->candidates);
    s->candidates = NULL;
}

/* The id of the largest logit (the lowest such id). E_NUMERIC when the logits are no distribution. */
static enum status most_probable(struct sample *s, const float *logits, int32_t *id)
{
    float largest = -INFINITY;
    for (int64_t i = 0; i < s->n_vocab; i++) {
        if (logits[i] <= largest) continue; /* nearly always; NaN is not */
        if (isnan(logits[i]) || logits[i] == INFINITY)
            return ctx_fail(s->c, E_NUMERIC, "the logit of token %lld is %g: the model or the adapter is damaged",
                            (long long)i, (double)logits[i]);
        largest = logits[i];
        *id = (int32_t)i;
    }
    if (largest == -INFINITY) return ctx_fail(s->c, E_NUMERIC, "every token has probability 0");
    return OK;
}

/* Most probable first, then by id. */
static int sample_compare(const void *a, const void *b)
{
    const struct sample_candidate *x = a, *y = b;
    if (x->value != y->value) return x->value > y->value ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* How many of the n sorted candidates make up top_p of their weight. */
static int64_t nucleus(const struct sample *s, int64_t n)
{
    double total = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) total += s->candidates[i].value;
    for (int64_t i = 0; i < n; i++) {
        sum += s->candidates[i].value;
        if (sum >= s->params.top_p * total) return i + 1;
    }
    return n;
}

/* The candidate at a random place of the weights' sum. */
static int32_t sample_draw(struct sample *s, int64_t n)
{
    double total = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) total += s->candidates[i].value;
    double at = rng_uniform(&s->rng) * total;
    int32_t id = s->candidates[0].id;
    for (int64_t i = 0; i < n; i++) {
        if (s->candidates[i].value <= 0) continue; /* never a token of probability 0, wherever rounding lands */
        id = s->candidates[i].id;
        sum += s->candidates[i].value;
        if (sum > at) break;
    }
    return id;
}

enum status sample_next(struct sample *s, const float *logits, int32_t *id)
{
    int32_t best = 0;
    TRY(most_probable(s, logits, &best));
    *id = best;
    if (s->params.temperature == 0) return OK;
    /* Differences from the largest logit stay exact however small the temperature: exp never overflows. */
    for (int64_t i = 0; i < s->n_vocab; i++) {
        double value = exp(((double)logits[i] - (double)logits[best]) / s->params.temperature);
        s->candidates[i] = (struct sample_candidate){value, (int32_t)i};
    }
    int64_t n = s->n_vocab;
    if (s->params.top_k > 0 || s->params.top_p < 1) {
        qsort(s->candidates, (size_t)n, sizeof(*s->candidates), sample_compare);
        if (s->params.top_k > 0 && s->params.top_k < n) n = s->params.top_k;
        n = nucleus(s, n);
    }
    *id = sample_draw(s, n);
    return OK;
}
