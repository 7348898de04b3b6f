#include "model/model_rows.h"

#include "backend/backend_open.h"

/* A CHOICE_ROW fills an int; the enums that it fills here have an int's size. */
_Static_assert(sizeof(enum base_type) == sizeof(int) && sizeof(enum compute) == sizeof(int), "choices fill enums");

enum status model_rows_settle(struct ctx *c, struct model_options *o, bool training)
{
    if ((int)o->compute != MODEL_ROWS_AUTO) return OK;
    struct backend *backend = backend_open(c, NULL);
    if (!backend) return c->status;
    o->compute = COMPUTE_F32;
    if (o->base == BASE_INT8 && backend->fast_integers) o->compute = COMPUTE_INT8X2;
    if (backend->fast_bf16 && training) o->compute = COMPUTE_BF16;
    if (o->compute == COMPUTE_BF16)
        ctx_log(c, LOG_INFO, "compute: auto takes bf16: fastest on %s, and its gradients are f32's to a cosine above 0.999",
                backend->name);
    backend->close(backend);
    return OK;
}
