/* run_charts: the curves of runs. Each chart is a list of series, each series a column of a run's history; a run has the
 * same colour in all of them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "report/chart.h"
#include "report/page.h"
#include "runs/run_page_parts.h"

enum { COLUMNS = 12 };

/* What can be drawn of a step, and its place in run_columns. */
enum run_column {
    COLUMN_STEP,
    COLUMN_LOSS,
    COLUMN_LOSS_SMOOTH,
    COLUMN_WEIGHTED,
    COLUMN_WEIGHTED_SMOOTH,
    COLUMN_LR,
    COLUMN_NORM,
    COLUMN_THRESHOLD,
    COLUMN_CLIP,
    COLUMN_TIME_STEP,
    COLUMN_SPEED,
    COLUMN_MEMORY
};

/* All columns of one run, and its validations. Owned. */
struct run_columns {
    double *values; /* (COLUMNS x n) */
    size_t n;       /* room of a column: steps or timings, whichever are more */
    size_t steps, timings, evals;
    double *eval_step, *eval_loss, *eval_weighted; /* (evals), one block with eval_step first */
    double window;                                 /* steps that the smoothing looks over */
};

static double *column(const struct run_columns *k, enum run_column which)
{
    return k->values + (size_t)which * k->n;
}

/* An exponential mean over about `window` steps, corrected at its beginning. */
static void smooth(const double *in, double *out, size_t n, double window)
{
    double forget = 1 - 1 / window, sum = 0, weight = 0;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(in[i])) {
            sum = forget * sum + in[i];
            weight = forget * weight + 1;
        }
        out[i] = weight > 0 ? sum / weight : (double)NAN;
    }
}

static void fill_steps(struct run_columns *k, const struct history *h)
{
    for (size_t i = 0; i < h->n_steps; i++) {
        const struct metrics_step *s = &h->steps[i];
        column(k, COLUMN_STEP)[i] = (double)s->step;
        column(k, COLUMN_LOSS)[i] = s->loss;
        column(k, COLUMN_WEIGHTED)[i] = s->weighted_loss;
        column(k, COLUMN_LR)[i] = s->lr;
        column(k, COLUMN_NORM)[i] = s->grad_norm;
        column(k, COLUMN_THRESHOLD)[i] = s->threshold;
        column(k, COLUMN_CLIP)[i] = 100 * s->clip_share;
    }
    smooth(column(k, COLUMN_LOSS), column(k, COLUMN_LOSS_SMOOTH), h->n_steps, k->window);
    smooth(column(k, COLUMN_WEIGHTED), column(k, COLUMN_WEIGHTED_SMOOTH), h->n_steps, k->window);
}

static void fill_rest(struct run_columns *k, const struct history *h)
{
    for (size_t i = 0; i < h->n_timings; i++) {
        const struct metrics_timing *t = &h->timings[i];
        column(k, COLUMN_TIME_STEP)[i] = (double)t->step;
        column(k, COLUMN_SPEED)[i] = t->tokens_per_s;
        column(k, COLUMN_MEMORY)[i] = (double)t->peak_bytes / (double)(1 << 20);
    }
    for (size_t i = 0; i < h->n_evals; i++) {
        k->eval_step[i] = (double)h->evals[i].step;
        k->eval_loss[i] = h->evals[i].loss;
        k->eval_weighted[i] = h->evals[i].weighted_loss;
    }
}

static enum status columns_make(struct ctx *c, const struct history *h, struct run_columns *k)
{
    *k = (struct run_columns){.n = h->n_steps > h->n_timings ? h->n_steps : h->n_timings,
                              .steps = h->n_steps,
                              .timings = h->n_timings,
                              .evals = h->n_evals};
    k->window = fmax(5, (double)h->n_steps / 50);
    k->values = mem_alloc(c, COLUMNS * k->n + 1, sizeof *k->values);
    k->eval_step = mem_alloc(c, 3 * k->evals + 1, sizeof *k->eval_step);
    if (!k->values || !k->eval_step) return c->status;
    k->eval_loss = k->eval_step + k->evals;
    k->eval_weighted = k->eval_loss + k->evals;
    fill_steps(k, h);
    fill_rest(k, h);
    return OK;
}

static void columns_release(struct ctx *c, struct run_columns *k)
{
    mem_free(c, k->values);
    mem_free(c, k->eval_step);
}

/* ---- charts of all runs ---------------------------------------------------------------------------------------------- */

/* One chart: which column, with which pale one behind it (-1: none). */
struct run_chart {
    const char *title, *y_label;
    int behind, front;
    bool log_y, timing;
};

static const struct run_chart run_chart_list[] = {
    {"Training loss", "nats per token", COLUMN_LOSS, COLUMN_LOSS_SMOOTH, false, false},
    {"Weighted loss (the objective)", "nats per token", COLUMN_WEIGHTED, COLUMN_WEIGHTED_SMOOTH, false, false},
    {"Learning rate", "learning rate", -1, COLUMN_LR, false, false},
    {"Gradient norm, and the threshold of clipping (pale)", "norm", COLUMN_THRESHOLD, COLUMN_NORM, true, false},
    {"Steps clipped so far", "%", -1, COLUMN_CLIP, false, false},
    {"Speed", "tokens/s", -1, COLUMN_SPEED, false, true},
    {"Memory", "MiB", -1, COLUMN_MEMORY, false, true},
};

static void add_series(struct chart_series *list, size_t *n, const char *name, const double *x, const double *y,
                       size_t points, enum chart_kind kind, size_t colour)
{
    list[(*n)++] =
        (struct chart_series){.name = name, .x = x, .y = y, .n = points, .kind = kind, .colour = (int)(colour % 8) + 1};
}

static void write_run_chart(const struct run_read *runs, const struct run_columns *k, size_t n, const struct run_chart *what,
                            struct buf *out)
{
    struct chart_series series[2 * RUN_PAGE_RUNS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        const double *x = column(&k[i], what->timing ? COLUMN_TIME_STEP : COLUMN_STEP);
        size_t points = what->timing ? k[i].timings : k[i].steps;
        const char *name = run_page_label(&runs[i]);
        if (what->behind >= 0)
            add_series(series, &count, name, x, column(&k[i], (enum run_column)what->behind), points, CHART_FAINT, i);
        add_series(series, &count, name, x, column(&k[i], (enum run_column)what->front), points, CHART_CURVE, i);
    }
    chart_write(&(struct chart){.title = what->title,
                                .x_label = "step",
                                .y_label = what->y_label,
                                .log_y = what->log_y,
                                .series = series,
                                .n_series = count},
                out);
}

/* Validations have circles: they are few, and what lies between them is not known. */
static void write_validation(const struct run_read *runs, const struct run_columns *k, size_t n, bool weighted,
                             struct buf *out)
{
    struct chart_series series[RUN_PAGE_RUNS_MAX];
    size_t count = 0, points = 0;
    for (size_t i = 0; i < n; i++) {
        add_series(series, &count, run_page_label(&runs[i]), k[i].eval_step, weighted ? k[i].eval_weighted : k[i].eval_loss,
                   k[i].evals, CHART_POINTS, i);
        series[i].line = true;
        points += k[i].evals;
    }
    if (points == 0) return;
    chart_write(
        &(struct chart){.title = weighted ? "Weighted validation loss (the best adapter is by it)" : "Validation loss",
                        .x_label = "step",
                        .y_label = "nats per token",
                        .series = series,
                        .n_series = count},
        out);
}

static void run_charts_write_all(const struct run_read *runs, const struct run_columns *k, size_t n, struct buf *out)
{
    buf_printf(out,
               "<h2>Curves</h2><p class=\"dim\">Pale: every step; strong: a mean over about %.0f steps. Of curves with more "
               "points than the picture has columns, the least and the largest value of each column are drawn.</p><div "
               "class=\"charts\">",
               k[0].window);
    write_run_chart(runs, k, n, &run_chart_list[0], out);
    write_validation(runs, k, n, false, out);
    write_run_chart(runs, k, n, &run_chart_list[1], out);
    write_validation(runs, k, n, true, out);
    for (size_t i = 2; i < sizeof(run_chart_list) / sizeof(run_chart_list[0]); i++)
        write_run_chart(runs, k, n, &run_chart_list[i], out);
    buf_append_str(out, "</div>\n");
}

enum status run_charts_write(const struct run_read *runs, size_t n, struct buf *out)
{
    struct ctx *c = out->c;
    struct run_columns columns[RUN_PAGE_RUNS_MAX] = {0};
    for (size_t i = 0; i < n && ctx_ok(c); i++) columns_make(c, &runs[i].history, &columns[i]);
    if (ctx_ok(c)) run_charts_write_all(runs, columns, n, out);
    for (size_t i = 0; i < n; i++) columns_release(c, &columns[i]);
    return c->status;
}

/* ---- sources --------------------------------------------------------------------------------------------------------- */

static const char *source_label(const struct history_source *s)
{
    return s->others ? "(others)" : s->name ? s->name : "(without)";
}

/* Steps, smoothed losses and shares of one source; owned through `values` (3 x n). */
struct source_curve {
    double *values;
    const struct history_source *source;
};

static enum status source_curve_make(struct ctx *c, const struct history_source *s, double window, struct source_curve *k)
{
    double *raw = mem_alloc(c, 2 * s->n, sizeof *raw);
    *k = (struct source_curve){raw ? mem_alloc(c, 3 * s->n, sizeof *raw) : NULL, s};
    for (size_t i = 0; k->values && i < s->n; i++) {
        k->values[i] = (double)s->points[i].step;
        raw[i] = s->points[i].loss;
        raw[s->n + i] = 100 * s->points[i].weight_share;
    }
    if (k->values) {
        smooth(raw, k->values + s->n, s->n, window);
        smooth(raw + s->n, k->values + 2 * s->n, s->n, window);
    }
    mem_free(c, raw);
    return c->status;
}

/* One chart of the sources of a kind: their losses, or their shares of the weight. */
static void write_source_chart(const struct source_curve *k, size_t n, enum source_by by, bool share, struct buf *out)
{
    struct chart_series series[CHART_SERIES_MAX];
    size_t count = 0;
    char title[96];
    for (size_t i = 0; i < n && count < CHART_SERIES_MAX; i++) {
        const struct history_source *s = k[i].source;
        if (s->by != by) continue;
        add_series(series, &count, source_label(s), k[i].values, k[i].values + (share ? 2 : 1) * s->n, s->n, CHART_CURVE,
                   count);
    }
    if (count == 0) return;
    snprintf(title, sizeof title, "%s by %s", share ? "Share of the weight" : "Training loss", source_by_name[by]);
    chart_write(&(struct chart){.title = title,
                                .x_label = "step",
                                .y_label = share ? "%" : "nats per token",
                                .series = series,
                                .n_series = count},
                out);
}

static void write_valid_sources(const struct history *h, struct buf *out)
{
    if (h->n_valid_sources == 0) return;
    buf_append_str(out,
                   "<div class=\"wide\"><table><caption>Validation loss by source</caption><tr><th>source</th><th>by</th>"
                   "<th>tokens</th><th>share of weight</th><th>first</th><th>last</th></tr>\n");
    for (size_t i = 0; i < h->n_valid_sources; i++) {
        const struct history_source *s = &h->valid_sources[i];
        const struct history_source_point *last = &s->points[s->n - 1];
        buf_append_str(out, "<tr><td>");
        page_text(out, source_label(s));
        buf_printf(out, "</td><td>%s</td><td>%lld</td><td>%.1f %%</td><td>%.4f</td><td>%.4f</td></tr>\n",
                   source_by_name[s->by], (long long)last->trained_tokens, 100 * last->weight_share, s->points[0].loss,
                   last->loss);
    }
    buf_append_str(out, "</table></div>\n");
}

enum status run_charts_sources(const struct run_read *r, struct buf *out)
{
    struct ctx *c = out->c;
    const struct history *h = &r->history;
    double window = fmax(5, (double)h->n_steps / 50);
    if (h->n_sources == 0) return OK;
    struct source_curve *curves = mem_alloc(c, h->n_sources, sizeof *curves);
    for (size_t i = 0; curves && i < h->n_sources && ctx_ok(c); i++)
        source_curve_make(c, &h->sources[i], window, &curves[i]);
    if (curves && ctx_ok(c)) {
        buf_append_str(out, "<h3>Sources</h3><div class=\"charts\">");
        for (int by = 0; by < SOURCE_BYS; by++) {
            write_source_chart(curves, h->n_sources, (enum source_by)by, false, out);
            write_source_chart(curves, h->n_sources, (enum source_by)by, true, out);
        }
        buf_append_str(out, "</div>\n");
        write_valid_sources(h, out);
    }
    for (size_t i = 0; curves && i < h->n_sources; i++) mem_free(c, curves[i].values);
    mem_free(c, curves);
    return c->status;
}
