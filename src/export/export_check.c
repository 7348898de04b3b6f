/* export_check: compares what was written with what was trained. Both models run on one fixed prompt, and all logits are
 * compared, so a tensor that was left out, transposed or rounded twice shows, whatever the format is. */
#include "export/export_check.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine.h"

/* Words, figures, code and line ends: some fifty tokens. */
static const char prompt[] = "The capital of France is Paris, and water boils at 100 degrees Celsius.\n"
                             "Q: What is 17 + 25?\nA: It is 42.\n\ndef add(a, b):\n    return a + b\n";

/* The prompt as ids; without a tokenizer at most 48 ids that are spread over the vocabulary by a step of 7919, a prime. */
static enum status export_check_ids(const struct export_source *s, const struct tokenizer *t, struct ids *ids)
{
    int64_t vocab = s->model->config.vocab, n = s->model->config.max_positions < 48 ? s->model->config.max_positions : 48;
    if (t) {
        TRY(tokenizer_encode_text(s->c, t, prompt, sizeof prompt - 1, false, ids));
        if (ids->n > (size_t)s->model->config.max_positions) ids->n = (size_t)s->model->config.max_positions;
        return tokenizer_check_ids(s->c, t, ids->data, ids->n, vocab);
    }
    for (int64_t i = 0; i < n; i++) TRY(ids_push(s->c, ids, (int32_t)((7919 * i + 13) % vocab)));
    return OK;
}

/* Logits behind each id, (n, vocab). */
static enum status compute_logits(struct model *m, const struct ids *ids, int64_t capacity, float *out)
{
    struct engine *e = engine_native_new(m->c, m, NULL);
    struct engine_sequence *q = e ? e->ops->sequence_new(e, capacity > (int64_t)ids->n ? capacity : (int64_t)ids->n) : NULL;
    if (q) e->ops->extend(q, ids->data, (int64_t)ids->n, (int64_t)ids->n, out);
    if (e) {
        e->ops->sequence_free(q);
        e->ops->free(e);
    }
    return m->c->status;
}

struct export_logits *export_logits_new(const struct export_source *s, int64_t capacity)
{
    struct export_logits *l = mem_alloc(s->c, 1, sizeof *l);
    if (!l) return NULL;
    *l = (struct export_logits){.c = s->c, .vocab = s->model->config.vocab};
    if (export_check_ids(s, s->tokenizer, &l->ids) == OK)
        l->values = mem_alloc(s->c, l->ids.n * (size_t)l->vocab, sizeof *l->values);
    if (l->values && compute_logits(s->model, &l->ids, capacity, l->values) == OK) return l;
    export_logits_free(l);
    return NULL;
}

void export_logits_free(struct export_logits *l)
{
    if (!l) return;
    ids_release(l->c, &l->ids);
    mem_free(l->c, l->values);
    mem_free(l->c, l);
}

/* ---- comparison ------------------------------------------------------------------------------------------------------- */

static double export_check_mean_of(const float *row, int64_t n)
{
    double sum = 0;
    for (int64_t j = 0; j < n; j++) sum += (double)row[j];
    return sum / (double)n;
}

static int64_t top_of(const float *row, int64_t n)
{
    int64_t top = 0;
    for (int64_t j = 1; j < n; j++)
        if (row[j] > row[top]) top = j;
    return top;
}

/* A constant on all logits of a token changes no probability, so means are left out of the relative difference. */
void export_check_values(const struct export_logits *wanted, const float *got, struct export_difference *out)
{
    double squares = 0, all = 0;
    int64_t n = wanted->vocab;
    *out = (struct export_difference){.tokens = (int64_t)wanted->ids.n, .vocab = n};
    for (int64_t i = 0; i < out->tokens; i++) {
        const float *x = wanted->values + i * n, *y = got + i * n;
        double mean_x = export_check_mean_of(x, n), mean_y = export_check_mean_of(y, n);
        for (int64_t j = 0; j < n; j++) {
            double difference = fabs((double)x[j] - (double)y[j]);
            double centred = (double)y[j] - mean_y - ((double)x[j] - mean_x);
            if (!(difference <= out->largest)) out->largest = difference; /* NaN stays */
            squares += centred * centred;
            all += ((double)x[j] - mean_x) * ((double)x[j] - mean_x);
        }
        out->same_top += top_of(x, n) == top_of(y, n);
    }
    out->relative = all > 0 ? sqrt(squares / all) : squares > 0 ? HUGE_VAL : 0;
}

/* An export whose tokenizer cuts text in another way is another model. */
static enum status compare_ids(const struct export_source *s, const struct export_logits *wanted, const char *path)
{
    struct ids ids = {0};
    struct tokenizer *t = s->tokenizer ? tokenizer_open(s->c, path) : NULL;
    if (!t) { /* none was written, which the writer has said */
        if (s->c->status == E_INPUT || s->c->status == E_UNSUPPORTED) ctx_clear(s->c);
        return s->c->status;
    }
    export_check_ids(s, t, &ids);
    bool same = ids.n == wanted->ids.n && memcmp(ids.data, wanted->ids.data, ids.n * sizeof *ids.data) == 0;
    ids_release(s->c, &ids);
    tokenizer_free(t);
    if (same || !ctx_ok(s->c)) return s->c->status;
    return ctx_fail(s->c, E_NUMERIC, "%s: its tokenizer gives other ids than the model's for the text of the check", path);
}

static enum status compare_model(const struct export_source *s, const struct export_logits *wanted, const char *path,
                                 float *got)
{
    TRY(compare_ids(s, wanted, path));
    struct model *m = model_open(s->c, path);
    if (m && m->config.vocab != wanted->vocab)
        ctx_fail(s->c, E_NUMERIC, "%s: has %lld tokens, the model %lld", path, (long long)m->config.vocab,
                 (long long)wanted->vocab);
    if (m && ctx_ok(s->c)) compute_logits(m, &wanted->ids, 0, got);
    model_free(m);
    return s->c->status;
}

static enum status compare_adapter(const struct export_source *s, const struct export_logits *wanted, const char *path,
                                   float *got)
{
    struct lora *l = lora_load(s->c, &s->model->config, path);
    if (!l) return s->c->status;
    model_attach_lora(s->model, l);
    compute_logits(s->model, &wanted->ids, 0, got);
    model_attach_lora(s->model, s->lora);
    lora_free(l);
    return s->c->status;
}

enum status export_check_compare(const struct export_source *s, const struct export_logits *wanted, const char *path,
                                 bool is_adapter, struct export_difference *out)
{
    float *got = mem_alloc(s->c, wanted->ids.n * (size_t)wanted->vocab, sizeof *got);
    if (!got) return s->c->status;
    if ((is_adapter ? compare_adapter : compare_model)(s, wanted, path, got) == OK) export_check_values(wanted, got, out);
    mem_free(s->c, got);
    return s->c->status;
}
