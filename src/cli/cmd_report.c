/* cmd_report: what runs left, as an HTML page, as CSV, and as TensorBoard event files. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/system.h"
#include "cli/command.h"
#include "runs/run_export.h"
#include "runs/run_page.h"

struct report_values {
    const char *output, *csv, *tensorboard;
};

static const struct option_spec specs[] = {
    STRING_ROW(struct report_values, output, "output", 'o', NULL, "FILE", "Output",
               "HTML page, which needs no network and no script to be read"),
    STRING_ROW(struct report_values, csv, "csv", 0, NULL, "FILE", "Output",
               "a line a step: all of metrics.jsonl and timing.jsonl, validations in the line of their step"),
    STRING_ROW(struct report_values, tensorboard, "tensorboard", 0, NULL, "DIR", "Output",
               "event files for `tensorboard --logdir DIR`, a folder for each run"),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

/* Writes a text that one of the writers of src/runs makes, atomically. */
static enum status report_write_text(struct ctx *c, const char *path, const struct run_read *runs, size_t n,
                                     enum status (*write)(const struct run_read *runs, size_t n, struct buf *out))
{
    struct buf text;
    buf_init(&text, c, RUN_PAGE_CAP_BYTES);
    if (write(runs, n, &text) == OK && buf_ok(&text)) file_write_atomic(c, path, buf_str(&text), text.len);
    if (ctx_ok(c)) printf("%s: %.1f kB\n", path, (double)text.len * 1e-3);
    buf_release(&text);
    return c->status;
}

/* What was asked for, of runs that are read. */
static enum status write_outputs(struct ctx *c, const struct report_values *v, const struct run_read *runs, size_t n)
{
    if (v->output) TRY(report_write_text(c, v->output, runs, n, run_page_write));
    if (v->csv) TRY(report_write_text(c, v->csv, runs, n, run_export_csv));
    for (size_t i = 0; v->tensorboard && i < n; i++) {
        TRY(run_export_tensorboard(&runs[i], v->tensorboard));
        printf("%s: events of %s\n", v->tensorboard, runs[i].run);
    }
    return OK;
}

static enum status cmd_report_run(const struct command_call *call)
{
    const struct report_values *v = call->values;
    struct ctx *c = call->c;
    size_t n = call->parse->n_operands, read = 0;
    if (!v->output && !v->csv && !v->tensorboard)
        return ctx_fail(c, E_INPUT, "where to? -o FILE.html, --csv FILE or --tensorboard DIR");
    struct run_read *runs = mem_alloc(c, n, sizeof *runs);
    if (!runs) return c->status;
    for (; read < n && ctx_ok(c); read++) {
        const char *run = call->parse->operands[read];
        run_read_open(c, run, system_program(), &runs[read]);
    }
    if (ctx_ok(c)) write_outputs(c, v, runs, n);
    for (size_t i = 0; i < read; i++) run_read_release(&runs[i]);
    mem_free(c, runs);
    return c->status;
}

const struct command command_report = {
    .name = "report",
    .summary = "draws runs: an HTML page, CSV, TensorBoard files",
    .usage = "RUN... -o FILE.html [--csv FILE] [--tensorboard DIR]",
    .about =
        "RUN is the folder that train was given with -o; up to 8 of them stand side by side. The page has how each went,\n"
        "curves, sources, weights of the rows, options and hashes. A run may be training meanwhile.",
    .table = &table,
    .values_bytes = sizeof(struct report_values),
    .min_operands = 1,
    .max_operands = RUN_PAGE_RUNS_MAX,
    .run = cmd_report_run,
};
