/* gemm: blocking and threads of the packed product; the header says what and why. */
#include "backend/cpu/gemm.h"

#include <string.h>

#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm_small.h"
#include "base/threads.h"

enum {
    BLOCK_ROWS = 48, /* rows of C a job, about: 24 read B from L3 too often, 96 make few jobs */
    K_MAX = 320,     /* longest run of k in one tile: 20 KiB of B panel stay in a 32 KiB L1, 40 KiB of 32 columns in L2 */
    PACK_BYTES = 8 << 20,     /* of packed B at a time: half of a small L3 */
    PANELS_A_JOB = 8,         /* packed by one job: 128 columns are whole blocks of every quantised type */
    PAGE_ELEMENTS = 4096 / 4, /* rows that are multiples of this apart fall into one set of the L1 */
};

/* Length of the runs that k is cut into: even, so that no run is a sliver. */
static int64_t k_step(int64_t k)
{
    int64_t runs = cpu_div_up(k, K_MAX);
    return cpu_div_up(k, runs);
}

/* Rows of C a job: whole tiles (48 of 6 or 4 rows, 42 of 14). */
static int64_t block_rows(const struct cpu_kernels *kernels)
{
    return (BLOCK_ROWS + kernels->mr / 2) / kernels->mr * kernels->mr;
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
            for (int64_t i = 0; i < g->m; i += mr) {
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

struct work {
    const struct cpu_kernels *kernels;
    const struct gemm *g;
    int64_t k_total, term_k[GEMM_MAX_TERMS]; /* where each term's rows start inside a panel */
    int64_t panel, n_panels;                 /* of C's columns, now packed */
    float *packed;                           /* (n_panels, k_total, nr) */
    float *scratch;                          /* scratch_floats a worker */
    int64_t scratch_floats;
};

static void pack_job(void *arg, int64_t job, int worker)
{
    const struct work *w = arg;
    int64_t group = job / w->g->n_terms, term = job % w->g->n_terms, first = group * PANELS_A_JOB;
    int64_t panel_stride = w->k_total * w->kernels->nr;
    struct gemm_pack p = {.source = w->g->term[term].b,
                          .k = w->g->term[term].k,
                          .n = w->g->n,
                          .panel = w->panel + first,
                          .n_panels = cpu_min(PANELS_A_JOB, w->n_panels - first),
                          .dst = w->packed + first * panel_stride + w->term_k[term] * w->kernels->nr,
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

static void product_job(void *arg, int64_t job, int worker)
{
    const struct work *w = arg;
    const struct gemm *g = w->g;
    int nr = w->kernels->nr;
    int64_t rows = block_rows(w->kernels), row = job * rows, column = w->panel * nr;
    struct gemm_block b = {.m = cpu_min(rows, g->m - row),
                           .n = cpu_min(w->n_panels * nr, g->n - column),
                           .cs = 1,
                           .panel_stride = w->k_total * nr,
                           .ldb = nr,
                           .c = g->c + row * g->ldc + column,
                           .ldc = g->ldc,
                           .accumulate = g->accumulate};
    for (int t = 0; t < g->n_terms; t++) {
        b.k = g->term[t].k;
        b.a = spread_rows(&g->term[t], row, b.m, w->scratch + worker * w->scratch_floats, &b.rs);
        b.b = w->packed + w->term_k[t] * nr;
        gemm_block(w->kernels, &b);
        b.accumulate = true;
    }
    for (int64_t i = 0; g->bias && i < b.m; i++) w->kernels->add(b.c + i * b.ldc, b.c + i * b.ldc, g->bias + column, b.n);
}

static int64_t worker_scratch(const struct work *w)
{
    int64_t floats = gemm_pack_scratch(w->kernels);
    for (int t = 0; t < w->g->n_terms; t++)
        if (w->g->term[t].lda % PAGE_ELEMENTS == 0)
            floats = cpu_max(floats, block_rows(w->kernels) * (w->g->term[t].k + 16));
    return cpu_round_up(floats, 16);
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
    for (int t = 0; t < g->n_terms; t++) {
        w.term_k[t] = w.k_total;
        w.k_total += g->term[t].k;
    }
    BUG_ON(c, w.k_total < 1, "gemm: %d terms without a common axis", g->n_terms);
    int64_t panels = cpu_div_up(g->n, kernels->nr), panel_floats = w.k_total * kernels->nr;
    int64_t at_once = cpu_max(PACK_BYTES / (panel_floats * (int64_t)sizeof(float)) / PANELS_A_JOB, 1) * PANELS_A_JOB;
    at_once = cpu_min(at_once, panels);

    int mark = scope_open(c);
    w.scratch_floats = worker_scratch(&w);
    w.packed = cpu_scratch_f32(c, at_once * panel_floats);
    w.scratch = cpu_scratch_f32(c, w.scratch_floats * threads_count(c));
    for (w.panel = 0; w.packed && w.scratch && w.panel < panels; w.panel += at_once) {
        w.n_panels = cpu_min(at_once, panels - w.panel);
        threads_run(c, cpu_div_up(w.n_panels, PANELS_A_JOB) * g->n_terms, pack_job, &w);
        threads_run(c, cpu_div_up(g->m, block_rows(kernels)), product_job, &w);
    }
    scope_close(c, mark);
    return c->status;
}
