/* train_choice: the length of a run where the rows are few and the user asked for none.
 *
 * The defaults (3 epochs, packed sequences of 512 tokens, 4 in a step) suit thousands of rows. Of 40 short rows they make
 * one step an epoch, and three steps teach nothing. Where they would make fewer than CHOICE_STEPS_MIN steps the trainer
 * chooses: a document a sequence, as many epochs as make CHOICE_STEPS steps (CHOICE_EPOCHS_MAX at most), and the learning
 * rate that goes with a short run. What is chosen stands in the run's config.json as if it had been given, so a resumed run
 * chooses nothing. */
#ifndef YA_TRAIN_TRAIN_CHOICE_H
#define YA_TRAIN_TRAIN_CHOICE_H

#include "train/trainer.h"

/* Fewer optimizer steps than this are little to learn from; a run that was chosen has CHOICE_STEPS where it may. */
enum { CHOICE_STEPS_MIN = 30, CHOICE_STEPS = 100, CHOICE_EPOCHS_MAX = 30 };

/* Marks in *config what the trainer may choose: the length where neither --epochs nor --max-steps was given, and with it
 * packing and learning rate unless they were. given: of train_table. */
void train_choice_allow(struct train_config *config, const bool *given);

/* Chooses for a trainer whose data is open: t->choice says what and why, t->config holds it. With *text, the config.json of
 * the run, its members are set too: *text is then a new one (owner the caller; the old one is not freed). E_MEMORY. */
enum status train_choice_make(struct trainer *t, const char *config_text, char **text);

#endif
