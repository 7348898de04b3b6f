/* train_options: every option of `train`. Defaults suit a small model on a CPU and a data set of some hundred rows; choices
 * stand in the order of the enums that they fill. */
#include "train/train_options.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/data_rows.h"
#include "engine/engine_rows.h"
#include "io/options_json.h"
#include "model/model_rows.h"
#include "train/run.h"

#define V            struct train_values
#define TEXT(...)    STRING_ROW(V, __VA_ARGS__)
#define INTEGER(...) I64_ROW(V, __VA_ARGS__)
#define NUMBER(...)  F64_ROW(V, __VA_ARGS__)
#define SWITCH(...)  FLAG_ROW(V, __VA_ARGS__)
#define CHOICE(...)  CHOICE_ROW(V, __VA_ARGS__)

#define BIG 1000000000

static const struct option_spec specs[] = {
    REQUIRED_ROW(V, config.model, "model", 'm', "MODEL", "Input and output",
                 "base model: folder, .gguf file, or owner/name of one in the Hugging Face cache"),
    LIST_ROW(V, data, "data", 'd', true, "FILE", "Input and output",
             "training rows: JSON Lines, JSON, Parquet or .txt, also packed as .gz or .zst; - is standard input; rows of "
             "FILE:2 count twice"),
    TEXT(config.valid, "valid", 0, NULL, "FILE", "Input and output", "validation rows, in the same forms"),
    NUMBER(config.valid_share, "valid-share", 0, "0", 0, 0.9, "Input and output",
           "without --valid: share of the training rows to keep for validation"),
    MODEL_ROWS(V, config.form, "Input and output"),
    REQUIRED_ROW(V, config.run, "output", 'o', "RUN", "Input and output", "folder for the run, new or empty"),
    TEXT(config.start, "adapter", 0, NULL, "DIR", "Input and output", "PEFT adapter to start from, instead of a new one"),
    FORCE_ADAPTER_ROW(V, config.force_start, "Input and output"),

    INTEGER(config.adapter.rank, "rank", 'r', "16", 1, 1024, "Adapter", "rank of the adapter's matrices A and B"),
    NUMBER(config.adapter.alpha, "alpha", 0, "32", 1e-3, 1e6, "Adapter", "the product B A is scaled by alpha / rank"),
    NUMBER(config.adapter.dropout, "dropout", 0, "0", 0, 0.95, "Adapter",
           "share of the adapter's inputs set to 0 in training"),
    TEXT(config.targets, "targets", 0, "all", "NAMES", "Adapter",
         "target modules, separated by commas: q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"),
    INTEGER(config.adapter.last_layers, "last-layers", 0, "0", 0, 10000, "Adapter", "adapt the last N layers only; 0: all"),
    SWITCH(config.adapter.rslora, "rslora", 0, "false", "Adapter", "scale by alpha / sqrt(rank) instead (rsLoRA)"),

    OBJECTIVE_ROWS(V, config.objective, config.rows, "Objective"),

    DATA_ROWS(V, config.rows, "512", "Data"),
    SWITCH(config.rows.special, "special", 0, "false", "Data",
           "read names of control tokens in text, prompt and completion as those tokens instead of as plain text"),
    SWITCH(config.packs.packing, "packing", 0, "true", "Data",
           "put several documents into one sequence; attention does not cross from one to another"),

    INTEGER(config.packs.batch, "batch", 'b', "4", 1, 65536, "Optimisation", "sequences in a micro-batch"),
    INTEGER(config.packs.accumulation, "accumulation", 0, "1", 1, 65536, "Optimisation",
            "micro-batches in an optimizer step (gradient accumulation)"),
    INTEGER(config.epochs, "epochs", 0, "3", 1, 100000, "Optimisation",
            "passes over the data; from 3 to 30 where the rows are few"),
    INTEGER(config.max_steps, "max-steps", 0, "0", 0, BIG, "Optimisation",
            "number of optimizer steps, in place of --epochs; 0: as the epochs make"),
    NUMBER(config.schedule.peak, "lr", 0, "2e-4", 0, 10, "Optimisation", "peak learning rate"),
    CHOICE(config.schedule.kind, "schedule", 0, "cosine", "cosine|linear|constant|rising", "Optimisation",
           "course of the learning rate after the warm-up; rising: exponentially up to the peak, as find-lr does"),
    INTEGER(config.schedule.warmup, "warmup", 0, "-1", -1, BIG, "Optimisation",
            "steps in which the learning rate rises linearly to its peak; -1: 5 % of the run"),
    NUMBER(config.schedule.min_ratio, "min-lr-ratio", 0, "0.1", 0, 1, "Optimisation",
           "learning rate at the end, as a part of the peak"),
    NUMBER(config.optim.weight_decay, "weight-decay", 0, "0.01", 0, 10, "Optimisation", "weight decay of AdamW, decoupled"),
    NUMBER(config.optim.beta1, "beta1", 0, "0.9", 0, 0.999999, "Optimisation", "decay of AdamW's mean of the gradient"),
    NUMBER(config.optim.beta2, "beta2", 0, "0.999", 0, 0.999999, "Optimisation", "decay of AdamW's mean of its square"),
    NUMBER(config.optim.eps, "eps", 0, "1e-8", 1e-20, 1, "Optimisation", "what AdamW adds to the denominator"),
    CHOICE(config.clip_mode, "clip-mode", 0, "relative", "relative|fixed|off", "Optimisation",
           "threshold of gradient clipping: relative to earlier norms, or a fixed norm, which undoes document weights"),
    NUMBER(config.clip, "clip", 0, "1", 1e-6, 1e6, "Optimisation",
           "factor c of the threshold (relative), or the largest norm (fixed)"),

    INTEGER(config.eval_every, "eval-every", 0, "50", 0, BIG, "Running", "steps between validations; 0: at the end only"),
    INTEGER(config.patience, "patience", 0, "0", 0, BIG, "Running",
            "early stopping: end the run after N validations in a row without a better one; 0: never"),
    INTEGER(config.save_every, "save-every", 0, "50", 0, BIG, "Running", "steps between checkpoints; 0: at the end only"),
    INTEGER(config.keep, "keep", 0, "2", 1, 100000, "Running",
            "how many of the newest checkpoints stay, beside the best one"),
    CHOICE(
        config.grad_checkpoint, "grad-checkpoint", 0, "auto", "auto|on|off", "Running",
        "gradient checkpointing: blocks keep their input only and are computed again in backward; auto: as many blocks as "
        "memory makes necessary"),
    INTEGER(config.recomputed_blocks, "recomputed-blocks", 0, "-1", -1, 10000, "Running",
            "recompute the first N blocks; -1: --grad-checkpoint decides"),
    NUMBER(config.max_memory, "max-memory", 0, "0", 0, 1e6, "Running",
           "GiB of memory that the run may take; 0: what is free"),
    SWITCH(plot, "plot", 0, "false", "Running", "draw the loss in the terminal, with braille characters"),
    TEXT(serve, "serve", 0, NULL, "PORT", "Running",
         "show the report while it trains, to browsers on this machine, on this port of localhost; 0: any that is free"),
    INTEGER(
        samples, "samples", 0, "2", 0, 16, "Running",
        "prompts of the validation rows, else of the training rows, that are answered before and after the training, for "
        "report; 0: none"),
    INTEGER(config.seed, "seed", 0, "0", 0, 1LL << 53, "Running", "seed of the new adapter, the order of rows and dropout"),
    ENGINE_ROW(V, config.engine, "Running"),
    DEVICE_ROW(V, device, "Running"),
    INTEGER(threads, "threads", 't', "0", 0, 1024, "Running",
            "number of threads; 0: one for each usable core; the result does not depend on it"),
};

/* A CHOICE_ROW fills an int; every enum that one fills has an int's size. Those of data_rows.h are held to it there. */
_Static_assert(sizeof(enum schedule_kind) == sizeof(int) && sizeof(enum clip_mode) == sizeof(int) &&
                   sizeof(enum plan_checkpoint) == sizeof(int) && sizeof(enum engine_kind) == sizeof(int),
               "choices fill enums");

const struct option_table train_table = {specs, sizeof(specs) / sizeof(specs[0])};

enum { CONFIG_CAP_BYTES = 1 << 20 };

/* Whether a path of rows is standard input, with or without a weight. */
static bool is_stdin(const char *path)
{
    return strcmp(path, "-") == 0 || strncmp(path, "-:", 2) == 0;
}

/* The absolute form of a JSON string, as a JSON string; NULL with the error set. The weight behind a path stays behind it.
 */
static json_t *make_absolute(struct ctx *c, const char *option, const json_t *relative)
{
    const char *given = json_string_value(relative);
    char *path = is_stdin(given) ? mem_strdup(c, given) : path_absolute(c, given);
    json_t *absolute = path ? json_string(path) : NULL;
    if (path && !absolute)
        ctx_fail(c, E_INPUT, "--%s: %s is not valid UTF-8, so it cannot be kept in config.json", option, path);
    mem_free(c, path);
    return absolute;
}

/* Every option that names a file or folder, but the run's own. */
static enum status make_paths_absolute(struct ctx *c, json_t *doc)
{
    static const char *const single[] = {"model", "valid", "adapter"};
    json_t *data = json_object_get(doc, "data");
    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
        const json_t *v = json_object_get(doc, single[i]);
        json_t *absolute = json_is_string(v) ? make_absolute(c, single[i], v) : NULL;
        if (absolute) json_object_set_new(doc, single[i], absolute);
        if (!ctx_ok(c)) return c->status;
    }
    for (size_t i = 0; i < json_array_size(data); i++) {
        json_t *absolute = make_absolute(c, "data", json_array_get(data, i));
        if (!absolute) return c->status;
        json_array_set_new(data, i, absolute);
    }
    return OK;
}

enum status train_options_absolute(struct ctx *c, struct train_values *values, json_t **doc)
{
    const char *run = values->config.run;
    *doc = options_to_json(c, &train_table, values);
    if (!*doc) return c->status;
    TRY(make_paths_absolute(c, *doc));
    values->data.n = 0;
    options_from_json(c, &train_table, "the options", *doc, values);
    values->config.run = run;
    return c->status;
}

enum status train_options_settle(struct ctx *c, struct train_values *values)
{
    values->config.rows.paths = values->data.items;
    values->config.rows.n_paths = values->data.n;
    TRY(engine_rows_settle(c, &(struct engine_rows){&values->config.engine, &values->device, &values->config.form,
                                                    values->config.adapter.dropout}));
    return model_rows_settle(c, values->device, &values->config.form, true);
}

/* What an adapter brings along. */
static const char *const of_adapter[] = {"rank", "alpha", "targets", "last-layers", "rslora"};

enum status train_options_check_start(struct ctx *c, const struct train_values *values, const bool *given)
{
    for (size_t i = 0; values->config.start && i < sizeof of_adapter / sizeof *of_adapter; i++)
        if (given[options_find(&train_table, of_adapter[i])])
            return ctx_fail(
                c, E_INPUT,
                "--%s: training starts from the adapter %s, which has its own; leave --%s out, or leave --adapter "
                "out for a new adapter",
                of_adapter[i], values->config.start, of_adapter[i]);
    return OK;
}

/* ---- config.json ------------------------------------------------------------------------------------------------------ */

/* The member "format" of config.json counts how often its members changed: 1, and not written, before it was there. Members
 * that a format does not have yet are read as the value that does what the program of that time did; any other member that
 * is missing is an error, as its default may have changed since. Who adds an option to the table raises CONFIG_FORMAT and
 * adds a line here. CONFIG_NEVER: not kept in any format, as it changes nothing of a run. */
enum { CONFIG_FORMAT = 2, CONFIG_NEVER = 1 << 30 };
static const struct {
    const char *option;
    int64_t since;     /* the first format that has it */
    const char *value; /* JSON */
} config_newer[] = {
    {"valid-share", 2, "0"},     {"base-type", 2, "\"as-is\""},
    {"compute", 2, "\"f32\""},   {"force-adapter", 2, "false"},
    {"row-form", 2, "\"auto\""}, {"raw", 2, "true"},
    {"date", 2, "null"},         {"train-on", 2, "\"assistant\""},
    {"mask", 2, "\"auto\""},     {"special", 2, "false"},
    {"patience", 2, "0"},        {"recomputed-blocks", 2, "-1"},
    {"max-memory", 2, "0"},      {"plot", 2, "false"},
    {"samples", 2, "0"},         {"engine", 2, "\"native\""},
    {"device", 2, "\"cpu\""},    {"serve", CONFIG_NEVER, "null"},
};
enum { CONFIG_NEWER = sizeof config_newer / sizeof config_newer[0] };

char *train_options_text(struct ctx *c, const struct train_values *values)
{
    struct buf text;
    json_t *doc = options_to_json(c, &train_table, values);
    if (!doc) return NULL;
    for (size_t i = 0; values->config.start && i < sizeof of_adapter / sizeof *of_adapter; i++)
        json_object_del(doc, of_adapter[i]);
    for (int i = 0; i < CONFIG_NEWER; i++)
        if (config_newer[i].since == CONFIG_NEVER) json_object_del(doc, config_newer[i].option);
    if (json_object_set_new(doc, "format", json_integer(CONFIG_FORMAT)) != 0) ctx_fail(c, E_MEMORY, "no memory for options");
    buf_init(&text, c, CONFIG_CAP_BYTES);
    json_write(c, doc, true, &text);
    json_decref(doc);
    char *result = ctx_ok(c) ? buf_take(&text) : NULL;
    buf_release(&text);
    return result;
}

/* Why a folder without config.json is no run. It may be anything of the user's, so the advice is about the command line, not
 * about the folder. */
static enum status fail_no_run(struct ctx *c, const char *run)
{
    if (!dir_exists(run))
        return ctx_fail(c, E_INPUT, "%s: there is no such folder; a run is the folder that train was given with -o", run);
    if (run_is_unfinished_setup(c, run))
        return ctx_fail(c, E_INPUT,
                        "%s: training was stopped there before its first step. Call train again with the same -o", run);
    return ctx_fail(
        c, E_INPUT,
        "%s: is not the folder of a run (it has no config.json); a run is the folder that train was given with -o", run);
}

/* Takes the format out of the document, and puts the members in that it does not have. */
static enum status config_complete(struct ctx *c, const char *path, json_t *doc)
{
    int64_t format = 1;
    json_member_i64(c, path, doc, "format", false, 1, CONFIG_FORMAT, &format);
    if (!ctx_ok(c)) return ctx_prefix(c, "a run of another version of this program"), c->status;
    json_object_del(doc, "format");
    for (int i = 0; i < CONFIG_NEWER; i++) {
        if (format >= config_newer[i].since || json_object_get(doc, config_newer[i].option)) continue;
        json_t *v = json_loads(config_newer[i].value, JSON_DECODE_ANY, NULL);
        if (!v || json_object_set_new(doc, config_newer[i].option, v) != 0)
            return ctx_fail(c, E_MEMORY, "no memory for the options of a run");
    }
    return OK;
}

enum status train_options_read(struct ctx *c, const char *run, struct train_values *values, json_t **doc)
{
    char *path = path_join(c, run, "config.json");
    *doc = NULL;
    if (!path) return c->status;
    if (!file_exists(path))
        fail_no_run(c, run);
    else if ((*doc = json_parse_file(c, path, CONFIG_CAP_BYTES)) != NULL && !json_object_get(*doc, "output"))
        ctx_fail(c, E_INPUT, "%s: is not the folder of a run: its config.json is not one that train wrote", run);
    else if (*doc && config_complete(c, path, *doc) == OK)
        options_from_json(c, &train_table, path, *doc, values);
    mem_free(c, path);
    if (!ctx_ok(c)) return c->status;
    values->config.run = run;
    return train_options_settle(c, values);
}
