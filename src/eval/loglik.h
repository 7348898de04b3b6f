/* loglik: how probable a model finds a text, token by token. */
#ifndef YA_EVAL_LOGLIK_H
#define YA_EVAL_LOGLIK_H

#include "engine/engine.h"
#include "io/tokenizer/tokenizer.h"

/* Tokens of a text and their log-probabilities (natural logarithm) given everything before them in their window. The first
 * token has none: NaN. */
struct loglik {
    struct ids ids;  /* with BOS in front when the model's documents begin with it */
    double *logprob; /* (ids.n) */
    double sum;      /* over the n_scored = ids.n - 1 tokens that have one */
    int64_t n_scored;
};

/* Log-probabilities of n ids into `logprob` (n doubles, [0] is NaN). Longer texts than `window` tokens are cut into windows
 * that share one token, which is the context that the next window starts with, so every token but the first has a
 * log-probability given at least one and at most window - 1 tokens. window 0: the model's context; E_INPUT when it is longer
 * than that or 1, when n is 0, or when an id is outside the vocabulary. E_NUMERIC when a log-probability is no number. */
enum status loglik_ids(struct engine *e, const int32_t *ids, size_t n, int64_t window, double *logprob);

/* The same for n bytes of text. Special tokens in it are plain text. E_INPUT when it gives fewer than two tokens. Release
 * *out with loglik_release, also after a failure. */
enum status loglik_text(struct engine *e, const struct tokenizer *t, const char *text, size_t n, int64_t window,
                        struct loglik *out);
/* Frees ids and log-probabilities. */
void loglik_release(struct ctx *c, struct loglik *l);

/* The mean log-probability of the scored tokens in nats (sum / n_scored), and the perplexity, exp of its negative. */
double loglik_mean(const struct loglik *l);
double loglik_perplexity(const struct loglik *l);

#endif
