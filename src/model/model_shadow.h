/* model_shadow: a model in another ctx that has the shapes of a given one and none of its memory, for counting what a step
 * on it would need (struct backend, `counting`). */
#ifndef YA_MODEL_MODEL_SHADOW_H
#define YA_MODEL_MODEL_SHADOW_H

#include "model/model.h"

/* Config, options and weights are those of `m`, which must outlive the result; vectors are arrays of `c`, which must have
 * a counting backend (BUG_ON), so the weights' rows are never read. When m has an adapter, the shadow has one with the
 * same modules, ranks and dropout and undefined values. Owner of the result: the caller, who frees it with
 * model_shadow_free before the array_env of `c`. NULL with E_MEMORY. model_shadow_free accepts NULL. */
struct model *model_shadow_new(struct ctx *c, const struct model *m);
void model_shadow_free(struct model *s);

#endif
