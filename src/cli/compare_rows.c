/* compare_rows: see compare_rows.h. Documents are measured one candidate after the other into lists of the same order, so
 * that differences are those of the same document (eval/paired.h). */
#include "cli/compare_rows.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "data/dataset_temporary.h"
#include "eval/paired.h"
#include "eval/row_loss.h"
#include "io/json.h"
#include "train/source_loss.h"

enum { ROWS_LINE_BYTES = 1 << 20, ROWS_NAME_COLUMNS = 24 };

struct rows_work {
    const struct loaded *l;
    const struct compare_rows *v;
    struct dataset *data;
    struct source_loss *sources;
    size_t n;       /* documents */
    double *size;   /* (n) trained tokens */
    int32_t *group; /* (n) scratch: the row of a document among the sources */
    double *nll;    /* (candidates, n) */
    double *right;  /* (candidates, n) 1, 0 or NaN */
    int32_t *asked; /* (n) 1: the document was asked for its answer */
    double *ones;   /* (n) */
};

/* A candidate_fn. */
static enum status measure_rows(void *user, size_t index, struct engine *e)
{
    struct rows_work *w = user;
    double *right = w->right + index * w->n;
    TRY(row_loss_measure(e, w->data, w->v->options->batch, w->nll + index * w->n));
    for (size_t i = 0; i < w->n; i++) right[i] = NAN;
    if (w->v->options->answers < 0) return OK;
    TRY(row_loss_answers(e, w->l->tokenizer, w->data, w->v->options->answers, right));
    for (size_t i = 0; i < w->n; i++) w->asked[i] = !isnan(right[i]); /* of every candidate the same ones */
    return OK;
}

static enum status compare_rows_open(struct rows_work *w)
{
    struct ctx *c = w->l->c;
    size_t models = w->v->candidates->n;
    struct dataset_options options = w->v->options->data;
    options.paths = w->v->options->paths.items;
    options.n_paths = w->v->options->paths.n;
    data_rows_settle(&options);
    if (options.max_length > w->l->engine->context)
        options.max_length = w->l->engine->context; /* documents are split there */
    w->data = dataset_temporary_new(c, w->l->tokenizer, &options);
    if (!w->data) return c->status;
    const struct dataset_counts *counts = dataset_counts(w->data);
    if (counts->max_token >= w->l->engine->vocab)
        return ctx_fail(c, E_INPUT, "the tokenizer gives id %" PRId64 ", but the model knows %" PRId64 " tokens",
                        counts->max_token, w->l->engine->vocab);
    w->n = (size_t)dataset_n_documents(w->data);
    w->sources = source_loss_new(c, w->data);
    w->size = mem_alloc(c, w->n, sizeof *w->size);
    w->ones = mem_alloc(c, w->n, sizeof *w->ones);
    w->group = mem_alloc(c, w->n, sizeof *w->group);
    w->asked = mem_alloc(c, w->n, sizeof *w->asked);
    w->nll = mem_alloc(c, models * w->n, sizeof *w->nll);
    w->right = mem_alloc(c, models * w->n, sizeof *w->right);
    for (size_t i = 0; ctx_ok(c) && i < w->n; i++) {
        w->size[i] = dataset_document(w->data, (int64_t)i)->n_trained;
        w->ones[i] = 1;
    }
    return c->status;
}

/* ---- what was measured ----------------------------------------------------------------------------------------------- */

/* Loss of a candidate, and its difference from the first one: over all documents, or over those of a source. */
struct rows_result {
    struct paired_mean loss, change;
};

static struct rows_result compare_rows_result_of(const struct rows_work *w, size_t i, const int32_t *group, int32_t which)
{
    const double *mine = w->nll + i * w->n;
    return (struct rows_result){paired_ratio(mine, NULL, w->size, group, which, w->n),
                                paired_ratio(mine, w->nll, w->size, group, which, w->n)};
}

/* The same of exact answers. */
static struct rows_result answers_of(const struct rows_work *w, size_t i)
{
    const double *mine = w->right + i * w->n;
    return (struct rows_result){paired_ratio(mine, NULL, w->ones, w->asked, 1, w->n),
                                paired_ratio(mine, w->right, w->ones, w->asked, 1, w->n)};
}

/* Sets w->group to the rows of documents in one kind of source; false when those are not told apart. */
static bool group_by(struct rows_work *w, enum source_by by)
{
    for (size_t i = 0; i < w->n; i++) w->group[i] = source_loss_row(w->sources, by, (int64_t)i);
    return w->n > 0 && w->group[0] >= 0;
}

/* ---- a table --------------------------------------------------------------------------------------------------------- */

/* What rows became documents, and which did not. */
static void print_rows_counts(const struct rows_work *w)
{
    const struct dataset_counts *k = dataset_counts(w->data);
    printf("rows     %" PRId64 " rows, %" PRId64 " documents, %" PRId64 " tokens: %" PRId64 " count, %" PRId64
           " are masked (prompts, other turns)\n",
           k->rows, k->documents, k->tokens, k->trained, k->masked);
    if (k->unweighted_rows) printf("         %" PRId64 " rows of loss_weight 0 left out\n", k->unweighted_rows);
    if (k->split_rows || k->truncated_rows || k->left_out_tokens)
        printf("         %" PRId64 " rows split at %" PRId64 " tokens, %" PRId64 " truncated, %" PRId64 " tokens left out\n",
               k->split_rows, dataset_max_length(w->data), k->truncated_rows, k->left_out_tokens);
    for (int i = 0; i < FAULT_COUNT; i++)
        if (k->bad[i]) printf("         %" PRId64 " rows skipped: %s\n", k->bad[i], record_fault_name((enum record_fault)i));
}

static void print_change(const struct rows_result *r, bool shown)
{
    if (shown) printf("  %+9.4f (%.4f)", r->change.mean, r->change.error);
}

static void print_all_rows(const struct rows_work *w)
{
    const struct candidates *a = w->v->candidates;
    int width = candidates_width(a);
    printf("\n%-*s  %17s  %10s", width, "model", "loss (error)", "perplexity");
    if (a->n > 1) printf("  loss against %s (paired error)", a->list[0].name);
    printf("\n");
    for (size_t i = 0; i < a->n; i++) {
        struct rows_result r = compare_rows_result_of(w, i, NULL, 0);
        printf("%-*s  %8.4f (%.4f)  %10.3f", width, a->list[i].name, r.loss.mean, r.loss.error, exp(r.loss.mean));
        print_change(&r, i > 0);
        printf("\n");
    }
}

static void print_answers(const struct rows_work *w)
{
    const struct candidates *a = w->v->candidates;
    int width = candidates_width(a);
    if (w->v->options->answers < 0) return;
    int64_t asked = answers_of(w, 0).loss.items;
    printf("\nanswers  %" PRId64 " of %zu documents have a prompt and an answer and were asked\n", asked, w->n);
    for (size_t i = 0; asked && i < a->n; i++) {
        struct rows_result r = answers_of(w, i);
        printf("%-*s  exact %6.4f (%.4f)", width, a->list[i].name, r.loss.mean, r.loss.error);
        print_change(&r, i > 0);
        printf("\n");
    }
}

/* A line for each source and candidate. */
static void compare_rows_print_sources(struct rows_work *w, enum source_by by)
{
    const struct candidates *a = w->v->candidates;
    int width = candidates_width(a);
    char title[SOURCE_TEXT_BYTES], text[SOURCE_TEXT_BYTES];
    if (!group_by(w, by)) return;
    snprintf(title, sizeof(title), "by %s", source_by_name[by]);
    printf("\n%-*s  %9s  %8s  %-*s  %17s\n", ROWS_NAME_COLUMNS, title, "documents", "tokens", width, "model",
           "loss (error)");
    for (size_t s = 0; s < w->sources->n_rows; s++) {
        if (w->sources->rows[s].by != by) continue;
        for (size_t i = 0; i < a->n; i++) {
            struct rows_result r = compare_rows_result_of(w, i, w->group, (int32_t)s);
            if (i == 0)
                printf("%-*s  %9" PRId64 "  %8.0f", ROWS_NAME_COLUMNS, source_row_text(&w->sources->rows[s], text),
                       r.loss.items, r.loss.size);
            else
                printf("%*s", ROWS_NAME_COLUMNS + 21, "");
            printf("  %-*s  %8.4f (%.4f)", width, a->list[i].name, r.loss.mean, r.loss.error);
            print_change(&r, i > 0);
            printf("\n");
        }
    }
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------ */

/* ,"loss":1.2,"loss_stderr":0.1 and, for a candidate that is compared, the difference. */
static void add_result(struct buf *line, const char *key, const struct rows_result *r, bool compared)
{
    const struct paired_mean *means[] = {&r->loss, &r->change};
    for (int k = 0; k < 1 + compared; k++) {
        const char *what = k ? "_difference" : "";
        buf_printf(line, ",\"%s%s\":", key, what);
        json_append_f64(line, means[k]->mean);
        buf_printf(line, ",\"%s%s_stderr\":", key, what);
        json_append_f64(line, means[k]->error);
    }
}

static void add_source_list(struct rows_work *w, size_t i, struct buf *line)
{
    bool first = true;
    buf_append_str(line, ",\"sources\":[");
    for (size_t s = 0; s < w->sources->n_rows; s++) {
        const struct source_row *row = &w->sources->rows[s];
        group_by(w, row->by);
        struct rows_result r = compare_rows_result_of(w, i, w->group, (int32_t)s);
        buf_printf(line, "%s{", first ? "" : ",");
        source_row_json(row, line);
        buf_printf(line, ",\"documents\":%" PRId64 ",\"tokens\":%.0f", r.loss.items, r.loss.size);
        add_result(line, "loss", &r, i > 0);
        buf_append_char(line, '}');
        first = false;
    }
    buf_append_char(line, ']');
}

static enum status print_rows_json(struct rows_work *w, size_t i)
{
    const struct candidate *one = &w->v->candidates->list[i], *first = &w->v->candidates->list[0];
    const struct dataset_counts *k = dataset_counts(w->data);
    struct rows_result r = compare_rows_result_of(w, i, NULL, 0);
    struct buf line;
    buf_init(&line, w->l->c, ROWS_LINE_BYTES);
    buf_append_str(&line, "{\"model\":");
    json_append_string(&line, one->name, strlen(one->name));
    if (i > 0) {
        buf_append_str(&line, ",\"against\":");
        json_append_string(&line, first->name, strlen(first->name));
    }
    buf_printf(&line, ",\"rows\":%" PRId64 ",\"left_out_rows\":%" PRId64 ",\"split_rows\":%" PRId64 ",\"documents\":%zu",
               k->rows, k->unweighted_rows + k->bad_rows, k->split_rows, w->n);
    buf_printf(&line, ",\"tokens\":%.0f", r.loss.size);
    add_result(&line, "loss", &r, i > 0);
    buf_append_str(&line, ",\"perplexity\":");
    json_append_f64(&line, exp(r.loss.mean));
    if (w->v->options->answers >= 0) {
        struct rows_result exact = answers_of(w, i);
        buf_printf(&line, ",\"asked\":%" PRId64, exact.loss.items);
        add_result(&line, "exact", &exact, i > 0);
    }
    add_source_list(w, i, &line);
    buf_append_char(&line, '}');
    if (buf_ok(&line)) puts(buf_str(&line));
    buf_release(&line);
    return w->l->c->status;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------- */

static enum status measure_and_print(struct rows_work *w)
{
    TRY(compare_rows_open(w));
    TRY(candidates_each(w->v->candidates, w->l, measure_rows, w));
    for (size_t i = 0; w->v->json && i < w->v->candidates->n; i++) TRY(print_rows_json(w, i));
    if (w->v->json) return OK;
    print_rows_counts(w);
    print_all_rows(w);
    print_answers(w);
    for (int by = 0; by < SOURCE_BYS; by++) compare_rows_print_sources(w, (enum source_by)by);
    return OK;
}

enum status compare_rows_run(const struct loaded *l, const struct compare_rows *v)
{
    struct rows_work w = {.l = l, .v = v};
    enum status status = measure_and_print(&w);
    source_loss_free(w.sources);
    mem_free(l->c, w.size);
    mem_free(l->c, w.ones);
    mem_free(l->c, w.group);
    mem_free(l->c, w.asked);
    mem_free(l->c, w.nll);
    mem_free(l->c, w.right);
    dataset_close(w.data);
    return status;
}
