/* profile: see profile.h. One function stands in every slot, because a call names its row. A composed row's time holds that
 * of the rows it is made of, and they are counted too. */
#include "backend/profile.h"

#include <string.h>
#include <time.h>

#include "array/array.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static enum status run_timed(struct ctx *c, const struct op_call *call)
{
    struct profile *p = (struct profile *)(uintptr_t)array_backend(c);
    double start = now();
    enum status status = p->inner->kernel[call->op](c, call);
    p->row[call->op].seconds += now() - start;
    p->row[call->op].calls++;
    return status;
}

void profile_init(struct profile *p, const struct backend *inner)
{
    *p = (struct profile){.backend = *inner, .inner = inner};
    for (int op = 0; op < OP_COUNT; op++)
        if (inner->kernel[op]) p->backend.kernel[op] = run_timed;
}

void profile_reset(struct profile *p)
{
    memset(p->row, 0, sizeof p->row);
}

double profile_seconds(const struct profile *p)
{
    double sum = 0;
    for (int op = 0; op < OP_COUNT; op++) sum += p->row[op].seconds;
    return sum;
}
