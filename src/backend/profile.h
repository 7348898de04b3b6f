/* profile: time by primitive. A backend that runs another one's kernels and keeps the time of each row of ops.def: nothing
 * in kernels or ops is instrumented, and without it nothing is slower. On a device whose calls only queue work, each call
 * is waited for, so that its time is its work's; a step then takes longer than without a profile.
 *
 *   struct profile p;
 *   array_env_new(c, profile_open(&p, backend_open(c, NULL)));
 */
#ifndef YA_BACKEND_PROFILE_H
#define YA_BACKEND_PROFILE_H

#include "backend/backend_wrap.h"

struct profile_row {
    int64_t calls;
    double seconds; /* of wall time on the calling thread, which waits for the others */
};

struct profile {
    struct backend_wrap wrap; /* first */
    struct profile_row row[OP_COUNT];
};

/* Makes *p a backend around `inner`, which it owns, and returns it; NULL when `inner` is NULL (could not be opened). p
 * stays where it is and is the caller's; it must outlive the array_env made with it. */
struct backend *profile_open(struct profile *p, struct backend *inner);
/* Times and counts begin at 0 again. */
void profile_reset(struct profile *p);
/* Sum over all rows. */
double profile_seconds(const struct profile *p);

#endif
