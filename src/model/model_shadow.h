/* model_shadow: a model in another ctx that has the shapes of a given one and none of its memory, for counting what a step
 * on it would need (struct backend, `counting`). */
#ifndef YA_MODEL_MODEL_SHADOW_H
#define YA_MODEL_MODEL_SHADOW_H

#include "model/model.h"

/* Config, options and weights are those of `m`, which must outlive the result; vectors are arrays of `c`, which must have a
 * counting backend: the weights' rows are never read there. With an adapter attached whose modules, ranks and dropout are
 * those of m's, its values undefined. Owner of the result: the caller; model_shadow_free, before the array_env of `c`. */
struct model *model_shadow_new(struct ctx *c, const struct model *m);
void model_shadow_free(struct model *s); /* accepts NULL */

#endif
