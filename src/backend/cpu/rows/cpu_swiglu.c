/* cpu_swiglu: y = silu(gate) * up (Shazeer 2020) and its backward. gate and up are usually the two halves of the columns
 * of one (N, 2 F) result of LINEAR, and the gradients go into the halves of one (N, 2 F) array, so rows are strided and
 * only the last axis is contiguous. What only a product in bf16 reads is written in bf16 (swiglu_params): a row is made in
 * scratch, which stays in L1, and rounded from there. */
#include "backend/cpu/rows/cpu_rows.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm_bf16/gemm_bf16.h"
#include "base/threads.h"

/* Rows of a work item: F is 1,536 to 14,336, so two rows are some microseconds, and a prompt of 67 tokens has 34 items. */
enum { ROWS = 2 };

/* Operands as `rows` rows of n = F elements. */
struct swiglu_work {
    const struct op_call *call;
    const struct cpu_kernels *kernels;
    int64_t rows, n;
    float *scratch; /* two rows for each worker; NULL: results are f32 */
};

/* Where row i of a result is to be made: in place, or in one of the worker's two rows. */
static float *swiglu_row(const struct swiglu_work *w, int out, int64_t i, int worker)
{
    return w->scratch ? w->scratch + (2 * worker + out) * w->n : cpu_row_at(w->call->out[out], i);
}

/* Rounds row i of a result, if it was made in scratch. */
static void swiglu_round(const struct swiglu_work *w, int out, int64_t i, const float *row)
{
    const struct array *a = w->call->out[out];
    if (w->scratch) w->kernels->bf16->round((uint16_t *)a->data + i * a->stride[0], row, w->n);
}

/* in: gate, up (rows, F). out: y. */
static void swiglu_item(void *arg, int64_t item, int worker)
{
    const struct swiglu_work *w = arg;
    struct array *const *in = w->call->in;
    int64_t end = cpu_min((item + 1) * ROWS, w->rows);
    for (int64_t i = item * ROWS; i < end; i++) {
        float *y = swiglu_row(w, 0, i, worker);
        w->kernels->swiglu(y, cpu_row_at(in[0], i), cpu_row_at(in[1], i), w->n);
        swiglu_round(w, 0, i, y);
    }
}

/* in: dy, gate, up (rows, F). out: dgate, dup. */
static void swiglu_bwd_item(void *arg, int64_t item, int worker)
{
    const struct swiglu_work *w = arg;
    struct array *const *in = w->call->in;
    int64_t end = cpu_min((item + 1) * ROWS, w->rows);
    for (int64_t i = item * ROWS; i < end; i++) {
        float *dgate = swiglu_row(w, 0, i, worker), *dup = swiglu_row(w, 1, i, worker);
        w->kernels->swiglu_bwd(dgate, dup, cpu_row_at(in[0], i), cpu_row_at(in[1], i), cpu_row_at(in[2], i), w->n);
        swiglu_round(w, 0, i, dgate);
        swiglu_round(w, 1, i, dup);
    }
}

/* Runs `item` for all rows of the call, ROWS at a time. */
static enum status run_rows(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels,
                            void (*item)(void *, int64_t, int))
{
    int64_t n = cpu_row_length(call->in[0]);
    struct swiglu_work w = {.call = call, .kernels = kernels, .rows = array_size(call->in[0]) / n, .n = n};
    int mark = scope_open(c);
    if (call->out[0]->dtype == DTYPE_BF16) w.scratch = cpu_scratch_f32(c, 2 * n * threads_count(c));
    if (ctx_ok(c)) threads_run(c, cpu_div_up(w.rows, ROWS), item, &w);
    scope_close(c, mark);
    return c->status;
}

enum status cpu_swiglu(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    return run_rows(c, call, kernels, swiglu_item);
}

enum status cpu_swiglu_bwd(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    return run_rows(c, call, kernels, swiglu_bwd_item);
}
