/* bf16_layout: see bf16_layout.h. A work item packs some panels of columns that are rows as stored, or, where rows stay
 * rows, a group of them for all panels: both read memory in long pieces. */
#include "backend/cpu/gemm_bf16/bf16_layout.h"

#include "backend/cpu/cpu_scratch.h"
#include "base/threads.h"

enum { COLUMNS = 64 /* of an item: whole panels of every table, a multiple of 32 */, ROWS = 64 /* likewise, groups of k */ };

_Static_assert(COLUMNS % CPU_MAX_NR == 0 && COLUMNS % 32 == 0 && ROWS % BF16_GROUP == 0,
               "items are whole panels and groups");

struct layout_work {
    const struct cpu_kernels *kernels;
    struct bf16_pack all; /* of the whole weight */
    float *scratch;       /* scratch_floats for each worker */
    int64_t scratch_floats;
};

int64_t bf16_layout_stride(const struct cpu_kernels *kernels, const struct weight *w, enum gemm_form form)
{
    return bf16_steps(form == GEMM_TRANSPOSED ? w->cols : w->rows) * kernels->nr;
}

size_t bf16_layout_bytes(const struct cpu_kernels *kernels, const struct weight *w, enum gemm_form form)
{
    int64_t columns = form == GEMM_TRANSPOSED ? w->rows : w->cols;
    if (!bf16_kernels_for(kernels, w)) return 0;
    return (size_t)(cpu_div_up(columns, kernels->nr) * bf16_layout_stride(kernels, w, form)) * sizeof(uint32_t);
}

static void layout_item(void *arg, int64_t item, int worker)
{
    const struct layout_work *w = arg;
    struct bf16_pack p = w->all;
    if (p.source.form == GEMM_TRANSPOSED) {
        p.first = item * COLUMNS;
        p.n = cpu_min(COLUMNS, w->all.n - p.first);
        p.dst += p.first / w->kernels->nr * p.panel_stride;
    } else {
        p.from = item * ROWS;
        p.k = cpu_min(ROWS, w->all.k - p.from);
        p.dst += p.from / 2 * w->kernels->nr;
    }
    bf16_pack_panels(w->kernels, w->kernels->bf16, &p, w->scratch + worker * w->scratch_floats);
}

enum status bf16_layout_make(struct ctx *c, const struct cpu_kernels *kernels, const struct weight *w, enum gemm_form form,
                             void *panels)
{
    bool transposed = form == GEMM_TRANSPOSED;
    struct layout_work work = {.kernels = kernels,
                               .all = {.source = {.form = form, .weight = w, .scale = 1.0f},
                                       .k = transposed ? w->cols : w->rows,
                                       .n = transposed ? w->rows : w->cols,
                                       .dst = panels,
                                       .panel_stride = bf16_layout_stride(kernels, w, form)},
                               .scratch_floats = cpu_round_up(bf16_pack_scratch(kernels), 16)};
    int mark = scope_open(c);
    work.scratch = cpu_scratch_f32(c, work.scratch_floats * threads_count(c));
    if (ctx_ok(c))
        threads_run(c, transposed ? cpu_div_up(work.all.n, COLUMNS) : cpu_div_up(work.all.k, ROWS), layout_item, &work);
    scope_close(c, mark);
    return c->status;
}

const uint32_t *bf16_layout_of(const struct gemm_source *source)
{
    const struct weight *w = source->weight;
    if (!w || source->scale != 1.0f) return NULL;
    return w->laid_out[source->form == GEMM_TRANSPOSED ? WEIGHT_FOR_Y : WEIGHT_FOR_DX];
}
