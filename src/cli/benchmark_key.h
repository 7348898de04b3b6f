/* benchmark_key: under which key and where `benchmark` keeps what it measured, for those who look for it. */
#ifndef YA_CLI_BENCHMARK_KEY_H
#define YA_CLI_BENCHMARK_KEY_H

#include "measure/trial_log.h"
#include "model/model.h"

/* Of the training steps that are measured. */
struct benchmark_shape {
    int64_t batch, length, rank;
};

/* All that a speed is a function of, but for the machine: "smollm2-135m cpu-amx t2 as-is bf16 4x512 r16". */
void benchmark_key(char out[TRIAL_KEY_BYTES], const char *model, const char *device, int threads,
                   const struct model_options *form, const struct benchmark_shape *s);

/* benchmark.jsonl in the user's configuration folder: owner the caller. NULL without a failure where there is no such
 * folder. */
char *benchmark_path(struct ctx *c);

#endif
