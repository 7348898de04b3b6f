/* run_weights: what the objective made of the rows of a run, from the tokenised rows in its folder. The base model is needed
 * only for its tokenizer, to show the words of the heaviest and the lightest documents. */
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "report/chart.h"
#include "report/page.h"
#include "runs/run_page_parts.h"
#include "runs/weight_view.h"

enum { EXCERPT_BYTES = 160, EXCERPT_CAP_BYTES = 1 << 12, GROUPS_SHOWN = 24 };

/* What the part is written from; `tokenizer` is NULL where the model cannot be read. */
struct run_weights {
    struct ctx *c;
    struct dataset *data;
    struct tokenizer *tokenizer;
    struct objective objective;
};

static void run_weights_say(struct buf *out, const char *text)
{
    buf_append_str(out, "<p class=\"dim\">");
    page_text(out, text);
    buf_append_str(out, "</p>\n");
}

/* Says in the page what failed, and forgets it; a lack of memory stays. */
static void say_failure(struct ctx *c, const char *what, struct buf *out)
{
    char text[CTX_MESSAGE_BYTES + 128];
    if (ctx_ok(c) || c->status == E_MEMORY) return;
    snprintf(text, sizeof text, "%s: %s", what, c->message);
    ctx_clear(c);
    run_weights_say(out, text);
}

static void write_histogram(const struct objective *o, struct buf *out)
{
    double middle[OBJECTIVE_BINS], count[OBJECTIVE_BINS];
    for (int i = 0; i < OBJECTIVE_BINS; i++) {
        middle[i] = sqrt(o->edges[i] * o->edges[i + 1]);
        count[i] = (double)o->histogram[i];
    }
    const struct chart_series bars = {.name = "trained tokens",
                                      .x = middle,
                                      .y = count,
                                      .low = o->edges,
                                      .high = o->edges + 1,
                                      .n = OBJECTIVE_BINS,
                                      .kind = CHART_BARS};
    buf_append_str(out, "<div class=\"charts\">");
    chart_write(&(struct chart){.title = "Trained tokens by omega, the weight of their document",
                                .x_label = "omega",
                                .y_label = "tokens",
                                .log_x = true,
                                .series = &bars,
                                .n_series = 1},
                out);
    buf_append_str(out, "</div>\n");
}

static void run_weights_write_group(const struct weight_group *g, double all, struct buf *out)
{
    double tokens = (double)g->tokens;
    buf_append_str(out, "<tr><td>");
    page_text(out, g->name);
    buf_printf(out, "</td><td>%lld</td><td>%lld</td>", (long long)g->documents, (long long)g->tokens);
    if (isnan(g->s))
        buf_append_str(out, "<td></td>");
    else
        buf_printf(out, "<td>%.2f</td>", g->s / tokens);
    buf_printf(out, "<td>%.3f</td><td>%.1f %%</td></tr>\n", g->omega / tokens, 100 * g->weight / all);
}

/* A table of groups, which are freed. */
static void run_weights_write_groups(struct ctx *c, const char *title, struct weight_group *groups, size_t n,
                                     struct buf *out)
{
    double all = 0;
    size_t shown = 0;
    for (size_t i = 0; groups && i < n; i++) all += groups[i].weight;
    if (all > 0) {
        buf_printf(
            out,
            "<div class=\"wide\"><table><tr><th>%s</th><th>documents</th><th>trained tokens</th><th>mean s</th><th>mean "
            "omega</th><th>of weight</th></tr>\n",
            title);
        for (size_t i = 0; i < n && shown < GROUPS_SHOWN; i++) {
            if (groups[i].documents == 0) continue;
            run_weights_write_group(&groups[i], all, out);
            shown++;
        }
        buf_append_str(out, "</table></div>\n");
    }
    mem_free(c, groups);
}

/* One row of the table of documents: weight, place, the words that are trained. */
static void write_document(const struct run_weights *w, int64_t i, struct buf *out)
{
    const struct dataset_document *d = dataset_document(w->data, i);
    struct buf text;
    buf_init(&text, w->c, EXCERPT_CAP_BYTES);
    if (w->tokenizer) weight_view_excerpt(w->c, w->tokenizer, w->data, i, EXCERPT_BYTES, &text);
    buf_printf(out, "<tr><td>%.3f</td><td>", weight_view_of(w->data, &w->objective, i));
    page_text(out, dataset_file(w->data, (size_t)d->file).path);
    buf_printf(out, ":%lld</td><td>", (long long)d->row);
    page_text(out, buf_str(&text));
    buf_append_str(out, "</td></tr>\n");
    buf_release(&text);
}

static void run_weights_write_documents(const struct run_weights *w, struct buf *out)
{
    static const char *const names[] = {"Heaviest documents", "Lightest documents"};
    int64_t found[2][WEIGHT_VIEW_EXTREMES];
    int n = weight_view_extremes(w->data, &w->objective, found);
    for (int side = 0; n > 0 && side < 2; side++) {
        buf_printf(out,
                   "<h3>%s</h3><div class=\"wide\"><table class=\"text\"><tr><th>weight</th><th>row</th><th>trained text"
                   "</th></tr>\n",
                   names[side]);
        for (int k = 0; k < n; k++) write_document(w, found[side][k], out);
        buf_append_str(out, "</table></div>\n");
    }
}

static void run_weights_write_all(struct run_weights *w, struct buf *out)
{
    const struct objective *o = &w->objective;
    size_t n;
    char text[256];
    if (o->omega_max > o->omega_min) {
        snprintf(text, sizeof text, "%s: omega %.4f to %.4f, effective sample size %.0f of %lld trained tokens",
                 objective_mode_name(o->options.mode), o->omega_min, o->omega_max, o->ess, (long long)o->tokens);
        run_weights_say(out, text);
        write_histogram(o, out);
    } else {
        run_weights_say(out, "All documents weigh the same.");
    }
    struct weight_group *groups = weight_view_types(w->c, w->data, o, &n);
    run_weights_write_groups(w->c, "source_type", groups, n, out);
    groups = weight_view_files(w->c, w->data, o, &n);
    run_weights_write_groups(w->c, "file", groups, n, out);
    run_weights_write_documents(w, out);
}

enum status run_weights_write(const struct run_read *r, struct buf *out)
{
    struct ctx *c = out->c;
    struct run_weights w = {.c = c};
    char *path = path_join(c, r->run, "data.cache");
    buf_append_str(out, "<h3>Weights of the rows</h3>\n");
    if (path) w.data = dataset_open(c, path);
    if (w.data && objective_fit(c, &r->values.config.objective, w.data, &w.objective) == OK) {
        w.tokenizer = tokenizer_open(c, r->values.config.model);
        say_failure(c, "The words of documents are not shown", out);
        if (ctx_ok(c)) run_weights_write_all(&w, out);
    }
    say_failure(c, "The weights are not shown", out);
    tokenizer_free(w.tokenizer);
    dataset_close(w.data);
    mem_free(c, path);
    return c->status;
}
