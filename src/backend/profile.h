/* profile: time by primitive. A backend that runs another one's kernels and keeps the time of each row of ops.def: nothing
 * in kernels or ops is instrumented, and without it nothing is slower.
 *
 *   struct profile p;
 *   profile_init(&p, backend_cpu(c));
 *   array_env_new(c, &p.backend);
 */
#ifndef YA_BACKEND_PROFILE_H
#define YA_BACKEND_PROFILE_H

#include "array/backend.h"

struct profile_row {
    int64_t calls;
    double seconds; /* of wall time on the calling thread, which waits for the others */
};

struct profile {
    struct backend backend; /* first: kernels find the rest from it. Name, support and weight forms are those of `inner` */
    const struct backend *inner; /* borrowed */
    struct profile_row row[OP_COUNT];
};

/* Must stay where it is, and outlive the array_env made with it. */
void profile_init(struct profile *p, const struct backend *inner);
/* Times and counts begin at 0 again. */
void profile_reset(struct profile *p);
/* Sum over all rows. */
double profile_seconds(const struct profile *p);

#endif
