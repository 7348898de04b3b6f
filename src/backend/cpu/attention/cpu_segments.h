/* cpu_segments: the packed segments of one ATTENTION or ATTENTION_BWD call, read from its arrays of offsets. */
#ifndef YA_BACKEND_CPU_CPU_SEGMENTS_H
#define YA_BACKEND_CPU_CPU_SEGMENTS_H

#include "array/backend.h"

struct cpu_segments {
    int n;                /* segments */
    int window;           /* keys that a query sees at most; 0: no limit */
    const int32_t *q, *k; /* (n + 1) each: segment s has queries [q[s], q[s + 1]) and keys [k[s], k[s + 1]) */
};

/* The segments of a call; the offsets are borrowed from the arrays and not checked (cpu_segments_check). */
static inline struct cpu_segments cpu_segments_of(const struct attention_params *p, const struct array *cu_q,
                                                  const struct array *cu_k)
{
    return (struct cpu_segments){(int)cu_q->shape[0] - 1, p->window, cu_q->data, cu_k->data};
}

/* Offsets come from whoever made the batch: E_SHAPE unless they ascend from 0, cover the `queries`, stay inside the
 * `keys`, and every query sees a key. */
static inline enum status cpu_segments_check(struct ctx *c, const struct cpu_segments *g, int64_t queries, int64_t keys)
{
    bool good = g->q[0] == 0 && g->k[0] == 0 && g->q[g->n] == queries && g->k[g->n] <= keys;
    for (int s = 0; good && s < g->n; s++) {
        int64_t nq = (int64_t)g->q[s + 1] - g->q[s], nk = (int64_t)g->k[s + 1] - g->k[s];
        good = nq >= 0 && nk >= nq;
    }
    if (good) return OK;
    return ctx_fail(c, E_SHAPE, "attention: the offsets of %d segments do not cover %lld queries and %lld keys", g->n,
                    (long long)queries, (long long)keys);
}

#endif
