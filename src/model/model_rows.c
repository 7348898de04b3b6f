/* model_rows: settles what --compute auto means, from what the chosen device is fast at and whether the command trains. */
#include "model/model_rows.h"

#include "backend/backend_open.h"

/* A CHOICE_ROW fills an int; the enums that it fills here have an int's size. */
_Static_assert(sizeof(enum base_type) == sizeof(int) && sizeof(enum compute) == sizeof(int), "choices fill enums");

/* A device whose activations are bf16 multiplies in bf16 only. */
static enum status settle_bf16(struct ctx *c, const struct backend *b, struct model_options *o)
{
    if ((int)o->compute == MODEL_ROWS_AUTO) o->compute = COMPUTE_BF16;
    if (o->compute != COMPUTE_BF16)
        return ctx_fail(c, E_UNSUPPORTED, "--compute %s: %s computes in bf16. Leave it out, or use --device cpu",
                        compute_name[o->compute], b->device);
    return OK;
}

/* The rules of model_rows_settle, given the device's properties. */
static enum status settle_compute(struct ctx *c, const struct backend *b, struct model_options *o, bool training)
{
    if (b->activations == DTYPE_BF16) return settle_bf16(c, b, o);
    if ((int)o->compute != MODEL_ROWS_AUTO) return OK;
    o->compute = COMPUTE_F32;
    if (o->base == BASE_INT8 && b->fast_integers) o->compute = COMPUTE_INT8X2;
    if (b->fast_bf16 && training) o->compute = COMPUTE_BF16;
    if (o->compute == COMPUTE_BF16)
        ctx_log(c, LOG_INFO, "compute: auto takes bf16: fastest on %s, and its gradients are f32's to a cosine above 0.999",
                b->name);
    return OK;
}

enum status model_rows_settle(struct ctx *c, const char *device, struct model_options *o, bool training)
{
    if (c->array_env && !backend_is(array_backend(c), device))
        return ctx_fail(c, E_INPUT, "--device %s: this computes on %s", device, array_backend(c)->name);
    struct backend *opened = c->array_env ? NULL : backend_open_counting(c, device);
    if (!c->array_env && !opened) return c->status;
    enum status status = settle_compute(c, opened ? opened : array_backend(c), o, training);
    if (opened) opened->close(opened);
    return status;
}
