/* optim: the constants of one AdamW step, in double. The engine applies them to the slab in f32. */
#include "train/optim.h"

#include <math.h>

struct engine_update optim_step(const struct optim *o, int64_t step, double lr, double threshold)
{
    return (struct engine_update){
        .step = step,
        .threshold = threshold,
        .lr = lr,
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .eps = o->eps,
        .weight_decay = o->weight_decay,
        .correction1 = 1.0 - pow(o->beta1, (double)step),
        .correction2 = 1.0 - pow(o->beta2, (double)step),
    };
}
