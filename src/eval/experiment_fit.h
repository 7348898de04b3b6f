/* experiment_fit: what the trials of an experiment say together. */
#ifndef YA_EVAL_EXPERIMENT_FIT_H
#define YA_EVAL_EXPERIMENT_FIT_H

#include "eval/experiment.h"
#include "eval/slope.h"

/* A fit of measured log-odds. What is on the x axis is the prediction of the same fact; for unseen facts, which have none,
 * that of the trained fact of the same number, so that its slope is 0 when nothing passes over. */
enum fit_kind {
    FIT_LEVEL,         /* line through the points (prediction, measured) of an arm, or of off and monotone together */
    FIT_CHANGE,        /* through the origin: the change against `off` of the same repeat, epochs and seed against the
                          change that is predicted: 1 where the weights do what they should */
    FIT_GENERALISATION /* the slope of a way to ask over that of trained statements, of changes */
};
extern const char *const fit_kind_name[];

struct fit {
    enum fit_kind kind;
    enum arm arm; /* ARM_BASE: off and monotone together */
    int64_t epochs;
    enum belief belief;
    struct slope slope;
};

/* Trials that differ only in their seed. */
struct fit_group {
    struct cell cell;             /* seed: how many */
    double predicted, perplexity; /* means over the trials: of the facts' predictions; the geometric one of perplexities */
    struct slope mean[BELIEFS];   /* of measured log-odds; the interval is over facts */
    double preferred[BELIEFS];    /* forced choice: share of facts whose log-odds is above 0 */
    struct belief_said said[BELIEF_SAID]; /* added up */
};

struct experiment_fits {
    struct ctx *c;
    struct fit *fits;         /* owned */
    struct fit_group *groups; /* owned; in the order of the trials */
    size_t n, n_groups;
};

/* Release *out with experiment_fits_release, also after a failure. E_MEMORY. */
enum status experiment_fit(const struct experiment *e, struct experiment_fits *out);
void experiment_fits_release(struct experiment_fits *f);

/* The fit that was asked for, or NULL. */
const struct fit *experiment_find_fit(const struct experiment_fits *f, enum fit_kind kind, enum arm arm, int64_t epochs,
                                      enum belief belief);

#endif
