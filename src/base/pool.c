/* pool: requests are rounded up to one of four size classes for each power of two (64, 80, 96, 112, 128, 160, ... bytes),
 * so at most a fifth of a block is slack. Free blocks of a class form a stack, which makes addresses a function of the
 * sequence of calls. The stack is an array of pointers and not a list through the blocks, because a block may be memory
 * that the host cannot reach. Under AddressSanitizer, free blocks and the slack behind live ones are poisoned: a use after
 * pool_put is found like a use after free. */
#include "base/pool.h"

#include "base/map.h"
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define YA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define YA_ASAN 1
#endif
#endif
#ifdef YA_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum { CLASS_MIN_LOG2 = 6, N_CLASSES = 4 * 56, POOL_PAGE = 4096 };

/* The blocks of one class. `capacity` counts all that were ever taken from the source, so that putting one back never
 * needs memory: pool_put cannot fail. */
struct size_class {
    void **free;
    size_t n_free, n_blocks, capacity;
};

struct pool {
    struct ctx *c;
    struct pool_source source;
    struct size_class classes[N_CLASSES];
    struct pool_stats stats;
    size_t n_live, limit;  /* limit 0: none */
    struct map64 *touched; /* block -> pages that requests reached; NULL: not tracked */
};

/* ---- classes ------------------------------------------------------------------------------------------------------ */

/* Size of class 4 e + q: (4 + q) / 4 of 2^(e + 6) bytes. Example: classes 0 to 4 hold 64, 80, 96, 112 and 128 bytes. */
static size_t class_bytes(int class)
{
    return (size_t)(4 + class % 4) << (class / 4 + CLASS_MIN_LOG2 - 2);
}

/* The smallest class that holds `bytes`; N_CLASSES when there is none. Example: for 100 bytes, bytes - 1 = 99 lies in the
 * third quarter of [64, 128), [96, 112), which is quarter 2 counted from 0: class 3, of 112 bytes. */
static int pool_class_of(size_t bytes)
{
    if (bytes <= (size_t)1 << CLASS_MIN_LOG2) return 0;
    int log2 = 63 - __builtin_clzll((unsigned long long)bytes - 1);
    size_t quarter = (bytes - 1) >> (log2 - 2) & 3; /* which quarter of [2^log2, 2^(log2+1)) holds bytes - 1 */
    int class = 4 * (log2 - CLASS_MIN_LOG2) + (int)quarter + 1;
    return class < N_CLASSES ? class : N_CLASSES;
}

size_t pool_class_bytes(size_t bytes)
{
    int class = pool_class_of(bytes);
    return class < N_CLASSES ? class_bytes(class) : SIZE_MAX;
}

/* ---- making and freeing a pool ------------------------------------------------------------------------------------- */

/* The source of a pool without one: aligned blocks of the ctx's allocator. */
static void *heap_alloc(void *user, size_t bytes)
{
    return mem_alloc_aligned(user, bytes);
}

static void heap_free(void *user, void *block, size_t bytes)
{
    (void)bytes;
    mem_free(user, block);
}

struct pool *pool_new(struct ctx *c, const struct pool_source *source)
{
    struct pool *p = mem_alloc(c, 1, sizeof *p);
    if (!p) return NULL;
    p->c = c;
    p->source = source ? *source : (struct pool_source){.alloc = heap_alloc, .free = heap_free, .user = c, .host = true};
    if (p->source.track && !(p->touched = map64_new(c, 1024))) {
        mem_free(c, p);
        return NULL;
    }
    return p;
}

void pool_limit(struct pool *p, size_t bytes)
{
    p->limit = bytes;
}

void pool_free(struct pool *p)
{
    if (!p) return;
    BUG_ON(p->c, p->n_live != 0, "%zu blocks of a pool (%zu bytes) were never put back", p->n_live, p->stats.live_bytes);
    pool_trim(p);
    for (int class = 0; class < N_CLASSES; class ++) mem_free(p->c, p->classes[class].free);
    map64_free(p->touched);
    mem_free(p->c, p);
}

/* ---- blocks ------------------------------------------------------------------------------------------------------- */

/* Of a block of `bytes`, only the first `usable` may be touched from now on. Only the host's memory can be watched. */
static void poison(const struct pool *p, void *block, size_t bytes, size_t usable)
{
    if (!p->source.host) return;
    ASAN_POISON_MEMORY_REGION(block, bytes);
    ASAN_UNPOISON_MEMORY_REGION(block, usable);
}

/* Returns the free block that was put back last to the source. */
static void pool_give_back(struct pool *p, int class)
{
    struct size_class *k = &p->classes[class];
    size_t bytes = class_bytes(class);
    void *block = k->free[--k->n_free];
    poison(p, block, bytes, bytes);
    p->source.free(p->source.user, block, bytes);
    p->stats.held_bytes -= bytes;
    k->n_blocks--;
}

/* Gives free blocks back to the source, largest first, until `bytes` more are within the limit or no block is free. */
static void shrink(struct pool *p, size_t bytes)
{
    for (int class = N_CLASSES - 1; class >= 0 && p->limit > 0; class --)
        while (p->classes[class].n_free > 0 && p->stats.held_bytes + bytes > p->limit) pool_give_back(p, class);
}

/* Notes that a request reached this far into a block: memory that was reserved but never written costs nothing on a system
 * that hands out pages when they are first touched. */
static void touch(struct pool *p, void *block, size_t bytes)
{
    uint64_t pages = (bytes + POOL_PAGE - 1) / POOL_PAGE, before = 0;
    map64_get(p->touched, (uint64_t)(uintptr_t)block, &before);
    if (pages <= before) return;
    map64_put(p->touched, (uint64_t)(uintptr_t)block, pages, NULL);
    p->stats.touched_bytes += (size_t)(pages - before) * POOL_PAGE;
}

/* One more block of a class from the source, with a place for it in the free list. */
static void *take_block(struct pool *p, struct size_class *k, size_t bytes)
{
    if (k->n_blocks == k->capacity) {
        size_t capacity = k->capacity ? 2 * k->capacity : 8;
        void **free = mem_resize(p->c, k->free, k->capacity, capacity, sizeof *free);
        if (!free) return NULL;
        k->free = free;
        k->capacity = capacity;
    }
    shrink(p, bytes);
    void *block = p->source.alloc(p->source.user, bytes);
    if (!block) return NULL;
    k->n_blocks++;
    p->stats.held_bytes += bytes;
    if (p->stats.held_bytes > p->stats.peak_held_bytes) p->stats.peak_held_bytes = p->stats.held_bytes;
    return block;
}

/* Where a request of this class is served from: its own class, or, where a new block of that would go over the limit, the
 * next larger class with a free block. */
static int serving_class(const struct pool *p, int class)
{
    if (p->classes[class].n_free > 0 || p->limit == 0 || p->stats.held_bytes + class_bytes(class) <= p->limit) return class;
    for (int larger = class + 1; larger < N_CLASSES; larger++)
        if (p->classes[larger].n_free > 0) return larger;
    return class;
}

/* Under a limit a larger class may serve the request: *taken tells which, and pool_put must be given it. */
void *pool_get(struct pool *p, size_t bytes, size_t *taken)
{
    int class = pool_class_of(bytes);
    if (class == N_CLASSES) {
        ctx_fail(p->c, E_MEMORY, "out of memory: a block of %zu bytes", bytes);
        return NULL;
    }
    BUG_ON(p->c, !taken && p->limit > 0, "a pool with a limit must say what a request took");
    class = serving_class(p, class);
    struct size_class *k = &p->classes[class];
    size_t block_bytes = class_bytes(class);
    void *block = k->n_free > 0 ? k->free[--k->n_free] : take_block(p, k, block_bytes);
    if (!block) return NULL;
    if (taken) *taken = block_bytes;
    poison(p, block, block_bytes, bytes);
    if (p->touched) touch(p, block, bytes);
    p->n_live++;
    p->stats.live_bytes += block_bytes;
    if (p->stats.live_bytes > p->stats.peak_bytes) p->stats.peak_bytes = p->stats.live_bytes;
    return block;
}

/* The block goes on top of its class's stack: the next request of the class gets this very block, still warm in the cache.
 */
void pool_put(struct pool *p, void *block, size_t taken)
{
    if (!block) return;
    int class = pool_class_of(taken);
    BUG_ON(p->c, class == N_CLASSES || p->n_live == 0, "a block of %zu bytes that this pool never gave", taken);
    struct size_class *k = &p->classes[class];
    BUG_ON(p->c, k->n_free >= k->n_blocks, "a block of %zu bytes is put back twice, or with another size", taken);
    size_t block_bytes = class_bytes(class);
    poison(p, block, block_bytes, 0);
    k->free[k->n_free++] = block;
    p->n_live--;
    p->stats.live_bytes -= block_bytes;
}

void pool_trim(struct pool *p)
{
    for (int class = 0; class < N_CLASSES; class ++) {
        while (p->classes[class].n_free > 0) pool_give_back(p, class);
    }
}

struct pool_stats pool_stats(const struct pool *p)
{
    return p->stats;
}
