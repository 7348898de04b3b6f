/* gemm_block: the loops around the f32 tile, on one thread: runs of the reduction, panels of B, tiles of rows (gemm.h). A
 * run of a panel (at most 320 rows of nr floats) is read once from L2 or L3 and then stays in L1 while all tiles of the
 * block's rows use it; meanwhile the next panel is prefetched into L2, a share with each tile (gemm_ahead.h). */
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm/gemm.h"
#include "backend/cpu/gemm/gemm_ahead.h"
#include "backend/cpu/gemm/gemm_edge.h"

int64_t gemm_run_length(int64_t k)
{
    return k > GEMM_CHUNK ? GEMM_RUN : cpu_div_up(k, cpu_div_up(k, GEMM_RUN)); /* even, so that no run is a sliver */
}

/* A tile at the right edge of C, of fewer columns than the kernel writes: computed beside C and copied. */
static void gemm_block_edge(const struct cpu_kernels *kernels, struct gemm_tile t, int64_t columns)
{
    struct gemm_edge e = {.c = t.c, .ldc = t.ldc, .nr = kernels->nr, .columns = columns, .rows = t.rows};
    t.c = gemm_edge_open(&e, t.accumulate);
    t.ldc = e.nr;
    kernels->tile(&t);
    gemm_edge_close(&e);
}

/* Outer to inner: runs of k, panels of B (one run of a panel stays in L1), rows of A (a block's rows stay in L2). */
void gemm_block(const struct cpu_kernels *kernels, const struct gemm_block *g)
{
    int mr = kernels->mr, nr = kernels->nr;
    int64_t step = g->run > 0 ? g->run : gemm_run_length(g->k);
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
            bool follows = j + nr < g->n && g->ldb == nr; /* rows further apart are no one stretch to prefetch */
            struct gemm_ahead ahead = gemm_ahead(t.b + g->panel_stride, follows ? t.k * nr : 0, cpu_div_up(g->m, mr));
            for (int64_t i = 0; i < g->m; i += mr) {
                gemm_ahead_step(&ahead);
                t.rows = (int)cpu_min(mr, g->m - i);
                t.a = g->a + i * g->rs + k * g->cs;
                t.c = g->c + i * g->ldc + j;
                if (t.columns % kernels->column_step == 0)
                    kernels->tile(&t);
                else
                    gemm_block_edge(kernels, t, g->n - j);
            }
        }
    }
}
