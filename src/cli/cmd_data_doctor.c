/* cmd_data_doctor: what is wrong with rows. */
#include <stdio.h>
#include <string.h>

#include "base/threads.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "io/json.h"
#include "prepare/doctor.h"

struct data_doctor_values {
    struct doctor_options o;
    struct option_list eval;
    int64_t threads;
    bool json;
};
#define V struct data_doctor_values

static const struct option_spec specs[] = {
    LIST_ROW(V, eval, "eval", 0, false, "FILE", "Input",
             "evaluation items that must not be among the rows; may be given several times"),
    I64_ROW(V, o.eval_words, "eval-words", 0, "13", 4, MINHASH_SHINGLE_MAX, "Input",
            "words in a row that a row and an item have in common (shorter items: all of their words)"),
    FLAG_ROW(V, json, "json", 0, "false", "Output", "one JSON object instead of a page"),
    GROUP_ROWS(V, o.groups, "Copies"),
    THREADS_ROW(V, threads, "Running"),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

static void doctor_page_print(const struct doctor_result *r)
{
    const struct row_table *t = &r->table;
    for (int i = 0; i < DOCTOR_CHECKS; i++) {
        const struct doctor_finding *f = &r->findings[i];
        if (f->count == 0) continue;
        char name[256];
        const struct table_row *row = &t->rows[f->example];
        ctx_escape(name, sizeof name, t->files[row->file].name);
        printf("%s: %lld rows, such as %s:%lld%s%s\n    %s\n", doctor_name((enum doctor_check)i), (long long)f->count, name,
               (long long)row->row, f->detail[0] ? "; " : "", f->detail, doctor_advice((enum doctor_check)i));
    }
    printf("%zu rows, %d findings\n", t->n_rows, r->found);
}

static enum status doctor_page_print_json(struct ctx *c, const struct doctor_result *r)
{
    const struct row_table *t = &r->table;
    struct buf out;
    bool any = false;
    buf_init(&out, c, 16 << 20);
    buf_printf(&out, "{\"rows\":%zu,\"evaluation_items\":%lld,\"findings\":[", t->n_rows, (long long)r->items);
    for (int i = 0; i < DOCTOR_CHECKS; i++) {
        const struct doctor_finding *f = &r->findings[i];
        if (f->count == 0) continue;
        const struct table_row *row = &t->rows[f->example];
        const char *name = t->files[row->file].name;
        buf_printf(&out, "%s{\"finding\":\"%s\",\"rows\":%lld,\"file\":", any ? "," : "", doctor_name((enum doctor_check)i),
                   (long long)f->count);
        json_append_string(&out, name, strlen(name));
        buf_printf(&out, ",\"row\":%lld,\"detail\":", (long long)row->row);
        json_append_string(&out, f->detail, strlen(f->detail));
        buf_append_str(&out, ",\"advice\":");
        json_append_string(&out, doctor_advice((enum doctor_check)i), strlen(doctor_advice((enum doctor_check)i)));
        buf_append_char(&out, '}');
        any = true;
    }
    buf_append_str(&out, "]}\n");
    if (buf_ok(&out)) fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    return c->status;
}

static enum status cmd_data_doctor_run(const struct command_call *call)
{
    struct data_doctor_values v = *(const struct data_doctor_values *)call->values;
    struct doctor_result r;
    v.o.eval = v.eval.items;
    v.o.n_eval = v.eval.n;
    TRY(ctx_set_threads(call->c, (int)v.threads));
    if (doctor_run(call->c, &v.o, call->parse->operands, call->parse->n_operands, &r) == OK) {
        if (v.json)
            doctor_page_print_json(call->c, &r);
        else
            doctor_page_print(&r);
        if (ctx_ok(call->c) && r.found > 0) ctx_fail(call->c, E_FOUND, "%d findings", r.found);
    }
    doctor_release(&r);
    return call->c->status;
}

const struct command command_data_doctor = {
    .name = "data doctor",
    .summary = "finds what is wrong with rows before they are trained on",
    .usage = "FILE... [--eval FILE] [options]",
    .about = "Rows without a text, copies, evaluation items, empty answers, odd lengths, scores that do nothing, rest on "
             "few rows,\n"
             "contradict the source_type or look inverted: for each how many rows, one of them, and what to do. Changes "
             "nothing.\n"
             "Exit code 0: nothing was found; 1: something was.",
    .table = &table,
    .values_bytes = sizeof(struct data_doctor_values),
    .min_operands = 1,
    .max_operands = OPTION_MAX_OPERANDS,
    .run = cmd_data_doctor_run,
};
