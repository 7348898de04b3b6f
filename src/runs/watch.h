/* watch: looks at a training while it runs and says, once each, when it goes wrong. It is fed every step and keeps a few
 * numbers; nothing of the training depends on it.
 *
 * - WATCH_LOSS: the mean loss of the last 5 steps is above 1.5 times its start, and at least 0.5 nats above it. The start is
 *   the mean of the first 5 steps, or the first step's loss where that is lower.
 * - WATCH_NORM: two gradient norms in a row are above 20 times the median of the last 100 before them.
 * - WATCH_FLAT: after a quarter of the run, and at least 100 steps, the mean of the last 20 steps is less than 0.5 % below
 *   that of the first 20.
 *
 * The bounds leave alone what ordinary data does: single steps of one or two documents differ by a nat or more. */
#ifndef YA_RUNS_WATCH_H
#define YA_RUNS_WATCH_H

#include "train/metrics.h"

enum watch_event { WATCH_LOSS, WATCH_NORM, WATCH_FLAT, WATCH_EVENTS };
enum { WATCH_WINDOW = 20, WATCH_SHORT = 5, WATCH_NORMS = 100 };

struct watch {
    int64_t total_steps;        /* of the run; 0: not known, and WATCH_FLAT is never said */
    int64_t seen;               /* steps so far */
    double first[WATCH_WINDOW]; /* losses of the first steps */
    double last[WATCH_WINDOW];  /* of the last ones; step k lies at k % WATCH_WINDOW */
    double norms[WATCH_NORMS];  /* likewise, gradient norms */
    double smoothed;            /* mean loss that forgets: each step counts 0.9 times what the next one counts */
    double decay;               /* 0.9^seen, for the correction of its beginning */
    int high_norms;             /* in a row */
    bool said[WATCH_EVENTS];
};

/* A watch that has seen nothing. */
void watch_init(struct watch *w, int64_t total_steps);

/* Adds a finished step. True when an event is to be told now: *event is which, and `text` (at most text_bytes with its end)
 * a sentence with its numbers. Of several events the later ones are told at the next step. */
bool watch_add(struct watch *w, const struct metrics_step *s, enum watch_event *event, char *text, size_t text_bytes);

/* The smoothed loss, from the first step on; NaN before it. */
double watch_loss(const struct watch *w);

/* The start that WATCH_LOSS compares with, and what it asks of `now`. */
double watch_start(const double *first, int64_t n);
bool watch_is_diverged(double start, double now);

#endif
