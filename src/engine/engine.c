/* engine: what every implementation of engine.h shares, which is little: opening one by its kind, and the checked access to
 * the parameter table. */
#include "engine/engine.h"

struct engine *engine_new(struct ctx *c, enum engine_kind kind, struct model *model, struct lora *lora)
{
    return kind == ENGINE_KIND_MLX ? engine_mlx_new(c, model, lora) : engine_native_new(c, model, lora);
}

const struct parameter *engine_parameter(const struct engine *e, size_t i)
{
    BUG_ON(e->c, i >= e->parameters->n, "parameter %zu of %zu", i, e->parameters->n);
    return &e->parameters->list[i];
}
