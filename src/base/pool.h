/* pool: step-pool memory. Blocks are 64-byte aligned, rounded up to a size class and return to a free list of their class,
 * so that the same sequence of requests gets the same addresses step after step and no allocation happens after the first
 * step. */
#ifndef YA_BASE_POOL_H
#define YA_BASE_POOL_H

#include "base/ctx.h"

struct pool;

struct pool *pool_new(struct ctx *c);
void pool_free(struct pool *p);                           /* BUG_ON when blocks are still out */
void *pool_get(struct pool *p, size_t bytes);             /* not zeroed; NULL with E_MEMORY */
void pool_put(struct pool *p, void *block, size_t bytes); /* bytes as given to pool_get */
size_t pool_room(size_t bytes); /* what a request takes: its whole size class; SIZE_MAX: too large */
void pool_trim(struct pool *p); /* returns the free lists to the system */

struct pool_stats {
    size_t live_bytes; /* handed out now, in whole size classes (up to a quarter more than was asked for) */
    size_t peak_bytes; /* most ever handed out at once */
    size_t held_bytes; /* taken from the system, live or free */
};
struct pool_stats pool_stats(const struct pool *p);

#endif
