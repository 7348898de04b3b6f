/* cpu_attention_bf16: the products of attention in bf16 (gemm_bf16.h), for cpu_attention.c and cpu_attention_bwd.c.
 *
 * A processor with tiles of bf16 multiplies several times faster than it rounds and packs, so operands are rounded as
 * seldom as possible: keys and values once in a call, queries and gradients once for each block of columns, scores once
 * for each tile. A operands are rows of the layout of bf16_round_rows; where a product sums over keys, it computes its
 * transpose, because then its A operand is the transpose of K or V, which is made once, and not that of the tile of
 * scores, which would be transposed again for each tile. */
#ifndef YA_BACKEND_CPU_CPU_ATTENTION_BF16_H
#define YA_BACKEND_CPU_CPU_ATTENTION_BF16_H

#include "backend/cpu/attention/cpu_attention.h"
#include "backend/cpu/gemm_bf16/gemm_bf16.h"

/* Keys or values of a call as A operands, for every key head. Key j of segment s lies at place first[s] + j;
 * first[s] is a multiple of BF16_GROUP: of whole tiles most would be empty where segments are short. */
struct attention_rounded {
    uint32_t *rows;       /* (G, places, row_steps): rows of D elements; NULL: not wanted */
    uint32_t *transposed; /* (G, D, transposed_steps): one element of every key, 0 behind a segment's last; or NULL */
};

struct attention_bf16 {
    const struct cpu_kernels *kernels;
    const struct bf16_kernels *q; /* the products in bf16; not the queries, which each block rounds for itself */
    int64_t groups, d;
    int64_t *first;                            /* (n_seg + 1) */
    int64_t places, row_steps;                 /* places: first[n_seg]; steps of a row of D elements */
    int64_t transposed_rows, transposed_steps; /* D rounded up to whole tiles of rows, which are read; steps of `places` */
    struct attention_rounded k, v;
};

/* What forward and backward read of keys and values, beside rows of keys, which both do. */
struct attention_bf16_wants {
    bool k_transposed, v_rows, v_transposed;
};

/* Rounds keys and values of a call into scratch of the innermost scope; `out` is filled. E_MEMORY. */
enum status attention_bf16_open(struct ctx *c, struct attention_bf16 *out, const struct cpu_kernels *kernels,
                                const struct cpu_segments *segments, const struct array *k, const struct array *v,
                                struct attention_bf16_wants wants);

/* Steps of scratch: rounded rows of a tile (KEYS of COLUMNS elements) or of a block (COLUMNS of D); panels of `k` rows of
 * n. */
int64_t attention_bf16_tile_steps(void);
int64_t attention_bf16_block_steps(const struct attention_bf16 *b);
int64_t attention_bf16_panel_steps(const struct attention_bf16 *b, int64_t k, int64_t n);

/* Panels of a block's columns from its gathered rows, (COLUMNS, ld) f32: `columns` (D, COLUMNS), of which also those
 * behind n are written (with 0) up to a multiple of 16, and, when not NULL, `rows` (n, D). `rounded`:
 * attention_bf16_block_steps. */
void attention_bf16_pack_block(const struct attention_bf16 *b, const float *block, int64_t ld, int64_t n, uint32_t *rounded,
                               uint32_t *columns, uint32_t *rows);

/* tile (keys, columns) = rows [key, key + keys) of K or V of a segment and key head, times the columns of a block. */
void attention_bf16_scores(const struct attention_bf16 *b, const struct attention_rounded *of, int64_t segment,
                           int64_t group, int64_t key, int64_t keys, const uint32_t *panels, int64_t columns, float *tile);

/* Where tiles begin whose keys are summed over, so that a tile is whole groups: at or before `key`; the mask hides the
 * rest. */
static inline int64_t attention_bf16_first(int64_t key)
{
    return key / BF16_GROUP * BF16_GROUP;
}

/* transposed (D, COLUMNS) += the transpose of K or V of these keys times `panels` (keys, columns); key is a multiple of
 * 32. */
void attention_bf16_add_transposed(const struct attention_bf16 *b, const struct attention_rounded *of, int64_t segment,
                                   int64_t group, int64_t key, int64_t keys, const uint32_t *panels, int64_t columns,
                                   float *transposed);

#endif
