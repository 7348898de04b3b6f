/* optim: the update rule of the adapter: AdamW (Loshchilov & Hutter 2019) with bias correction and f32 moments, which the
 * engine holds. Here are only its numbers for one step; the arithmetic is op_adamw's. */
#ifndef YA_TRAIN_OPTIM_H
#define YA_TRAIN_OPTIM_H

#include "array/op.h"

struct optim {
    double beta1, beta2, eps, weight_decay;
};

/* Parameters of the update of step 1, 2, ...: corrections 1 - beta^step, the step's learning rate, and the factor that
 * clipping asks for. A pure function of its arguments, so a resumed run needs nothing but the step. */
struct adamw_params optim_step(const struct optim *o, int64_t step, double lr, double grad_scale);

#endif
