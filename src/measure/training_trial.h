/* training_trial: a few steps of a training, measured in a process of its own: one that takes too much memory, too much time
 * or its process down is a result and not the end of a series. */
#ifndef YA_MEASURE_TRAINING_TRIAL_H
#define YA_MEASURE_TRAINING_TRIAL_H

#include "measure/trial_log.h"
#include "train/train_options.h"

/* Opens the run that the values describe up to its plan (E_FIT and E_MEMORY are TRIAL_UNFIT), measures some of its
 * micro-batches (step_rate.h) and fills *out, whose key stays. values->config.run is not used: the setup has a temporary
 * folder. Output of the child is thrown away, but for the failure's message. The ctx must not have started threads or a
 * backend, because a child inherits none. E_INTERRUPTED when the child was stopped by Ctrl-C; E_IO, E_MEMORY. */
enum status training_trial_run(struct ctx *c, const struct train_values *values, double seconds_at_most,
                               struct trial_result *out);

#endif
