/* resource: what the system holds for a ctx beside memory: mapped and open files, locks. Whoever opens such a thing for
 * longer than one call puts it on the ctx's list, so that ctx_free can give it back after a panic, when no structure that
 * leads to it can be trusted any more. */
#ifndef YA_BASE_RESOURCE_H
#define YA_BASE_RESOURCE_H

#include "base/ctx.h"

/* The first member of the holder's own struct. */
struct resource {
    struct resource *next, *previous;
    void (*release)(struct resource *r); /* gives it back; reads the holder's struct and nothing that it points to */
};

/* Puts r on the ctx's list: after a panic, ctx_free calls `release`. Cannot fail. */
void resource_hold(struct ctx *c, struct resource *r, void (*release)(struct resource *r));
/* Takes it off the list, without a release. */
void resource_drop(struct ctx *c, struct resource *r);
/* Calls `release` of everything on the list, and empties it: for ctx_free after a panic. */
void resource_release_all(struct ctx *c);

#endif
