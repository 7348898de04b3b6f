/* trainer_parts: what the files of the trainer share. */
#ifndef YA_TRAIN_TRAINER_PARTS_H
#define YA_TRAIN_TRAINER_PARTS_H

#include "train/trainer.h"

/* Makes t->pack the one of `epoch`. */
enum status trainer_open_epoch(struct trainer *t, int64_t epoch);

/* Validation loss: forward over all validation rows, with the training set's q and mean g. E_NUMERIC naming the rows. */
enum status trainer_evaluate(struct trainer *t, struct metrics_eval *eval);

/* Makes t->logprobs hold so many values, if `s` tells any sources apart. E_MEMORY. */
enum status trainer_hold_logprobs(struct trainer *t, const struct source_loss *s, int64_t tokens);

/* E_NUMERIC for a value of a training step that is not finite, naming the step and the source rows: those of micro-batch
 * `micro`, or with -1 those of the whole step. t->pack must be the pack of the step's epoch. */
enum status trainer_numeric_step(struct trainer *t, const struct train_pending *p, int64_t micro, const char *what,
                                 double value);

/* Parses target modules, "q_proj,v_proj" or "all", into a bit set of the linear layers that get an adapter; E_INPUT naming
 * the word that is not one of them. */
enum status trainer_targets(struct ctx *c, const char *text, uint32_t *out);

#endif
