/* train_options: every option of `train`. Defaults suit a small model on a CPU and a data set of some hundred rows; choices
 * stand in the order of the enums that they fill. */
#include "train/train_options.h"

#include "base/file.h"
#include "base/mem.h"
#include "io/options_json.h"
#include "model/model_rows.h"

#define V            struct train_values
#define TEXT(...)    STRING_ROW(V, __VA_ARGS__)
#define INTEGER(...) I64_ROW(V, __VA_ARGS__)
#define NUMBER(...)  F64_ROW(V, __VA_ARGS__)
#define SWITCH(...)  FLAG_ROW(V, __VA_ARGS__)
#define CHOICE(...)  CHOICE_ROW(V, __VA_ARGS__)

#define BIG 1000000000

static const struct option_spec specs[] = {
    REQUIRED_ROW(V, config.model, "model", 'm', "MODEL", "Input and output", "folder or .gguf file of the base model"),
    LIST_ROW(V, data, "data", 'd', true, "FILE", "Input and output", "JSONL file of training rows"),
    TEXT(config.valid, "valid", 0, NULL, "FILE", "Input and output", "JSONL file of validation rows"),
    MODEL_ROWS(V, config.base, config.compute, "Input and output"),
    REQUIRED_ROW(V, config.run, "output", 'o', "RUN", "Input and output", "folder of the run; new or empty"),
    TEXT(config.start, "adapter", 0, NULL, "DIR", "Input and output", "PEFT adapter that training starts from"),

    INTEGER(config.rank, "rank", 'r', "16", 1, 1024, "Adapter", "rank of A and B"),
    NUMBER(config.alpha, "alpha", 0, "32", 1e-3, 1e6, "Adapter", "scale: alpha / rank"),
    NUMBER(config.dropout, "dropout", 0, "0", 0, 0.95, "Adapter", "share of the adapter's inputs dropped"),
    TEXT(config.targets, "targets", 0, "all", "NAMES", "Adapter",
         "linears: q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"),
    INTEGER(config.last_layers, "last-layers", 0, "0", 0, 10000, "Adapter", "only the last N layers; 0: all"),
    SWITCH(config.rslora, "rslora", 0, "false", "Adapter", "scale: alpha / sqrt(rank)"),

    CHOICE(config.distrust, "distrust", 0, "monotone", "off|monotone|published|additive", "Objective",
           "how scores of documents become weights"),
    NUMBER(config.lambda, "lambda", 0, "1", 0, 1, "Objective", "strength of the weights; 0: none"),
    NUMBER(config.power, "distrust-power", 0, "2", 0.01, 16, "Objective", "p of softplus(s)^p (monotone)"),
    NUMBER(config.ratio, "distrust-ratio", 0, "32", 1, 1e6, "Objective", "R: largest weight over smallest"),
    NUMBER(config.distrust_alpha, "distrust-alpha", 0, "2.7", 2.3, 3, "Objective",
           "alpha of the published term; in the log only"),
    NUMBER(config.default_auth_weight, "default-auth-weight", 0, "-1", -1, 0.99, "Objective",
           "for rows without; negative: none"),
    NUMBER(config.default_prov_entropy, "default-prov-entropy", 0, "-1", -1, 1e6, "Objective",
           "bits, for rows without; negative: none"),

    INTEGER(config.max_length, "max-length", 0, "512", 2, 1 << 24, "Data", "tokens of a sequence"),
    CHOICE(config.long_documents, "long", 0, "split", "split|truncate", "Data", "documents longer than that"),
    SWITCH(config.packing, "packing", 0, "true", "Data", "several documents in a sequence, unseen by each other"),
    SWITCH(config.skip_bad_rows, "skip-bad-rows", 0, "false", "Data", "count faulty rows instead of stopping"),
    CHOICE(config.chat, "template", 0, "auto", "auto|chatml|llama3", "Data", "chat template of message rows"),

    INTEGER(config.batch, "batch", 'b', "4", 1, 65536, "Optimisation", "sequences of a micro-batch"),
    INTEGER(config.accumulation, "accumulation", 0, "1", 1, 65536, "Optimisation", "micro-batches of an optimizer step"),
    INTEGER(config.epochs, "epochs", 0, "3", 1, 100000, "Optimisation", "passes over the data"),
    INTEGER(config.max_steps, "max-steps", 0, "0", 0, BIG, "Optimisation",
            "optimizer steps, whatever the epochs; 0: epochs"),
    NUMBER(config.lr, "lr", 0, "2e-4", 0, 10, "Optimisation", "peak learning rate"),
    CHOICE(config.schedule, "schedule", 0, "cosine", "cosine|linear|constant", "Optimisation", "after the warm-up"),
    INTEGER(config.warmup, "warmup", 0, "-1", -1, BIG, "Optimisation", "steps of linear warm-up; -1: 5 % of the run"),
    NUMBER(config.min_lr_ratio, "min-lr-ratio", 0, "0.1", 0, 1, "Optimisation", "last learning rate over peak"),
    NUMBER(config.weight_decay, "weight-decay", 0, "0.01", 0, 10, "Optimisation", "decoupled, of AdamW"),
    NUMBER(config.beta1, "beta1", 0, "0.9", 0, 0.999999, "Optimisation", "of AdamW"),
    NUMBER(config.beta2, "beta2", 0, "0.999", 0, 0.999999, "Optimisation", "of AdamW"),
    NUMBER(config.eps, "eps", 0, "1e-8", 1e-20, 1, "Optimisation", "of AdamW"),
    CHOICE(config.clip_mode, "clip-mode", 0, "relative", "relative|fixed|off", "Optimisation",
           "gradient clipping; fixed undoes document weights"),
    NUMBER(config.clip, "clip", 0, "1", 1e-6, 1e6, "Optimisation", "c of relative, norm of fixed"),

    INTEGER(config.eval_every, "eval-every", 0, "50", 0, BIG, "Running", "steps between validations; 0: at the end only"),
    INTEGER(config.save_every, "save-every", 0, "50", 0, BIG, "Running", "steps between checkpoints; 0: at the end only"),
    INTEGER(config.keep, "keep", 0, "2", 1, 100000, "Running", "newest checkpoints kept beside the best"),
    CHOICE(config.grad_checkpoint, "grad-checkpoint", 0, "auto", "auto|on|off", "Running",
           "recompute blocks in backward; auto: as many as memory asks for"),
    INTEGER(config.recomputed_blocks, "recomputed-blocks", 0, "-1", -1, 10000, "Running",
            "the first N blocks, instead of --grad-checkpoint; -1: that decides"),
    NUMBER(config.max_memory, "max-memory", 0, "0", 0, 1e6, "Running", "GiB that the run may take; 0: what is free"),
    INTEGER(config.seed, "seed", 0, "0", 0, 1LL << 53, "Running", "of adapter, order and dropout"),
    INTEGER(threads, "threads", 't', "0", 0, 1024, "Running", "0: one a core; results do not depend on it"),
};

const struct option_table train_table = {specs, sizeof(specs) / sizeof(specs[0])};

enum { CONFIG_CAP_BYTES = 1 << 20 };

char *train_options_text(struct ctx *c, const struct train_values *values)
{
    struct buf text;
    json_t *doc = options_to_json(c, &train_table, values);
    if (!doc) return NULL;
    buf_init(&text, c, CONFIG_CAP_BYTES);
    json_write(c, doc, true, &text);
    json_decref(doc);
    char *result = ctx_ok(c) ? buf_take(&text) : NULL;
    buf_release(&text);
    return result;
}

enum status train_options_read(struct ctx *c, const char *run, struct train_values *values, json_t **doc)
{
    char *path = path_join(c, run, "config.json");
    *doc = NULL;
    if (!path) return c->status;
    if (!file_exists(path))
        ctx_fail(c, E_INPUT, "%s: is missing: %s is no run, or it was stopped before it began. Remove it and train again",
                 path, run);
    else if ((*doc = json_parse_file(c, path, CONFIG_CAP_BYTES)) != NULL)
        options_from_json(c, &train_table, path, *doc, values);
    mem_free(c, path);
    values->config.run = run;
    values->config.data = values->data.items;
    values->config.n_data = values->data.n;
    return c->status;
}
