/* schedule: the learning rate of each optimizer step. */
#ifndef YA_TRAIN_SCHEDULE_H
#define YA_TRAIN_SCHEDULE_H

#include <stdint.h>

enum schedule_kind { SCHEDULE_COSINE, SCHEDULE_LINEAR, SCHEDULE_CONSTANT, SCHEDULE_RISING };

struct schedule {
    enum schedule_kind kind;
    double peak;      /* learning rate at the end of the warm-up */
    double min_ratio; /* the floor at the last step, as a fraction of peak; unused by constant */
    int64_t warmup;   /* steps of linear warm-up from peak / warmup to peak */
    int64_t total;    /* steps of the whole run */
};

/* Learning rate of step 1 .. total (later steps stay at the floor). The first step after the warm-up has the peak and the
 * last one the floor, both exactly; cosine: Loshchilov & Hutter 2017, without restarts. Rising is for finding a rate: the
 * first step has the floor, the last one the peak, and each the same multiple of the one before (Smith 2015). A pure
 * function: nothing of it needs to be in a checkpoint. */
double schedule_lr(const struct schedule *s, int64_t step);

#endif
