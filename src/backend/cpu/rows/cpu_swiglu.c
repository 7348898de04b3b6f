/* cpu_swiglu: y = silu(gate) * up (Shazeer 2020) and its backward. gate and up are usually the two halves of the columns
 * of one (N, 2 F) result of LINEAR, and the gradients go into the halves of one (N, 2 F) array, so rows are strided and
 * only the last axis is contiguous. */
#include "backend/cpu/rows/cpu_rows.h"
#include "backend/cpu/cpu_scratch.h"
#include "base/threads.h"

/* Rows of a work item: F is 1,536 to 14,336, so two rows are some microseconds, and a prompt of 67 tokens has 34 items. */
enum { ROWS = 2 };

/* Operands as `rows` rows of n = F elements. */
struct swiglu_work {
    const struct op_call *call;
    const struct cpu_kernels *kernels;
    int64_t rows, n;
};

/* in: gate, up (rows, F). out: y. */
static void swiglu_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct swiglu_work *w = arg;
    struct array *const *in = w->call->in;
    int64_t end = cpu_min((item + 1) * ROWS, w->rows);
    for (int64_t i = item * ROWS; i < end; i++)
        w->kernels->swiglu(cpu_row_at(w->call->out[0], i), cpu_row_at(in[0], i), cpu_row_at(in[1], i), w->n);
}

/* in: dy, gate, up (rows, F). out: dgate, dup. */
static void swiglu_bwd_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct swiglu_work *w = arg;
    struct array *const *in = w->call->in, *const *out = w->call->out;
    int64_t end = cpu_min((item + 1) * ROWS, w->rows);
    for (int64_t i = item * ROWS; i < end; i++)
        w->kernels->swiglu_bwd(cpu_row_at(out[0], i), cpu_row_at(out[1], i), cpu_row_at(in[0], i), cpu_row_at(in[1], i),
                               cpu_row_at(in[2], i), w->n);
}

/* Runs `item` for all rows of the call, ROWS at a time. */
static enum status run_rows(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels,
                            void (*item)(void *, int64_t, int))
{
    int64_t n = cpu_row_length(call->in[0]);
    struct swiglu_work w = {.call = call, .kernels = kernels, .rows = array_size(call->in[0]) / n, .n = n};
    threads_run(c, cpu_div_up(w.rows, ROWS), item, &w);
    return OK;
}

enum status cpu_swiglu(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    return run_rows(c, call, kernels, swiglu_item);
}

enum status cpu_swiglu_bwd(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    return run_rows(c, call, kernels, swiglu_bwd_item);
}
