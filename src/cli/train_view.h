/* train_view: what a training shows: the page before step 1, the line while it runs, the words at its end. */
#ifndef YA_CLI_TRAIN_VIEW_H
#define YA_CLI_TRAIN_VIEW_H

#include "cli/train_signals.h"
#include "train/trainer.h"

/* One a process (it owns the signal handlers). */
struct train_view {
    bool line;  /* stdout is a terminal: one line is refreshed */
    bool color; /* and may have colours */
    bool open_line;
    bool resumed;    /* the run was there before */
    bool save_asked; /* the next checkpoint is one that SIGUSR1 asked for */
    size_t free_bytes;
    char command[TRAIN_COMMAND_BYTES]; /* continues the run, quoted for a shell */
};

struct train_view_options {
    const char *run;
    int64_t max_steps; /* --max-steps of resume, which continuing needs again; 0: not given */
    bool resumed;
};

/* Prepares the view, fills *hooks, whose `user` is the view, and installs the handlers of train_signals.h. E_INPUT when the
 * path of the run is too long. */
enum status train_view_start(struct train_view *v, struct ctx *c, const struct train_view_options *o,
                             struct trainer_hooks *hooks);

/* The page before step 1: sizes, memory plan, two rows with the trained tokens marked, counts, weights. */
enum status train_view_page(struct train_view *v, const struct trainer *t);

/* Runs the trainer and says how it ended and what to do next. Passes its status on. */
enum status train_view_run(struct train_view *v, struct trainer *t);

#endif
