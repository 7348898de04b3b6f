/* pool: blocks of memory that are handed out and put back many times in each step. Requests are rounded up to a size
 * class, and a block that is put back goes to the free list of its class, so the same sequence of requests gets the same
 * addresses step after step and nothing is allocated after the first step.
 *
 * A model's training step makes and drops the same few hundred arrays each time, so after the first step every request is
 * answered from a free list.
 *
 * The pool does not care where its blocks come from: the heap, or a device's memory that the host cannot read. It never
 * touches a block itself; its free lists lie in memory of their own. */
#ifndef YA_BASE_POOL_H
#define YA_BASE_POOL_H

#include "base/ctx.h"

struct pool;

/* Where a pool gets its blocks. `alloc` returns 64-byte aligned memory, or NULL with the ctx's error set. */
struct pool_source {
    void *(*alloc)(void *user, size_t bytes);
    void (*free)(void *user, void *block, size_t bytes); /* bytes as given to alloc */
    void *user;
    bool host;  /* the host may touch the blocks: AddressSanitizer then watches over free ones and the slack behind live ones
                 */
    bool track; /* keep touched_bytes, at the cost of a look-up for each request */
};

/* An empty pool; owner of the result: the caller. `source` is copied; NULL means the ctx's heap. NULL with E_MEMORY. */
struct pool *pool_new(struct ctx *c, const struct pool_source *source);
/* Gives all blocks back to the source. Accepts NULL. Blocks that were not put back before are a bug (BUG_ON). */
void pool_free(struct pool *p);
/* A block of at least `bytes`, contents undefined; NULL with E_MEMORY. *taken (may be NULL while the pool has no limit)
 * becomes the block's size, with which it is put back. Without a limit that is the size of the request's class, and any
 * size of that class may be given to pool_put. */
void *pool_get(struct pool *p, size_t bytes, size_t *taken);
/* Puts a block back. `taken` is what pool_get said; a wrong size is a bug (BUG_ON). Accepts NULL; cannot fail. */
void pool_put(struct pool *p, void *block, size_t taken);
/* The bytes that a request takes: the size of its class. SIZE_MAX when no class is large enough. */
size_t pool_class_bytes(size_t bytes);
/* Gives the blocks of the free lists back to the source. */
void pool_trim(struct pool *p);
/* From now on the pool takes no more than `bytes` from its source as long as it can help it: a request whose class has no
 * free block gets a larger free one, or else free blocks go back to the source before a new one is taken. Without a limit
 * (0, the default) every size class that ever occurred keeps its blocks, and work whose sizes vary collects a set for
 * each. */
void pool_limit(struct pool *p, size_t bytes);

/* What pool_stats tells, in bytes. */
struct pool_stats {
    size_t live_bytes; /* handed out now, in whole size classes (up to a quarter more than was asked for) */
    size_t peak_bytes; /* most ever handed out at once */
    size_t held_bytes; /* taken from the source, live or free; peak_held_bytes is the most there ever was */
    size_t peak_held_bytes;
    size_t touched_bytes; /* with `track`: of the blocks taken so far, as much as requests asked for, in whole pages. A
                             system that gives memory page by page as it is written takes this much for held_bytes */
};
struct pool_stats pool_stats(const struct pool *p);

#endif
