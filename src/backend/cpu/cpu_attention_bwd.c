/* cpu_attention_bwd: gradients of causal attention by tiles (Dao et al. 2022), scores computed again from the saved lse.
 * With P = e^(scale S - lse) and delta_i = do_i . o_i, transposed as in cpu_attention.c (keys down, queries across):
 *
 *   dV += P dO      dS = P * (V dO^T - delta) * scale      dK += dS Q      dQ += dS^T K
 *
 * A job is one head of one segment. It walks tiles of keys and, for each, blocks of queries: dK and dV of a tile stay in
 * cache, dQ is the output itself. Heads that share a key head write dK and dV beside each other; a second loop adds them in
 * order of heads. */
#include <string.h>

#include "backend/cpu/cpu_attention.h"
#include "base/threads.h"

enum { ROWS = 16 };

struct work {
    const struct attention_params *p;
    const struct cpu_kernels *kernels;
    const struct array *q, *k, *v, *o, *lse, *d_o, *dq, *dk, *dv;
    int64_t heads, share, d, ld;
    float *dk_heads, *dv_heads; /* (S, H, D); NULL when every head has its own key head */
    float *delta;               /* (N, H) */
    float *scratch;
    int64_t scratch_floats;
};

struct block {
    struct attention_segment seg;
    int64_t head;
    float *q_turned, *do_turned; /* panels (.., D, nr) of scaled Q^T and of dO^T */
    float *p, *dp;               /* (KEYS, COLUMNS) */
    float *dk, *dv;              /* (KEYS, ld) */
    float *copy;                 /* (KEYS, ld) */
    float *lse, *delta, *ignored;
};

static int64_t scratch_floats(const struct work *w)
{
    return 2 * ATTENTION_PANEL_COLUMNS * w->d + 2 * ATTENTION_KEYS * ATTENTION_COLUMNS + 3 * ATTENTION_KEYS * w->ld +
           3 * ATTENTION_COLUMNS;
}

static struct block block_of(const struct work *w, int64_t job, int worker)
{
    struct block b = {.seg = attention_segment_of(w->p, job / w->heads), .head = job % w->heads};
    b.q_turned = w->scratch + worker * w->scratch_floats;
    b.do_turned = b.q_turned + ATTENTION_PANEL_COLUMNS * w->d;
    b.p = b.do_turned + ATTENTION_PANEL_COLUMNS * w->d;
    b.dp = b.p + ATTENTION_KEYS * ATTENTION_COLUMNS;
    b.dk = b.dp + ATTENTION_KEYS * ATTENTION_COLUMNS;
    b.dv = b.dk + ATTENTION_KEYS * w->ld;
    b.copy = b.dv + ATTENTION_KEYS * w->ld;
    b.lse = b.copy + ATTENTION_KEYS * w->ld;
    b.delta = b.lse + ATTENTION_COLUMNS;
    b.ignored = b.delta + ATTENTION_COLUMNS;
    return b;
}

static void delta_job(void *arg, int64_t job, int worker)
{
    (void)worker;
    const struct work *w = arg;
    int64_t end = cpu_min((job + 1) * ROWS, w->q->shape[0]);
    for (int64_t i = job * ROWS; i < end; i++)
        for (int64_t h = 0; h < w->heads; h++)
            w->delta[i * w->heads + h] = w->kernels->dot(attention_row(w->o, i, h), attention_row(w->d_o, i, h), w->d);
}

/* Rows [0, n) turned into panels; columns past n are 0. */
static void turn(const struct work *w, float *panels, const float *rows, int64_t stride, int64_t n, float scale)
{
    int64_t nr = w->kernels->nr;
    if (n < ATTENTION_COLUMNS) memset(panels, 0, (size_t)(ATTENTION_PANEL_COLUMNS * w->d) * sizeof(float));
    for (int64_t j = 0; j < n; j += nr)
        w->kernels->transpose(panels + j * w->d, nr, rows + j * stride, stride, cpu_min(nr, n - j), w->d, scale);
}

/* tile (keys, columns) = rows of `a` times panels. */
static void tile_product(const struct work *w, float *tile, const struct array *a, int64_t row, int64_t head, int64_t keys,
                         const float *panels)
{
    struct gemm_block g = {.m = keys,
                           .n = ATTENTION_COLUMNS,
                           .k = w->d,
                           .a = attention_row(a, row, head),
                           .rs = a->stride[0],
                           .cs = 1,
                           .b = panels,
                           .panel_stride = w->d * w->kernels->nr,
                           .ldb = w->kernels->nr,
                           .c = tile,
                           .ldc = ATTENTION_COLUMNS};
    gemm_block(w->kernels, &g);
}

/* c (keys, D) += tile (keys, n) times n rows of `x`. */
static void add_rows(const struct work *w, const struct block *b, const float *tile, int64_t keys, const float *x,
                     int64_t ld, int64_t n, float *out)
{
    const float *rows = gemm_direct_rows(w->kernels, x, &ld, n, w->d, b->copy);
    struct gemm_block g = {.m = keys,
                           .n = w->d,
                           .k = n,
                           .a = tile,
                           .rs = ATTENTION_COLUMNS,
                           .cs = 1,
                           .b = rows,
                           .panel_stride = w->kernels->nr,
                           .ldb = ld,
                           .c = out,
                           .ldc = w->ld,
                           .accumulate = true};
    gemm_block(w->kernels, &g);
}

/* dq rows (n, D) += transpose of the tile times the keys. */
static void add_dq(const struct work *w, const struct block *b, int64_t key, int64_t keys, int64_t query, int64_t n)
{
    int64_t ld = w->k->stride[0];
    const float *rows = attention_row(w->k, b->seg.k + key, b->head / w->share);
    rows = gemm_direct_rows(w->kernels, rows, &ld, keys, w->d, b->copy);
    struct gemm_block g = {.m = n,
                           .n = w->d,
                           .k = keys,
                           .a = b->dp,
                           .rs = 1,
                           .cs = ATTENTION_COLUMNS,
                           .b = rows,
                           .panel_stride = w->kernels->nr,
                           .ldb = ld,
                           .c = attention_row(w->dq, b->seg.q + query, b->head),
                           .ldc = w->dq->stride[0],
                           .accumulate = true};
    gemm_block(w->kernels, &g);
}

/* Keys [key, key + keys) against queries [query, query + n): as many of the keys as the last query sees. */
static void tile_pair(const struct work *w, const struct block *b, int64_t key, int64_t keys, int64_t query, int64_t n)
{
    int64_t row = b->seg.q + query, group = b->head / w->share, key_row = b->seg.k + key;
    const float *q = attention_row(w->q, row, b->head), *d_o = attention_row(w->d_o, row, b->head);
    keys = cpu_min(keys, attention_end_key(&b->seg, query + n - 1) - key);
    turn(w, b->q_turned, q, w->q->stride[0], n, (float)w->p->scale);
    turn(w, b->do_turned, d_o, w->d_o->stride[0], n, 1.0f);
    memset(b->lse, 0, 3 * ATTENTION_COLUMNS * sizeof(float));
    for (int64_t j = 0; j < n; j++) {
        b->lse[j] = attention_row(w->lse, row + j, 0)[b->head];
        b->delta[j] = w->delta[(row + j) * w->heads + b->head];
    }

    tile_product(w, b->p, w->k, key_row, group, keys, b->q_turned);
    for (int64_t j = 0; j < n; j++) {
        int64_t first = attention_first_key(&b->seg, query + j), end = attention_end_key(&b->seg, query + j);
        if (first > key || end < key + keys) attention_mask(b->p, key, keys, first, end, j, 1);
    }
    w->kernels->column_exp(b->p, ATTENTION_COLUMNS, keys, ATTENTION_COLUMNS, 1.0f, b->lse, b->ignored);
    add_rows(w, b, b->p, keys, d_o, w->d_o->stride[0], n, b->dv);
    tile_product(w, b->dp, w->v, key_row, group, keys, b->do_turned);
    w->kernels->column_softmax_bwd(b->dp, b->p, ATTENTION_COLUMNS, keys, ATTENTION_COLUMNS, (float)w->p->scale, b->delta);
    add_rows(w, b, b->dp, keys, q, w->q->stride[0], n, b->dk);
    add_dq(w, b, key, keys, query, n);
}

/* Where this job's rows of dK or dV go: the output, or this head's place beside the others of its group. */
static float *key_row_at(const struct work *w, const struct array *out, float *heads, int64_t row, int64_t head)
{
    if (!heads) return attention_row(out, row, head);
    return heads + (row * w->heads + head) * w->d;
}

static void store_tile(const struct work *w, const struct block *b, int64_t key, int64_t keys)
{
    size_t bytes = (size_t)w->d * sizeof(float);
    for (int64_t r = 0; r < keys; r++) {
        int64_t row = b->seg.k + key + r;
        memcpy(key_row_at(w, w->dk, w->dk_heads, row, b->head), b->dk + r * w->ld, bytes);
        memcpy(key_row_at(w, w->dv, w->dv_heads, row, b->head), b->dv + r * w->ld, bytes);
    }
}

static void head_job(void *arg, int64_t job, int worker)
{
    const struct work *w = arg;
    struct block b = block_of(w, job, worker);
    const struct attention_segment *g = &b.seg;
    for (int64_t i = 0; i < g->nq; i++) memset(attention_row(w->dq, g->q + i, b.head), 0, (size_t)w->d * sizeof(float));
    for (int64_t key = 0; key < g->nk; key += ATTENTION_KEYS) {
        int64_t keys = cpu_min(ATTENTION_KEYS, g->nk - key);
        memset(b.dk, 0, (size_t)(ATTENTION_KEYS * w->ld) * sizeof(float));
        memset(b.dv, 0, (size_t)(ATTENTION_KEYS * w->ld) * sizeof(float));
        /* Queries that see one of these keys: from the one that key `key` is the last of, to the window of the last key. */
        int64_t first = cpu_max(0, key - g->shift);
        int64_t end = cpu_min(g->nq, key + keys - 1 - g->shift + g->window);
        for (int64_t query = first; query < end; query += ATTENTION_COLUMNS)
            tile_pair(w, &b, key, keys, query, cpu_min(ATTENTION_COLUMNS, end - query));
        store_tile(w, &b, key, keys);
    }
}

/* Keys past the last segment (a cache with room) are seen by nobody. */
static void clear_unused(const struct work *w)
{
    int64_t used = w->p->cu_k[w->p->n_seg], row = w->d * w->k->shape[1];
    size_t bytes = (size_t)((w->k->shape[0] - used) * row) * sizeof(float);
    memset((float *)w->dk->data + used * row, 0, bytes);
    memset((float *)w->dv->data + used * row, 0, bytes);
}

static void add_heads_job(void *arg, int64_t job, int worker)
{
    (void)worker;
    const struct work *w = arg;
    int64_t end = cpu_min((job + 1) * ROWS, w->p->cu_k[w->p->n_seg]);
    for (int64_t i = job * ROWS; i < end; i++) {
        for (int64_t h = 0; h < w->heads; h++) {
            int64_t group = h / w->share, at = (i * w->heads + h) * w->d;
            float *dk = attention_row(w->dk, i, group), *dv = attention_row(w->dv, i, group);
            if (h % w->share == 0) {
                memcpy(dk, w->dk_heads + at, (size_t)w->d * sizeof(float));
                memcpy(dv, w->dv_heads + at, (size_t)w->d * sizeof(float));
            } else {
                w->kernels->add(dk, dk, w->dk_heads + at, w->d);
                w->kernels->add(dv, dv, w->dv_heads + at, w->d);
            }
        }
    }
}

enum status cpu_attention_bwd(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    struct array *const *in = call->in, *const *out = call->out;
    struct work w = {.p = call->params,
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
                     .share = in[0]->shape[1] / in[1]->shape[1],
                     .d = in[0]->shape[2],
                     .ld = gemm_direct_ld(in[0]->shape[2])};
    int64_t n = in[0]->shape[0], s = in[1]->shape[0];
    int mark = scope_open(c);
    w.delta = cpu_scratch_f32(c, n * w.heads);
    if (w.share > 1) {
        w.dk_heads = cpu_scratch_f32(c, s * w.heads * w.d);
        w.dv_heads = cpu_scratch_f32(c, s * w.heads * w.d);
    }
    w.scratch_floats = cpu_round_up(scratch_floats(&w), 16);
    w.scratch = cpu_scratch_f32(c, w.scratch_floats * threads_count(c));
    if (ctx_ok(c)) {
        threads_run(c, cpu_div_up(n, ROWS), delta_job, &w);
        threads_run(c, w.p->n_seg * w.heads, head_job, &w);
        clear_unused(&w);
        if (w.share > 1) threads_run(c, cpu_div_up(s, ROWS), add_heads_job, &w);
    }
    scope_close(c, mark);
    return c->status;
}
