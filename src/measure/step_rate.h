/* step_rate: how long a planned training will take, from a few of its own micro-batches that are run on its own engine, or
 * from what `setup` measured on this machine. */
#ifndef YA_MEASURE_STEP_RATE_H
#define YA_MEASURE_STEP_RATE_H

#include "measure/machine_profile.h"
#include "train/trainer.h"

struct step_rate {
    int64_t batches, tokens;             /* measured: micro-batches, and tokens in them; 0: predicted */
    double tokens_per_s;                 /* of training: forward, backward and update */
    double forward_tokens_per_s;         /* of validation */
    double batch_seconds;                /* of a micro-batch of the run, on average */
    int64_t run_tokens;                  /* of the whole run, the last epoch as long as the first */
    int64_t valid_tokens, n_valid;       /* of a validation, and how many the run makes */
    double train_seconds, valid_seconds; /* predicted, of the whole run */
};

/* Runs micro-batches of the first epoch, one to warm up and then as many as fill a few seconds, with a learning rate of 0,
 * and one forward pass; where a micro-batch takes long, fewer of them. For a trainer whose plan fits and that has not
 * trained: its gradients and moments are of no use afterwards. E_INTERRUPTED when the hook of the trainer asks to stop; else
 * as a training step. */
enum status step_rate_measure(const struct trainer *t, struct step_rate *r);

/* The same from the machine's profile: nothing is run. *known becomes whether the profile can tell. E_MEMORY, and the errors
 * of a pack. */
enum status step_rate_predict(const struct trainer *t, const struct machine_profile *p, struct step_rate *r, bool *known);

#endif
