/* cpu_attention_bwd: gradients of causal attention by tiles (Dao et al. 2022), scores computed again from the saved lse.
 * With P = e^(scale S - lse) and delta_i = do_i . o_i, which is sum_j P_ij dP_ij without going over the keys, transposed as
 * in cpu_attention.c (keys down, columns across):
 *
 *   dV += P dO      dS = P * (V dO^T - delta) * scale      dK += dS Q      dQ += dS^T K
 *
 * Columns are (query, head) pairs of one key head, as in the forward pass: a block of them is gathered and transposed
 * once, its dQ stays in cache while tiles of keys go by, little is computed above the diagonal, and the heads of a group
 * add to one dK and dV.
 *
 * All blocks of a key head and segment add to the same dK and dV, so they are one work item, in order, or, where segments
 * and key heads alone are too few for the threads, up to eight parts with about as many keys each. The last part, which
 * sees the most keys, adds into dK and dV themselves, the others into copies beside them, and a second loop adds the
 * copies in order of parts. The number of parts depends on shapes only. Rejected: a work item for each query head, whose
 * dK and dV take more memory and another pass; tiles of keys in the outer loop, which gathers the queries again for
 * each. */
#include <string.h>

#include "backend/cpu/attention/cpu_attention_bf16.h"
#include "base/threads.h"

/* ROWS of delta and of the sums of parts that a work item takes; at least ITEMS work items, by cutting a key head and
 * segment into up to PARTS_MAX parts. */
enum { ROWS = 16, ITEMS = 64, PARTS_MAX = 8, PARTS_LONG = 4, COPIES_BYTES = 256 << 20 };

/* One call, as all its work items see it. d_o is the incoming gradient. */
struct attention_bwd_work {
    const struct attention_params *p;
    struct cpu_segments segments;
    const struct cpu_kernels *kernels;
    const struct attention_bf16 *bf16; /* NULL: products in f32 */
    const struct array *q, *k, *v, *o, *lse, *d_o, *dq, *dk, *dv;
    int64_t heads, groups, share, d, ld;
    int parts;
    float *dk_part, *dv_part; /* (parts - 1, S, G, D) */
    float *delta;             /* (N, H) */
    float *scratch;
    int64_t scratch_floats;
};

/* What one work item works on, in its worker's scratch. */
struct attention_bwd_block {
    int64_t segment;
    struct attention_segment seg;
    struct attention_columns columns;
    float *q_transposed, *do_transposed; /* panels (.., D, nr) of scaled Q^T and of dO^T */
    float *q_rows, *do_rows;             /* (COLUMNS, ld): Q, not scaled, because dS has the scale already; dO */
    float *p, *dp;                       /* (KEYS, COLUMNS): S, then P in place; dP, then dS in place */
    float *dq;                           /* (COLUMNS, ld) */
    float *copy;                         /* (KEYS, ld): rows of K that cannot be used in place */
    float *lse, *delta, *ignored;        /* (COLUMNS); ignored: the sums of P that column_exp adds up, which are 1 */
    float *dk, *dv;                      /* row of the segment's first key, rows `stride` apart */
    int64_t stride;
    /* In bf16: q_transposed and do_transposed are panels of Q^T, not scaled, and dO^T, and in place of rows in f32: */
    uint32_t *q_panels, *do_panels; /* panels of Q and dO as rows */
    uint32_t *rounded, *ds_panels;  /* rows of a block, then of the tile; the tile of dS as panels of rows */
    float *dq_transposed;           /* (D, COLUMNS) */
};

/* As in cpu_attention.c. */
static int64_t attention_bwd_rounded_steps(const struct attention_bwd_work *w)
{
    return cpu_max(attention_bf16_block_steps(w->bf16), attention_bf16_tile_steps());
}

/* Floats that a block needs for bf16 behind the rest. */
static int64_t bf16_floats(const struct attention_bwd_work *w)
{
    const struct attention_bf16 *h = w->bf16;
    return 2 * attention_bf16_panel_steps(h, w->d, ATTENTION_COLUMNS) +
           2 * attention_bf16_panel_steps(h, ATTENTION_COLUMNS, w->d) + attention_bwd_rounded_steps(w) +
           attention_bf16_panel_steps(h, ATTENTION_KEYS, ATTENTION_COLUMNS) + ATTENTION_COLUMNS * w->d;
}

/* Floats of a work item, in the order in which attention_bwd_block_of cuts them. */
static int64_t attention_bwd_scratch_floats(const struct attention_bwd_work *w)
{
    return (w->bf16 ? bf16_floats(w) : 0) + 2 * ATTENTION_PANEL_COLUMNS * w->d + 2 * ATTENTION_KEYS * ATTENTION_COLUMNS +
           3 * ATTENTION_COLUMNS * w->ld + ATTENTION_KEYS * w->ld + 3 * ATTENTION_COLUMNS;
}

/* How many blocks of columns a segment and key head have. */
static int64_t blocks_of(const struct attention_bwd_work *w, const struct attention_segment *g)
{
    return cpu_div_up(g->nq * w->share, attention_block_columns(w->bf16));
}

/* The columns of one block. */
static struct attention_columns attention_bwd_columns_of(const struct attention_bwd_work *w,
                                                         const struct attention_segment *g, int64_t group, int64_t block)
{
    int64_t most = attention_block_columns(w->bf16), first = block * most;
    return (struct attention_columns){w->share, group, first, cpu_min(most, g->nq * w->share - first)};
}

/* Keys that a block goes over: [*first, result). */
static int64_t keys_of(const struct attention_segment *g, const struct attention_columns *c, int64_t *first)
{
    *first = attention_first_key(g, attention_query(c, 0));
    return attention_end_key(g, attention_query(c, c->n - 1));
}

/* The blocks [*first, result) of a part: each gets as many keys as the others, to a block. A block belongs to the part in
 * whose share of `total` the keys before it end; a part may get none. */
static int64_t part_of(const struct attention_bwd_work *w, const struct attention_segment *g, int64_t part, int64_t *first)
{
    int64_t n = blocks_of(w, g), total = 0, sum = 0, key, end = 0;
    for (int64_t i = 0; i < n; i++) {
        struct attention_columns c = attention_bwd_columns_of(w, g, 0, i);
        total += keys_of(g, &c, &key) - key;
    }
    *first = n;
    for (int64_t i = 0; i < n; i++) {
        struct attention_columns c = attention_bwd_columns_of(w, g, 0, i);
        if (sum * w->parts / total == part) {
            *first = cpu_min(*first, i);
            end = i + 1;
        }
        sum += keys_of(g, &c, &key) - key;
    }
    return cpu_max(end, *first);
}

/* The parts that only bf16 needs, behind all others. */
static void bf16_lay_out(const struct attention_bwd_work *w, struct attention_bwd_block *b, float *scratch)
{
    const struct attention_bf16 *h = w->bf16;
    b->q_transposed = scratch;
    b->do_transposed = b->q_transposed + attention_bf16_panel_steps(h, w->d, ATTENTION_COLUMNS);
    b->q_panels = (uint32_t *)(b->do_transposed + attention_bf16_panel_steps(h, w->d, ATTENTION_COLUMNS));
    b->do_panels = b->q_panels + attention_bf16_panel_steps(h, ATTENTION_COLUMNS, w->d);
    b->rounded = b->do_panels + attention_bf16_panel_steps(h, ATTENTION_COLUMNS, w->d);
    b->ds_panels = b->rounded + attention_bwd_rounded_steps(w);
    b->dq_transposed = (float *)(b->ds_panels + attention_bf16_panel_steps(h, ATTENTION_KEYS, ATTENTION_COLUMNS));
}

/* The scratch of a worker cut into parts, and where this part's dK and dV go. */
static struct attention_bwd_block attention_bwd_block_of(const struct attention_bwd_work *w, int64_t segment, int64_t group,
                                                         int64_t part, int worker)
{
    struct attention_bwd_block b = {.segment = segment, .seg = attention_segment_of(&w->segments, segment)};
    b.q_transposed = w->scratch + worker * w->scratch_floats;
    b.do_transposed = b.q_transposed + ATTENTION_PANEL_COLUMNS * w->d;
    b.q_rows = b.do_transposed + ATTENTION_PANEL_COLUMNS * w->d;
    b.do_rows = b.q_rows + ATTENTION_COLUMNS * w->ld;
    b.dq = b.do_rows + ATTENTION_COLUMNS * w->ld;
    b.p = b.dq + ATTENTION_COLUMNS * w->ld;
    b.dp = b.p + ATTENTION_KEYS * ATTENTION_COLUMNS;
    b.copy = b.dp + ATTENTION_KEYS * ATTENTION_COLUMNS;
    b.lse = b.copy + ATTENTION_KEYS * w->ld;
    b.delta = b.lse + ATTENTION_COLUMNS;
    b.ignored = b.delta + ATTENTION_COLUMNS;
    if (w->bf16) bf16_lay_out(w, &b, b.ignored + ATTENTION_COLUMNS);
    if (part == w->parts - 1) {
        b.dk = attention_row(w->dk, b.seg.k, group);
        b.dv = attention_row(w->dv, b.seg.k, group);
        b.stride = w->dk->stride[0];
    } else {
        int64_t at = ((part * w->k->shape[0] + b.seg.k) * w->groups + group) * w->d;
        b.dk = w->dk_part + at;
        b.dv = w->dv_part + at;
        b.stride = w->groups * w->d;
    }
    return b;
}

/* delta (N, H): the dot product of o and do of every query and head. */
static void delta_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct attention_bwd_work *w = arg;
    int64_t end = cpu_min((item + 1) * ROWS, w->q->shape[0]);
    for (int64_t i = item * ROWS; i < end; i++)
        for (int64_t h = 0; h < w->heads; h++)
            w->delta[i * w->heads + h] = w->kernels->dot(attention_row(w->o, i, h), attention_row(w->d_o, i, h), w->d);
}

/* ---- one block of columns ------------------------------------------------------------------------------------------- */

/* Gathers the columns' Q and dO, in both layouts that the products need, and their lse and delta; dQ starts at 0. */
static void open_block(const struct attention_bwd_work *w, const struct attention_bwd_block *b)
{
    const struct attention_columns *c = &b->columns;
    if (w->bf16) {
        attention_gather(c, w->q, b->seg.q, b->q_rows, w->ld);
        attention_gather(c, w->d_o, b->seg.q, b->do_rows, w->ld);
        attention_bf16_pack_block(w->bf16, b->q_rows, w->ld, c->n, b->rounded, (uint32_t *)b->q_transposed, b->q_panels);
        attention_bf16_pack_block(w->bf16, b->do_rows, w->ld, c->n, b->rounded, (uint32_t *)b->do_transposed, b->do_panels);
        memset(b->dq_transposed, 0, (size_t)(ATTENTION_COLUMNS * w->d) * sizeof(float));
    } else {
        attention_transpose(w->kernels, c, w->q, b->seg.q, (float)w->p->scale, b->q_rows, w->ld, b->q_transposed);
        attention_transpose(w->kernels, c, w->d_o, b->seg.q, 1.0f, b->do_rows, w->ld, b->do_transposed);
        memset(b->dq, 0, (size_t)(c->n * w->ld) * sizeof(float));
    }
    memset(b->lse, 0, 3 * ATTENTION_COLUMNS * sizeof(float));
    for (int64_t j = 0; j < c->n; j++) {
        int64_t row = b->seg.q + attention_query(c, j), head = attention_head(c, j);
        b->lse[j] = attention_row(w->lse, row, 0)[head];
        b->delta[j] = w->delta[row * w->heads + head];
    }
}

/* tile (keys, columns) = rows of `a` times panels. */
static void tile_product(const struct attention_bwd_work *w, const struct attention_bwd_block *b, float *tile,
                         const struct array *a, int64_t key, int64_t keys, const float *panels)
{
    struct gemm_block g = {.m = keys,
                           .n = cpu_round_up(b->columns.n, 16),
                           .k = w->d,
                           .a = attention_row(a, b->seg.k + key, b->columns.group),
                           .rs = a->stride[0],
                           .cs = 1,
                           .b = panels,
                           .panel_stride = w->d * w->kernels->nr,
                           .ldb = w->kernels->nr,
                           .c = tile,
                           .ldc = ATTENTION_COLUMNS};
    gemm_block(w->kernels, &g);
}

/* out (keys, D) += tile (keys, columns) times the gathered rows. */
static void attention_bwd_add_rows(const struct attention_bwd_work *w, const struct attention_bwd_block *b,
                                   const float *tile, int64_t keys, const float *rows, float *out)
{
    struct gemm_block g = {.m = keys,
                           .n = w->d,
                           .k = b->columns.n,
                           .a = tile,
                           .rs = ATTENTION_COLUMNS,
                           .cs = 1,
                           .b = rows,
                           .panel_stride = w->kernels->nr,
                           .ldb = w->ld,
                           .c = out,
                           .ldc = b->stride,
                           .accumulate = true};
    gemm_block(w->kernels, &g);
}

/* dq (columns, D) += transpose of the tile times the keys. */
static void add_dq(const struct attention_bwd_work *w, const struct attention_bwd_block *b, int64_t key, int64_t keys)
{
    int64_t ld = w->k->stride[0];
    const float *rows = attention_row(w->k, b->seg.k + key, b->columns.group);
    rows = gemm_direct_rows(w->kernels, rows, &ld, keys, w->d, b->copy);
    struct gemm_block g = {.m = b->columns.n,
                           .n = w->d,
                           .k = keys,
                           .a = b->dp,
                           .rs = 1,
                           .cs = ATTENTION_COLUMNS,
                           .b = rows,
                           .panel_stride = w->kernels->nr,
                           .ldb = ld,
                           .c = b->dq,
                           .ldc = w->ld,
                           .accumulate = true};
    gemm_block(w->kernels, &g);
}

/* One tile of keys, in the order of the formulas above: S and P, dV; dP and dS, dK, dQ. */
static void tile_pair(const struct attention_bwd_work *w, const struct attention_bwd_block *b, int64_t key, int64_t keys)
{
    int64_t columns = cpu_round_up(b->columns.n, 16);
    tile_product(w, b, b->p, w->k, key, keys, b->q_transposed);
    attention_mask(&b->seg, &b->columns, b->p, key, keys);
    w->kernels->column_exp(b->p, ATTENTION_COLUMNS, keys, columns, 1.0f, b->lse, b->ignored);
    attention_bwd_add_rows(w, b, b->p, keys, b->do_rows, b->dv + key * b->stride);
    tile_product(w, b, b->dp, w->v, key, keys, b->do_transposed);
    w->kernels->column_softmax_bwd(b->dp, b->p, ATTENTION_COLUMNS, keys, columns, (float)w->p->scale, b->delta);
    attention_bwd_add_rows(w, b, b->dp, keys, b->q_rows, b->dk + key * b->stride);
    add_dq(w, b, key, keys);
}

/* out (keys, D) += the tile that was rounded times panels of rows. */
static void add_rows_bf16(const struct attention_bwd_work *w, const struct attention_bwd_block *b, int64_t keys,
                          const uint32_t *panels, float *out)
{
    struct bf16_block g = {.q = w->bf16->q,
                           .m = keys,
                           .n = w->d,
                           .n_parts = 1,
                           .part = {{.k = b->columns.n,
                                     .a = b->rounded,
                                     .rs = bf16_row_steps(b->columns.n),
                                     .panels = panels,
                                     .panel_stride = bf16_steps(ATTENTION_COLUMNS) * w->kernels->nr}},
                           .c = out,
                           .ldc = b->stride,
                           .accumulate = true};
    bf16_block(w->kernels, &g);
}

/* The same with all five products in bf16; dQ is summed transposed. */
static void tile_pair_bf16(const struct attention_bwd_work *w, const struct attention_bwd_block *b, int64_t key,
                           int64_t keys)
{
    const struct attention_bf16 *h = w->bf16;
    int64_t n = b->columns.n, columns = cpu_round_up(n, 16), group = b->columns.group;
    float scale = (float)w->p->scale;
    attention_bf16_scores(h, &h->k, b->segment, group, key, keys, (const uint32_t *)b->q_transposed, columns, b->p);
    attention_mask(&b->seg, &b->columns, b->p, key, keys);
    w->kernels->column_exp(b->p, ATTENTION_COLUMNS, keys, columns, scale, b->lse, b->ignored);
    bf16_round_rows(h->q, b->p, ATTENTION_COLUMNS, keys, n, b->rounded);
    add_rows_bf16(w, b, keys, b->do_panels, b->dv + key * b->stride);
    attention_bf16_scores(h, &h->v, b->segment, group, key, keys, (const uint32_t *)b->do_transposed, columns, b->dp);
    w->kernels->column_softmax_bwd(b->dp, b->p, ATTENTION_COLUMNS, keys, columns, scale, b->delta);
    bf16_round_rows(h->q, b->dp, ATTENTION_COLUMNS, keys, n, b->rounded);
    add_rows_bf16(w, b, keys, b->q_panels, b->dk + key * b->stride);
    bf16_pack_rounded(w->kernels, h->q, GEMM_ROWS, b->rounded, bf16_row_steps(n), keys, n, b->ds_panels,
                      bf16_steps(ATTENTION_KEYS) * w->kernels->nr);
    attention_bf16_add_transposed(h, &h->k, b->segment, group, key, keys, b->ds_panels, n, b->dq_transposed);
}

/* dK and dV of the block's keys, and its dQ. */
static void block_tiles(const struct attention_bwd_work *w, const struct attention_bwd_block *b)
{
    int64_t key, end = keys_of(&b->seg, &b->columns, &key);
    open_block(w, b);
    if (!w->bf16) {
        for (; key < end; key += ATTENTION_KEYS) tile_pair(w, b, key, cpu_min(ATTENTION_KEYS, end - key));
        return;
    }
    const struct bf16_kernels *products = w->bf16->q;
    if (products->open) products->open();
    for (key = attention_bf16_first(key); key < end; key += ATTENTION_KEYS)
        tile_pair_bf16(w, b, key, cpu_min(ATTENTION_KEYS, end - key));
    if (products->close) products->close();
    attention_transpose_back(w->kernels, b->dq_transposed, w->d, b->dq, w->ld);
}

/* Work item: a part of the blocks of one key head and segment. Its dK and dV start at 0; each block's dQ is written
 * once. */
static void block_item(void *arg, int64_t item, int worker)
{
    const struct attention_bwd_work *w = arg;
    int64_t part = item % w->parts, group = item / w->parts % w->groups, segment = item / w->parts / w->groups, first;
    struct attention_bwd_block b = attention_bwd_block_of(w, segment, group, part, worker);
    int64_t last = part_of(w, &b.seg, part, &first);
    for (int64_t i = 0; i < b.seg.nk; i++) {
        memset(b.dk + i * b.stride, 0, (size_t)w->d * sizeof(float));
        memset(b.dv + i * b.stride, 0, (size_t)w->d * sizeof(float));
    }
    for (int64_t i = first; i < last; i++) {
        b.columns = attention_bwd_columns_of(w, &b.seg, group, i);
        block_tiles(w, &b);
        for (int64_t j = 0; j < b.columns.n; j++)
            memcpy(attention_row(w->dq, b.seg.q + attention_query(&b.columns, j), attention_head(&b.columns, j)),
                   b.dq + j * w->ld, (size_t)w->d * sizeof(float));
    }
}

/* ---- all of them ---------------------------------------------------------------------------------------------------- */

/* Keys past the last segment (the unused end of a cache) are seen by no query: their gradients are 0. */
static void clear_unused(const struct attention_bwd_work *w)
{
    int64_t used = w->segments.k[w->segments.n], row = w->d * w->k->shape[1];
    size_t bytes = (size_t)((w->k->shape[0] - used) * row) * sizeof(float);
    memset((float *)w->dk->data + used * row, 0, bytes);
    memset((float *)w->dv->data + used * row, 0, bytes);
}

/* dK and dV of the other parts are added to the last one's, in order, so that bytes do not depend on who was first. */
static void add_parts_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct attention_bwd_work *w = arg;
    int64_t row = w->groups * w->d, first = item * ROWS, n = cpu_min(ROWS, w->segments.k[w->segments.n] - first) * row;
    float *dk = attention_row(w->dk, first, 0), *dv = attention_row(w->dv, first, 0);
    for (int64_t part = 0; part < w->parts - 1; part++) {
        int64_t at = (part * w->k->shape[0] + first) * row;
        w->kernels->add(dk, dk, w->dk_part + at, n);
        w->kernels->add(dv, dv, w->dv_part + at, n);
    }
}

/* From the step pool; after E_MEMORY the ctx says so and nothing runs. */
static void take_scratch(struct ctx *c, struct attention_bwd_work *w)
{
    int64_t keys = w->k->shape[0] * w->groups * w->d;
    w->delta = cpu_scratch_f32(c, w->q->shape[0] * w->heads);
    if (w->parts > 1) {
        w->dk_part = cpu_scratch_f32(c, (w->parts - 1) * keys);
        w->dv_part = cpu_scratch_f32(c, (w->parts - 1) * keys);
    }
    w->scratch_floats = cpu_round_up(attention_bwd_scratch_floats(w), 16);
    w->scratch = cpu_scratch_f32(c, w->scratch_floats * threads_count(c));
}

/* Each part beyond the first has a copy of dK and dV: of long documents there are fewer. By shapes alone. */
static int64_t most_parts(const struct array *k)
{
    int64_t copy = 2 * array_size(k) * (int64_t)sizeof(float);
    return copy * (PARTS_MAX - 1) <= COPIES_BYTES ? PARTS_MAX : PARTS_LONG;
}

/* Inputs and outputs: struct attention_params in op.h. */
enum status cpu_attention_bwd(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    struct array *const *in = call->in, *const *out = call->out;
    struct attention_bwd_work w = {.p = call->params,
                                   .kernels = kernels,
                                   .q = in[0],
                                   .k = in[1],
                                   .v = in[2],
                                   .o = in[3],
                                   .lse = in[4],
                                   .d_o = in[5],
                                   .dq = out[0],
                                   .dk = out[1],
                                   .dv = out[2],
                                   .heads = in[0]->shape[1],
                                   .groups = in[1]->shape[1],
                                   .share = in[0]->shape[1] / in[1]->shape[1],
                                   .d = in[0]->shape[2],
                                   .ld = gemm_direct_ld(in[0]->shape[2])};
    w.segments = cpu_segments_of(w.p, in[6], in[7]);
    TRY(cpu_segments_check(c, &w.segments, w.q->shape[0], w.k->shape[0]));
    int64_t shared = w.segments.n * w.groups;
    w.parts = (int)cpu_min(cpu_div_up(ITEMS, cpu_max(shared, 1)), most_parts(w.k));
    int mark = scope_open(c);
    struct attention_bf16 bf16;
    if (w.p->compute == COMPUTE_BF16) {
        attention_bf16_open(c, &bf16, kernels, &w.segments, w.k, w.v,
                            (struct attention_bf16_wants){.k_transposed = true, .v_rows = true});
        w.bf16 = &bf16;
    }
    take_scratch(c, &w);
    if (ctx_ok(c)) {
        threads_run(c, cpu_div_up(w.q->shape[0], ROWS), delta_item, &w);
        threads_run(c, shared * w.parts, block_item, &w);
        clear_unused(&w);
        if (w.parts > 1) threads_run(c, cpu_div_up(w.segments.k[w.segments.n], ROWS), add_parts_item, &w);
    }
    scope_close(c, mark);
    return c->status;
}
