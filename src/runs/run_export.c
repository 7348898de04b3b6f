/* run_export: see the header. */
#include "runs/run_export.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/system.h"
#include "io/json.h"
#include "report/tfevents.h"
#include "runs/run_page_parts.h"

enum { EVENTS_CAP_BYTES = 1 << 30 };

/* ---- CSV ------------------------------------------------------------------------------------------------------------- */

/* A text field; quoted where it must be. A field that a spreadsheet would take for a formula gets an apostrophe, since names
 * of folders come from others. */
static void csv_text(struct buf *out, const char *text)
{
    bool formula = *text && strchr("=+-@\t\r", *text), quoted = formula || text[strcspn(text, ",\"\r\n")];
    if (quoted) buf_append_char(out, '"');
    if (formula) buf_append_char(out, '\'');
    for (; *text; text++) {
        if (*text == '"') buf_append_char(out, '"');
        buf_append_char(out, *text);
    }
    if (quoted) buf_append_char(out, '"');
}

/* ",value" with all its digits, or "," for what is not a number. */
static void csv_f64(struct buf *out, double v)
{
    buf_append_char(out, ',');
    if (isfinite(v)) json_append_f64(out, v);
}

static void csv_i64(struct buf *out, int64_t v)
{
    buf_printf(out, ",%" PRId64, v);
}

static void csv_step(const struct metrics_step *s, struct buf *out)
{
    csv_i64(out, s->step);
    csv_i64(out, s->epoch);
    csv_f64(out, s->loss);
    csv_f64(out, s->weighted_loss);
    csv_f64(out, s->distrust);
    csv_f64(out, s->total);
    csv_f64(out, s->lr);
    csv_f64(out, s->grad_norm);
    csv_f64(out, s->threshold);
    csv_i64(out, s->clipped);
    csv_f64(out, s->clip_share);
    csv_f64(out, s->omega);
    csv_i64(out, s->trained_tokens);
    csv_i64(out, s->tokens);
}

static void csv_timing(const struct metrics_timing *t, struct buf *out)
{
    if (!t) {
        buf_append_str(out, ",,,");
        return;
    }
    csv_f64(out, t->seconds);
    csv_f64(out, t->tokens_per_s);
    csv_i64(out, (int64_t)t->peak_bytes);
}

static void csv_eval(const struct metrics_eval *e, struct buf *out)
{
    csv_f64(out, e ? e->loss : (double)NAN);
    csv_f64(out, e ? e->weighted_loss : (double)NAN);
    buf_append_char(out, '\n');
}

/* Steps, timings and validations ascend, so each list is walked once. */
static void csv_run(const struct run_read *r, struct buf *out)
{
    const struct history *h = &r->history;
    size_t timing = 0, eval = 0;
    if (h->n_evals && h->evals[0].step == 0) {
        csv_text(out, run_page_label(r));
        buf_append_str(out, ",0,,,,,,,,,,,,,,,,");
        csv_eval(&h->evals[eval++], out);
    }
    for (size_t i = 0; i < h->n_steps; i++) {
        int64_t step = h->steps[i].step;
        while (timing < h->n_timings && h->timings[timing].step < step) timing++;
        while (eval < h->n_evals && h->evals[eval].step < step) eval++;
        csv_text(out, run_page_label(r));
        csv_step(&h->steps[i], out);
        csv_timing(timing < h->n_timings && h->timings[timing].step == step ? &h->timings[timing] : NULL, out);
        csv_eval(eval < h->n_evals && h->evals[eval].step == step ? &h->evals[eval] : NULL, out);
    }
}

enum status run_export_csv(const struct run_read *runs, size_t n, struct buf *out)
{
    buf_append_str(out,
                   "run,step,epoch,loss,weighted_loss,distrust,total,lr,grad_norm,clip_threshold,clipped,clip_share,omega,"
                   "trained_tokens,tokens,seconds,tokens_per_s,peak_bytes,valid_loss,valid_weighted_loss\n");
    for (size_t i = 0; i < n; i++) csv_run(&runs[i], out);
    return buf_ok(out) ? OK : out->c->status;
}

/* ---- TensorBoard ----------------------------------------------------------------------------------------------------- */

static void run_export_add_step(struct buf *out, double when, const struct metrics_step *s)
{
    tfevents_scalar(out, when, s->step, "loss/total", s->total);
    tfevents_scalar(out, when, s->step, "loss/cross_entropy", s->loss);
    tfevents_scalar(out, when, s->step, "loss/weighted", s->weighted_loss);
    if (isfinite(s->distrust)) tfevents_scalar(out, when, s->step, "loss/distrust", s->distrust);
    tfevents_scalar(out, when, s->step, "training/learning_rate", s->lr);
    tfevents_scalar(out, when, s->step, "training/grad_norm", s->grad_norm);
    tfevents_scalar(out, when, s->step, "training/clip_share", s->clip_share);
}

static void run_export_add_timing(struct buf *out, double when, const struct metrics_timing *t, double memory_before)
{
    double mib = (double)t->peak_bytes / (double)(1 << 20);
    tfevents_scalar(out, when, t->step, "system/memory_mb", mib);
    tfevents_scalar(out, when, t->step, "system/memory_change_mb", mib - memory_before);
    tfevents_scalar(out, when, t->step, "system/tokens_per_s", t->tokens_per_s);
}

static void run_export_add_eval(struct buf *out, double when, const struct metrics_eval *e)
{
    tfevents_scalar(out, when, e->step, "validation/loss", e->loss);
    tfevents_scalar(out, when, e->step, "validation/weighted_loss", e->weighted_loss);
}

/* All events, in the order of their steps. */
static void write_events(const struct history *h, double begin, struct buf *out)
{
    double when = begin, memory = h->n_timings ? (double)h->timings[0].peak_bytes / (double)(1 << 20) : 0;
    size_t timing = 0, eval = 0;
    tfevents_begin(out, begin);
    for (; eval < h->n_evals && h->evals[eval].step == 0; eval++) run_export_add_eval(out, begin, &h->evals[eval]);
    for (size_t i = 0; i < h->n_steps; i++) {
        const struct metrics_step *s = &h->steps[i];
        for (; timing < h->n_timings && h->timings[timing].step <= s->step; timing++) {
            const struct metrics_timing *t = &h->timings[timing];
            when += t->seconds;
            if (t->step != s->step) continue;
            run_export_add_timing(out, when, t, memory);
            memory = (double)t->peak_bytes / (double)(1 << 20);
        }
        run_export_add_step(out, when, s);
        for (; eval < h->n_evals && h->evals[eval].step <= s->step; eval++) run_export_add_eval(out, when, &h->evals[eval]);
    }
}

/* When the first step began: the last change of timing.jsonl less the seconds of all steps. */
static double run_export_begin_of(struct ctx *c, const struct run_read *r)
{
    struct stat st = {0};
    char *path = path_join(c, r->run, "timing.jsonl");
    bool known = path && stat(path, &st) == 0;
    struct timespec end = system_modified(&st);
    mem_free(c, path);
    return known ? (double)end.tv_sec + 1e-9 * (double)end.tv_nsec - r->verdict.seconds : 0;
}

enum status run_export_tensorboard(const struct run_read *r, const char *dir)
{
    struct ctx *c = r->c;
    struct buf events;
    double begin = run_export_begin_of(c, r);
    char *folder = path_join(c, dir, run_page_label(r)), *path = NULL;
    if (folder) path = mem_printf(c, "%s/events.out.tfevents.%" PRId64 ".your_ai", folder, (int64_t)begin);
    buf_init(&events, c, EVENTS_CAP_BYTES);
    if (path && dir_make(c, folder) == OK) {
        write_events(&r->history, begin, &events);
        if (buf_ok(&events)) file_write_atomic(c, path, buf_str(&events), events.len);
    }
    buf_release(&events);
    mem_free(c, path);
    mem_free(c, folder);
    return c->status;
}
