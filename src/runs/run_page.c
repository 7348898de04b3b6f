/* run_page: the frame of the page, the table of runs and their verdicts. See the header; charts are run_charts.c, weights
 * run_weights.c, options and hashes run_details.c. */
#include "runs/run_page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/page.h"
#include "runs/run_page_parts.h"

const char *run_page_label(const struct run_read *r)
{
    const char *slash = strrchr(r->run, '/');
    return slash && slash[1] ? slash + 1 : r->run;
}

/* "3 min 20 s" would be long in a table: "200 s", "1.5 h". */
static void write_time(double seconds, struct buf *out)
{
    if (seconds >= 5400)
        buf_printf(out, "<td>%.1f h</td>", seconds / 3600);
    else
        buf_printf(out, "<td>%.0f s</td>", seconds);
}

static void run_page_write_number(double v, struct buf *out)
{
    if (isfinite(v))
        buf_printf(out, "<td>%.4f</td>", v);
    else
        buf_append_str(out, "<td></td>");
}

static void write_run(const struct run_read *r, struct buf *out)
{
    const struct verdict *v = &r->verdict;
    const char *state = r->running ? "training" : r->finished ? "finished" : "stopped";
    buf_append_str(out, "<tr><td>");
    page_text(out, r->run);
    buf_printf(out, "</td><td>%s</td><td>%lld", state, (long long)v->steps);
    if (r->total_steps) buf_printf(out, " of %lld", (long long)r->total_steps);
    buf_append_str(out, "</td>");
    run_page_write_number(v->start_loss, out);
    run_page_write_number(v->end_loss, out);
    run_page_write_number(v->start_valid, out);
    run_page_write_number(v->best_valid, out);
    if (v->best_step)
        buf_printf(out, "<td>%lld</td>", (long long)v->best_step);
    else
        buf_append_str(out, "<td></td>");
    write_time(v->seconds, out);
    buf_printf(out, "<td>%.0f</td><td>%.2f GiB</td><td>%.1f MB</td></tr>\n", v->tokens_per_s,
               (double)v->peak_bytes / (double)((size_t)1 << 30), (double)r->size.total_bytes * 1e-6);
}

static void write_table(const struct run_read *runs, size_t n, struct buf *out)
{
    buf_append_str(out,
                   "<div class=\"wide\"><table><tr><th>run</th><th>state</th><th>steps</th><th>loss, start</th><th>loss, "
                   "end</th><th>validation, start</th><th>best</th><th>at step</th><th>time</th><th>tokens/s</th>"
                   "<th>memory</th><th>folder</th></tr>\n");
    for (size_t i = 0; i < n; i++) write_run(&runs[i], out);
    buf_append_str(out,
                   "</table></div>\n<p class=\"dim\">Losses are in nats per trained token; validation is weighted, as the "
                   "choice of the best adapter is. The folder of a run is mostly checkpoints, each of which holds the "
                   "adapter and twice its size of optimizer moments; --keep says how many stay.</p>\n");
}

/* What went wrong comes first. */
static void write_verdict(const struct run_read *r, struct buf *out)
{
    const struct verdict *v = &r->verdict;
    buf_append_str(out, "<h3>");
    page_text(out, run_page_label(r));
    buf_append_str(out, "</h3><ul>");
    for (int bad = 1; bad >= 0; bad--) {
        for (size_t i = 0; i < v->n; i++) {
            const struct finding *f = &v->findings[i];
            if (f->bad != (bad == 1)) continue;
            buf_append_str(out, bad ? "<li class=\"bad\">" : "<li>");
            page_text(out, f->text);
            buf_append_str(out, ".");
            if (f->next[0]) {
                buf_append_str(out, " <span class=\"dim\">What helps: ");
                page_text(out, f->next);
                buf_append_str(out, ".</span>");
            }
            buf_append_str(out, "</li>");
        }
    }
    buf_append_str(out, "</ul>\n");
}

/* The head of the page, the table, and how each run went. */
static void write_front(const struct run_read *runs, size_t n, struct buf *out)
{
    char title[256];
    if (n == 1)
        snprintf(title, sizeof title, "Training run: %.200s", run_page_label(&runs[0]));
    else
        snprintf(title, sizeof title, "%zu training runs", n);
    page_begin(out, title);
    write_table(runs, n, out);
    buf_append_str(out, "<h2>How it went</h2>\n");
    for (size_t i = 0; i < n; i++) write_verdict(&runs[i], out);
}

enum status run_page_write_live(const struct run_read *r, struct buf *out)
{
    write_front(r, 1, out);
    TRY(run_charts_write(r, 1, out));
    TRY(run_samples_write(r, out));
    TRY(run_charts_sources(r, out));
    page_end(out);
    return buf_ok(out) ? OK : out->c->status;
}

enum status run_page_write(const struct run_read *runs, size_t n, struct buf *out)
{
    write_front(runs, n, out);
    TRY(run_charts_write(runs, n, out));
    for (size_t i = 0; i < n; i++) {
        buf_append_str(out, "<h2>Data of ");
        page_text(out, run_page_label(&runs[i]));
        buf_append_str(out, "</h2>\n");
        TRY(run_samples_write(&runs[i], out));
        TRY(run_charts_sources(&runs[i], out));
        TRY(run_weights_write(&runs[i], out));
    }
    TRY(run_details_write(runs, n, out));
    page_end(out);
    return buf_ok(out) ? OK : out->c->status;
}
