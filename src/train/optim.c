/* optim: AdamW's numbers for one step. */
#include "train/optim.h"

#include <math.h>

struct adamw_params optim_step(const struct optim *o, int64_t step, double lr, double grad_scale)
{
    return (struct adamw_params){
        .lr = lr,
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .eps = o->eps,
        .weight_decay = o->weight_decay,
        .correction1 = 1.0 - pow(o->beta1, (double)step),
        .correction2 = 1.0 - pow(o->beta2, (double)step),
        .grad_scale = grad_scale,
    };
}
