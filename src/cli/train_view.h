/* train_view: what a training shows: the page before step 1, the line while it runs, the words at its end. All of it but the
 * line that is refreshed goes to RUN/log.txt too. */
#ifndef YA_CLI_TRAIN_VIEW_H
#define YA_CLI_TRAIN_VIEW_H

#include <stdio.h>

#include "cli/command.h"
#include "cli/train_signals.h"
#include "runs/live_server.h"
#include "runs/watch.h"
#include "train/trainer.h"

/* The loss of every step so far, for the plot. */
struct train_curve {
    double *x, *y; /* (n) step, loss; owner the view */
    size_t n, room;
};

/* One a process (it owns the signal handlers). */
struct train_view {
    struct ctx *c;
    bool line;                /* stdout is a terminal: one line is refreshed */
    bool color;               /* and may have colours */
    bool plot;                /* --plot */
    int64_t samples;          /* --samples */
    bool search, search_over; /* train_view_options; the loss is too high to look further */
    bool open_line;
    int plot_lines;  /* of the plot that stands above the open line */
    bool resumed;    /* the run was there before */
    bool planned;    /* there will be no run: the page of `plan` */
    bool save_asked; /* the next checkpoint is one that SIGUSR1 asked for */
    size_t free_bytes;
    int64_t lines_from; /* step of the newest line that stays */
    struct watch watch;
    struct train_curve curve;
    struct live_server *server;                                                /* --serve; NULL without */
    FILE *log;                                                                 /* RUN/log.txt; NULL before the page */
    void (*log_before)(void *user, enum log_level level, const char *message); /* the ctx's own hook */
    void *user_before;
    int argc; /* words of the command, for the log */
    char *const *argv;
    char command[TRAIN_COMMAND_BYTES]; /* continues the run, quoted for a shell */
};

struct train_view_options {
    const char *run;
    int64_t max_steps;               /* --max-steps of resume, which continuing needs again; 0: not given */
    const struct option_list *moved; /* --data of resume, likewise; NULL: none */
    bool resumed, plot;
    int64_t samples;   /* --samples */
    const char *serve; /* --serve; NULL: no */
    bool search; /* of a learning rate: it ends where the loss is three times its start, and nothing is said at its end */
};

/* Prepares the view, fills *hooks, whose `user` is the view, and installs the handlers of train_signals.h. E_INPUT when the
 * path of the run is too long. Undone by train_view_end. */
enum status train_view_start(struct train_view *v, const struct command_call *call, const struct train_view_options *o,
                             struct trainer_hooks *hooks);

/* The page before step 1: sizes, memory plan, two rows with the trained tokens marked, counts, weights. */
enum status train_view_page(struct train_view *v, const struct trainer *t);

/* The same without warnings: train_page.c's part. */
enum status train_page_print(const struct train_view *v, const struct trainer *t);

/* Runs the trainer and says how it ended, how it went and what to do next. Passes its status on. */
enum status train_view_run(struct train_view *v, struct trainer *t);

/* Closes the log and gives the ctx its hook back. */
void train_view_end(struct train_view *v);

#endif
