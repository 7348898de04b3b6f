/* optim: the constants of one AdamW step, in double. The engine applies them to the slab in f32:
 *
 *   m = beta1 m + (1 - beta1) g      v = beta2 v + (1 - beta2) g^2
 *   p = p - lr (m / correction1 / (sqrt(v / correction2) + eps) + weight_decay p)
 *
 * The corrections 1 - beta^step make up for moments that begin at 0 (Kingma and Ba 2015, section 3). */
#include "train/optim.h"

#include <math.h>

struct engine_update optim_step(const struct optim *o, int64_t step, double lr, double threshold)
{
    BUG_ON(NULL, step < 1, "steps are counted from 1, and this is %lld", (long long)step);
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
