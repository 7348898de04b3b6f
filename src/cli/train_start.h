/* train_start: from checked options to a finished run: what `train` and `find-lr` have in common. */
#ifndef YA_CLI_TRAIN_START_H
#define YA_CLI_TRAIN_START_H

#include "cli/command.h"
#include "cli/train_view.h"
#include "train/train_options.h"

/* Settles *values, makes the run, shows the page and trains. search: of a learning rate, which ends (OK) where the loss is
 * three times its start, and publishes nothing that anybody should use. Errors of trainer_new and trainer_run. */
enum status train_start(const struct command_call *call, struct train_values *values, bool search);

#endif
