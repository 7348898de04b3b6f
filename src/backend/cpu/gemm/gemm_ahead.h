/* gemm_ahead: prefetches the next panel of B into L2 while this one is multiplied. A panel comes from L3 once, for the
 * first row of tiles, and then from L1; without prefetching that one time costs an eighth of the whole product, because
 * the hardware's own prefetcher stops at the end of a panel's run. */
#ifndef YA_BACKEND_CPU_GEMM_AHEAD_H
#define YA_BACKEND_CPU_GEMM_AHEAD_H

#include <stdint.h>

/* How far the next panel has been prefetched. */
struct gemm_ahead {
    const char *at;
    int64_t share; /* bytes, whole lines */
};

/* Prepares to prefetch `floats` floats from `panel` on (0: nothing follows) during the next `tiles` calls of
 * gemm_ahead_step. */
static inline struct gemm_ahead gemm_ahead(const float *panel, int64_t floats, int64_t tiles)
{
    int64_t lines = (floats * (int64_t)sizeof(float) + 63) / 64;
    return (struct gemm_ahead){(const char *)panel, (lines + tiles - 1) / tiles * 64};
}

/* Prefetches one share into L2: called once for each tile that is computed meanwhile. */
static inline void gemm_ahead_step(struct gemm_ahead *a)
{
    for (int64_t i = 0; i < a->share; i += 64) __builtin_prefetch(a->at + i, 0, 2);
    a->at += a->share;
}

#endif
