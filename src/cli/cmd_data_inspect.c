/* cmd_data_inspect: what the scores of a data set amount to, by kind of source and by file. It reads the rows, fits the
 * objective to them as training does (data/objective.h), and prints for each group the means of s, D, g and omega and the
 * share of the training that the group would be. No model is needed: the share is taken by bytes of trained text instead of
 * by tokens. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "data/objective.h"
#include "data/records.h"
#include "io/json.h"
#include "io/row_file.h"

struct data_inspect_values {
    int distrust;
    double lambda, alpha, power, ratio;
    bool json, skip_bad_rows;
};
#define V struct data_inspect_values

static const struct option_spec specs[] = {
    CHOICE_ROW(V, distrust, "distrust", 0, "monotone", "off|monotone|published|additive", "Objective",
               "how scores become weights (docs/DESIGN.md, section 6)"),
    F64_ROW(V, lambda, "lambda", 0, "1", 0, 1, "Objective", "strength of the weights; 0: all weights are 1"),
    F64_ROW(V, alpha, "distrust-alpha", 0, "2.7", 2.3, 3.0, "Objective", "factor alpha of D = alpha s^2"),
    F64_ROW(V, power, "distrust-power", 0, "2", 0.01, 16, "Objective", "exponent p of g = softplus(s)^p"),
    F64_ROW(V, ratio, "distrust-ratio", 0, "32", 1, 1e6, "Objective", "largest ratio that two weights may have"),
    FLAG_ROW(V, skip_bad_rows, "skip-bad-rows", 0, "false", "Input",
             "leave faulty rows out and count them, instead of failing"),
    FLAG_ROW(V, json, "json", 0, "false", "Output", "print one JSON object instead of tables"),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

enum { GROUPS_MAX = 4096, NAME_WIDTH = 28, JSON_CAP_BYTES = 16 << 20 };

/* Rows of one kind of source, or of one file. Means are over rows; shares are by bytes of trained text, since tokens are
 * only known to a model's tokenizer. */
struct inspect_group {
    char *name;
    int64_t rows, scored;
    double bytes, auth, entropy, s, d, g, omega, weight; /* sums; weight: omega times the row's own weight times bytes */
};

/* One scored row, until the objective is fitted. */
struct inspect_row {
    double auth, entropy, loss_weight;
    int64_t bytes;
    int32_t kind, file;
};

struct data_inspection {
    struct ctx *c;
    struct inspect_group *kinds, *files; /* (n_kinds, kinds_capacity), (n_files) */
    size_t n_kinds, kinds_capacity, n_files;
    struct inspect_row *rows; /* (n_rows, rows_capacity) */
    size_t n_rows, rows_capacity;
    struct objective objective;
    struct inspect_group all;
};

/* ---- reading ---- */

/* Index of the group of a kind of source, which is added when it is new; -1 with the failure in the ctx. Linear, as there
 * are few. */
static int32_t inspection_find_kind(struct data_inspection *x, const char *name)
{
    for (size_t i = 0; i < x->n_kinds; i++)
        if (strcmp(x->kinds[i].name, name) == 0) return (int32_t)i;
    if (x->n_kinds == GROUPS_MAX) {
        ctx_fail(x->c, E_INPUT, "more than %d different values of source_type; is it really one?", GROUPS_MAX);
        return -1;
    }
    if (x->n_kinds == x->kinds_capacity) {
        size_t wider = x->kinds_capacity ? 2 * x->kinds_capacity : 32;
        struct inspect_group *moved = mem_resize(x->c, x->kinds, x->kinds_capacity, wider, sizeof *moved);
        if (!moved) return -1;
        x->kinds = moved;
        x->kinds_capacity = wider;
    }
    x->kinds[x->n_kinds].name = mem_strdup(x->c, name);
    return x->kinds[x->n_kinds].name ? (int32_t)x->n_kinds++ : -1;
}

/* Bytes of a row's text that would be trained. */
static int64_t trained_bytes(const struct record *r)
{
    if (r->kind != RECORD_MESSAGES) return (int64_t)r->text_bytes;
    int64_t bytes = 0;
    for (size_t i = 0; i < r->n_messages; i++) {
        const json_t *content = json_object_get(json_array_get(r->messages, i), "content");
        bytes += (int64_t)json_string_length(content);
        for (size_t k = 0; k < json_array_size(content); k++)
            bytes += (int64_t)json_string_length(json_object_get(json_array_get(content, k), "text"));
    }
    return bytes;
}

/* Counts a row in its groups, and keeps its scores for the fit when it has both. */
static enum status inspection_add_record(struct data_inspection *x, const struct record *r)
{
    int32_t kind = inspection_find_kind(x, r->source_type ? r->source_type : "(none)");
    if (kind < 0) return x->c->status;
    struct inspect_row row = {r->auth_weight, r->prov_entropy, r->loss_weight, trained_bytes(r), kind, r->file};
    struct inspect_group *groups[] = {&x->kinds[kind], &x->files[r->file], &x->all};
    bool scored = !isnan(row.auth) && !isnan(row.entropy);
    for (int i = 0; i < 3; i++) {
        groups[i]->rows++;
        groups[i]->scored += scored;
        groups[i]->bytes += (double)row.bytes;
    }
    if (!scored) return OK;
    if (row.bytes == 0) row.bytes = 1; /* an empty completion still trains its end */
    if (x->n_rows == x->rows_capacity) {
        size_t wider = x->rows_capacity ? 2 * x->rows_capacity : 4096;
        struct inspect_row *moved = mem_resize(x->c, x->rows, x->rows_capacity, wider, sizeof *moved);
        if (!moved) return x->c->status;
        x->rows = moved;
        x->rows_capacity = wider;
    }
    x->rows[x->n_rows++] = row;
    return OK;
}

/* All rows of all files, in order. */
static enum status inspect_rows_read(struct data_inspection *x, const struct option_parse *parse, bool skip)
{
    struct record r;
    struct records *records = records_open(x->c, parse->operands, parse->n_operands, skip, ROW_FORM_AUTO);
    while (records && records_next(records, &r) && inspection_add_record(x, &r) == OK) continue;
    if (ctx_ok(x->c) && x->all.rows == 0)
        row_file_refuse_empty(x->c, parse->operands, parse->n_operands, records_rows(records));
    records_close(records);
    return x->c->status;
}

/* ---- the objective ---- */

/* Fits the objective to the rows with scores, each weighing as many tokens as it has bytes. */
static enum status inspect_rows_fit(struct data_inspection *x, const struct data_inspect_values *v)
{
    struct objective_options o = {(enum distrust)v->distrust, v->lambda, v->alpha, v->power, v->ratio};
    double *auth = mem_alloc(x->c, x->n_rows, sizeof *auth), *entropy = mem_alloc(x->c, x->n_rows, sizeof *entropy);
    int64_t *bytes = mem_alloc(x->c, x->n_rows, sizeof *bytes);
    if (auth && entropy && bytes) {
        for (size_t i = 0; i < x->n_rows; i++) {
            auth[i] = x->rows[i].auth;
            entropy[i] = x->rows[i].entropy;
            bytes[i] = x->rows[i].bytes;
        }
        objective_fit_scores(x->c, &o, &(struct objective_scores){auth, entropy, bytes, x->n_rows}, &x->objective);
    }
    mem_free(x->c, auth);
    mem_free(x->c, entropy);
    mem_free(x->c, bytes);
    return x->c->status;
}

/* Adds each scored row to its three groups, now that omega is known. */
static void inspection_add_up(struct data_inspection *x)
{
    for (size_t i = 0; i < x->n_rows; i++) {
        const struct inspect_row *r = &x->rows[i];
        double omega = objective_omega(&x->objective, r->auth, r->entropy);
        struct inspect_group *groups[] = {&x->kinds[r->kind], &x->files[r->file], &x->all};
        for (int k = 0; k < 3; k++) {
            struct inspect_group *g = groups[k];
            g->auth += r->auth;
            g->entropy += r->entropy;
            g->s += objective_signed(r->auth, r->entropy);
            g->d += objective_published(&x->objective, r->auth, r->entropy);
            g->g += objective_g(&x->objective.options, r->auth, r->entropy);
            g->omega += omega;
            g->weight += omega * r->loss_weight * (double)r->bytes;
        }
    }
}

/* ---- printing ---- */

/* `part` in percent of `whole`. */
static double inspection_percent(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

/* One line: name, rows, share of the text, means over the scored rows, share of the weight. */
static void inspection_print_group(const struct data_inspection *x, const struct inspect_group *g)
{
    char name[256];
    double n = (double)g->scored;
    ctx_escape(name, sizeof name, g->name ? g->name : "all");
    printf("%-*.*s %8lld %6.1f%%", NAME_WIDTH, NAME_WIDTH, name, (long long)g->rows,
           inspection_percent(g->bytes, x->all.bytes));
    if (g->scored == 0)
        printf("  no scores\n");
    else
        printf(" %6.3f %8.3f %8.3f %9.3f %8.3f %7.3f %6.1f%%\n", g->auth / n, g->entropy / n, g->s / n, g->d / n, g->g / n,
               g->omega / n, inspection_percent(g->weight, x->all.weight));
}

static void inspection_print_groups(const struct data_inspection *x, const char *title, const struct inspect_group *groups,
                                    size_t n)
{
    printf("%-*s %8s %7s %6s %8s %8s %9s %8s %7s %7s\n", NAME_WIDTH, title, "rows", "text", "auth", "entropy", "s", "D", "g",
           "omega", "weight");
    for (size_t i = 0; i < n; i++) inspection_print_group(x, &groups[i]);
    putchar('\n');
}

static void print_tables(const struct data_inspection *x)
{
    inspection_print_groups(x, "source_type", x->kinds, x->n_kinds);
    inspection_print_groups(x, "file", x->files, x->n_files);
    inspection_print_group(x, &x->all);
    printf("\ntext: share of the trained text, in bytes. weight: the share of the training that it becomes. The other "
           "columns are\n"
           "means over rows with scores. g as it is, omega with g clamped to [%.4g, %.4g].\n",
           x->objective.q / x->objective.options.ratio, x->objective.q);
    if (x->all.scored < x->all.rows)
        printf("%lld of %lld rows have no scores: score them (your_ai data score), or training refuses the mixture.\n",
               (long long)(x->all.rows - x->all.scored), (long long)x->all.rows);
}

/* The same as an object. Means are left out where no row has scores. */
static void json_group(struct buf *out, const struct data_inspection *x, const struct inspect_group *g)
{
    static const char *const names[] = {"auth_weight", "prov_entropy", "s", "D", "g", "omega"};
    const double sums[] = {g->auth, g->entropy, g->s, g->d, g->g, g->omega};
    const char *name = g->name ? g->name : "all";
    buf_append_str(out, "{\"name\":");
    json_append_string(out, name, strlen(name));
    buf_printf(out, ",\"rows\":%lld,\"scored\":%lld,\"text_bytes\":%.0f", (long long)g->rows, (long long)g->scored,
               g->bytes);
    for (int i = 0; i < 6 && g->scored > 0; i++) {
        buf_printf(out, ",\"%s\":", names[i]);
        json_append_f64(out, sums[i] / (double)g->scored);
    }
    buf_append_str(out, ",\"weight_share\":");
    json_append_f64(out, inspection_percent(g->weight, x->all.weight) / 100);
    buf_append_char(out, '}');
}

static void json_groups(struct buf *out, const struct data_inspection *x, const char *key, const struct inspect_group *g,
                        size_t n)
{
    buf_printf(out, "\"%s\":[", key);
    for (size_t i = 0; i < n; i++) {
        if (i) buf_append_char(out, ',');
        json_group(out, x, &g[i]);
    }
    buf_append_str(out, "],");
}

static enum status inspection_print_json(const struct data_inspection *x)
{
    struct buf out;
    buf_init(&out, x->c, JSON_CAP_BYTES);
    buf_append_char(&out, '{');
    json_groups(&out, x, "source_types", x->kinds, x->n_kinds);
    json_groups(&out, x, "files", x->files, x->n_files);
    buf_append_str(&out, "\"all\":");
    json_group(&out, x, &x->all);
    buf_append_str(&out, "}\n");
    if (buf_ok(&out)) fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    return x->c->status;
}

static enum status inspect(struct data_inspection *x, const struct command_call *call)
{
    const struct data_inspect_values *v = call->values;
    x->n_files = call->parse->n_operands;
    x->files = mem_alloc(x->c, x->n_files, sizeof *x->files);
    for (size_t i = 0; x->files && i < x->n_files; i++) x->files[i].name = mem_strdup(x->c, call->parse->operands[i]);
    TRY(x->c->status);
    TRY(inspect_rows_read(x, call->parse, v->skip_bad_rows));
    if (x->n_rows > 0) TRY(inspect_rows_fit(x, v));
    inspection_add_up(x);
    if (v->json) return inspection_print_json(x);
    print_tables(x);
    return OK;
}

static enum status cmd_data_inspect_run(const struct command_call *call)
{
    struct data_inspection x = {.c = call->c};
    enum status status = inspect(&x, call);
    for (size_t i = 0; i < x.n_kinds; i++) mem_free(x.c, x.kinds[i].name);
    for (size_t i = 0; x.files && i < x.n_files; i++) mem_free(x.c, x.files[i].name);
    mem_free(x.c, x.kinds);
    mem_free(x.c, x.files);
    mem_free(x.c, x.rows);
    return status;
}

const struct command command_data_inspect = {
    .name = "data inspect",
    .summary = "shows what weight rows get from their scores, by kind of source and by file",
    .usage = "FILE... [options]",
    .about = "Prints for each source_type and each file the means of auth_weight, prov_entropy, s = ln(1 - auth_weight) +\n"
             "prov_entropy, D = alpha s^2, g and the weight omega, and the share of the training that its rows will be.",
    .table = &table,
    .values_bytes = sizeof(struct data_inspect_values),
    .min_operands = 1,
    .max_operands = OPTION_MAX_OPERANDS,
    .run = cmd_data_inspect_run,
};
