/* run_samples: has the model answer a few prompts of a run's rows before its first step and after its last one. */
#ifndef YA_CLI_RUN_SAMPLES_H
#define YA_CLI_RUN_SAMPLES_H

#include "train/trainer.h"

/* Answers n prompts of the validation rows, else of the training rows, with the adapter as it is, and writes samples.json.
 * A prompt is what stands before the first trained token of a row; of a row that is all trained, its beginning. Nothing for
 * n 0, for an engine of another library, for a run that has samples already or is past its first step. `stop` is asked after
 * every token; true: nothing is written. A failure is logged and forgotten, since training is not worse without samples. */
void run_samples_before(struct trainer *t, int64_t n, bool (*stop)(void));

/* Answers the same prompts with the adapter that the run has published, and adds that to samples.json. Nothing where it has
 * none, or where it is complete. */
void run_samples_after(struct trainer *t, bool (*stop)(void));

#endif
