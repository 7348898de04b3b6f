/* gemm_int: around the integer tiles: cutting the reduction into runs, quantising the runs of activations, and packing
 * int8 weights. gemm_int.h has the formula; in short y_ij = s_j sum over runs of t_ir (an exact integer sum), with a scale
 * t for each row and run of activations. Loops are those of gemm_block.c, with a run of codes in the place of a run of
 * floats. */
#include "backend/cpu/gemm_int/gemm_int.h"

#include "array/codec/int8.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm/gemm_ahead.h"
#include "backend/cpu/gemm/gemm_edge.h"

/* compute says which precision of activations the weight is to be multiplied with; integer[] has NULL for f32 and bf16. */
const struct int_kernels *int_kernels_for(const struct cpu_kernels *kernels, const struct weight *w)
{
    return w && w->form == WEIGHT_INT8 ? kernels->integer[w->compute] : NULL;
}

/* A reduction of k codes cut into runs of `run`, the last one shorter. Rows of activations hold whole runs; panels end where
 * the last run does, rounded up to a whole group. */
static struct int_cut cut_by(const struct int_kernels *q, int64_t k, int64_t run)
{
    struct int_cut cut = {.k = k, .run = run, .runs = cpu_div_up(k, run)};
    int64_t last = k - (cut.runs - 1) * run;
    cut.stride = cpu_round_up(run, cpu_max(q->group, INT_ALIGN));
    cut.row_steps = cut.runs * cut.stride / q->codes;
    cut.panel_steps = cut.runs * q->head + ((cut.runs - 1) * cut.stride + cpu_round_up(last, q->group)) / q->panel_codes;
    return cut;
}

/* The runs are as even as multiples of INT_ALIGN allow. Example: k = 576 at 16 bits gives two runs of 288, not 512 and 64.
 */
struct int_cut int_cut(const struct int_kernels *q, int64_t k)
{
    int64_t runs = cpu_div_up(k, q->limit > 127 ? INT_RUN : INT_RUN_8);
    return cut_by(q, k, cpu_round_up(cpu_div_up(k, runs), INT_ALIGN));
}

struct int_cut int_cut_part(const struct int_kernels *q, const struct int_cut *cut, int64_t k)
{
    return cut_by(q, k, cut->run);
}

/* Codes and steps of run r, and where in a panel it starts, in rows of nr steps. */
static int64_t run_codes(const struct int_cut *cut, int64_t r)
{
    return cpu_min(cut->run, cut->k - r * cut->run);
}

static int64_t run_start(const struct int_kernels *q, const struct int_cut *cut, int64_t r)
{
    return r * (q->head + cut->stride / q->panel_codes);
}

void int_quantise_rows(const struct int_kernels *q, const struct int_cut *cut, const float *x, int64_t ldx,
                       const float *fold, int64_t m, void *codes, float *scale)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t r = 0; r < cut->runs; r++) {
            int32_t *to = (int32_t *)codes + i * cut->row_steps + r * cut->stride / q->codes;
            scale[i * cut->runs + r] =
                q->quantise(to, x + i * ldx + r * cut->run, fold ? fold + r * cut->run : NULL, run_codes(cut, r), q->limit);
        }
}

/* nr rows of w at a time become nr columns of a panel, run by run. */
void int_pack_transposed(const struct cpu_kernels *kernels, const struct int_kernels *q, const struct int_cut *cut,
                         const struct weight *w, int64_t from, int64_t first, int64_t n, float *dst, int64_t panel_stride)
{
    const int8_t *rows[CPU_MAX_NR];
    int nr = kernels->nr;
    for (int64_t j = 0; j < n; j += nr, dst += panel_stride) {
        int columns = (int)cpu_min(nr, n - j);
        for (int64_t r = 0; r < cut->runs; r++) {
            for (int i = 0; i < columns; i++) {
                rows[i] = int8_row_codes(weight_row(w, first + j + i)) + from + r * cut->run;
                __builtin_prefetch(rows[i] + nr * (int64_t)w->row_bytes, 0, 2);
            }
            q->pack_columns(dst + run_start(q, cut, r) * nr, rows, columns, run_codes(cut, r));
        }
    }
}

/* All rows of a run at a time: each is cut into the panels that its columns belong to. */
void int_pack_rows(const struct cpu_kernels *kernels, const struct int_kernels *q, const struct int_cut *cut,
                   const struct weight *w, int64_t row, int64_t first, int64_t n, float *dst, int64_t panel_stride)
{
    const int8_t *rows[INT_RUN];
    for (int64_t r = 0; r < cut->runs; r++) {
        int64_t k = run_codes(cut, r);
        for (int64_t i = 0; i < k; i++) rows[i] = int8_row_codes(weight_row(w, row + r * cut->run + i)) + first;
        q->pack_rows(dst + run_start(q, cut, r) * kernels->nr, panel_stride, rows, k, n);
    }
}

/* A tile at the right edge of C: computed beside it and copied. */
static void gemm_int_edge(const struct cpu_kernels *kernels, const struct int_kernels *q, struct int_tile t, int64_t columns)
{
    struct gemm_edge e = {.c = t.c, .ldc = t.ldc, .nr = kernels->nr, .columns = columns, .rows = t.rows};
    t.c = gemm_edge_open(&e, t.accumulate);
    t.ldc = e.nr;
    q->tile(&t);
    gemm_edge_close(&e);
}

/* Outer to inner: runs, panels of B (one run of a panel stays in L1), rows of A (a block's codes stay in L2). */
void int_block(const struct cpu_kernels *kernels, const struct int_block *g)
{
    int mr = g->q->mr, nr = kernels->nr;
    if (g->q->open) g->q->open();
    for (int64_t r = 0; r < g->cut->runs; r++) {
        for (int64_t j = 0; j < g->n; j += nr) {
            struct int_tile t = {.accumulate = g->accumulate || r > 0,
                                 .steps = cpu_round_up(run_codes(g->cut, r), g->q->group) / g->q->panel_codes,
                                 .rs = g->cut->row_steps,
                                 .b = g->panels + j / nr * g->panel_stride + run_start(g->q, g->cut, r) * nr,
                                 .row_scale_stride = g->cut->runs,
                                 .column_scale = g->column_scale ? g->column_scale + j : NULL,
                                 .ldc = g->ldc};
            int64_t words = j + nr < g->n ? (g->q->head + t.steps) * nr : 0;
            struct gemm_ahead ahead = gemm_ahead((const float *)t.b + g->panel_stride, words, cpu_div_up(g->m, mr));
            for (int64_t i = 0; i < g->m; i += mr) {
                gemm_ahead_step(&ahead);
                t.rows = (int)cpu_min(mr, g->m - i);
                t.a = (const int32_t *)g->codes + i * t.rs + r * g->cut->stride / g->q->codes;
                t.row_scale = g->scale + i * g->cut->runs + r;
                t.c = g->c + i * g->ldc + j;
                if (g->n - j >= nr)
                    g->q->tile(&t);
                else
                    gemm_int_edge(kernels, g->q, t, g->n - j);
            }
        }
    }
    if (g->q->close) g->q->close();
}
