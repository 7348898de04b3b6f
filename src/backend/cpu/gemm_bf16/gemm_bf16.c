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

int64_t bf16_run_steps(const struct bf16_kernels *q, int64_t k)
{
    int64_t all = bf16_steps(k), runs = q->run ? cpu_div_up(2 * all, q->run) : 1;
    return cpu_round_up(cpu_div_up(all, runs), BF16_GROUP_STEPS);
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
    if (w && w->form == WEIGHT_NF4 && q->widen_nf4 && s->scale == 1.0f) {
        q->widen_nf4(weight_row(w, r), w->cols, first, n, out);
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
            bool is_last = k + n == p->k; /* of these rows: the strip that follows is in the next ones */
            for (int i = 0; i < columns; i++) {
                if (!is_last) gemm_source_ahead(&p->source, p->first + j + i, p->from + k + n, cpu_min(STRIP, p->k - k - n));
                if (is_last && j + nr + i < p->n)
                    gemm_source_ahead(&p->source, p->first + j + nr + i, p->from, cpu_min(STRIP, p->k));
                rows[i] =
                    strip_of_row(kernels, q, &p->source, p->first + j + i, p->from + k, n, narrow + i * STRIP, scratch);
            }
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
            bool is_last = j + n == p->n;
            for (int64_t i = 0; i < some; i++) {
                if (!is_last) gemm_source_ahead(&p->source, p->from + k + i, p->first + j + n, cpu_min(STRIP, p->n - j - n));
                if (is_last && k + BF16_GROUP + i < p->k)
                    gemm_source_ahead(&p->source, p->from + k + BF16_GROUP + i, p->first, cpu_min(STRIP, p->n));
                rows[i] =
                    strip_of_row(kernels, q, &p->source, p->from + k + i, p->first + j, n, narrow + i * STRIP, scratch);
            }
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

/* The tile at row i, column j of the block, without its parts. */
static struct bf16_tile bf16_tile_at(const struct bf16_block *g, int64_t i, int64_t j, int nr)
{
    return (struct bf16_tile){.rows = (int)cpu_min(g->q->mr, g->m - i),
                              .columns = (int)cpu_min(nr, g->n - j),
                              .accumulate = g->accumulate,
                              .c = g->c + i * g->ldc + j,
                              .ldc = g->ldc,
                              .n_parts = 1};
}

/* One part, with columns [j, j + nr) of C. Outer to inner: runs of k, rows of A. A panel's columns of C stay in L1 or L2 for
 * all its runs; with runs outermost C would come from L3 and go back once for each. Runs end where groups do, so that they
 * do not touch the sums of AMX and of gemm_bf16_loops.h. */
static void bf16_part_in_runs(const struct bf16_block *g, int at, int64_t j, int nr)
{
    const struct bf16_part *from = &g->part[at];
    int64_t all = bf16_steps(from->k), run = from->run ? from->run : bf16_run_steps(g->q, from->k);
    for (int64_t s = 0; s < all; s += run) {
        struct bf16_tile_part part = {
            .steps = cpu_min(run, all - s), .rs = from->rs, .b = from->panels + j / nr * from->panel_stride + s * nr};
        for (int64_t i = 0; i < g->m; i += g->q->mr) {
            struct bf16_tile t = bf16_tile_at(g, i, j, nr);
            part.a = from->a + i * from->rs + s;
            t.accumulate = g->accumulate || at > 0 || s > 0;
            t.part = &part;
            g->q->tile(&t);
        }
    }
}

/* Asking ahead for the panel that follows, a share with each tile: of which part, and how many of its lines were asked for.
 */
struct bf16_fetch {
    int part;
    int64_t line, share; /* share: lines with each group */
};

/* What the next tile, of so many groups, asks for. Panels of several parts may lie anywhere. */
static struct bf16_ahead fetch_next(const struct bf16_block *g, struct bf16_fetch *f, int64_t j, int nr, int64_t groups)
{
    for (; f->part < g->n_parts; f->part++, f->line = 0) {
        const struct bf16_part *from = &g->part[f->part];
        if (f->line * 64 >= bf16_steps(from->k) * nr * 4) continue;
        struct bf16_ahead ahead = {.next = (const char *)(from->panels + (j / nr + 1) * from->panel_stride) + f->line * 64,
                                   .lines = f->share};
        f->line += f->share * groups;
        return ahead;
    }
    return (struct bf16_ahead){0};
}

/* What one tile of `tiles` asks for of the mr rows of A that follow: a share of them as one contiguous piece. Where a part
 * uses less than three quarters of its rows, because a chunk cuts the reduction there, nothing is asked for: too much of the
 * piece would not be wanted. */
static struct bf16_ahead fetch_rows(const struct bf16_block *g, int64_t i, int64_t tile, int64_t tiles, int64_t groups)
{
    int64_t lines = 0, mr = g->q->mr;
    if (i + mr >= g->m + g->rows_behind) return (struct bf16_ahead){0};
    for (int p = 0; p < g->n_parts; p++) lines += cpu_div_up(mr * g->part[p].rs * 4, 64);
    int64_t share = cpu_div_up(lines, tiles * groups), at = tile * share * groups;
    for (int p = 0; p < g->n_parts; p++) {
        const struct bf16_part *from = &g->part[p];
        int64_t own = cpu_div_up(mr * from->rs * 4, 64);
        if (at < own) {
            if (bf16_steps(from->k) * 4 < from->rs * 3) break;
            return (struct bf16_ahead){.next = (const char *)(from->a + (i + mr) * from->rs) + at * 64, .lines = share};
        }
        at -= own;
    }
    return (struct bf16_ahead){0};
}

/* All parts in each tile, rows of A in the outer loop: mr of them are read from L3 once for all panels, and the next mr are
 * asked for meanwhile. */
static void bf16_rows_first(const struct bf16_block *g, int nr)
{
    struct bf16_tile_part part[GEMM_MAX_TERMS];
    int64_t steps = 0, tiles = cpu_div_up(g->n, nr);
    for (int p = 0; p < g->n_parts; p++) {
        const struct bf16_part *from = &g->part[p];
        part[p] = (struct bf16_tile_part){.steps = bf16_steps(from->k), .a = from->a, .rs = from->rs};
        steps += part[p].steps;
    }
    int64_t groups = steps / BF16_GROUP_STEPS;
    for (int64_t i = 0; i < g->m; i += g->q->mr) {
        for (int64_t j = 0; j < g->n; j += nr) {
            struct bf16_tile t = bf16_tile_at(g, i, j, nr);
            t.n_parts = g->n_parts;
            t.part = part;
            t.ahead = fetch_rows(g, i, j / nr, tiles, groups);
            if (t.rows == g->q->mr) t.ahead.c = !g->accumulate ? t.c : j + 2 * nr <= g->n ? t.c + nr : NULL;
            for (int p = 0; p < g->n_parts; p++) part[p].b = g->part[p].panels + j / nr * g->part[p].panel_stride;
            g->q->tile(&t);
        }
        for (int p = 0; p < g->n_parts; p++) part[p].a += g->q->mr * part[p].rs;
    }
}

/* All parts in each tile, so that C is touched once. While a panel is multiplied, the next one is fetched into L2, a share
 * with each tile: it comes from L3 or memory, whose latency otherwise stops the tiles. So does that of C, which is asked for
 * before it is stored, or read by the next tile. To ask for the next rows of A as well made things slower: they mostly are
 * in L2, where the item before has left them (with rows first it is the panels that are there). */
static void bf16_parts_joined(const struct bf16_block *g, int64_t j, int nr)
{
    struct bf16_tile_part part[GEMM_MAX_TERMS];
    int64_t steps = 0, tiles = cpu_div_up(g->m, g->q->mr);
    for (int p = 0; p < g->n_parts; p++) {
        const struct bf16_part *from = &g->part[p];
        part[p] = (struct bf16_tile_part){
            .steps = bf16_steps(from->k), .a = from->a, .rs = from->rs, .b = from->panels + j / nr * from->panel_stride};
        steps += part[p].steps;
    }
    int64_t groups = steps / BF16_GROUP_STEPS, lines = cpu_div_up(steps * nr * 4, 64);
    struct bf16_fetch fetch = {.part = j + nr < g->n ? 0 : g->n_parts, .share = cpu_div_up(lines, tiles * groups)};
    for (int64_t i = 0; i < g->m; i += g->q->mr) {
        struct bf16_tile t = bf16_tile_at(g, i, j, nr);
        t.n_parts = g->n_parts;
        t.part = part;
        t.ahead = fetch_next(g, &fetch, j, nr, groups);
        bool follows = i + 2 * g->q->mr <= g->m;
        if (t.rows == g->q->mr) t.ahead.c = !g->accumulate ? t.c : follows ? t.c + g->q->mr * g->ldc : NULL;
        g->q->tile(&t);
        for (int p = 0; p < g->n_parts; p++) part[p].a += g->q->mr * part[p].rs;
    }
}

void bf16_block(const struct cpu_kernels *kernels, const struct bf16_block *g)
{
    int nr = kernels->nr;
    if (g->rows_first) bf16_rows_first(g, nr);
    for (int64_t j = 0; j < g->n && !g->rows_first; j += nr) {
        if (g->q->run == 0) bf16_parts_joined(g, j, nr);
        for (int p = 0; g->q->run > 0 && p < g->n_parts; p++) bf16_part_in_runs(g, p, j, nr);
    }
}
