/* run_samples: see run_samples.h. The prompts are found again in the tokenised rows, by the same rule, so that those of
 * "after" are those of "before". Only their answers are generated, greedily and SAMPLES_TOKENS at most: of the usual two
 * prompts twice 64 tokens, 3 seconds of a model of 135 M parameters on two cores. */
#include "cli/run_samples.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "eval/generate.h"
#include "runs/samples.h"

/* Of a model whose tokens take a while people are told that it answers. */
static const size_t LARGE_BYTES = (size_t)1 << 30;
/* Prompts that are longer are passed over; of rows without one so many tokens are; rows that are looked at. */
enum { PROMPT_TOKENS_MAX = 256, BEGINNING_TOKENS = 12, ROWS_SEEN_MAX = 2000 };

/* Where a prompt and what should follow it stand. */
struct run_samples_place {
    const struct dataset *data;
    int64_t document;
    int32_t prompt, end; /* tokens of the prompt; behind the first run of trained tokens */
};

/* One call of either function. */
struct run_sampling {
    struct ctx *c;
    struct trainer *t;
    struct run_samples_place place[SAMPLES_MAX];
    size_t n;
    bool (*stop)(void);
    bool stopped;
};

/* Whether the document serves, and then what of it is the prompt. */
static bool place_of(const struct dataset *d, int64_t i, struct run_samples_place *out)
{
    const struct dataset_document *k = dataset_document(d, i);
    const uint8_t *trained = dataset_trained(d, i);
    int32_t from = 0, to;
    while (from < k->n && !trained[from]) from++;
    for (to = from; to < k->n && trained[to];) to++;
    if (from <= 1) from = k->n / 2 < BEGINNING_TOKENS ? k->n / 2 : BEGINNING_TOKENS; /* a text without a prompt */
    *out = (struct run_samples_place){d, i, from, to};
    return from >= 1 && from < to && from <= PROMPT_TOKENS_MAX;
}

/* The first n rows that serve, each once. */
static void find_places(struct run_sampling *s, int64_t n)
{
    const struct dataset *d = s->t->valid ? s->t->valid : s->t->data;
    int64_t seen = dataset_n_documents(d), row = -1, file = -1;
    if (seen > ROWS_SEEN_MAX) seen = ROWS_SEEN_MAX;
    for (int64_t i = 0; i < seen && (int64_t)s->n < n && s->n < SAMPLES_MAX; i++) {
        const struct dataset_document *k = dataset_document(d, i);
        if (k->row == row && k->file == file) continue;
        if (place_of(d, i, &s->place[s->n])) s->n++;
        row = k->row;
        file = k->file;
    }
}

/* Tokens as text, shortened to SAMPLES_TEXT_BYTES. Owner the caller. */
static char *run_samples_text(struct run_sampling *s, const int32_t *ids, size_t n, bool skip_special)
{
    struct buf b;
    buf_init(&b, s->c, SAMPLES_TEXT_BYTES);
    tokenizer_decode_text(s->c, s->t->tokenizer, ids, n, skip_special, &b);
    char *text = buf_ok(&b) ? mem_strdup(s->c, buf_str(&b)) : NULL;
    buf_release(&b);
    return text;
}

static bool run_samples_go_on(void *user, int32_t id)
{
    struct run_sampling *s = user;
    (void)id;
    s->stopped = s->stopped || (s->stop && s->stop());
    return !s->stopped;
}

/* The answer of the model with the adapter that is attached. Owner the caller. */
static char *run_samples_answer(struct run_sampling *s, struct engine *e, const struct run_samples_place *p)
{
    struct ids ids = {0};
    enum generate_end end;
    const struct generate_params g = {.max_tokens = SAMPLES_TOKENS,
                                      .sample = {.top_p = 1},
                                      .tokenizer = s->t->tokenizer,
                                      .on_token = run_samples_go_on,
                                      .user = s};
    const int32_t *tokens = dataset_tokens(p->data, p->document);
    char *text = NULL;
    if (generate_run(e, tokens, (size_t)p->prompt, &g, &ids, &end) == OK) text = run_samples_text(s, ids.data, ids.n, true);
    ids_release(s->c, &ids);
    return text;
}

/* Row, prompt and what the row has behind it. */
static void describe(struct run_sampling *s, const struct run_samples_place *p, struct sample_answer *a)
{
    const struct dataset_document *k = dataset_document(p->data, p->document);
    const int32_t *tokens = dataset_tokens(p->data, p->document);
    int32_t n = p->end - p->prompt < SAMPLES_TOKENS ? p->end - p->prompt : SAMPLES_TOKENS;
    a->row = mem_printf(s->c, "%s:%lld", dataset_file(p->data, (size_t)k->file).path, (long long)k->row);
    a->prompt = run_samples_text(s, tokens, (size_t)p->prompt, false);
    a->expected = run_samples_text(s, tokens + p->prompt, (size_t)n, true);
}

/* Answers of all places, `after` or `before`, by an engine of its own on the trainer's model. */
static void answer_all(struct run_sampling *s, struct samples *out, bool after)
{
    struct engine *e = engine_native_new(s->c, s->t->model, NULL);
    for (size_t i = 0; e && i < s->n && ctx_ok(s->c) && !s->stopped; i++) {
        struct sample_answer *a = &out->list[i];
        if (!after) out->n = i + 1;
        if (!after) describe(s, &s->place[i], a);
        char *text = ctx_ok(s->c) ? run_samples_answer(s, e, &s->place[i]) : NULL;
        if (after) mem_free(s->c, a->after);
        *(after ? &a->after : &a->before) = text;
    }
    if (e) e->ops->free(e);
}

/* A failure is no reason to train otherwise. */
static void run_samples_end(struct run_sampling *s, struct samples *out)
{
    if (!ctx_ok(s->c)) ctx_log(s->c, LOG_WARN, "no samples for the report: %s", s->c->message);
    if (!ctx_ok(s->c)) ctx_clear(s->c);
    samples_release(out);
}

/* The engine of another library has the weights elsewhere. */
static bool can_sample(const struct trainer *t)
{
    return t->model && t->lora && t->config.engine == ENGINE_KIND_NATIVE;
}

void run_samples_before(struct trainer *t, int64_t n, bool (*stop)(void))
{
    struct samples out;
    struct run_sampling s = {.c = t->c, .t = t, .stop = stop};
    if (n == 0 || t->state.step > 0 || !can_sample(t)) return;
    if (samples_read(t->c, t->config.run, &out) == OK && out.n == 0) {
        find_places(&s, n);
        if (s.n && model_weight_bytes(t->model) > LARGE_BYTES)
            ctx_log(t->c, LOG_INFO, "%zu prompts are answered before and after the training, for report (--samples 0: none)",
                    s.n);
        answer_all(&s, &out, false);
        if (ctx_ok(t->c) && !s.stopped && out.n) samples_write(&out, t->config.run);
    }
    run_samples_end(&s, &out);
}

/* The step of the adapter that is published: the best, or the last without validation. */
static int64_t adapter_step(const struct trainer *t)
{
    return t->state.best_step ? t->state.best_step : t->state.step;
}

/* The same prompts as before, by the adapter in `path`. */
static void answer_with(struct run_sampling *s, struct samples *out, const char *path)
{
    struct model *m = s->t->model;
    struct lora *best = lora_load(s->c, &m->config, path);
    if (!best) return;
    model_attach_lora(m, best);
    answer_all(s, out, true);
    model_attach_lora(m, s->t->lora);
    lora_free(best);
    out->step = adapter_step(s->t);
    if (ctx_ok(s->c) && !s->stopped) samples_write(out, s->t->config.run);
}

void run_samples_after(struct trainer *t, bool (*stop)(void))
{
    struct samples out;
    struct run_sampling s = {.c = t->c, .t = t, .stop = stop};
    char *path = path_join(t->c, t->config.run, "adapter");
    bool there = path && dir_exists(path) && can_sample(t) && samples_read(t->c, t->config.run, &out) == OK;
    if (there && out.n && out.step != adapter_step(t)) {
        find_places(&s, (int64_t)out.n);
        if (s.n == out.n) answer_with(&s, &out, path);
    }
    mem_free(t->c, path);
    if (there) run_samples_end(&s, &out);
}
