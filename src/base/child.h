/* child: a function called in a process of its own, so that what takes too much memory or time, or crashes, is a result. */
#ifndef YA_BASE_CHILD_H
#define YA_BASE_CHILD_H

#include "base/ctx.h"

enum child_end {
    CHILD_SENT, /* the function returned, and *out is what it left there */
    CHILD_LATE, /* it had not returned after `seconds` and was killed */
    CHILD_DIED  /* its process ended before; `how` is what waitpid says */
};

/* Forks, calls fn(user, out) in the child with stdout and stderr thrown away, and copies the n bytes of `out` back, which
 * hold no pointers. n is at most 4096. The process must have no threads and no device open, as a child inherits neither
 * (BUG_ON for those of the ctx). E_INTERRUPTED when the child ended by SIGINT or SIGTERM; E_IO, E_MEMORY. */
enum status child_run(struct ctx *c, void (*fn)(void *user, void *out), void *user, void *out, size_t n, double seconds,
                      enum child_end *end, int *how);

#endif
