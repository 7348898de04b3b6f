/* gemm: blocking and threads of the packed product; the header says what and why. */
#include "backend/cpu/gemm.h"

#include <string.h>

#include "array/int8.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm_ahead.h"
#include "backend/cpu/gemm_int.h"
#include "backend/cpu/gemm_small.h"
#include "base/threads.h"

enum {
    BLOCK_ROWS = 96,      /* rows of C a job, at most: fewer read B from L3 too often; more push A out of L2 */
    FEW_BLOCK_ROWS = 48,  /* where C has few rows, so that there are jobs for several threads */
    FEW_ROWS = 512,       /* fewer than this are few */
    K_MAX = 320,          /* longest run of k in one tile: 20 KiB of B panel stay in a 32 KiB L1, 40 of 32 columns near it */
    PACK_BYTES = 8 << 20, /* of packed B at a time: half of a small L3 */
    PANELS_A_JOB = 8,     /* packed by one job: 128 columns are whole blocks of every quantised type */
    PAGE_ELEMENTS = 4096 / 4, /* rows that are multiples of this apart fall into one set of the L1 */
};

/* Length of the runs that k is cut into: even, so that no run is a sliver. */
static int64_t k_step(int64_t k)
{
    int64_t runs = cpu_div_up(k, K_MAX);
    return cpu_div_up(k, runs);
}

/* Rows of C a job, of m: whole tiles. */
static int64_t block_rows(const struct cpu_kernels *kernels, int64_t m)
{
    return (m < FEW_ROWS ? FEW_BLOCK_ROWS : BLOCK_ROWS) / kernels->mr * kernels->mr;
}

/* A tile whose last columns do not belong to C is computed beside it and copied. */
static void edge_tile(const struct cpu_kernels *kernels, struct gemm_tile t, int64_t columns)
{
    float beside[CPU_MAX_MR * CPU_MAX_NR];
    float *c = t.c;
    int64_t ldc = t.ldc, nr = kernels->nr;
    size_t bytes = (size_t)columns * sizeof(float);
    if (t.accumulate) {
        memset(beside, 0, sizeof beside);
        for (int i = 0; i < t.rows; i++) memcpy(beside + i * nr, c + i * ldc, bytes);
    }
    t.c = beside;
    t.ldc = nr;
    kernels->tile(&t);
    for (int i = 0; i < t.rows; i++) memcpy(c + i * ldc, beside + i * nr, bytes);
}

/* Outer to inner: runs of k, panels of B (one run of a panel stays in L1), rows of A (a block's rows stay in L2). */
void gemm_block(const struct cpu_kernels *kernels, const struct gemm_block *g)
{
    int mr = kernels->mr, nr = kernels->nr;
    int64_t step = k_step(g->k);
    for (int64_t k = 0; k < g->k; k += step) {
        for (int64_t j = 0; j < g->n; j += nr) {
            struct gemm_tile t = {.columns = (int)cpu_min(nr, g->n - j),
                                  .accumulate = g->accumulate || k > 0,
                                  .k = cpu_min(step, g->k - k),
                                  .rs = g->rs,
                                  .cs = g->cs,
                                  .b = g->b + j / nr * g->panel_stride + k * g->ldb,
                                  .ldb = g->ldb,
                                  .ldc = g->ldc};
            bool follows = j + nr < g->n && g->ldb == nr;
            struct gemm_ahead ahead = gemm_ahead(t.b + g->panel_stride, follows ? t.k * nr : 0, cpu_div_up(g->m, mr));
            for (int64_t i = 0; i < g->m; i += mr) {
                gemm_ahead_step(&ahead);
                t.rows = (int)cpu_min(mr, g->m - i);
                t.a = g->a + i * g->rs + k * g->cs;
                t.c = g->c + i * g->ldc + j;
                if (g->n - j >= nr)
                    kernels->tile(&t);
                else
                    edge_tile(kernels, t, g->n - j);
            }
        }
    }
}

/* ---- the parallel product ------------------------------------------------------------------------------------------- */

/* How a term is computed, and where its rows start inside a panel: in integers when q is not NULL. */
struct plan {
    const struct int_kernels *q;
    struct int_cut cut;
    int64_t first, rows;
    float *scale; /* of the weight's rows: of C's columns forward, folded into A backward */
};

struct work {
    const struct cpu_kernels *kernels;
    const struct gemm *g;
    struct plan plan[GEMM_MAX_TERMS];
    int64_t panel_rows, panel, n_panels; /* of C's columns, now packed */
    float *packed;                       /* (n_panels, panel_rows, nr) */
    float *scratch;                      /* scratch_floats a worker */
    int64_t scratch_floats;
};

static void pack_integers(const struct work *w, int term, int64_t first, int64_t n_panels, float *dst)
{
    const struct plan *plan = &w->plan[term];
    const struct gemm_term *t = &w->g->term[term];
    const struct weight *weight = t->b.weight;
    int64_t nr = w->kernels->nr, stride = w->panel_rows * nr, n = cpu_min(n_panels * nr, w->g->n - first);
    if (t->b.form == GEMM_TRANSPOSED) {
        int_pack_transposed(w->kernels, plan->q, &plan->cut, weight, first, n, dst, stride);
        for (int64_t j = first; j < first + n; j++) plan->scale[j] = t->b.scale * int8_row_scale(weight_row(weight, j));
        return;
    }
    int_pack_rows(w->kernels, plan->q, &plan->cut, weight, 0, first, n, dst, stride);
    for (int64_t r = 0; first == 0 && r < t->k; r++) plan->scale[r] = t->b.scale * int8_row_scale(weight_row(weight, r));
}

static void pack_job(void *arg, int64_t job, int worker)
{
    const struct work *w = arg;
    int64_t group = job / w->g->n_terms, first = group * PANELS_A_JOB;
    int term = (int)(job % w->g->n_terms);
    int64_t panel_stride = w->panel_rows * w->kernels->nr, n_panels = cpu_min(PANELS_A_JOB, w->n_panels - first);
    float *dst = w->packed + first * panel_stride + w->plan[term].first * w->kernels->nr;
    if (w->plan[term].q) {
        pack_integers(w, term, (w->panel + first) * w->kernels->nr, n_panels, dst);
        return;
    }
    struct gemm_pack p = {.source = w->g->term[term].b,
                          .k = w->g->term[term].k,
                          .n = w->g->n,
                          .panel = w->panel + first,
                          .n_panels = n_panels,
                          .dst = dst,
                          .panel_stride = panel_stride};
    gemm_pack_panels(w->kernels, &p, w->scratch + worker * w->scratch_floats);
}

/* Rows of A that lie a multiple of the page size apart, copied to a stride that spreads over the cache's sets. */
static const float *spread_rows(const struct gemm_term *t, int64_t row, int64_t m, float *copy, int64_t *stride)
{
    const float *a = t->a + row * t->lda;
    *stride = t->lda;
    if (t->lda % PAGE_ELEMENTS != 0) return a;
    *stride = t->k + 16;
    for (int64_t i = 0; i < m; i++) memcpy(copy + i * *stride, a + i * t->lda, (size_t)t->k * sizeof(float));
    return copy;
}

/* Floats of scratch for a block's rows of A as codes and their scales. */
static int64_t quantised_floats(const struct int_cut *cut)
{
    return BLOCK_ROWS * (cut->row_steps + cut->runs);
}

/* A term of the rows [row, row + block->m) of C in integers. */
static void integer_term(const struct work *w, int term, int64_t row, const struct gemm_block *block, float *scratch)
{
    const struct plan *plan = &w->plan[term];
    const struct gemm_term *t = &w->g->term[term];
    bool forward = t->b.form == GEMM_TRANSPOSED;
    float *scale = scratch + BLOCK_ROWS * plan->cut.row_steps;
    int_quantise_rows(plan->q, &plan->cut, t->a + row * t->lda, t->lda, forward ? NULL : plan->scale, block->m, scratch,
                      scale);
    struct int_block b = {.q = plan->q,
                          .cut = &plan->cut,
                          .m = block->m,
                          .n = block->n,
                          .codes = scratch,
                          .scale = scale,
                          .panels = block->b,
                          .panel_stride = block->panel_stride,
                          .column_scale = forward ? plan->scale + w->panel * w->kernels->nr : NULL,
                          .c = block->c,
                          .ldc = block->ldc,
                          .accumulate = block->accumulate};
    int_block(w->kernels, &b);
}

static void product_job(void *arg, int64_t job, int worker)
{
    const struct work *w = arg;
    const struct gemm *g = w->g;
    float *scratch = w->scratch + worker * w->scratch_floats;
    int nr = w->kernels->nr;
    int64_t rows = block_rows(w->kernels, g->m), row = job * rows, column = w->panel * nr;
    struct gemm_block b = {.m = cpu_min(rows, g->m - row),
                           .n = cpu_min(w->n_panels * nr, g->n - column),
                           .cs = 1,
                           .panel_stride = w->panel_rows * nr,
                           .ldb = nr,
                           .c = g->c + row * g->ldc + column,
                           .ldc = g->ldc,
                           .accumulate = g->accumulate};
    for (int t = 0; t < g->n_terms; t++) {
        b.k = g->term[t].k;
        b.b = w->packed + w->plan[t].first * nr;
        if (w->plan[t].q) {
            integer_term(w, t, row, &b, scratch);
        } else {
            b.a = spread_rows(&g->term[t], row, b.m, scratch, &b.rs);
            gemm_block(w->kernels, &b);
        }
        b.accumulate = true;
    }
    for (int64_t i = 0; g->bias && i < b.m; i++) w->kernels->add(b.c + i * b.ldc, b.c + i * b.ldc, g->bias + column, b.n);
}

static int64_t worker_scratch(const struct work *w)
{
    int64_t floats = gemm_pack_scratch(w->kernels);
    for (int t = 0; t < w->g->n_terms; t++) {
        const struct gemm_term *term = &w->g->term[t];
        if (w->plan[t].q)
            floats = cpu_max(floats, quantised_floats(&w->plan[t].cut));
        else if (term->lda % PAGE_ELEMENTS == 0)
            floats = cpu_max(floats, BLOCK_ROWS * (term->k + 16));
    }
    return cpu_round_up(floats, 16);
}

static void make_plan(struct ctx *c, struct work *w)
{
    for (int i = 0; i < w->g->n_terms; i++) {
        const struct gemm_term *t = &w->g->term[i];
        struct plan *plan = &w->plan[i];
        *plan = (struct plan){.q = int_kernels_for(w->kernels, t->b.weight), .first = w->panel_rows, .rows = t->k};
        if (plan->q) {
            plan->cut = int_cut(plan->q, t->k);
            plan->rows = plan->cut.panel_steps;
            plan->scale = cpu_scratch_f32(c, t->b.form == GEMM_ROWS ? t->k : cpu_round_up(w->g->n, w->kernels->nr));
        }
        w->panel_rows += plan->rows;
    }
}

enum status gemm_run_all(struct ctx *c, const struct cpu_kernels *kernels, const struct gemm *list, int n)
{
    bool small = true;
    for (int i = 0; i < n; i++) small = small && gemm_small_fits(&list[i]);
    if (small) return gemm_small_run(c, kernels, list, n);
    for (int i = 0; i < n && ctx_ok(c); i++) gemm_run(c, kernels, &list[i]);
    return c->status;
}

enum status gemm_run(struct ctx *c, const struct cpu_kernels *kernels, const struct gemm *g)
{
    if (gemm_small_fits(g)) return gemm_small_run(c, kernels, g, 1);
    struct work w = {.kernels = kernels, .g = g};
    int mark = scope_open(c);
    make_plan(c, &w);
    BUG_ON(c, w.panel_rows < 1, "gemm: %d terms without a common axis", g->n_terms);
    int64_t panels = cpu_div_up(g->n, kernels->nr), panel_floats = w.panel_rows * kernels->nr;
    int64_t at_once = cpu_max(PACK_BYTES / (panel_floats * (int64_t)sizeof(float)) / PANELS_A_JOB, 1) * PANELS_A_JOB;
    at_once = cpu_min(at_once, panels);

    w.scratch_floats = worker_scratch(&w);
    w.packed = cpu_scratch_f32(c, at_once * panel_floats);
    w.scratch = cpu_scratch_f32(c, w.scratch_floats * threads_count(c));
    for (w.panel = 0; ctx_ok(c) && w.panel < panels; w.panel += at_once) {
        w.n_panels = cpu_min(at_once, panels - w.panel);
        threads_run(c, cpu_div_up(w.n_panels, PANELS_A_JOB) * g->n_terms, pack_job, &w);
        threads_run(c, cpu_div_up(g->m, block_rows(kernels, g->m)), product_job, &w);
    }
    scope_close(c, mark);
    return c->status;
}
