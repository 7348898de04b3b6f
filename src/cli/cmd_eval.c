/* cmd_eval: the user's own rows: loss, perplexity and exact answers of a model, an adapter, or runs. */
#include "cli/command.h"
#include "cli/compare_rows.h"
#include "data/data_rows.h"
#include "model/model_rows.h"

struct eval_values {
    const char *model;
    struct option_list rows;
    struct dataset_options data;
    struct model_options form;
    bool force, json;
    const char *device;
    int64_t threads, answers, batch;
};

#define V struct eval_values
static const struct option_spec specs[] = {
    REQUIRED_ROW(V, model, "model", 'm', "MODEL", "Models",
                 "folder, .gguf file, or owner/name of a base model in the Hugging Face cache"),
    FORCE_ADAPTER_ROW(V, force, "Models"),
    MODEL_ROWS(V, form, "Models"),
    LIST_ROW(V, rows, "data", 'd', true, "FILE", "Rows", "rows as for training"),
    I64_ROW(V, answers, "answers", 0, "-1", -1, 1 << 30, "Rows",
            "generate the answers of so many rows and count the exact ones; 0: of all, -1: of none"),
    I64_ROW(V, batch, "batch-tokens", 0, "1024", 2, 1 << 24, "Rows", "tokens of a forward pass"),
    DATA_ROWS(V, data, "2048", "Rows"),
    FLAG_ROW(V, json, "json", 0, "false", "Running", "print a line of JSON for each model instead of tables"),
    DEVICE_ROW(V, device, "Running"),
    I64_ROW(V, threads, "threads", 't', "0", 0, 1024, "Running", "number of threads; 0: one for each usable core"),
};
#undef V
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

static enum status cmd_eval_run(const struct command_call *call)
{
    const struct eval_values *v = call->values;
    struct ctx *c = call->c;
    struct loaded l = {.c = c};
    struct candidates a = {.c = c, .force = v->force};
    struct loaded_options options = {.model = v->model, .form = v->form, .device = v->device, .threads = v->threads};
    struct compare_rows rows = {
        .candidates = &a, .rows = v->data, .batch = v->batch, .answers = v->answers, .json = v->json};
    rows.rows.paths = v->rows.items;
    rows.rows.n_paths = v->rows.n;
    data_rows_settle(&rows.rows);
    enum status status = call->parse->n_operands ? OK : candidates_add(&a, "base");
    for (size_t i = 0; status == OK && i < call->parse->n_operands; i++)
        status = candidates_add(&a, call->parse->operands[i]);
    if (status == OK) status = loaded_open(&l, c, &options);
    if (status == OK) status = compare_rows_run(&l, &rows);
    candidates_release(&a);
    loaded_close(&l);
    return status;
}

const struct command command_eval = {
    .name = "eval",
    .summary = "loss, perplexity and exact answers on rows of your own",
    .usage = "-m MODEL -d FILE [RUN or ADAPTER or base ...] [options]",
    .about =
        "Rows are read, put into the chat template and masked as in training, and the tokens that training would train\n"
        "count, each of them 1: rows of weight 0 are left out, other weights and scores change nothing. The loss is the\n"
        "mean over these tokens, its standard error that over documents, the perplexity exp of the loss. --answers\n"
        "generates greedily behind each prompt and counts the answers that are the row's up to white space at the ends;\n"
        "rows without a prompt (text) are not asked.",
    .table = &table,
    .values_bytes = sizeof(struct eval_values),
    .min_operands = 0,
    .max_operands = OPTION_MAX_OPERANDS,
    .run = cmd_eval_run,
};
