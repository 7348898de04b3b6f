#include "model/model_rows.h"

#include "backend/cpu/cpu.h"
#include "model/model.h"

_Static_assert((int)MODEL_ROWS_AUTO == (int)COMPUTES, "auto comes after the ways of computing");

enum status model_rows_settle(struct ctx *c, int base, int *compute)
{
    if (*compute != MODEL_ROWS_AUTO) return OK;
    const struct backend *backend = backend_cpu(c);
    if (!backend) return c->status;
    *compute = base == BASE_INT8 && backend->fast_integers ? COMPUTE_INT8X2 : COMPUTE_F32;
    return OK;
}
