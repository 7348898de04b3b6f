/* experiment_jobs: cells of a grid trained beside each other, by threads that each have a ctx, a backend and the model of
 * their own. One small training does not keep many cores busy.
 *
 * The cells are the same bytes for any number of jobs, but for the seconds that they took. */
#ifndef YA_CLI_EXPERIMENT_JOBS_H
#define YA_CLI_EXPERIMENT_JOBS_H

#include "cli/loaded.h"
#include "eval/experiment.h"

/* Trains what the folder `dir` lacks of the grid, with `jobs` threads, and leaves each cell in its file; each thread opens
 * the model by `loaded`, whose `threads` are those of one job. `setup` is what the cells share, with the caller's own ctx
 * and model, which make the folder; `hooks` are called by one thread at a time. The first failure ends all jobs behind the
 * cells that they are at, and is recorded in setup->c. */
enum status experiment_jobs_run(const struct trial_setup *setup, const struct loaded_options *loaded,
                                const struct grid *grid, const char *dir, int jobs, const struct experiment_hooks *hooks);

#endif
