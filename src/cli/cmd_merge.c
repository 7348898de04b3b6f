/* cmd_merge: folds an adapter into its base model and writes the result as a Hugging Face folder. */
#include <stddef.h>
#include <stdio.h>

#include "cli/command.h"
#include "export/merge.h"
#include "export/peft.h"

struct merge_values {
    const char *model, *adapter, *out;
    int dtype; /* index into "bf16|f32" */
    int64_t threads;
};
#define V struct merge_values

static const struct option_spec specs[] = {
    REQUIRED_ROW(V, model, "model", 'm', "MODEL", "Input", "folder, .gguf file or cached owner/name of the base model"),
    REQUIRED_ROW(V, adapter, "adapter", 0, "DIR", "Input", "PEFT adapter to fold in"),
    REQUIRED_ROW(V, out, "out", 'o', "DIR", "Output", "new or empty folder for the merged model"),
    CHOICE_ROW(V, dtype, "dtype", 0, "bf16", "bf16|f32", "Output", "type of the weights that are written"),
    I64_ROW(V, threads, "threads", 't', "0", 0, 1024, "Running", "0: one a usable core"),
};

static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

static enum status merge(struct model *m, const struct merge_values *v)
{
    static const enum tensor_type types[] = {TENSOR_BF16, TENSOR_F32};
    struct lora *lora = lora_load(m->c, &m->config, v->adapter);
    if (!lora) return m->c->status;
    model_attach_lora(m, lora);
    enum status status = peft_check_base(m, v->adapter, true);
    if (status == OK) status = merge_write(m, v->out, &(struct merge_options){.type = types[v->dtype]});
    if (status == OK) printf("merged %zu modules onto the weights of %s into %s\n", lora->n_modules, v->model, v->out);
    model_attach_lora(m, NULL);
    lora_free(lora);
    return status;
}

static enum status cmd_merge_run(const struct command_call *call)
{
    const struct merge_values *v = call->values;
    TRY(command_compute(call->c, "cpu", v->threads));
    struct model *m = model_open(call->c, v->model);
    if (!m) return call->c->status;
    enum status status = merge(m, v);
    model_free(m);
    return status;
}

const struct command command_merge = {
    .name = "merge",
    .summary = "folds an adapter into its base model",
    .usage = "-m MODEL --adapter DIR -o DIR [options]",
    .about =
        "Writes W + s B A as a Hugging Face folder (safetensors, config.json, tokenizer) that transformers loads. The sum\n"
        "is computed in f32 and rounded once. A block-quantised base is widened, not quantised again. W is always what the\n"
        "model's file holds, also for an adapter that was trained with --base-type nf4 or int8: it meets better weights "
        "than those "
        "it\n"
        "was trained on.",
    .table = &table,
    .values_bytes = sizeof(struct merge_values),
    .run = cmd_merge_run,
};
