/* cpu_attention: what forward and backward of attention share: the size of a tile of scores, which keys a query sees, and
 * how the (query, head) pairs that become columns of a tile are gathered and transposed. */
#ifndef YA_BACKEND_CPU_CPU_ATTENTION_H
#define YA_BACKEND_CPU_CPU_ATTENTION_H

#include <stdbool.h>
#include <string.h>

#include "backend/cpu/attention/cpu_segments.h"
#include "backend/cpu/rows/cpu_rows.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm/gemm.h"

/* A tile of scores, keys down, columns across; a column is a query of one head. In f32 it has 48 columns: 96 x 48 floats are
 * 18 KiB, over half of a 32 KiB L1 cache, so that it stays there between the product that makes it and the one that uses it.
 * 48 columns are whole panels of 8 or 16 columns and whole tiles of 4 or 6 rows; panels are allocated for 64, which holds 48
 * columns in panels of any width. In bf16 it has 96, which are whole panels of 32 and whole groups of k: by AMX the products
 * that sum over the columns, dK and dV, take less time than their sums take to be read and written. Rows of a tile lie
 * ATTENTION_COLUMNS apart in both. */
enum { ATTENTION_KEYS = 96, ATTENTION_COLUMNS = 96, ATTENTION_F32_COLUMNS = 48, ATTENTION_PANEL_COLUMNS = 64 };

/* Columns of a block. */
static inline int64_t attention_block_columns(bool bf16)
{
    return bf16 ? ATTENTION_COLUMNS : ATTENTION_F32_COLUMNS;
}

/* One segment: its rows in q and k. Query i (of nq) sees keys (i + shift - window, i + shift], shift = nk - nq. */
struct attention_segment {
    int64_t q, nq, k, nk, shift, window;
};

/* Segment s of a call. */
static inline struct attention_segment attention_segment_of(const struct cpu_segments *all, int64_t s)
{
    struct attention_segment g = {.q = all->q[s], .k = all->k[s]};
    g.nq = all->q[s + 1] - g.q;
    g.nk = all->k[s + 1] - g.k;
    g.shift = g.nk - g.nq;
    g.window = all->window > 0 ? all->window : g.nk;
    return g;
}

/* First key that query i sees, and one past the last. */
static inline int64_t attention_first_key(const struct attention_segment *g, int64_t i)
{
    return cpu_max(0, i + g->shift - g->window + 1);
}

/* One past the last key that query i sees. */
static inline int64_t attention_end_key(const struct attention_segment *g, int64_t i)
{
    return i + g->shift + 1;
}

/* Row (token `row`, head `head`) of an (N, H, D) array: D contiguous floats. */
static inline float *attention_row(const struct array *a, int64_t row, int64_t head)
{
    return (float *)a->data + row * a->stride[0] + head * a->stride[1];
}

/* Columns [first, first + n) of a segment's (query, head) pairs of one key head, query-major: grouped heads share the
 * reads of K and V, and a block of columns reaches over few queries. */
struct attention_columns {
    int64_t share, group, first, n; /* share: heads of a group */
};

/* The query, counted in its segment, and the query head that a column stands for. Example: share 3, first 4: column 0 is
 * the pair number 4, query 1 and the group's head 1. */
static inline int64_t attention_query(const struct attention_columns *c, int64_t column)
{
    return (c->first + column) / c->share;
}

/* The head, counted in the whole array. */
static inline int64_t attention_head(const struct attention_columns *c, int64_t column)
{
    return c->group * c->share + (c->first + column) % c->share;
}

/* Gathers the columns' rows of `a` (segment's first row `row`) into `rows` (COLUMNS, ld). */
static inline void attention_gather(const struct attention_columns *c, const struct array *a, int64_t row, float *rows,
                                    int64_t ld)
{
    for (int64_t j = 0; j < c->n; j++)
        memcpy(rows + j * ld, attention_row(a, row + attention_query(c, j), attention_head(c, j)),
               (size_t)a->shape[2] * sizeof(float));
}

/* The same, and transposes them, scaled, into panels. Columns past n are 0 in the panels: their results are not read. */
static inline void attention_transpose(const struct cpu_kernels *kernels, const struct attention_columns *c,
                                       const struct array *a, int64_t row, float scale, float *rows, int64_t ld,
                                       float *panels)
{
    int64_t nr = kernels->nr, d = a->shape[2];
    attention_gather(c, a, row, rows, ld);
    if (c->n < ATTENTION_F32_COLUMNS) memset(panels, 0, (size_t)(ATTENTION_PANEL_COLUMNS * d) * sizeof(float));
    for (int64_t j = 0; j < c->n; j += nr)
        kernels->transpose(panels + j * d, nr, rows + j * ld, ld, cpu_min(nr, c->n - j), d, scale);
}

/* The transposed results of a block, (D, COLUMNS), as rows: out (COLUMNS, ld). */
static inline void attention_transpose_back(const struct cpu_kernels *kernels, const float *transposed, int64_t d,
                                            float *out, int64_t ld)
{
    for (int64_t i = 0; i < d; i += kernels->nr)
        kernels->transpose(out + i, ld, transposed + i * ATTENTION_COLUMNS, ATTENTION_COLUMNS, cpu_min(kernels->nr, d - i),
                           ATTENTION_COLUMNS, 1.0f);
}

/* Sets scores of keys outside [low, high) to -inf in columns [column, column + n) of a tile of `keys` keys. */
static inline void attention_mask_columns(float *tile, int64_t keys, int64_t low, int64_t high, int64_t column, int64_t n)
{
    low = cpu_min(cpu_max(low, 0), keys);
    high = cpu_min(cpu_max(high, 0), keys);
    for (int64_t r = 0; r < keys; r++) {
        if (r == low && low < high) r = high; /* over what is seen */
        for (int64_t j = 0; j < n && r < keys; j++) tile[r * ATTENTION_COLUMNS + column + j] = -__builtin_inff();
    }
}

/* Hides the keys of a tile, which holds keys [key, key + keys), that a column does not see. */
static inline void attention_mask(const struct attention_segment *g, const struct attention_columns *c, float *tile,
                                  int64_t key, int64_t keys)
{
    for (int64_t j = 0; j < c->n;) {
        int64_t query = attention_query(c, j), end = cpu_min((query + 1) * c->share - c->first, c->n);
        int64_t first_key = attention_first_key(g, query), end_key = attention_end_key(g, query);
        if (first_key > key || end_key < key + keys)
            attention_mask_columns(tile, keys, first_key - key, end_key - key, j, end - j);
        j = end;
    }
}

#endif
