/* cmd_data_prepare: raw rows made into training and validation rows. */
#include <stdio.h>
#include <string.h>

#include "base/threads.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "io/json.h"
#include "prepare/prepare.h"

struct data_prepare_values {
    struct prepare_options o;
    const char *train, *valid;
    int64_t seed, threads;
    int on_error;
    bool json;
};
#define V struct data_prepare_values

static const struct option_spec specs[] = {
    REQUIRED_ROW(V, train, "train", 0, "FILE", "Output", "file for the training rows"),
    REQUIRED_ROW(V, valid, "valid", 0, "FILE", "Output", "file for the validation rows"),
    FLAG_ROW(V, json, "json", 0, "false", "Output", "counts as one JSON object"),
    F64_ROW(V, o.sizes.valid, "valid-size", 0, "0.1", 0, 1e12, "Sizes", "below 1: a share of the rows; else rows"),
    F64_ROW(V, o.sizes.train, "train-size", 0, "0", 0, 1e12, "Sizes", "the same; 0: all that are not for validation"),
    I64_ROW(V, seed, "seed", 0, "0", 0, 1e15, "Sizes", "another choice and another split of the same rows"),
    I64_ROW(V, o.min_chars, "min-chars", 0, "100", 0, 1e9, "Choice", "shorter texts are left out"),
    FLAG_ROW(V, o.dedup, "dedup", 0, "true", "Choice", "one row of each group of copies stays"),
    FLAG_ROW(V, o.balance, "balance", 0, "true", "Choice",
             "where few rows have a low auth_weight: 25 % low, at most 35 % high (docs/prepare.md)"),
    F64_ROW(V, o.caps[BAND_LOW], "cap-low", 0, "1", 0, 1, "Choice",
            "largest share of one source_type whose auth_weight is below 0.3 in the mean"),
    F64_ROW(V, o.caps[BAND_MIDDLE], "cap-middle", 0, "1", 0, 1, "Choice", "... from 0.3 to 0.7"),
    F64_ROW(V, o.caps[BAND_HIGH], "cap-high", 0, "1", 0, 1, "Choice", "... above 0.7"),
    CHOICE_ROW(V, on_error, "on-error", 0, "stop", "stop|skip", "Input", "faulty rows: end, or leave out and count"),
    STRING_ROW(V, o.sources, "sources", 0, NULL, "FILE", "Input",
               "rules of file names and text members in place of the built-in ones"),
    GROUP_ROWS(V, o.groups, "Copies"),
    THREADS_ROW(V, threads, "Running"),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

static void prepare_page_print_counts(const char *name, const struct prepare_counts *k)
{
    char safe[256];
    ctx_escape(safe, sizeof safe, name);
    printf("%-24.24s %9lld %9lld %9lld %9lld %9lld %9lld %9lld %9lld\n", safe, (long long)k->rows, (long long)k->copies,
           (long long)k->too_short, (long long)k->capped, (long long)k->balanced, (long long)k->train, (long long)k->valid,
           (long long)k->left);
}

static void prepare_page_print(const struct prepare_result *r, bool balance)
{
    printf("%-24s %9s %9s %9s %9s %9s %9s %9s %9s\n", "source_type", "rows", "copies", "short", "capped", "balanced",
           "train", "valid", "left");
    for (size_t i = 0; i < r->n_kinds; i++) prepare_page_print_counts(r->names[i], &r->kinds[i]);
    if (r->kinds[r->n_kinds].rows > 0) prepare_page_print_counts("(none)", &r->kinds[r->n_kinds]);
    prepare_page_print_counts("all", &r->all);
    printf("\nauth_weight below 0.3, to 0.7, above: %lld, %lld, %lld rows; after balancing %lld, %lld, %lld.\n",
           (long long)r->band[0], (long long)r->band[1], (long long)r->band[2], (long long)r->band_after[0],
           (long long)r->band_after[1], (long long)r->band_after[2]);
    if (balance && r->unbalanced) puts("No row is below 0.3, so there is nothing to balance by: all stay.");
    printf("%lld rows were scored here, %lld got the source_type of their file, %lld faulty ones were left out.\n",
           (long long)r->scored, (long long)r->typed, (long long)r->faulty);
}

static void prepare_page_add_counts(struct buf *out, const struct prepare_counts *k)
{
    buf_printf(
        out,
        "\"rows\":%lld,\"copies\":%lld,\"short\":%lld,\"capped\":%lld,\"balanced\":%lld,\"train\":%lld,\"valid\":%lld,"
        "\"left\":%lld",
        (long long)k->rows, (long long)k->copies, (long long)k->too_short, (long long)k->capped, (long long)k->balanced,
        (long long)k->train, (long long)k->valid, (long long)k->left);
}

static enum status prepare_page_print_json(struct ctx *c, const struct prepare_result *r)
{
    struct buf out;
    buf_init(&out, c, 16 << 20);
    buf_append_char(&out, '{');
    prepare_page_add_counts(&out, &r->all);
    buf_printf(&out,
               ",\"faulty\":%lld,\"scored\":%lld,\"typed\":%lld,\"bands\":[%lld,%lld,%lld],\"bands_after\":[%lld,%lld,%lld],"
               "\"source_types\":[",
               (long long)r->faulty, (long long)r->scored, (long long)r->typed, (long long)r->band[0], (long long)r->band[1],
               (long long)r->band[2], (long long)r->band_after[0], (long long)r->band_after[1], (long long)r->band_after[2]);
    for (size_t i = 0; i <= r->n_kinds; i++) {
        if (i) buf_append_char(&out, ',');
        buf_append_str(&out, "{\"source_type\":");
        if (i < r->n_kinds)
            json_append_string(&out, r->names[i], strlen(r->names[i]));
        else
            buf_append_str(&out, "null");
        buf_append_char(&out, ',');
        prepare_page_add_counts(&out, &r->kinds[i]);
        buf_append_char(&out, '}');
    }
    buf_append_str(&out, "]}\n");
    if (buf_ok(&out)) fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    return c->status;
}

static enum status cmd_data_prepare_run(const struct command_call *call)
{
    struct data_prepare_values v = *(const struct data_prepare_values *)call->values;
    struct prepare_result r;
    v.o.sizes.seed = (uint64_t)v.seed;
    v.o.skip_faulty = v.on_error == 1;
    TRY(ctx_set_threads(call->c, (int)v.threads));
    if (prepare_run(call->c, &v.o, call->parse->operands, call->parse->n_operands, v.train, v.valid, &r) == OK) {
        if (v.json)
            prepare_page_print_json(call->c, &r);
        else
            prepare_page_print(&r, v.o.balance);
    }
    prepare_result_release(call->c, &r);
    return call->c->status;
}

const struct command command_data_prepare = {
    .name = "data prepare",
    .summary = "makes training and validation rows of raw rows from several sources",
    .usage = "FILE... --train FILE --valid FILE [options]",
    .about =
        "Rows without a source_type get that of their file's name, rows without scores are scored, rows without a text get\n"
        "the first member that is one (data/prepare/sources.json). Short texts and copies are left out, kinds of source "
        "and\n"
        "bands of authority are held to their shares, and copy groups go to one side of the split. Every count is printed.",
    .table = &table,
    .values_bytes = sizeof(struct data_prepare_values),
    .min_operands = 1,
    .max_operands = OPTION_MAX_OPERANDS,
    .run = cmd_data_prepare_run,
};
