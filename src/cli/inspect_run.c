/* inspect_run: facts about a run, then its curve, the verdict and the commands that come next. */
#include "cli/inspect_run.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/shell_word.h"
#include "base/system.h"
#include "base/utf8.h"
#include "cli/progress_line.h"
#include "cli/verdict_page.h"
#include "report/braille.h"
#include "runs/samples.h"

enum { TEXT_BYTES = 256, PLOT_COLUMNS = 80, PLOT_ROWS = 10, FINDINGS_CAP_BYTES = 1 << 16 };
enum { ANSWER_BYTES_SHOWN = 110 };

/* ---- facts ----------------------------------------------------------------------------------------------------------- */

static void fact(struct inspect_page *p, const char *name, const char *text)
{
    inspect_page_string(p, name, text, strlen(text));
}

static void add_state(struct inspect_page *p, const struct run_read *r)
{
    fact(p, "state", r->running ? "training now" : r->finished ? "finished" : "not finished");
    inspect_page_i64(p, "steps", r->verdict.steps);
    if (r->total_steps) inspect_page_i64(p, "of_steps", r->total_steps);
}

/* What the run was started with. */
static void add_options(struct inspect_page *p, const struct run_read *r)
{
    static const char *const shown[] = {"model", "data",  "valid",  "adapter", "distrust", "lambda",
                                        "rank",  "alpha", "epochs", "lr",      "batch",    "accumulation"};
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        const json_t *v = json_object_get(r->config, shown[i]);
        if (v && !json_is_null(v)) inspect_page_json(p, shown[i], v);
    }
    for (int i = 0; i < 2; i++) {
        const char *key = i ? "command" : "program";
        const char *text = json_string_value(json_object_get(r->environment, key));
        if (text) fact(p, key, text);
    }
}

static void inspect_run_add_number(struct inspect_page *p, const char *name, double v)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", v);
    if (isfinite(v)) inspect_page_literal(p, name, text);
}

static void add_course(struct inspect_page *p, const struct run_read *r)
{
    const struct verdict *v = &r->verdict;
    inspect_run_add_number(p, "start_loss", v->start_loss);
    inspect_run_add_number(p, "end_loss", v->end_loss);
    inspect_run_add_number(p, "start_validation", v->start_valid);
    if (v->best_step) {
        inspect_run_add_number(p, "best_validation", v->best_valid);
        inspect_page_i64(p, "best_step", v->best_step);
        inspect_run_add_number(p, "end_validation", v->end_valid);
    }
    if (r->history.n_timings == 0) return;
    char time[TEXT_BYTES], memory[TEXT_BYTES];
    progress_line_duration(v->seconds, time, sizeof time);
    fact(p, "time", time);
    inspect_page_i64(p, "tokens_per_s", (int64_t)(v->tokens_per_s + 0.5));
    snprintf(memory, sizeof memory, "%.2f GiB", (double)v->peak_bytes / (double)((size_t)1 << 30));
    fact(p, "memory", memory);
}

static void add_size(struct inspect_page *p, const struct run_size *s)
{
    char text[TEXT_BYTES];
    snprintf(
        text, sizeof text,
        "%.1f MB: %" PRId64 " checkpoint%s %.1f (adapter and moments each; --keep), adapter %.1f, rows %.1f, other %.1f",
        (double)s->total_bytes * 1e-6, s->checkpoints, s->checkpoints == 1 ? "" : "s", (double)s->checkpoint_bytes * 1e-6,
        (double)s->adapter_bytes * 1e-6, (double)s->cache_bytes * 1e-6, (double)s->other_bytes * 1e-6);
    fact(p, "folder", text);
}

static void add_findings(struct inspect_page *p, const struct verdict *v)
{
    struct buf b;
    buf_init(&b, p->c, FINDINGS_CAP_BYTES);
    buf_append_char(&b, '[');
    for (size_t i = 0; i < v->n; i++) {
        const struct finding *f = &v->findings[i];
        buf_printf(&b, "%s{\"kind\":\"%s\",\"bad\":%s,\"text\":", i ? "," : "", finding_name(f->kind),
                   f->bad ? "true" : "false");
        json_append_string(&b, f->text, strlen(f->text));
        buf_append_str(&b, ",\"next\":");
        json_append_string(&b, f->next, strlen(f->next));
        buf_append_char(&b, '}');
    }
    buf_append_char(&b, ']');
    if (buf_ok(&b)) inspect_page_literal(p, "findings", buf_str(&b));
    buf_release(&b);
}

enum status inspect_run_fill(struct inspect_page *p, const struct run_read *r, bool json)
{
    p->kind = "run of your_ai train";
    add_state(p, r);
    add_options(p, r);
    add_course(p, r);
    add_size(p, &r->size);
    if (r->history.torn) fact(p, "note", "the last line of metrics.jsonl is incomplete and left out");
    if (json) add_findings(p, &r->verdict);
    return p->c->status;
}

/* ---- below the facts ------------------------------------------------------------------------------------------------- */

static enum status print_curve(const struct run_read *r)
{
    const struct history *h = &r->history;
    struct buf text;
    if (h->n_steps < 2) return OK;
    double *x = mem_alloc(r->c, 2 * h->n_steps, sizeof *x), *y = x ? x + h->n_steps : NULL;
    if (!x) return r->c->status;
    for (size_t i = 0; i < h->n_steps; i++) {
        x[i] = (double)h->steps[i].step;
        y[i] = h->steps[i].loss;
    }
    buf_init(&text, r->c, FINDINGS_CAP_BYTES);
    braille_write(&(struct braille_plot){x, y, h->n_steps, PLOT_COLUMNS, PLOT_ROWS}, &text);
    if (buf_ok(&text)) printf("\ntraining loss, by step\n%s", buf_str(&text));
    buf_release(&text);
    mem_free(r->c, x);
    return r->c->status;
}

/* Commands that make something of a finished run. */
static enum status print_next(const struct run_read *r)
{
    struct buf b;
    buf_init(&b, r->c, FINDINGS_CAP_BYTES);
    if (r->finished && !r->verdict.bad) {
        buf_printf(&b, "         %s generate -m", system_program());
        shell_word_append(&b, r->values.config.model);
        char *adapter = mem_printf(r->c, "%s/adapter", r->run);
        buf_append_str(&b, " --adapter");
        if (adapter) shell_word_append(&b, adapter);
        mem_free(r->c, adapter);
        buf_append_str(&b, " -p ...    asks the model with this adapter\n");
        buf_printf(&b, "         %s export", system_program());
        shell_word_append(&b, r->run);
        buf_append_str(&b, " --to ... -o DIR    writes it for other programs\n");
    }
    buf_printf(&b, "         %s report", system_program());
    shell_word_append(&b, r->run);
    buf_append_str(&b, " -o report.html    draws all of it\n");
    if (buf_ok(&b)) printf("\nwhat to do next\n%s", buf_str(&b));
    buf_release(&b);
    return r->c->status;
}

/* One line of a text, shortened, with its line ends and control characters as spaces. */
static void print_answer(const char *name, const char *text)
{
    printf("  %-7s ", name);
    size_t n = strlen(text), at = 0;
    for (size_t step; at < n && at < ANSWER_BYTES_SHOWN; at += step) {
        const uint8_t *p = (const uint8_t *)text + at;
        step = utf8_length(p, n - at);
        bool plain = step > 1 ? p[0] != 0xc2 || p[1] >= 0xa0 : step == 1 && *p >= 0x20 && *p != 0x7f;
        if (!plain) step = 1;
        if (plain)
            fwrite(p, 1, step, stdout);
        else
            putchar(' ');
    }
    puts(at < n ? "..." : "");
}

/* The answers before and after the training; of the prompt only the row, since report shows all of it. */
static enum status print_samples(const struct run_read *r)
{
    struct samples s;
    if (samples_read(r->c, r->run, &s) == OK && s.n) puts("\nsamples, before and after the training");
    for (size_t i = 0; ctx_ok(r->c) && i < s.n; i++) {
        const struct sample_answer *a = &s.list[i];
        print_answer("row", a->row);
        print_answer("before", a->before);
        print_answer("after", a->after ? a->after : "(not yet)");
    }
    samples_release(&s);
    return r->c->status;
}

enum status inspect_run_print(const struct run_read *r)
{
    TRY(print_curve(r));
    TRY(print_samples(r));
    puts("\nhow it went");
    verdict_page_print(&r->verdict, stdout);
    return print_next(r);
}
