/* train_view: what a training shows: the page before step 1, the line while it runs, the words at its end. */
#ifndef YA_CLI_TRAIN_VIEW_H
#define YA_CLI_TRAIN_VIEW_H

#include "train/trainer.h"

/* One a process (it owns the signal handlers). */
struct train_view {
    bool line;  /* stdout is a terminal: one line is refreshed */
    bool color; /* and may have colours */
    bool open_line;
    size_t free_bytes;
};

/* Prepares the view and installs handlers: the first SIGINT or SIGTERM makes hooks.interrupted true, the second quits. */
void train_view_start(struct train_view *v, struct trainer_hooks *hooks);

/* The page before step 1: sizes, memory plan, two rows with the trained tokens marked, counts, weights. */
enum status train_view_page(struct train_view *v, const struct trainer *t);

/* Runs the trainer and says how it ended and what to do next. Passes its status on. */
enum status train_view_run(struct train_view *v, struct trainer *t);

#endif
