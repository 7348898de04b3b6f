/* cmd_init: writes a model with random weights in the shapes of a known one. Whoever measures speed or memory needs the
 * shapes and not the values, and gets them without a download. */
#include <stdio.h>

#include "base/threads.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "model/random_model.h"

struct init_values {
    int like; /* index into known_models */
    const char *out;
    int64_t seed, threads;
};
#define V struct init_values

static const struct option_spec specs[] = {
    CHOICE_ROW(V, like, "like", 0, "tiny", known_model_choices, "Model", "known model whose shapes are used"),
    I64_ROW(V, seed, "seed", 0, "1", 0, (double)INT64_MAX, "Model",
            "seed of the values; the same seed gives the same bytes"),
    REQUIRED_ROW(V, out, "out", 'o', "DIR", "Output", "new or empty folder"),
    THREADS_ROW(V, threads, "Running"),
};

static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

static enum status cmd_init_run(const struct command_call *call)
{
    const struct init_values *v = call->values;
    struct random_model what = {.shape = &known_models[v->like], .seed = (uint64_t)v->seed};
    TRY(ctx_set_threads(call->c, (int)v->threads));
    TRY(random_model_write(call->c, v->out, &what));
    printf("%s: %.2f GB of random bf16 weights\n", v->out, (double)known_model_bytes(what.shape) / 1e9);
    return OK;
}

const struct command command_init = {
    .name = "init",
    .summary = "writes a model with random weights in the shapes of a known model",
    .usage = "--like MODEL -o DIR [options]",
    .about =
        "Writes a Hugging Face folder (config.json, model.safetensors in bf16, a tokenizer with one token for each byte)\n"
        "for benchmarks and tests. Matrices are drawn from N(0, 0.02), norms are 1. Such a model has learned nothing, but\n"
        "takes the time and the memory of the real one.",
    .table = &table,
    .values_bytes = sizeof(struct init_values),
    .run = cmd_init_run,
};
