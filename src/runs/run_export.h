/* run_export: a run's history for other programs: CSV, and event files of TensorBoard. */
#ifndef YA_RUNS_RUN_EXPORT_H
#define YA_RUNS_RUN_EXPORT_H

#include "runs/run_read.h"

/* Appends CSV: a head, then a line for each step of each run, with the validation of that step in its last columns; a
 * validation before step 1 is a line of its own. What is not a number is empty. Fields that need it are quoted. E_MEMORY, or
 * E_INPUT past the buffer's cap. */
enum status run_export_csv(const struct run_read *runs, size_t n, struct buf *out);

/* Writes DIR/<name of the run>/events.out.tfevents.<time>.your_ai, over one that an earlier call wrote there. Tags:
 * loss/total, loss/cross_entropy, loss/distrust (where rows have scores), training/learning_rate, training/grad_norm,
 * system/memory_mb, system/memory_change_mb (MiB both, as the system that this one replaces had them), and loss/weighted,
 * training/clip_share, system/tokens_per_s, validation/loss, validation/weighted_loss. Times are counted back from the last
 * change of the metrics by the seconds of each step. E_IO, E_MEMORY. */
enum status run_export_tensorboard(const struct run_read *r, const char *dir);

#endif
