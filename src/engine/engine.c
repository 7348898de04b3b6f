/* engine: what every implementation of engine.h shares, which is little: the checked access to the parameter table. */
#include "engine/engine.h"

const struct parameter *engine_parameter(const struct engine *e, size_t i)
{
    BUG_ON(e->c, i >= e->parameters->n, "parameter %zu of %zu", i, e->parameters->n);
    return &e->parameters->list[i];
}
