/* validate_suite: see validate_suite.h. The results of candidates and of controls are rows of one list, so that no table can
 * show the ones without the others. */
#include "cli/validate_suite.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "eval/generate.h"
#include "eval/paired.h"
#include "eval/suite.h"
#include "io/json.h"

enum { SUITE_TOKENS = 256, SUITE_TEXT_BYTES = 1 << 26, SUITE_FILE_BYTES = 1 << 30 };

/* What was judged of one candidate or control. */
struct suite_column {
    const char *name;
    bool control;
    double *score, *passed; /* (items) owned */
};

struct suite_work {
    const struct loaded *l;
    const struct validate_suite *v;
    struct suite *suite;
    size_t n; /* items that are asked */
    struct suite_column columns[CANDIDATES_MOST + SUITE_CONTROLS];
    size_t n_columns;
    double *ones;   /* (n) */
    int32_t *group; /* (n) which suite an item is of: the index of its first item */
};

static enum status add_column(struct suite_work *w, const char *name, bool control)
{
    struct ctx *c = w->l->c;
    struct suite_column *k = &w->columns[w->n_columns++];
    *k = (struct suite_column){.name = name, .control = control};
    k->score = mem_alloc(c, w->n, sizeof *k->score);
    k->passed = mem_alloc(c, w->n, sizeof *k->passed);
    return c->status;
}

static void validate_suite_judge(struct suite_work *w, size_t column, size_t item, const char *text)
{
    struct suite_score s = suite_judge(&w->suite->items[item], text);
    w->columns[column].score[item] = s.score;
    w->columns[column].passed[item] = s.passed;
}

/* ---- answers ---------------------------------------------------------------------------------------------------------- */

/* The model's answer to one prompt, as text. Bytes of 0, which would end it, become spaces. */
static enum status validate_suite_generate_answer(const struct suite_work *w, struct engine *e,
                                                  const struct suite_item *item, struct buf *text)
{
    struct ctx *c = e->c;
    struct ids prompt = {0}, new = {0};
    enum generate_end end;
    int64_t most = w->v->max_tokens ? w->v->max_tokens : item->max_tokens ? item->max_tokens : SUITE_TOKENS;
    const struct generate_params p = {.max_tokens = most, .sample = {.top_p = 1}, .tokenizer = w->l->tokenizer};
    buf_clear(text);
    enum status status = prompt_ids_encode(w->l, &w->v->form, item->prompt, &prompt);
    if (status == OK) status = generate_run(e, prompt.data, prompt.n, &p, &new, &end);
    if (status == OK) status = tokenizer_decode(c, w->l->tokenizer, new.data, new.n, true, text);
    for (size_t i = 0; status == OK && i < text->len; i++)
        if (text->data[i] == '\0') text->data[i] = ' ';
    ids_release(c, &prompt);
    ids_release(c, &new);
    return status;
}

/* A line of the file of answers. */
static void add_answer(const struct suite_work *w, size_t column, size_t i, const char *text, struct buf *out)
{
    const struct suite_item *item = &w->suite->items[i];
    buf_append_str(out, "{\"suite\":");
    json_append_string(out, item->suite, strlen(item->suite));
    buf_append_str(out, ",\"id\":");
    json_append_string(out, item->id, strlen(item->id));
    buf_append_str(out, ",\"prompt\":");
    json_append_string(out, item->prompt, strlen(item->prompt));
    buf_append_str(out, ",\"answer\":");
    json_append_string(out, text, strlen(text));
    buf_append_str(out, ",\"score\":");
    json_append_f64(out, w->columns[column].score[i]);
    buf_printf(out, ",\"passed\":%s}\n", w->columns[column].passed[i] != 0 ? "true" : "false");
}

/* DIR/answers-0.jsonl, of the first candidate. */
static enum status write_answers(const struct suite_work *w, size_t column, const struct buf *lines)
{
    struct ctx *c = w->l->c;
    char *path = mem_printf(c, "%s/answers-%zu.jsonl", w->v->output, column);
    if (path && buf_ok(lines) && dir_make(c, w->v->output) == OK) file_write_atomic(c, path, buf_str(lines), lines->len);
    mem_free(c, path);
    return c->status;
}

/* A candidate_fn. */
static enum status ask_all(void *user, size_t index, struct engine *e)
{
    struct suite_work *w = user;
    struct buf text, lines;
    enum status status = add_column(w, w->v->candidates->list[index].name, false);
    buf_init(&text, e->c, SUITE_TEXT_BYTES);
    buf_init(&lines, e->c, SUITE_FILE_BYTES);
    for (size_t i = 0; status == OK && i < w->n; i++) {
        status = validate_suite_generate_answer(w, e, &w->suite->items[i], &text);
        if (status == OK) validate_suite_judge(w, index, i, buf_str(&text));
        if (status == OK && w->v->output) add_answer(w, index, i, buf_str(&text), &lines);
    }
    if (status == OK && w->v->output) status = write_answers(w, index, &lines);
    buf_release(&lines);
    buf_release(&text);
    return status;
}

/* Judges one control on all items. */
static enum status judge_control(struct suite_work *w, enum suite_control control)
{
    size_t column = w->n_columns;
    TRY(add_column(w, suite_control_name[control], true));
    for (size_t first = 0; first < w->n; first++) {
        if (w->group[first] != (int32_t)first) continue;
        char *fixed = suite_fixed(w->suite, w->suite->items[first].suite);
        if (!fixed) return w->l->c->status;
        for (size_t i = first; i < w->n; i++)
            if (w->group[i] == (int32_t)first)
                validate_suite_judge(w, column, i, suite_control_text(control, &w->suite->items[i], fixed));
        mem_free(w->l->c, fixed);
    }
    return OK;
}

/* ---- showing ---------------------------------------------------------------------------------------------------------- */

static struct paired_mean mean_in(const struct suite_work *w, const double *values, size_t first)
{
    return paired_ratio(values, NULL, w->ones, w->group, (int32_t)first, w->n);
}

static int suite_name_width(const struct suite_work *w)
{
    size_t width = 0;
    for (size_t i = 0; i < w->n_columns; i++)
        if (strlen(w->columns[i].name) > width) width = strlen(w->columns[i].name);
    return (int)width;
}

/* The largest share that a control passes in a suite. */
static double best_control(const struct suite_work *w, size_t first)
{
    double best = 0;
    for (size_t i = 0; i < w->n_columns; i++)
        if (w->columns[i].control) best = fmax(best, mean_in(w, w->columns[i].passed, first).mean);
    return best;
}

static void print_suite(const struct suite_work *w, size_t first)
{
    int width = suite_name_width(w);
    const char *name = w->suite->items[first].suite;
    double bar = best_control(w, first);
    printf("%s%s%s%" PRId64 " prompts\n", first ? "\n" : "", name, *name ? ": " : "",
           mean_in(w, w->columns[0].passed, first).items);
    printf("  %-*s  %15s  %15s\n", width, "", "passed (error)", "score (error)");
    for (size_t i = 0; i < w->n_columns; i++) {
        const struct suite_column *k = &w->columns[i];
        struct paired_mean passed = mean_in(w, k->passed, first), score = mean_in(w, k->score, first);
        printf("  %-*s  %6.4f (%.4f)  %6.4f (%.4f)", width, k->name, passed.mean, passed.error, score.mean, score.error);
        if (k->control) printf("  control: no model said this");
        if (!k->control && passed.mean <= bar) printf("  no better than a control: says nothing");
        printf("\n");
    }
}

static enum status print_suite_json(const struct suite_work *w, size_t first, const struct suite_column *k)
{
    struct buf line;
    struct paired_mean passed = mean_in(w, k->passed, first), score = mean_in(w, k->score, first);
    const char *name = w->suite->items[first].suite;
    buf_init(&line, w->l->c, SUITE_TEXT_BYTES);
    buf_append_str(&line, "{\"suite\":");
    json_append_string(&line, name, strlen(name));
    buf_printf(&line, ",\"%s\":", k->control ? "control" : "model");
    json_append_string(&line, k->name, strlen(k->name));
    buf_printf(&line, ",\"prompts\":%" PRId64 ",\"passed\":", passed.items);
    json_append_f64(&line, passed.mean);
    buf_append_str(&line, ",\"passed_stderr\":");
    json_append_f64(&line, passed.error);
    buf_append_str(&line, ",\"score\":");
    json_append_f64(&line, score.mean);
    buf_append_str(&line, ",\"score_stderr\":");
    json_append_f64(&line, score.error);
    buf_append_str(&line, "}");
    if (buf_ok(&line)) puts(buf_str(&line));
    buf_release(&line);
    return w->l->c->status;
}

/* ---- all of it -------------------------------------------------------------------------------------------------------- */

/* Reads the prompts and says of which suite each is. */
static enum status open_suite(struct suite_work *w)
{
    struct ctx *c = w->l->c;
    w->suite = suite_open(c, w->v->paths, w->v->n_paths);
    if (!w->suite) return c->status;
    w->n = w->v->limit && (size_t)w->v->limit < w->suite->n ? (size_t)w->v->limit : w->suite->n;
    w->ones = mem_alloc(c, w->n, sizeof *w->ones);
    w->group = mem_alloc(c, w->n, sizeof *w->group);
    for (size_t i = 0; ctx_ok(c) && i < w->n; i++) {
        size_t k = 0;
        while (strcmp(w->suite->items[k].suite, w->suite->items[i].suite) != 0) k++;
        w->group[i] = (int32_t)k;
        w->ones[i] = 1;
    }
    return c->status;
}

static enum status ask_and_print(struct suite_work *w)
{
    TRY(open_suite(w));
    TRY(candidates_each(w->v->candidates, w->l, ask_all, w));
    for (int k = 0; k < SUITE_CONTROLS; k++) TRY(judge_control(w, (enum suite_control)k));
    for (size_t i = 0; i < w->n; i++) {
        if (w->group[i] != (int32_t)i) continue;
        if (!w->v->json) print_suite(w, i);
        for (size_t k = 0; w->v->json && k < w->n_columns; k++) TRY(print_suite_json(w, i, &w->columns[k]));
    }
    return OK;
}

enum status validate_suite_run(const struct loaded *l, const struct validate_suite *v)
{
    struct ctx *c = l->c;
    struct suite_work *w = mem_alloc(c, 1, sizeof *w);
    if (!w) return c->status;
    w->l = l;
    w->v = v;
    enum status status = ask_and_print(w);
    for (size_t i = 0; i < w->n_columns; i++) {
        mem_free(c, w->columns[i].score);
        mem_free(c, w->columns[i].passed);
    }
    mem_free(c, w->ones);
    mem_free(c, w->group);
    suite_close(w->suite);
    mem_free(c, w);
    return status;
}
