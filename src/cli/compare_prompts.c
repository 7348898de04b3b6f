/* compare_prompts: see compare_prompts.h. Two rounds over the candidates, since one adapter at a time lies on the model: the
 * first generates, the second scores what all have generated. A continuation that one model gives and that another finds
 * improbable is a difference that training made; one that both find probable is not. */
#include "cli/compare_prompts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "eval/generate.h"
#include "eval/loglik.h"
#include "io/json.h"

enum { PROMPTS_TEXT_BYTES = 1 << 24 };

/* One continuation: prompt and new tokens in one list. */
struct continuation {
    struct ids ids;
    size_t n_prompt;
    enum generate_end end;
};

struct prompts_work {
    const struct loaded *l;
    const struct compare_prompts *v;
    size_t models;
    struct continuation *said; /* (prompts, models) by whom */
    double *logprob;           /* (prompts, models, models) said by whom, scored under whom */
};

static struct continuation *said_by(const struct prompts_work *w, size_t prompt, size_t model)
{
    return &w->said[prompt * w->models + model];
}

static double *compare_prompts_score_of(const struct prompts_work *w, size_t prompt, size_t by, size_t under)
{
    return &w->logprob[(prompt * w->models + by) * w->models + under];
}

/* A candidate_fn: the first round. */
static enum status generate_all(void *user, size_t index, struct engine *e)
{
    struct prompts_work *w = user;
    const struct generate_params p = {.max_tokens = w->v->max_tokens, .sample = {.top_p = 1}, .tokenizer = w->l->tokenizer};
    for (size_t i = 0; i < w->v->n_prompts; i++) {
        struct continuation *k = said_by(w, i, index);
        struct ids new = {0};
        enum status status = prompt_ids_encode(w->l, &w->v->form, w->v->prompts[i], &k->ids);
        k->n_prompt = k->ids.n;
        if (status == OK) status = generate_run(e, k->ids.data, k->ids.n, &p, &new, &k->end);
        for (size_t j = 0; status == OK && j < new.n; j++) status = ids_push(e->c, &k->ids, new.data[j]);
        ids_release(e->c, &new);
        if (status != OK) ctx_prefix(e->c, "prompt %zu", i + 1);
        if (status != OK) return status;
    }
    return OK;
}

/* A candidate_fn: the second round. */
static enum status compare_prompts_score_all(void *user, size_t index, struct engine *e)
{
    struct prompts_work *w = user;
    for (size_t i = 0; i < w->v->n_prompts; i++)
        for (size_t by = 0; by < w->models; by++) {
            const struct continuation *k = said_by(w, i, by);
            double *logprob = mem_alloc(e->c, k->ids.n, sizeof *logprob), sum = 0;
            enum status status = logprob ? loglik_ids(e, k->ids.data, k->ids.n, 0, logprob) : e->c->status;
            for (size_t j = k->n_prompt; status == OK && j < k->ids.n; j++) sum += logprob[j];
            *compare_prompts_score_of(w, i, by, index) = sum;
            mem_free(e->c, logprob);
            if (status != OK) return status;
        }
    return OK;
}

/* ---- showing ---------------------------------------------------------------------------------------------------------- */

static enum status said_text(const struct prompts_work *w, const struct continuation *k, struct buf *out)
{
    buf_clear(out);
    return tokenizer_decode(w->l->c, w->l->tokenizer, k->ids.data + k->n_prompt, k->ids.n - k->n_prompt, true, out);
}

/* The text with what would break the block written as an escape. */
static void print_plain(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char ch = (unsigned char)text[i];
        if (ch == '\n')
            fputs("\\n", stdout);
        else if (ch < 0x20 || ch == 0x7f)
            printf("\\x%02x", ch);
        else
            putchar(ch);
    }
}

/* A line for each candidate: its continuation with the log-probability under each of them, its own first. */
static enum status print_prompt(const struct prompts_work *w, size_t i, struct buf *text)
{
    const struct candidates *a = w->v->candidates;
    int width = candidates_width(a);
    printf("%sprompt %zu: ", i ? "\n" : "", i + 1);
    print_plain(w->v->prompts[i], strlen(w->v->prompts[i]));
    printf("\n");
    for (size_t by = 0; by < w->models; by++) {
        const struct continuation *k = said_by(w, i, by);
        TRY(said_text(w, k, text));
        printf("  %-*s  ", width, a->list[by].name);
        print_plain(buf_str(text), text->len);
        printf("\n  %*s    ln p %.2f (%.2f a token, %zu tokens, end: %s)", width, "",
               *compare_prompts_score_of(w, i, by, by),
               *compare_prompts_score_of(w, i, by, by) / (double)(k->ids.n - k->n_prompt), k->ids.n - k->n_prompt,
               generate_end_name(k->end));
        for (size_t under = 0; under < w->models; under++)
            if (under != by) printf("; under %s %.2f", a->list[under].name, *compare_prompts_score_of(w, i, by, under));
        printf("\n");
    }
    return OK;
}

static enum status print_prompt_json(const struct prompts_work *w, size_t i, size_t by, struct buf *text)
{
    const struct candidates *a = w->v->candidates;
    const struct continuation *k = said_by(w, i, by);
    struct buf line;
    TRY(said_text(w, k, text));
    buf_init(&line, w->l->c, PROMPTS_TEXT_BYTES);
    buf_append_str(&line, "{\"prompt\":");
    json_append_string(&line, w->v->prompts[i], strlen(w->v->prompts[i]));
    buf_append_str(&line, ",\"model\":");
    json_append_string(&line, a->list[by].name, strlen(a->list[by].name));
    buf_append_str(&line, ",\"text\":");
    json_append_string(&line, buf_str(text), text->len);
    buf_printf(&line, ",\"tokens\":%zu,\"end\":\"%s\",\"logprob\":", k->ids.n - k->n_prompt, generate_end_name(k->end));
    json_append_f64(&line, *compare_prompts_score_of(w, i, by, by));
    buf_append_str(&line, ",\"logprob_under\":[");
    for (size_t under = 0; under < w->models; under++) {
        buf_append_str(&line, under ? "," : "");
        json_append_f64(&line, *compare_prompts_score_of(w, i, by, under));
    }
    buf_append_str(&line, "]}");
    if (buf_ok(&line)) puts(buf_str(&line));
    buf_release(&line);
    return w->l->c->status;
}

static enum status show_all(const struct prompts_work *w)
{
    struct buf text;
    enum status status = OK;
    buf_init(&text, w->l->c, PROMPTS_TEXT_BYTES);
    for (size_t i = 0; status == OK && i < w->v->n_prompts; i++) {
        if (!w->v->json) status = print_prompt(w, i, &text);
        for (size_t by = 0; w->v->json && status == OK && by < w->models; by++) status = print_prompt_json(w, i, by, &text);
    }
    buf_release(&text);
    return status;
}

enum status compare_prompts_run(const struct loaded *l, const struct compare_prompts *v)
{
    struct ctx *c = l->c;
    struct prompts_work w = {.l = l, .v = v, .models = v->candidates->n};
    w.said = mem_alloc(c, v->n_prompts * w.models, sizeof *w.said);
    w.logprob = mem_alloc(c, v->n_prompts * w.models * w.models, sizeof *w.logprob);
    enum status status = c->status;
    if (status == OK) status = candidates_each(v->candidates, l, generate_all, &w);
    if (status == OK) status = candidates_each(v->candidates, l, compare_prompts_score_all, &w);
    if (status == OK) status = show_all(&w);
    for (size_t i = 0; w.said && i < v->n_prompts * w.models; i++) ids_release(c, &w.said[i].ids);
    mem_free(c, w.said);
    mem_free(c, w.logprob);
    return status;
}
