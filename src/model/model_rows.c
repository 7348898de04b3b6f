#include "model/model_rows.h"

#include "backend/backend_open.h"

/* A CHOICE_ROW fills an int; the enums that it fills here have an int's size. */
_Static_assert(sizeof(enum base_type) == sizeof(int) && sizeof(enum compute) == sizeof(int), "choices fill enums");

enum status model_rows_settle(struct ctx *c, struct model_options *o)
{
    if ((int)o->compute != MODEL_ROWS_AUTO) return OK;
    struct backend *backend = backend_open(c, NULL);
    if (!backend) return c->status;
    o->compute = o->base == BASE_INT8 && backend->fast_integers ? COMPUTE_INT8X2 : COMPUTE_F32;
    backend->close(backend);
    return OK;
}
