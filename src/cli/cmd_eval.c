/* cmd_eval: the user's own rows: loss, perplexity and exact answers of a model, an adapter, or runs. */
#include "cli/command.h"
#include "cli/common_rows.h"
#include "cli/compare_rows.h"
#include "cli/run_rows.h"

struct eval_values {
    const char *model;
    struct compare_rows_options rows;
    struct model_options form;
    bool force, json;
    const char *device;
    int64_t threads;
};

#define V struct eval_values
static const struct option_spec specs[] = {
    MODEL_ROW(V, model, "base model", "Models"),
    FORCE_ADAPTER_ROW(V, force, "Models"),
    MODEL_ROWS(V, form, "Models"),
    COMPARE_ROWS(V, rows, true, "rows as for training", "Rows"),
    FLAG_ROW(V, json, "json", 0, "false", "Running", "print a line of JSON for each model instead of tables"),
    DEVICE_ROW(V, device, "Running"),
    THREADS_ROW(V, threads, "Running"),
};
#undef V
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

static enum status cmd_eval_run(const struct command_call *call)
{
    struct eval_values v = *(const struct eval_values *)call->values;
    struct ctx *c = call->c;
    struct loaded l = {.c = c};
    struct candidates a = {.c = c, .force = v.force};
    json_t *doc = NULL;
    struct loaded_options options = {.model = v.model, .form = v.form, .device = v.device, .threads = v.threads};
    const struct compare_rows rows = {.candidates = &a, .options = &v.rows, .json = v.json};
    enum status status = call->parse->n_operands ? OK : candidates_add(&a, "base");
    for (size_t i = 0; status == OK && i < call->parse->n_operands; i++)
        status = candidates_add(&a, call->parse->operands[i]);
    if (status == OK) status = run_rows_take(&a, &table, call->parse->given, &v.rows.data, &doc);
    if (status == OK) status = loaded_open(&l, c, &options);
    if (status == OK) status = compare_rows_run(&l, &rows);
    candidates_release(&a);
    json_decref(doc);
    loaded_close(&l);
    return status;
}

const struct command command_eval = {
    .name = "eval",
    .summary = "loss, perplexity and exact answers on rows of your own",
    .usage = "-m MODEL -d FILE [RUN or ADAPTER or base ...] [options]",
    .about =
        "Rows are read, put into the chat template and masked as in training, and the tokens that training would train\n"
        "count, each of them 1: rows of weight 0 are left out, other weights and scores change nothing. How rows are read\n"
        "(--row-form, --raw, --template, --date, --train-on, --mask) is taken from the first run that is named, unless it "
        "is\n"
        "given here. The loss is the mean over these tokens, its standard error that over documents, the perplexity exp of\n"
        "the loss. --answers generates greedily behind each prompt and counts the answers that are the row's up to white\n"
        "space at the ends; rows without a prompt (text) are not asked.",
    .table = &table,
    .values_bytes = sizeof(struct eval_values),
    .min_operands = 0,
    .max_operands = OPTION_MAX_OPERANDS,
    .run = cmd_eval_run,
};
