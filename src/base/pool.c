/* pool: size classes are four a power of two, so at most a quarter of a block is slack. Free blocks of a class form a stack
 * (the link lives in the block), which makes addresses a function of the sequence of calls. Under AddressSanitizer, free
 * blocks and the slack behind live ones are poisoned: a use after pool_put is found like a use after free. */
#include "base/pool.h"

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

enum { CLASS_MIN_LOG2 = 6, N_CLASSES = 4 * 56 };

struct free_block {
    struct free_block *next;
};

struct pool {
    struct ctx *c;
    struct free_block *free[N_CLASSES];
    struct pool_stats stats;
    size_t n_live;
};

static size_t class_bytes(int class)
{
    return (size_t)(4 + class % 4) << (class / 4 + CLASS_MIN_LOG2 - 2);
}

/* The smallest class that holds `bytes`; N_CLASSES when there is none. */
static int class_of(size_t bytes)
{
    if (bytes <= (size_t)1 << CLASS_MIN_LOG2) return 0;
    int log2 = 63 - __builtin_clzll((unsigned long long)bytes - 1);
    size_t quarter = (bytes - 1) >> (log2 - 2) & 3; /* which quarter of [2^log2, 2^(log2+1)) holds bytes - 1 */
    int class = 4 * (log2 - CLASS_MIN_LOG2) + (int)quarter + 1;
    return class < N_CLASSES ? class : N_CLASSES;
}

size_t pool_room(size_t bytes)
{
    int class = class_of(bytes);
    return class < N_CLASSES ? class_bytes(class) : SIZE_MAX;
}

struct pool *pool_new(struct ctx *c)
{
    struct pool *p = mem_alloc(c, 1, sizeof *p);
    if (p) p->c = c;
    return p;
}

void pool_free(struct pool *p)
{
    if (!p) return;
    BUG_ON(p->c, p->n_live != 0, "%zu blocks of the step pool (%zu bytes) were never put back", p->n_live,
           p->stats.live_bytes);
    pool_trim(p);
    mem_free(p->c, p);
}

void *pool_get(struct pool *p, size_t bytes)
{
    int class = class_of(bytes);
    if (class == N_CLASSES) {
        ctx_fail(p->c, E_MEMORY, "out of memory: a block of %zu bytes", bytes);
        return NULL;
    }
    size_t room = class_bytes(class);
    void *block = p->free[class];
    if (block) {
        p->free[class] = p->free[class]->next;
    } else {
        block = mem_alloc_aligned(p->c, room);
        if (!block) return NULL;
        p->stats.held_bytes += room;
    }
    ASAN_POISON_MEMORY_REGION(block, room);
    ASAN_UNPOISON_MEMORY_REGION(block, bytes);
    p->n_live++;
    p->stats.live_bytes += room;
    if (p->stats.live_bytes > p->stats.peak_bytes) p->stats.peak_bytes = p->stats.live_bytes;
    return block;
}

void pool_put(struct pool *p, void *block, size_t bytes)
{
    if (!block) return;
    int class = class_of(bytes);
    BUG_ON(p->c, class == N_CLASSES || p->n_live == 0, "a block of %zu bytes that this pool never gave", bytes);
    size_t room = class_bytes(class);
    ASAN_POISON_MEMORY_REGION(block, room);
    ASAN_UNPOISON_MEMORY_REGION(block, sizeof(struct free_block));
    struct free_block *f = block;
    f->next = p->free[class];
    p->free[class] = f;
    p->n_live--;
    p->stats.live_bytes -= room;
}

void pool_trim(struct pool *p)
{
    for (int class = 0; class < N_CLASSES; class ++) {
        struct free_block *next;
        for (struct free_block *f = p->free[class]; f; f = next) {
            next = f->next;
            ASAN_UNPOISON_MEMORY_REGION(f, class_bytes(class));
            mem_free(p->c, f);
            p->stats.held_bytes -= class_bytes(class);
        }
        p->free[class] = NULL;
    }
}

struct pool_stats pool_stats(const struct pool *p)
{
    return p->stats;
}
