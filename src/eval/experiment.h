/* experiment: the conflict experiment on a grid, in a folder:
 *
 *   experiment.json       what all its trials share; a folder with another one is refused
 *   cells/NAME.json       one trial each, written atomically
 *   results.json          fits over all cells (experiment_write.h)
 *   cells.csv             one row a cell and way to ask
 *   report.html           both as a page with plots
 *
 * A cell whose file is there is not trained again: a run that was stopped, or one with a larger grid, takes up where the
 * folder stands. */
#ifndef YA_EVAL_EXPERIMENT_H
#define YA_EVAL_EXPERIMENT_H

#include "eval/grid.h"
#include "eval/trial.h"

struct experiment {
    struct ctx *c;
    struct trial *trials; /* (n) of the cells that were done or read, in the grid's order; owned */
    size_t n;
};

/* cell: called behind each cell: its number from 0, whether it was read from the folder. NULL: not called.
 * take: whether this call is to do cell i, for grids that several share; it is asked once for each, in order. NULL: all. */
struct experiment_hooks {
    void *user;
    bool (*take)(void *user, size_t i);
    void (*cell)(void *user, size_t i, size_t n, const struct trial *t, bool read);
};

/* Makes the folder with its settings, or finds one that has the same ones. Errors as below. */
enum status experiment_open_folder(const struct trial_setup *setup, const char *dir);
/* Removes the files of trials that were killed in their middle: the folders `work` and `work-NUMBER` of an experiment's
 * folder, which the caller has locked (dir_lock). E_IO. */
enum status experiment_remove_work(struct ctx *c, const char *dir);
/* Runs what is missing of the grid. setup->work is set by it. Release *out with experiment_release, also after a failure.
 * E_INPUT: `dir` is not an experiment's folder and not empty, or is one of other settings. */
enum status experiment_run(struct trial_setup *setup, const struct grid *grid, const char *dir,
                           const struct experiment_hooks *hooks, struct experiment *out);
void experiment_release(struct experiment *e);

#endif
