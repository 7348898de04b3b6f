/* experiment_html: report.html of an experiment's folder. See experiment_write.h. */
#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "eval/experiment_write.h"
#include "report/chart.h"
#include "report/page.h"

enum { PAGE_CAP_BYTES = 64 << 20 };

/* Points of one chart, arm after arm. */
struct html_points {
    double *x, *y, *low, *high; /* (n_groups) each */
    struct chart_series series[CHART_SERIES_MAX];
    size_t n, n_series;
};

/* Collects the groups of an arm that were trained for so many epochs. */
static void collect_arm(const struct experiment_fits *f, enum arm arm, int64_t epochs, enum belief belief,
                        struct html_points *p)
{
    size_t first = p->n;
    for (size_t i = 0; i < f->n_groups; i++) {
        const struct fit_group *g = &f->groups[i];
        if (g->cell.arm != arm || g->cell.epochs != epochs || !isfinite(g->predicted)) continue;
        p->x[p->n] = g->predicted;
        p->y[p->n] = g->mean[belief].slope;
        p->low[p->n] = g->mean[belief].low;
        p->high[p->n++] = g->mean[belief].high;
    }
    if (p->n > first)
        p->series[p->n_series++] = (struct chart_series){.name = arm_name[arm],
                                                         .x = p->x + first,
                                                         .y = p->y + first,
                                                         .low = p->low + first,
                                                         .high = p->high + first,
                                                         .n = p->n - first};
}

static enum status write_chart(const struct experiment_fits *f, int64_t epochs, enum belief belief, struct buf *out)
{
    struct ctx *c = f->c;
    char title[128];
    double *memory = mem_alloc(c, 4 * f->n_groups + 1, sizeof(*memory));
    if (!memory) return c->status;
    struct html_points p = {memory, memory + f->n_groups, memory + 2 * f->n_groups, memory + 3 * f->n_groups, .n = 0};
    for (int arm = ARM_OFF; arm < ARMS; arm++) collect_arm(f, (enum arm)arm, epochs, belief, &p);
    snprintf(title, sizeof(title), "%s, %lld epochs", belief_name[belief], (long long)epochs);
    const struct chart chart = {.title = title,
                                .x_label = "predicted log-odds (nats)",
                                .y_label = "measured log-odds (nats)",
                                .diagonal = true,
                                .series = p.series,
                                .n_series = p.n_series};
    buf_append_str(out, "<div>");
    chart_write(&chart, out);
    buf_append_str(out, "</div>\n");
    mem_free(c, memory);
    return c->status;
}

static void experiment_html_write_number(struct buf *out, double value)
{
    if (isfinite(value)) /* what rounds to 0 has no sign */
        buf_printf(out, "<td>%+.2f</td>", fabs(value) < 0.005 ? 0 : value);
    else
        buf_append_str(out, "<td></td>");
}

static void experiment_html_write_groups(const struct experiment_fits *f, struct buf *out)
{
    buf_append_str(out,
                   "<h2>All cells</h2><p>Means over facts and seeds. said: generated primary / consensus / neither.</p><div "
                   "class=\"wide\"><table><tr><th>arm</th><th>repeat</th><th>ratio</th><th>epochs</th><th>seeds</th>"
                   "<th>predicted</th>");
    for (int b = 0; b < BELIEFS; b++) buf_printf(out, "<th>%s</th>", belief_name[b]);
    buf_append_str(out, "<th>said</th><th>perplexity</th></tr>\n");
    for (size_t i = 0; i < f->n_groups; i++) {
        const struct fit_group *g = &f->groups[i];
        const struct cell *k = &g->cell;
        buf_printf(out, "<tr><td>%s</td><td>%lld</td><td>%lld</td><td>%lld</td><td>%lld</td>", arm_name[k->arm],
                   (long long)k->repeat, (long long)k->ratio, (long long)k->epochs, (long long)k->seed);
        experiment_html_write_number(out, g->predicted);
        for (int b = 0; b < BELIEFS; b++) experiment_html_write_number(out, g->mean[b].slope);
        buf_printf(out, "<td>%lld / %lld / %lld</td><td>%.1f</td></tr>\n", (long long)g->said[0].primary,
                   (long long)g->said[0].consensus, (long long)g->said[0].neither, g->perplexity);
    }
    buf_append_str(out, "</table></div>\n");
}

static void write_fits(const struct experiment_fits *f, struct buf *out)
{
    buf_append_str(out,
                   "<h2>Slopes</h2><p>Measured over predicted log-odds, 95 % interval by bootstrap over facts; 1 is what "
                   "weighted maximum likelihood predicts. change: against plain training on the same documents.</p><div "
                   "class=\"wide\"><table><tr><th>arm</th><th>fit</th><th>epochs</th><th>asked</th><th>slope</th>"
                   "<th>low</th><th>high</th></tr>\n");
    for (size_t i = 0; i < f->n; i++) {
        const struct fit *k = &f->fits[i];
        buf_printf(out, "<tr><td>%s</td><td>%s</td><td>%lld</td><td>%s</td>",
                   k->arm == ARM_BASE ? "off and monotone" : arm_name[k->arm], fit_kind_name[k->kind], (long long)k->epochs,
                   belief_name[k->belief]);
        experiment_html_write_number(out, k->slope.slope);
        experiment_html_write_number(out, k->slope.low);
        experiment_html_write_number(out, k->slope.high);
        buf_append_str(out, "</tr>\n");
    }
    buf_append_str(out, "</table></div>\n");
}

/* The charts of every length of training, each length once. */
static enum status write_charts(const struct experiment_fits *f, struct buf *out)
{
    static const enum belief shown[] = {BELIEF_TRAINED, BELIEF_HELD_OUT, BELIEF_UNSEEN};
    for (size_t i = 0; i < f->n_groups; i++) {
        int64_t epochs = f->groups[i].cell.epochs;
        size_t before = 0;
        while (before < i && f->groups[before].cell.epochs != epochs) before++;
        if (before < i || epochs == 0) continue;
        for (size_t k = 0; k < sizeof(shown) / sizeof(shown[0]); k++) TRY(write_chart(f, epochs, shown[k], out));
    }
    return OK;
}

enum status experiment_write_html(const struct experiment_fits *f, const char *dir)
{
    struct buf page;
    buf_init(&page, f->c, PAGE_CAP_BYTES);
    page_begin(&page, "What the weights did: the conflict experiment");
    buf_append_str(&page,
                   "<p>Each point is one kind of training: its prediction from weights and counts, and the log-odds of the "
                   "primary claim that the model then has. The dashed line is where they are equal. Statements that were "
                   "trained, statements in words never trained, and facts never trained, which should stay at 0. Weights "
                   "rate provenance, not truth.</p>\n");
    buf_append_str(&page, "<div class=\"charts\">\n");
    if (write_charts(f, &page) == OK) {
        buf_append_str(&page, "</div>\n");
        write_fits(f, &page);
        experiment_html_write_groups(f, &page);
        page_end(&page);
        char *path = buf_ok(&page) ? path_join(f->c, dir, "report.html") : NULL;
        if (path) file_write_atomic(f->c, path, buf_str(&page), page.len);
        mem_free(f->c, path);
    }
    buf_release(&page);
    return f->c->status;
}
