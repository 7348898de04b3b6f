/* source_page: adds the sources up over the lines of metrics.jsonl and prints them. See source_page.h. */
#include "cli/source_page.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"
#include "io/row_file.h"

enum { SOURCE_NAME_COLUMNS = 36 };

/* A quarter of the steps, or all of them. */
enum page_window { WINDOW_FIRST, WINDOW_LAST, WINDOW_ALL, WINDOWS };

/* The rows of t->sources, summed over each window. */
struct source_windows {
    const struct trainer *t;
    struct source_sums (*sums)[WINDOWS]; /* (t->sources->n_rows) owned */
};

/* The row of t->sources that an object of the list is about; NULL for none. */
static struct source_sums *find_row(const struct source_windows *w, const json_t *o)
{
    const struct source_loss *s = w->t->sources;
    const char *by = json_string_value(json_object_get(o, "by")), *name = json_string_value(json_object_get(o, "name"));
    bool others = json_object_get(o, "others") != NULL;
    for (size_t i = 0; by && i < s->n_rows; i++) {
        const struct source_row *row = &s->rows[i];
        bool same = row->name && name ? strcmp(row->name, name) == 0 : !row->name && !name;
        if (strcmp(source_by_name[row->by], by) == 0 && (row->others > 0) == others && same) return w->sums[i];
    }
    return NULL;
}

/* Adds an object of a step's list to a window: means become sums again. The weight is that of the step times the share. */
static void add_object(struct source_sums *to, const json_t *o, double step_weight)
{
    int64_t n = json_integer_value(json_object_get(o, "trained_tokens"));
    to->tokens += n;
    to->nll += (double)n * json_number_value(json_object_get(o, "loss"));
    to->weighted += (double)n * json_number_value(json_object_get(o, "weighted_loss"));
    to->weight += step_weight * json_number_value(json_object_get(o, "weight_share"));
}

/* A line of metrics.jsonl; those of validations have no such list. */
static void add_line(struct source_windows *w, const json_t *line)
{
    int64_t step = json_integer_value(json_object_get(line, "step")), total = w->t->schedule.total;
    int64_t quarter = total < 4 ? 1 : total / 4;
    double weight = json_number_value(json_object_get(line, "omega")) *
                    (double)json_integer_value(json_object_get(line, "trained_tokens"));
    const json_t *list = json_object_get(line, "sources");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        struct source_sums *sums = find_row(w, o);
        if (!sums) continue;
        add_object(&sums[WINDOW_ALL], o, weight);
        if (step <= quarter) add_object(&sums[WINDOW_FIRST], o, weight);
        if (step > total - quarter) add_object(&sums[WINDOW_LAST], o, weight);
    }
}

static enum status read_metrics(struct source_windows *w)
{
    struct ctx *c = w->t->c;
    struct row_bytes row;
    char *path = path_join(c, w->t->config.run, "metrics.jsonl");
    struct row_file *f = path ? row_file_open(c, path) : NULL;
    while (f && row_file_next(f, &row)) {
        json_t *line = row.bytes ? json_parse(c, path, row.bytes, row.n) : NULL;
        if (line) add_line(w, line);
        json_decref(line);
    }
    row_file_close(f);
    mem_free(c, path);
    return c->status;
}

/* ---- printing --------------------------------------------------------------------------------------------------------- */

/* A mean over tokens, or "-" where there are none. */
static void print_loss(double sum, int64_t tokens)
{
    if (tokens)
        printf(" %10.4f", sum / (double)tokens);
    else
        printf(" %10s", "-");
}

static const struct source_row *valid_row(const struct trainer *t, const struct source_row *row)
{
    for (size_t i = 0; t->valid_sources && i < t->valid_sources->n_rows; i++) {
        const struct source_row *v = &t->valid_sources->rows[i];
        bool same = row->name && v->name ? strcmp(row->name, v->name) == 0 : !row->name && !v->name;
        if (v->by == row->by && same && (row->others > 0) == (v->others > 0)) return v;
    }
    return NULL;
}

static void print_source(const struct source_windows *w, size_t i, double weight)
{
    const struct source_row *row = &w->t->sources->rows[i], *valid = valid_row(w->t, row);
    const struct source_sums *s = w->sums[i];
    char others[SOURCE_TEXT_BYTES];
    const char *name = source_row_text(row, others);
    size_t n = strlen(name);
    bool cut = n > SOURCE_NAME_COLUMNS; /* the end of a path tells more */
    printf("  %s%-*s %11" PRId64 " %8.1f %%", cut ? "..." : "", cut ? SOURCE_NAME_COLUMNS - 3 : SOURCE_NAME_COLUMNS,
           cut ? name + n - (SOURCE_NAME_COLUMNS - 3) : name, s[WINDOW_ALL].tokens, 100 * s[WINDOW_ALL].weight / weight);
    print_loss(s[WINDOW_FIRST].nll, s[WINDOW_FIRST].tokens);
    print_loss(s[WINDOW_LAST].nll, s[WINDOW_LAST].tokens);
    print_loss(s[WINDOW_LAST].weighted, s[WINDOW_LAST].tokens);
    if (w->t->valid_sources) print_loss(valid ? valid->sums.nll : 0, valid ? valid->sums.tokens : 0);
    putchar('\n');
}

/* One table. */
static void print_by(const struct source_windows *w, enum source_by by)
{
    const struct source_loss *s = w->t->sources;
    double weight = 0;
    char title[32];
    for (size_t i = 0; i < s->n_rows; i++) weight += s->rows[i].by == by ? w->sums[i][WINDOW_ALL].weight : 0;
    if (!(weight > 0)) return;
    snprintf(title, sizeof(title), "by %s", source_by_name[by]);
    printf("%-*s %11s %10s %10s %10s %10s%s\n", SOURCE_NAME_COLUMNS + 2, title, "tokens", "of weight", "first loss",
           "last loss", "weighted", w->t->valid_sources ? " validation" : "");
    for (size_t i = 0; i < s->n_rows; i++)
        if (s->rows[i].by == by) print_source(w, i, weight);
}

enum status source_page_print(const struct trainer *t)
{
    struct source_windows w = {.t = t};
    if (!t->sources || t->sources->n_rows == 0) return OK;
    w.sums = mem_alloc(t->c, t->sources->n_rows, sizeof *w.sums);
    if (!w.sums) return t->c->status;
    if (read_metrics(&w) == OK) {
        for (int by = 0; by < SOURCE_BYS; by++) print_by(&w, (enum source_by)by);
        puts("(mean losses of the first and the last quarter of the steps; metrics.jsonl has every step)");
    } else if (t->c->status != E_MEMORY) {
        ctx_log(t->c, LOG_WARN, "the sources are not shown: %s", t->c->message);
        ctx_clear(t->c);
    }
    mem_free(t->c, w.sums);
    return t->c->status;
}
