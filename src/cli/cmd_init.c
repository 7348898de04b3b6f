/* cmd_init: random weights of a known model's shapes. */
#include <stdio.h>

#include "base/threads.h"
#include "cli/command.h"
#include "export/random_model.h"

struct init_values {
    int like; /* index into RANDOM_MODEL_CHOICES */
    const char *out;
    int64_t seed, threads;
};
#define V struct init_values

static const struct option_spec specs[] = {
    CHOICE_ROW(V, like, "like", 0, "tiny", RANDOM_MODEL_CHOICES, "Model", "the model whose shapes it has"),
    I64_ROW(V, seed, "seed", 0, "1", 0, (double)INT64_MAX, "Model", "the same seed gives the same bytes"),
    REQUIRED_ROW(V, out, "out", 'o', "DIR", "Output", "new or empty folder"),
    I64_ROW(V, threads, "threads", 't', "0", 0, 1024, "Running", "0: one a usable core"),
};

static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

static enum status cmd_init_run(const struct command_call *call)
{
    const struct init_values *v = call->values;
    struct random_model what = {.shape = v->like, .seed = (uint64_t)v->seed};
    TRY(ctx_set_threads(call->c, (int)v->threads));
    TRY(random_model_write(call->c, v->out, &what));
    printf("%s: %.2f GB of random bf16 weights\n", v->out, (double)random_model_bytes(v->like) / 1e9);
    return OK;
}

const struct command command_init = {
    .name = "init",
    .summary = "makes a model of known shapes with random weights",
    .usage = "--like MODEL -o DIR [options]",
    .about = "Writes a Hugging Face folder (config.json, model.safetensors in bf16, a tokenizer of bytes) of a known "
             "model's shapes,\n"
             "for benchmarks and tests. Matrices are N(0, 0.02), norms 1: it knows nothing, but takes the time and memory "
             "that the\n"
             "real model takes.",
    .table = &table,
    .values_bytes = sizeof(struct init_values),
    .run = cmd_init_run,
};
