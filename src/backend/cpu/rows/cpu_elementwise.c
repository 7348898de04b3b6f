/* cpu_elementwise: the elementwise rows (ADD, MUL, EXP, COPY, ACCUMULATE, ADAMW, SUM_SQUARES) over f32 arrays. These rows
 * are bound by memory bandwidth, not by arithmetic, so the only things that matter here are that all threads take part and
 * that each element is read once.
 *
 * A contiguous array is one run of n elements whatever its shape, and is cut into pieces of a fixed length: how it is cut
 * depends on n alone, so a result, also the order in which SUM_SQUARES adds, does not depend on the number of threads. */
#include <string.h>

#include "backend/cpu/cpu_adamw.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/rows/cpu_rows.h"
#include "base/threads.h"

/* PIECE: 16,384 elements are 64 KiB, a few microseconds of work, long enough to pay for being handed out and short enough
 * that three operands stay in L2. COPY_ROWS: rows of a strided copy that one work item takes. */
enum { PIECE = 1 << 14, COPY_ROWS = 32 };

/* What the work items of one call share. */
struct elementwise_work {
    const struct op_call *call;
    const struct cpu_kernels *kernels;
    int64_t n;
    struct adamw_constants adamw;
    double *partial; /* a piece: its sum of squares */
};

/* First element of piece `item` of a contiguous array. */
static float *piece(const struct array *a, int64_t item)
{
    return (float *)a->data + item * PIECE;
}

/* Elements of piece `item`: PIECE, fewer in the last one. */
static int64_t piece_length(const struct elementwise_work *w, int64_t item)
{
    return cpu_min(PIECE, w->n - item * PIECE);
}

static void run_pieces(struct ctx *c, struct elementwise_work *w, void (*item)(void *, int64_t, int))
{
    threads_run(c, cpu_div_up(w->n, PIECE), item, w);
}

/* All operands of an elementwise row have as many elements as the first one. */
static struct elementwise_work elementwise_work_of(const struct op_call *call, const struct cpu_kernels *kernels)
{
    return (struct elementwise_work){.call = call, .kernels = kernels, .n = array_size(call->in[0])};
}

/* One piece of z = x + y; the items below do the same for their row. */
static void elementwise_add_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct elementwise_work *w = arg;
    w->kernels->add(piece(w->call->out[0], item), piece(w->call->in[0], item), piece(w->call->in[1], item),
                    piece_length(w, item));
}

static void mul_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct elementwise_work *w = arg;
    w->kernels->mul(piece(w->call->out[0], item), piece(w->call->in[0], item), piece(w->call->in[1], item),
                    piece_length(w, item));
}

/* out[0] = in[0] + in[1] or in[0] * in[1], all of one shape: the front end has broadcast them. */
enum status cpu_elementwise_binary(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    struct elementwise_work w = elementwise_work_of(call, kernels);
    run_pieces(c, &w, call->op == OP_ADD ? elementwise_add_item : mul_item);
    return OK;
}

/* ---- rows of views: gradients go into columns of wider arrays by COPY ------------------------------------------------ */

/* COPY_ROWS rows of an array whose rows are not one behind the other, or are one number each. */
static void copy_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct elementwise_work *w = arg;
    int64_t n = cpu_row_length(w->call->in[0]), rows = w->n / n, end = cpu_min((item + 1) * COPY_ROWS, rows);
    bool same = !array_has_unit_last(w->call->in[0]);
    for (int64_t i = item * COPY_ROWS; i < end; i++) {
        const float *from = cpu_row_at(w->call->in[0], i);
        float *to = cpu_row_at(w->call->out[0], i);
        for (int64_t j = 0; same && j < n; j++) to[j] = *from;
        if (!same) memcpy(to, from, (size_t)n * sizeof(float));
    }
}

/* out[0] = in[0], any row strides: dispatch asks for last strides of one, or of nothing where a number is broadcast, as the
 * gradient of a loss is to all that it came from. */
enum status cpu_elementwise_copy(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    struct elementwise_work w = elementwise_work_of(call, kernels);
    threads_run(c, cpu_div_up(w.n / cpu_row_length(call->in[0]), COPY_ROWS), copy_item, &w);
    return OK;
}

/* ---- contiguous ----------------------------------------------------------------------------------------------------- */

static void exp_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct elementwise_work *w = arg;
    w->kernels->exp(piece(w->call->out[0], item), piece(w->call->in[0], item), piece_length(w, item));
}

enum status cpu_elementwise_exp(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    struct elementwise_work w = elementwise_work_of(call, kernels);
    run_pieces(c, &w, exp_item);
    return OK;
}

static void accumulate_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct elementwise_work *w = arg;
    float *dst = piece(w->call->in[0], item);
    w->kernels->add(dst, dst, piece(w->call->in[1], item), piece_length(w, item));
}

/* in[0] += in[1], in place: how gradients of an array with several readers are added up. */
enum status cpu_elementwise_accumulate(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    struct elementwise_work w = elementwise_work_of(call, kernels);
    run_pieces(c, &w, accumulate_item);
    return OK;
}

static void adamw_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct elementwise_work *w = arg;
    struct array *const *in = w->call->in;
    w->kernels->adamw(piece(in[0], item), piece(in[1], item), piece(in[2], item), piece(in[3], item), &w->adamw,
                      piece_length(w, item));
}

/* One AdamW update of a whole slab, in place (formula at struct adamw_params in op.h). in: values, gradients, first and
 * second moments, f32 of one length; then the guard's squared norm and stop flag, f64. Constants are rounded to f32 once,
 * here. */
enum status cpu_elementwise_adamw(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    const struct adamw_params *p = call->params;
    struct elementwise_work w = elementwise_work_of(call, kernels);
    double scale;
    if (!cpu_adamw_scale(call, &scale)) return OK;
    w.adamw = (struct adamw_constants){.lr = (float)p->lr,
                                       .beta1 = (float)p->beta1,
                                       .one_minus_beta1 = (float)(1.0 - p->beta1),
                                       .beta2 = (float)p->beta2,
                                       .one_minus_beta2 = (float)(1.0 - p->beta2),
                                       .eps = (float)p->eps,
                                       .weight_decay = (float)p->weight_decay,
                                       .inv_correction1 = (float)(1.0 / p->correction1),
                                       .inv_correction2 = (float)(1.0 / p->correction2),
                                       .grad_scale = (float)scale};
    run_pieces(c, &w, adamw_item);
    return OK;
}

/* The sum of one piece; pieces are added in order afterwards, so the number of threads does not matter. */
static void sum_squares_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct elementwise_work *w = arg;
    w->partial[item] = w->kernels->sum_squares(piece(w->call->in[0], item), piece_length(w, item));
}

/* out[0], one f64, = the sum of in[0]'s squares. Each piece is summed by itself and the pieces are added in order. */
enum status cpu_elementwise_sum_squares(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    struct elementwise_work w = elementwise_work_of(call, kernels);
    int64_t pieces = cpu_div_up(w.n, PIECE);
    int mark = scope_open(c);
    w.partial = cpu_scratch(c, DTYPE_F64, pieces);
    if (w.partial) {
        double sum = 0;
        run_pieces(c, &w, sum_squares_item);
        for (int64_t i = 0; i < pieces; i++) sum += w.partial[i];
        *(double *)call->out[0]->data = sum;
    }
    scope_close(c, mark);
    return c->status;
}
