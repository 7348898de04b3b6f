/* find_lr: what a run with a rising learning rate says about a good one. */
#ifndef YA_RUNS_FIND_LR_H
#define YA_RUNS_FIND_LR_H

#include "runs/history.h"

struct find_lr {
    bool found;        /* the smoothed loss fell by 1 % or more somewhere */
    bool rose;         /* ... and rose again, so the least loss is a minimum and not the end of the search */
    double start_loss; /* mean of the first 5 steps */
    double least_loss, least_lr;
    double suggestion; /* a tenth of least_lr */
};

/* Smooths each loss with the two before and the two after it, which keeps the place of a minimum, and looks for the least.
 * Steps behind the first one whose loss is more than twice the start are not looked at: what comes back from a divergence
 * is not learning. */
struct find_lr find_lr_of(const struct history *h);

#endif
