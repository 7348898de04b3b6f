/* cmd_data_dedup: rows without their copies. */
#include <stdio.h>

#include "base/threads.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "prepare/dedup.h"

struct data_dedup_values {
    struct dedup_options o;
    const char *output;
    int on_error;
    bool json;
    int64_t threads;
};
#define V struct data_dedup_values

static const struct option_spec specs[] = {
    REQUIRED_ROW(V, output, "output", 'o', "OUT", "Output", "file for the rows that stay"),
    STRING_ROW(V, o.groups_path, "groups", 0, NULL, "FILE", "Output",
               "file for the groups: which row stays, which are its copies"),
    CHOICE_ROW(V, o.keep, "keep", 0, "first", "first|longest|provenance", "Output",
               "row of a group that stays; provenance: the largest ln(1 - auth_weight) + prov_entropy"),
    FLAG_ROW(V, json, "json", 0, "false", "Output", "counts as one JSON object"),
    CHOICE_ROW(V, on_error, "on-error", 0, "stop", "stop|skip", "Input", "faulty rows: end, or leave out and count"),
    GROUP_ROWS(V, o.groups, "Copies"),
    THREADS_ROW(V, threads, "Running"),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};
_Static_assert(sizeof(enum dedup_keep) == sizeof(int), "a choice fills the enum");

static enum status cmd_data_dedup_run(const struct command_call *call)
{
    struct data_dedup_values v = *(const struct data_dedup_values *)call->values;
    struct dedup_result r;
    v.o.skip_faulty = v.on_error == 1;
    TRY(ctx_set_threads(call->c, (int)v.threads));
    TRY(dedup_run(call->c, &v.o, call->parse->operands, call->parse->n_operands, v.output, &r));
    if (v.json) {
        printf(
            "{\"rows\":%lld,\"kept\":%lld,\"exact_copies\":%lld,\"near_copies\":%lld,\"groups\":%lld,\"largest_group\":%lld,"
            "\"faulty\":%lld}\n",
            (long long)r.rows, (long long)r.kept, (long long)r.exact, (long long)r.near_copies, (long long)r.groups,
            (long long)r.largest, (long long)r.faulty);
        return OK;
    }
    static const char *const kept[] = {"the first", "the longest", "the one of the strongest provenance"};
    printf("%lld rows, of which %lld stay: %lld are equal to another one, %lld nearly (%lld groups, the largest of %lld "
           "rows).\n"
           "Of each group %s stays.\n",
           (long long)r.rows, (long long)r.kept, (long long)r.exact, (long long)r.near_copies, (long long)r.groups,
           (long long)r.largest, kept[v.o.keep]);
    if (r.faulty > 0) printf("%lld faulty rows were left out.\n", (long long)r.faulty);
    return OK;
}

const struct command command_data_dedup = {
    .name = "data dedup",
    .summary = "leaves out rows that are copies of others",
    .usage = "FILE... -o OUT [options]",
    .about = "Reads rows from every file that training reads, finds those whose texts are equal or have most of their word\n"
             "shingles in common (MinHash), keeps one of each group and writes it as it is. Files are read twice.",
    .table = &table,
    .values_bytes = sizeof(struct data_dedup_values),
    .min_operands = 1,
    .max_operands = OPTION_MAX_OPERANDS,
    .run = cmd_data_dedup_run,
};
