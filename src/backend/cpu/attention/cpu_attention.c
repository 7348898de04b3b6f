/* cpu_attention: causal attention forward by tiles with an online softmax (Milakov & Gimelshein 2018; Dao et al. 2022).
 *
 * A block is 48 columns, (query, head) pairs that read the same key head. It walks over the keys that any of its queries
 * sees, 96 at a time. For each tile: S = K Q^T; the mask; new maxima m' of the columns; what was summed so far times e^(m
 * - m'); P = e^(S - m') in place; l += column sums of P; O += P^T V. At the end o = O / l and lse = m + log l. Nothing of
 * size queries x keys exists; S, O and the block's Q stay in L1 and L2, K and V pass by.
 *
 * Scores are computed transposed, keys down and queries across. That way the softmax runs down columns in whole vectors
 * without horizontal sums, the tile is at once the A operand of P^T V (row stride 1), and K is the A operand of K Q^T as
 * it lies in memory. Columns are query-major: grouped heads share the reads of K and V, and a block of 48 reaches over few
 * queries, so little is computed above the diagonal. A block is a work item, which sums in the order of keys: the same
 * bits for any number of threads.
 *
 * One query alone is computed by cpu_attention_token.c. In bf16 the products are those of cpu_attention_bf16.h, and what
 * is summed is the transpose, (D, COLUMNS). */
#include <float.h>
#include <math.h>
#include <string.h>

#include "backend/cpu/attention/cpu_attention_bf16.h"
#include "backend/cpu/attention/cpu_attention_token.h"
#include "base/threads.h"

/* One call, as all its work items see it. */
struct attention_work {
    const struct op_call *call;
    const struct attention_params *p;
    struct cpu_segments segments;
    const struct cpu_kernels *kernels;
    const struct attention_bf16 *bf16; /* NULL: products in f32 */
    int64_t heads, groups, share, d;   /* H, G, H / G, D */
    int64_t ld;                        /* padded D */
    int64_t *first;                    /* (n_seg + 1) work items of segment s start here, for one key head */
    float *scratch;
    int64_t scratch_floats;
};

/* What one work item works on, in its worker's scratch. */
struct attention_block {
    int64_t segment;
    struct attention_segment seg;
    struct attention_columns columns;
    float *q_transposed; /* scaled Q^T as panels, (.., D, nr); in bf16 Q is not scaled, the scores are */
    float *tile;         /* (KEYS, COLUMNS) */
    float *out;          /* (COLUMNS, ld) not yet normalised */
    float *copy;         /* rows of Q, then of V, where they cannot be used in place */
    float *max, *sum, *change;
    float *transposed;          /* in bf16, (D, COLUMNS): the transpose of out */
    uint32_t *rounded, *p_rows; /* in bf16: rows of Q, then of the tile; the tile as panels of rows */
};

enum { VECTORS = 3 /* max, sum, change */ };

/* The same scratch holds the rounded rows of Q, then of each tile. */
static int64_t attention_rounded_steps(const struct attention_work *w)
{
    return cpu_max(attention_bf16_block_steps(w->bf16), attention_bf16_tile_steps());
}

/* Floats of a work item, in the order in which attention_block_of cuts them. */
static int64_t attention_scratch_floats(const struct attention_work *w)
{
    int64_t floats = ATTENTION_COLUMNS * (ATTENTION_KEYS + w->ld + VECTORS) + ATTENTION_KEYS * w->ld;
    if (!w->bf16) return floats + ATTENTION_PANEL_COLUMNS * w->d;
    return floats + attention_bf16_panel_steps(w->bf16, w->d, ATTENTION_COLUMNS) + ATTENTION_COLUMNS * w->d +
           attention_rounded_steps(w) + attention_bf16_panel_steps(w->bf16, ATTENTION_KEYS, ATTENTION_COLUMNS);
}

/* Which columns work item `item` has (items are numbered key head by key head, segment by segment), and its parts of the
 * scratch. */
static struct attention_block attention_block_of(const struct attention_work *w, int64_t item, int worker)
{
    int64_t per_group = w->first[w->segments.n];
    int64_t at = item % per_group, low = 0, high = w->segments.n; /* by halves: the segment low with first[low] <= at */
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (w->first[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    struct attention_block b = {.segment = low, .seg = attention_segment_of(&w->segments, low)};
    /* Last blocks first: they see the most keys, and threads finish together when the short ones come last. */
    int64_t most = attention_block_columns(w->bf16), first = (w->first[low + 1] - 1 - at) * most;
    int64_t n = cpu_min(most, b.seg.nq * w->share - first);
    b.columns = (struct attention_columns){.share = w->share, .group = item / per_group, .first = first, .n = n};
    b.tile = w->scratch + worker * w->scratch_floats;
    b.out = b.tile + ATTENTION_COLUMNS * ATTENTION_KEYS;
    b.max = b.out + ATTENTION_COLUMNS * w->ld;
    b.sum = b.max + ATTENTION_COLUMNS;
    b.change = b.sum + ATTENTION_COLUMNS;
    b.copy = b.change + ATTENTION_COLUMNS;
    b.q_transposed = b.copy + ATTENTION_KEYS * w->ld;
    if (!w->bf16) return b;
    b.transposed = b.q_transposed + attention_bf16_panel_steps(w->bf16, w->d, ATTENTION_COLUMNS);
    b.rounded = (uint32_t *)(b.transposed + ATTENTION_COLUMNS * w->d);
    b.p_rows = b.rounded + attention_rounded_steps(w);
    return b;
}

/* New maxima of scale times the tile; `change` becomes the factor by which earlier sums shrink, e^(old - new). */
static void new_maxima(const struct attention_work *w, const struct attention_block *b, int64_t keys, int64_t columns,
                       float scale)
{
    float old[ATTENTION_COLUMNS];
    memcpy(old, b->max, sizeof old);
    w->kernels->column_max(b->max, b->tile, ATTENTION_COLUMNS, keys, columns, scale);
    for (int64_t j = 0; j < columns; j++) b->change[j] = old[j] - b->max[j];
    w->kernels->exp(b->change, b->change, columns);
    w->kernels->mul(b->sum, b->sum, b->change, columns);
}

/* Some keys for all columns of the block: S = K Q^T, mask, softmax against the running maximum, out += P V. Where the
 * maximum rose, what is summed so far shrinks first. */
static void attend_tile(const struct attention_work *w, const struct attention_block *b, int64_t key, int64_t keys)
{
    const struct array *k = w->call->in[1], *v = w->call->in[2];
    int64_t nr = w->kernels->nr, columns = cpu_round_up(b->columns.n, 16), v_ld = v->stride[0];
    struct gemm_block scores = {.m = keys,
                                .n = columns,
                                .k = w->d,
                                .a = attention_row(k, b->seg.k + key, b->columns.group),
                                .rs = k->stride[0],
                                .cs = 1,
                                .b = b->q_transposed,
                                .panel_stride = w->d * nr,
                                .ldb = nr,
                                .c = b->tile,
                                .ldc = ATTENTION_COLUMNS};
    gemm_block(w->kernels, &scores);
    attention_mask(&b->seg, &b->columns, b->tile, key, keys);
    new_maxima(w, b, keys, columns, 1.0f);
    for (int64_t j = 0; j < b->columns.n; j++)
        if (b->change[j] != 1.0f) w->kernels->scale(b->out + j * w->ld, b->change[j], b->out + j * w->ld, w->d);
    w->kernels->column_exp(b->tile, ATTENTION_COLUMNS, keys, columns, 1.0f, b->max, b->sum);
    const float *values = attention_row(v, b->seg.k + key, b->columns.group);
    values = gemm_direct_rows(w->kernels, values, &v_ld, keys, w->d, b->copy);
    struct gemm_block product = {.m = b->columns.n,
                                 .n = w->d,
                                 .k = keys,
                                 .a = b->tile,
                                 .rs = 1,
                                 .cs = ATTENTION_COLUMNS,
                                 .b = values,
                                 .panel_stride = nr,
                                 .ldb = v_ld,
                                 .c = b->out,
                                 .ldc = w->ld,
                                 .accumulate = true};
    gemm_block(w->kernels, &product);
}

/* The same in bf16, with what is summed so far, and P V, transposed: (D, COLUMNS). */
static void attend_tile_bf16(const struct attention_work *w, const struct attention_block *b, int64_t key, int64_t keys)
{
    const struct attention_bf16 *h = w->bf16;
    int64_t columns = cpu_round_up(b->columns.n, 16), rs = bf16_row_steps(ATTENTION_COLUMNS), group = b->columns.group;
    float scale = (float)w->p->scale;
    attention_bf16_scores(h, &h->k, b->segment, group, key, keys, (const uint32_t *)b->q_transposed, columns, b->tile);
    attention_mask(&b->seg, &b->columns, b->tile, key, keys);
    new_maxima(w, b, keys, columns, scale);
    for (int64_t i = 0; i < w->d; i++) {
        float *row = b->transposed + i * ATTENTION_COLUMNS;
        w->kernels->mul(row, row, b->change, columns);
    }
    w->kernels->column_exp(b->tile, ATTENTION_COLUMNS, keys, columns, scale, b->max, b->sum);
    bf16_round_rows(h->q, b->tile, ATTENTION_COLUMNS, keys, ATTENTION_COLUMNS, b->rounded);
    bf16_pack_rounded(w->kernels, h->q, GEMM_ROWS, b->rounded, rs, keys, columns, b->p_rows,
                      bf16_steps(ATTENTION_KEYS) * w->kernels->nr);
    attention_bf16_add_transposed(h, &h->v, b->segment, group, key, keys, b->p_rows, columns, b->transposed);
}

/* `out` of the block, all its keys summed. */
static void attention_run_block(const struct attention_work *w, const struct attention_block *b)
{
    const struct array *q = w->call->in[0];
    int64_t key = attention_first_key(&b->seg, attention_query(&b->columns, 0));
    int64_t end = attention_end_key(&b->seg, attention_query(&b->columns, b->columns.n - 1));
    if (!w->bf16) {
        attention_transpose(w->kernels, &b->columns, q, b->seg.q, (float)w->p->scale, b->copy, w->ld, b->q_transposed);
        memset(b->out, 0, (size_t)(ATTENTION_COLUMNS * w->ld) * sizeof(float));
        for (; key < end; key += ATTENTION_KEYS) attend_tile(w, b, key, cpu_min(ATTENTION_KEYS, end - key));
        return;
    }
    const struct bf16_kernels *products = w->bf16->q;
    attention_gather(&b->columns, q, b->seg.q, b->copy, w->ld);
    attention_bf16_pack_block(w->bf16, b->copy, w->ld, b->columns.n, b->rounded, (uint32_t *)b->q_transposed, NULL);
    memset(b->transposed, 0, (size_t)(ATTENTION_COLUMNS * w->d) * sizeof(float));
    if (products->open) products->open();
    for (key = attention_bf16_first(key); key < end; key += ATTENTION_KEYS)
        attend_tile_bf16(w, b, key, cpu_min(ATTENTION_KEYS, end - key));
    if (products->close) products->close();
    attention_transpose_back(w->kernels, b->transposed, w->d, b->out, w->ld);
}

/* A block of columns from its first visible key to its last; then o = out / sum, and lse = max + log(sum) for backward. */
static void attention_item(void *arg, int64_t item, int worker)
{
    const struct attention_work *w = arg;
    struct attention_block b = attention_block_of(w, item, worker);
    /* Not -inf: where a tile holds no key that a column sees, the maximum stays what it was, and -inf - -inf is NaN. */
    for (int64_t j = 0; j < ATTENTION_COLUMNS; j++) b.max[j] = -FLT_MAX, b.sum[j] = 0;
    attention_run_block(w, &b);
    const struct array *lse = w->call->out[1];
    for (int64_t j = 0; j < b.columns.n; j++) {
        int64_t row = b.seg.q + attention_query(&b.columns, j), head = attention_head(&b.columns, j);
        w->kernels->scale(attention_row(w->call->out[0], row, head), 1.0f / b.sum[j], b.out + j * w->ld, w->d);
        ((float *)lse->data)[row * lse->stride[0] + head] = b.max[j] + logf(b.sum[j]);
    }
}

/* q (N, H, D), k and v (S, G, D), offsets i32 (n + 1) each -> o (N, H, D), lse (N, H). E_SHAPE for offsets that do not
 * fit. */
enum status cpu_attention(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    const struct array *q = call->in[0], *k = call->in[1];
    struct attention_work w = {.call = call,
                               .p = call->params,
                               .kernels = kernels,
                               .heads = q->shape[1],
                               .groups = k->shape[1],
                               .share = q->shape[1] / k->shape[1],
                               .d = q->shape[2],
                               .ld = gemm_direct_ld(q->shape[2])};
    w.segments = cpu_segments_of(w.p, call->in[3], call->in[4]);
    TRY(cpu_segments_check(c, &w.segments, q->shape[0], k->shape[0]));
    if (cpu_attention_token_fits(call, kernels)) return cpu_attention_token(c, call, kernels);
    int mark = scope_open(c);
    struct attention_bf16 bf16;
    if (w.p->compute == COMPUTE_BF16) {
        attention_bf16_open(c, &bf16, kernels, &w.segments, k, call->in[2],
                            (struct attention_bf16_wants){.v_transposed = true});
        w.bf16 = &bf16;
    }
    w.first = cpu_scratch(c, DTYPE_I64, w.segments.n + 1);
    w.scratch_floats = cpu_round_up(attention_scratch_floats(&w), 16);
    w.scratch = cpu_scratch_f32(c, w.scratch_floats * threads_count(c));
    if (w.first && w.scratch) {
        w.first[0] = 0;
        for (int s = 0; s < w.segments.n; s++) {
            int64_t columns = attention_segment_of(&w.segments, s).nq * w.share;
            w.first[s + 1] = w.first[s] + cpu_div_up(columns, attention_block_columns(w.bf16));
        }
        threads_run(c, w.first[w.segments.n] * w.groups, attention_item, &w);
    }
    scope_close(c, mark);
    return c->status;
}
