/* threads: a fixed pool of workers that take small blocks of a loop from an atomic counter.
 *
 * Who computes a block depends on timing; how a block is computed, and how many blocks there are, never does. That is what
 * makes results the same bytes for any number of threads: callers cut work into blocks whose size does not depend on the
 * thread count, and combine partial sums in block order afterwards. */
#ifndef YA_BASE_THREADS_H
#define YA_BASE_THREADS_H

#include "base/ctx.h"

/* Replaces the ctx's pool by one of `n` threads in all (the caller counts as one; n - 1 are created). n >= 1; 0 means one
 * for each core that this process may use. ctx_free ends the threads. E_INPUT for n out of range, E_MEMORY when the system
 * refuses a thread; the ctx then has no pool, and work runs on the caller. */
enum status ctx_set_threads(struct ctx *c, int n);

/* Threads in the pool (1 without a pool). */
int threads_count(const struct ctx *c);

/* Calls fn(arg, block, worker) for every block in [0, n_blocks), from several threads, and returns when all are done.
 * worker is in [0, threads_count): an index for scratch memory only. fn must not use the ctx and must not call
 * threads_run. A panic inside fn, on whichever thread, is raised here when all threads have left it. */
void threads_run(struct ctx *c, int64_t n_blocks, void (*fn)(void *arg, int64_t block, int worker), void *arg);

/* While idle, threads_run returns at once and calls nothing: a kernel then goes through its planning and its requests for
 * memory and computes nothing. For counting what a step needs (backend.h, `counting`). */
void threads_idle(struct ctx *c, bool idle);
/* Whether results are computed, or only counted. */
static inline bool threads_are_idle(const struct ctx *c)
{
    return c->threads_idle;
}

/* The part of a long run of memory that block number `block` of n should take, so that each of several threads goes
 * through its own stretch in order, which processors call in ahead of use: in the order of blocks every thread would skip
 * over what the others read. A permutation of [0, n), for work whose result does not depend on the order. */
static inline int64_t threads_stretch(int64_t block, int64_t n, int threads)
{
    int64_t each = n / threads, whole = each * threads;
    return block < whole ? block % threads * each + block / threads : block;
}

#endif
