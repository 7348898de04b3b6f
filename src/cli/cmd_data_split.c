/* cmd_data_split: rows for training and for validation. */
#include <stdio.h>

#include "base/threads.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "prepare/split.h"

struct data_split_values {
    struct group_options groups;
    struct split_sizes sizes;
    const char *train, *valid;
    int64_t seed, threads;
    int on_error;
    bool json;
};
#define V struct data_split_values

static const struct option_spec specs[] = {
    REQUIRED_ROW(V, train, "train", 0, "FILE", "Output", "file for the training rows"),
    REQUIRED_ROW(V, valid, "valid", 0, "FILE", "Output", "file for the validation rows"),
    FLAG_ROW(V, json, "json", 0, "false", "Output", "counts as one JSON object"),
    F64_ROW(V, sizes.valid, "valid-size", 0, "0.1", 0, 1e12, "Sizes", "below 1: a share of the rows; else rows"),
    F64_ROW(V, sizes.train, "train-size", 0, "0", 0, 1e12, "Sizes", "the same; 0: all that are not for validation"),
    I64_ROW(V, seed, "seed", 0, "0", 0, 1e15, "Sizes", "another split of the same rows"),
    CHOICE_ROW(V, on_error, "on-error", 0, "stop", "stop|skip", "Input", "faulty rows: end, or leave out and count"),
    GROUP_ROWS(V, groups, "Copies"),
    THREADS_ROW(V, threads, "Running"),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

static enum status cmd_data_split_run(const struct command_call *call)
{
    struct data_split_values v = *(const struct data_split_values *)call->values;
    struct split_result r = {0};
    v.sizes.seed = (uint64_t)v.seed;
    TRY(ctx_set_threads(call->c, (int)v.threads));
    TRY(split_run(call->c, &v.groups, &v.sizes, v.on_error == 1, call->parse->operands, call->parse->n_operands, v.train,
                  v.valid, &r));
    if (v.json)
        printf("{\"rows\":%lld,\"train\":%lld,\"valid\":%lld,\"left\":%lld,\"wanted_train\":%lld,\"wanted_valid\":%lld,"
               "\"groups\":%lld,\"faulty\":%lld}\n",
               (long long)r.rows, (long long)r.train, (long long)r.valid, (long long)r.left, (long long)r.wanted_train,
               (long long)r.wanted_valid, (long long)r.groups, (long long)r.faulty);
    else
        printf("%lld rows: %lld for training (%lld asked for), %lld for validation (%lld asked for), %lld for neither; %lld "
               "faulty ones left out.\n%lld groups of copies, each on one side.\n",
               (long long)r.rows, (long long)r.train, (long long)r.wanted_train, (long long)r.valid,
               (long long)r.wanted_valid, (long long)r.left, (long long)r.faulty, (long long)r.groups);
    return OK;
}

const struct command command_data_split = {
    .name = "data split",
    .summary = "splits rows into training and validation, copies on one side",
    .usage = "FILE... --train FILE --valid FILE [options]",
    .about =
        "Rows go to the two files as they are and in order. Which ones follows from the seed and the texts, not from the\n"
        "order of the rows, and rows that are copies of one another, equal or nearly, stay together. Files are read twice.",
    .table = &table,
    .values_bytes = sizeof(struct data_split_values),
    .min_operands = 1,
    .max_operands = OPTION_MAX_OPERANDS,
    .run = cmd_data_split_run,
};
