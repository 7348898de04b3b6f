/* Memory that runs out: an allocator which counts and refuses. */
#ifndef YA_TESTS_SUPPORT_OOM_H
#define YA_TESTS_SUPPORT_OOM_H

#include <stdlib.h>

#include "base/ctx.h"

struct oom {
    long calls, live; /* allocations asked for so far; blocks that exist */
    long fail_at;     /* the call, from 0, that is refused, and all later ones; -1: none */
    bool once;        /* only that one is */
};

/* Frees are never refused. */
static inline void *oom_alloc(void *user, void *old, size_t bytes)
{
    struct oom *oom = user;
    if (bytes == 0) {
        oom->live -= old != NULL;
        free(old);
        return NULL;
    }
    long call = oom->calls++;
    if (oom->fail_at >= 0 && (call == oom->fail_at || (!oom->once && call > oom->fail_at))) return NULL;
    void *p = realloc(old, bytes);
    oom->live += p && !old;
    return p;
}

/* A ctx that allocates so; NULL when that fails already. */
static inline struct ctx *oom_ctx(struct oom *oom)
{
    struct ctx_hooks hooks = {.alloc = oom_alloc, .user = oom};
    return ctx_new(&hooks);
}

#endif
