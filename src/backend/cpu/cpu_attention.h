/* cpu_attention: what forward and backward of attention share: tile sizes and which keys a query sees. */
#ifndef YA_BACKEND_CPU_CPU_ATTENTION_H
#define YA_BACKEND_CPU_CPU_ATTENTION_H

#include "backend/cpu/cpu_rows.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm.h"

/* A tile of scores, keys down, columns across: 18 KiB, over half of L1. 48 columns are whole panels of 8 or 16 and whole
 * rows of 4 or 6; a column is a query of one head. */
enum {
    ATTENTION_KEYS = 96,
    ATTENTION_COLUMNS = 48,
    ATTENTION_PANEL_COLUMNS = 64 /* room for panels: 48 columns in whole panels of any width */
};

/* One segment: its rows in q and k. Query i (of nq) sees keys (i + shift - window, i + shift], shift = nk - nq. */
struct attention_segment {
    int64_t q, nq, k, nk, shift, window;
};

static inline struct attention_segment attention_segment_of(const struct attention_params *p, int64_t s)
{
    struct attention_segment g = {.q = p->cu_q[s], .k = p->cu_k[s]};
    g.nq = p->cu_q[s + 1] - g.q;
    g.nk = p->cu_k[s + 1] - g.k;
    g.shift = g.nk - g.nq;
    g.window = p->window > 0 ? p->window : g.nk;
    return g;
}

/* First key that query i sees, and one past the last. */
static inline int64_t attention_first_key(const struct attention_segment *g, int64_t i)
{
    return cpu_max(0, i + g->shift - g->window + 1);
}

static inline int64_t attention_end_key(const struct attention_segment *g, int64_t i)
{
    return i + g->shift + 1;
}

static inline float *attention_row(const struct array *a, int64_t row, int64_t head)
{
    return (float *)a->data + row * a->stride[0] + head * a->stride[1];
}

/* Sets scores of keys outside [first, end) to -inf in columns [column, column + n) of a tile that holds keys [key, key +
 * keys). */
static inline void attention_mask(float *tile, int64_t key, int64_t keys, int64_t first, int64_t end, int64_t column,
                                  int64_t n)
{
    int64_t low = cpu_min(cpu_max(first - key, 0), keys), high = cpu_min(cpu_max(end - key, 0), keys);
    for (int64_t r = 0; r < keys; r++) {
        if (r == low && low < high) r = high; /* over what is seen */
        for (int64_t j = 0; j < n && r < keys; j++) tile[r * ATTENTION_COLUMNS + column + j] = -__builtin_inff();
    }
}

#endif
