/* cpu_adamw: the part of ADAMW that both the reference and the tuned kernels share. */
#ifndef YA_BACKEND_CPU_CPU_ADAMW_H
#define YA_BACKEND_CPU_CPU_ADAMW_H

#include <math.h>

#include "array/backend.h"

/* What the gradient is multiplied by. False: nothing may be updated, because the guard's norm is not finite or an earlier
 * one was not. */
static inline bool cpu_adamw_scale(const struct op_call *call, double *scale)
{
    const struct adamw_params *p = call->params;
    *scale = p->grad_scale;
    if (!call->in[4]) return true;
    double sum_squares = *(const double *)call->in[4]->data, *stopped = call->in[5]->data;
    if (!isfinite(sum_squares)) *stopped = 1;
    if (*stopped != 0) return false;
    double norm = sqrt(sum_squares);
    if (norm > p->threshold) *scale *= p->threshold / norm;
    return true;
}

#endif
