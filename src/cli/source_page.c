/* source_page: adds the sources up over the steps of a history and prints them. See source_page.h. */
#include "cli/source_page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { SOURCE_NAME_COLUMNS = 36 };

/* A quarter of the steps, or all of them. */
enum page_window { WINDOW_FIRST, WINDOW_LAST, WINDOW_ALL, WINDOWS };

/* The rows of t->sources, summed over each window. */
struct source_windows {
    const struct trainer *t;
    struct source_sums (*sums)[WINDOWS]; /* (t->sources->n_rows) owned */
};

/* Whether both are about the same source type, file, or "others". */
static bool is_same_source(const struct source_row *row, enum source_by by, const char *name, int64_t others)
{
    bool same = row->name && name ? strcmp(row->name, name) == 0 : !row->name && !name;
    return row->by == by && same && (row->others > 0) == (others > 0);
}

/* The row of t->sources that a source of the history is about; NULL for none. */
static struct source_sums *find_row(const struct source_windows *w, const struct history_source *k)
{
    for (size_t i = 0; i < w->t->sources->n_rows; i++)
        if (is_same_source(&w->t->sources->rows[i], k->by, k->name, k->others)) return w->sums[i];
    return NULL;
}

/* Adds what a step says of a source to a window: means become sums again. */
static void source_page_add_point(struct source_sums *to, const struct history_source_point *p, double step_weight)
{
    double n = (double)p->trained_tokens;
    to->tokens += p->trained_tokens;
    to->nll += n * p->loss;
    to->weighted += n * p->weighted_loss;
    to->weight += step_weight * p->weight_share;
}

/* One source over all steps. The steps of a source ascend, as those of the history do. */
static void source_page_add_source(const struct source_windows *w, const struct history *h, const struct history_source *k)
{
    int64_t total = w->t->schedule.total, quarter = total < 4 ? 1 : total / 4;
    struct source_sums *sums = find_row(w, k);
    size_t at = 0;
    for (size_t i = 0; sums && i < k->n; i++) {
        const struct history_source_point *p = &k->points[i];
        while (h->steps[at].step < p->step) at++;
        double weight = h->steps[at].omega * (double)h->steps[at].trained_tokens;
        source_page_add_point(&sums[WINDOW_ALL], p, weight);
        if (p->step <= quarter) source_page_add_point(&sums[WINDOW_FIRST], p, weight);
        if (p->step > total - quarter) source_page_add_point(&sums[WINDOW_LAST], p, weight);
    }
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
        if (is_same_source(v, row->by, row->name, row->others)) return v;
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

enum status source_page_print(const struct trainer *t, const struct history *h)
{
    struct source_windows w = {.t = t};
    if (!t->sources || t->sources->n_rows == 0) return OK;
    w.sums = mem_alloc(t->c, t->sources->n_rows, sizeof *w.sums);
    if (!w.sums) return t->c->status;
    for (size_t i = 0; i < h->n_sources; i++) source_page_add_source(&w, h, &h->sources[i]);
    for (int by = 0; by < SOURCE_BYS; by++) print_by(&w, (enum source_by)by);
    puts("(mean losses of the first and the last quarter of the steps; metrics.jsonl has every step)");
    mem_free(t->c, w.sums);
    return OK;
}
