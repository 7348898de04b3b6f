/* loglik: see loglik.h. A window is one forward pass and the fused loss, which gives log-probabilities without ever holding
 * all logits. Windows that overlap by half would give later tokens more context at twice the work; one shared token was
 * chosen because it scores every token exactly once and leaves the window as the only parameter. */
#include "eval/loglik.h"

#include <math.h>

#include "base/mem.h"

/* Host arrays of one window, reused by the next. */
struct loglik_window {
    int32_t *positions, *targets;
    float *weights;
    float *logprob;
};

/* Memory for windows of up to n tokens. A failure leaves what was allocated for window_free. */
static enum status window_new(struct ctx *c, struct loglik_window *w, size_t n)
{
    w->positions = mem_alloc(c, n, sizeof(*w->positions));
    w->targets = mem_alloc(c, n, sizeof(*w->targets));
    w->weights = mem_alloc(c, n, sizeof(*w->weights));
    w->logprob = mem_alloc(c, n, sizeof(*w->logprob));
    return c->status;
}

static void window_free(struct ctx *c, struct loglik_window *w)
{
    mem_free(c, w->positions);
    mem_free(c, w->targets);
    mem_free(c, w->weights);
    mem_free(c, w->logprob);
}

/* w->logprob[i] = log p(ids[i + 1] | ids[0..i]) for i < n - 1. */
static enum status window_run(struct engine *e, struct loglik_window *w, const int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        w->positions[i] = (int32_t)i;
        w->targets[i] = i + 1 < n ? ids[i + 1] : 0;
        w->weights[i] = i + 1 < n ? 1.0f : 0.0f; /* the last row is skipped: its token is not known */
    }
    const int32_t cu[2] = {0, (int32_t)n};
    struct batch b = {.n = n, .tokens = ids, .positions = w->positions, .n_seg = 1, .cu = cu};
    b.targets = w->targets;
    b.weights = w->weights;
    struct engine_loss loss;
    TRY(e->ops->evaluate(e, &b, &loss, w->logprob));
    return e->ops->check(e);
}

/* The window must fit in the model's context, and ids in its vocabulary. */
static enum status loglik_check(const struct engine *e, const int32_t *ids, size_t n, int64_t window)
{
    if (window > e->context)
        return ctx_fail(e->c, E_INPUT, "a window of %lld tokens is longer than the model's context of %lld",
                        (long long)window, (long long)e->context);
    if (window < 2) return ctx_fail(e->c, E_INPUT, "a window of %lld tokens: it must be 2 or more", (long long)window);
    if (n == 0) return ctx_fail(e->c, E_INPUT, "there are no tokens to score");
    return ids_check(e->c, ids, n, e->vocab);
}

/* Windows begin where the one before had its last token, so every token but the first is scored exactly once. */
enum status loglik_ids(struct engine *e, const int32_t *ids, size_t n, int64_t window, double *logprob)
{
    struct ctx *c = e->c;
    if (window == 0) window = e->context;
    TRY(loglik_check(e, ids, n, window));
    struct loglik_window w = {0};
    enum status status = window_new(c, &w, n < (size_t)window ? n : (size_t)window);
    logprob[0] = NAN;
    for (size_t first = 0; first + 1 < n && status == OK; first += (size_t)window - 1) {
        size_t length = n - first < (size_t)window ? n - first : (size_t)window;
        status = window_run(e, &w, ids + first, (int64_t)length);
        for (size_t i = 0; i + 1 < length && status == OK; i++) {
            logprob[first + i + 1] = (double)w.logprob[i];
            if (!isfinite(logprob[first + i + 1]))
                status = ctx_fail(
                    c, E_NUMERIC,
                    "the log-probability of token %d (place %zu) is not finite: the model or the adapter is damaged",
                    ids[first + i + 1], first + i + 1);
        }
    }
    window_free(c, &w);
    return status;
}

enum status loglik_text(struct engine *e, const struct tokenizer *t, const char *text, size_t n, int64_t window,
                        struct loglik *out)
{
    struct ctx *c = e->c;
    *out = (struct loglik){0};
    TRY(tokenizer_encode_text(c, t, text, n, false, &out->ids));
    if (out->ids.n < 2)
        return ctx_fail(c, E_INPUT, "the text has %zu tokens; at least 2 are needed to score one", out->ids.n);
    out->logprob = mem_alloc(c, out->ids.n, sizeof(*out->logprob));
    if (!out->logprob) return c->status;
    TRY(loglik_ids(e, out->ids.data, out->ids.n, window, out->logprob));
    out->n_scored = (int64_t)out->ids.n - 1;
    for (size_t i = 1; i < out->ids.n; i++) out->sum += out->logprob[i];
    return OK;
}

void loglik_release(struct ctx *c, struct loglik *l)
{
    ids_release(c, &l->ids);
    mem_free(c, l->logprob);
    l->logprob = NULL;
}

double loglik_mean(const struct loglik *l)
{
    return l->sum / (double)l->n_scored;
}

double loglik_perplexity(const struct loglik *l)
{
    return exp(-loglik_mean(l));
}
