/* profile: see profile.h. One function stands in every slot, because a call names its row. */
#include "backend/profile.h"

#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A call's time goes to its row. Where calls only queue work, it waits for that work, which makes the whole slower but
 * each row's share true. */
static enum status run_timed(struct backend *b, const struct op_call *call)
{
    struct profile *p = (struct profile *)b;
    double start = now();
    enum status status = backend_wrap_run(b, call);
    if (!b->synchronous && status == OK) status = b->wait(b, b->mark(b)); /* a queued call's time is not its work's */
    p->row[call->op].seconds += now() - start;
    p->row[call->op].calls++;
    return status;
}

struct backend *profile_open(struct profile *p, struct backend *inner)
{
    *p = (struct profile){0};
    if (!inner) return NULL;
    backend_wrap_init(&p->wrap, inner);
    for (int op = 0; op < OP_COUNT; op++)
        if (inner->kernel[op]) p->wrap.backend.kernel[op] = run_timed;
    return &p->wrap.backend;
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
