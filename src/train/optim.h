/* optim: AdamW (Loshchilov & Hutter 2019) with bias correction. The engine holds the f32 moments and does the arithmetic;
 * here are only the values of one step. */
#ifndef YA_TRAIN_OPTIM_H
#define YA_TRAIN_OPTIM_H

#include "engine/engine.h"

/* The options of a run: --beta1, --beta2, --eps, --weight-decay. */
struct optim {
    double beta1, beta2, eps, weight_decay;
};

/* The update of step 1, 2, ...: corrections 1 - beta^step, the step's learning rate and the norm above which the gradient is
 * clipped. A pure function of its arguments, so a resumed run needs nothing but the step. */
struct engine_update optim_step(const struct optim *o, int64_t step, double lr, double threshold);

#endif
