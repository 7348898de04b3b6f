/* gemm_bf16: rounding of operands to bf16, their layout as panels of pairs, and the loops around the tiles. How a sum is
 * formed, which must be the same on every instruction set, is in gemm_bf16.h. */
#include "backend/cpu/gemm_bf16/gemm_bf16.h"

#include <string.h>

#include "backend/cpu/cpu_scratch.h"

enum { STRIP = 256 /* columns of a weight rounded at a time, at most: gemm_strip */ };

const struct bf16_kernels *bf16_kernels_for(const struct cpu_kernels *kernels, const struct weight *w)
{
    return w && w->compute == COMPUTE_BF16 ? kernels->bf16 : NULL;
}

const struct bf16_kernels *bf16_kernels_of(const struct cpu_kernels *kernels, const struct gemm_source *b)
{
    if (b->weight) return bf16_kernels_for(kernels, b->weight);
    return b->bf16 ? kernels->bf16 : NULL;
}

/* k in whole groups, as steps. */
int64_t bf16_steps(int64_t k)
{
    return cpu_round_up(k, BF16_GROUP) / 2;
}

int64_t bf16_row_steps(int64_t k)
{
    int64_t steps = bf16_steps(k);
    /* Rows a multiple of 1 KiB (256 steps) apart begin in only four of the 64 sets of an L1, where few of them fit. */
    return steps % 256 == 0 ? steps + BF16_GROUP_STEPS : steps;
}

/* Behind k a row is filled with zeros up to a whole group: they add nothing. */
void bf16_round_rows(const struct bf16_kernels *q, const float *x, int64_t ldx, int64_t m, int64_t k, uint32_t *out)
{
    int64_t rs = bf16_row_steps(k), padded = cpu_round_up(k, BF16_GROUP);
    for (int64_t i = 0; i < m; i++) {
        uint16_t *row = (uint16_t *)(out + i * rs);
        q->round(row, x + i * ldx, k);
        memset(row + k, 0, (size_t)(padded - k) * sizeof *row);
    }
}

/* ---- packing ---------------------------------------------------------------------------------------------------------- */

/* STRIP floats for a row that is widened, and behind them the strips that are packed together, in bf16 (half a float an
 * element): of nr rows where rows become columns, of a group of rows otherwise. */
int64_t bf16_pack_scratch(const struct cpu_kernels *kernels)
{
    return cpu_max(kernels->nr, BF16_GROUP) * STRIP / 2 + STRIP;
}

/* Columns [first, first + n) of row r of the source, n <= STRIP: where they lie when that is bf16 at an even address and
 * not scaled, else in `out`, rounded. `wide` has STRIP floats. */
static const uint16_t *strip_of_row(const struct cpu_kernels *kernels, const struct bf16_kernels *q,
                                    const struct gemm_source *s, int64_t r, int64_t first, int64_t n, uint16_t *out,
                                    float *wide)
{
    const struct weight *w = s->weight;
    if (w && w->form == WEIGHT_STORED && w->type == TENSOR_BF16 && s->scale == 1.0f) {
        const char *at = (const char *)weight_row(w, r) + 2 * first;
        if ((uintptr_t)at % sizeof *out == 0) return (const uint16_t *)(const void *)at;
        memcpy(out, at, (size_t)n * sizeof *out);
        return out;
    }
    const float *row = gemm_source_row(kernels, s, r, first, n, wide);
    if (s->scale != 1.0f) {
        kernels->scale(wide, s->scale, row, n);
        row = wide;
    }
    q->round(out, row, n);
    return out;
}

/* Rows of the source are columns of B: nr of them at a time, a strip of k each. */
static void bf16_pack_transposed(const struct cpu_kernels *kernels, const struct bf16_kernels *q, const struct bf16_pack *p,
                                 float *scratch)
{
    const uint16_t *rows[CPU_MAX_NR];
    uint16_t *narrow = (uint16_t *)(scratch + STRIP);
    int nr = kernels->nr;
    for (int64_t j = 0; j < p->n; j += nr) {
        int columns = (int)cpu_min(nr, p->n - j);
        for (int64_t k = 0, n; k < p->k; k += n) {
            n = gemm_strip(p->from + k, p->from + p->k);
            for (int i = 0; i < columns; i++)
                rows[i] =
                    strip_of_row(kernels, q, &p->source, p->first + j + i, p->from + k, n, narrow + i * STRIP, scratch);
            q->pack_columns(p->dst + j / nr * p->panel_stride + k / 2 * nr, rows, columns, n);
        }
    }
}

/* Rows of the source are rows of B: a group of them at a time, dealt to all panels. */
static void bf16_pack_rows(const struct cpu_kernels *kernels, const struct bf16_kernels *q, const struct bf16_pack *p,
                           float *scratch)
{
    const uint16_t *rows[BF16_GROUP];
    uint16_t *narrow = (uint16_t *)(scratch + STRIP);
    int nr = kernels->nr;
    for (int64_t k = 0; k < p->k; k += BF16_GROUP) {
        int64_t some = cpu_min(BF16_GROUP, p->k - k);
        for (int64_t j = 0, n; j < p->n; j += n) {
            n = gemm_strip(p->first + j, p->first + p->n);
            for (int64_t i = 0; i < some; i++)
                rows[i] =
                    strip_of_row(kernels, q, &p->source, p->from + k + i, p->first + j, n, narrow + i * STRIP, scratch);
            q->pack_rows(p->dst + j / nr * p->panel_stride + k / 2 * nr, p->panel_stride, rows, some, n);
        }
    }
}

void bf16_pack_panels(const struct cpu_kernels *kernels, const struct bf16_kernels *q, const struct bf16_pack *p,
                      float *scratch)
{
    (p->source.form == GEMM_TRANSPOSED ? bf16_pack_transposed : bf16_pack_rows)(kernels, q, p, scratch);
}

/* As the two functions above; rows need no rounding, so their whole length goes at once. */
void bf16_pack_rounded(const struct cpu_kernels *kernels, const struct bf16_kernels *q, enum gemm_form form,
                       const uint32_t *rows, int64_t rs, int64_t k, int64_t n, uint32_t *panels, int64_t panel_stride)
{
    const uint16_t *at[CPU_MAX_NR];
    int nr = kernels->nr;
    if (form == GEMM_TRANSPOSED) {
        for (int64_t j = 0; j < n; j += nr, panels += panel_stride) {
            int columns = (int)cpu_min(nr, n - j);
            for (int i = 0; i < columns; i++) at[i] = (const uint16_t *)(rows + (j + i) * rs);
            q->pack_columns(panels, at, columns, k);
        }
        return;
    }
    for (int64_t r = 0; r < k; r += BF16_GROUP, panels += BF16_GROUP_STEPS * nr) {
        int64_t some = cpu_min(BF16_GROUP, k - r);
        for (int64_t i = 0; i < some; i++) at[i] = (const uint16_t *)(rows + (r + i) * rs);
        q->pack_rows(panels, panel_stride, at, some, n);
    }
}

/* ---- products -------------------------------------------------------------------------------------------------------- */

/* Outer to inner: panels of B, runs of k, rows of A. A panel's columns of C stay in L1 or L2 for all its runs; with runs
 * outermost C would come from L3 and go back once for each. Runs end where groups do, so that they do not touch the sums of
 * AMX and of gemm_bf16_loops.h. */
void bf16_block(const struct cpu_kernels *kernels, const struct bf16_block *g)
{
    int mr = g->q->mr, nr = kernels->nr;
    int64_t all = bf16_steps(g->k), runs = cpu_div_up(2 * all, g->q->run);
    int64_t run = cpu_round_up(cpu_div_up(all, runs), BF16_GROUP_STEPS);
    for (int64_t j = 0; j < g->n; j += nr) {
        const uint32_t *panel = g->panels + j / nr * g->panel_stride;
        for (int64_t s = 0; s < all; s += run) {
            struct bf16_tile t = {.columns = (int)cpu_min(nr, g->n - j),
                                  .accumulate = g->accumulate || s > 0,
                                  .steps = cpu_min(run, all - s),
                                  .rs = g->rs,
                                  .b = panel + s * nr,
                                  .ldc = g->ldc};
            for (int64_t i = 0; i < g->m; i += mr) {
                t.rows = (int)cpu_min(mr, g->m - i);
                t.a = g->a + i * g->rs + s;
                t.c = g->c + i * g->ldc + j;
                g->q->tile(&t);
            }
        }
    }
}
