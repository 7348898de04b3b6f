/* cpu_norm: RMS_NORM and its backward, row by row. With r = rstd, C columns (Zhang & Sennrich 2019):
 *
 *   r = 1 / sqrt(mean(x^2) + eps)     y = x r g
 *   dx = r g dy - x r^3 / C sum(g dy x) + dsum
 *
 * Sums are f64: they cost nothing beside the memory that the rows take. */
#include <math.h>

#include "backend/cpu/rows/cpu_rows.h"
#include "backend/cpu/cpu_scratch.h"
#include "base/threads.h"

/* Rows of a work item: of 576 to 8,192 elements each, so some microseconds. More would leave threads without work where a
 * prompt has few tokens: 67 are 17 items. */
enum { ROWS = 4 };

/* x seen as `rows` rows of n = C elements, whatever its leading axes. */
struct norm_work {
    const struct op_call *call;
    const struct cpu_kernels *kernels;
    int64_t rows, n;
    double eps;
};

/* in: x (rows, C), gain (C), residual or NULL. out: y, the sum x + residual where there is one, rstd (rows). */
static void norm_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct norm_work *w = arg;
    const struct array *gain = w->call->in[1], *residual = w->call->in[2];
    float *rstd = w->call->out[2]->data;
    int64_t end = cpu_min((item + 1) * ROWS, w->rows);
    for (int64_t i = item * ROWS; i < end; i++) {
        const float *x = cpu_row_at(w->call->in[0], i);
        if (residual) {
            float *sum = cpu_row_at(w->call->out[1], i);
            w->kernels->add(sum, x, cpu_row_at(residual, i), w->n);
            x = sum;
        }
        rstd[i] = (float)(1.0 / sqrt(w->kernels->sum_squares(x, w->n) / (double)w->n + w->eps));
        w->kernels->norm_apply(cpu_row_at(w->call->out[0], i), x, gain->data, rstd[i], w->n);
    }
}

/* Rows and length of a call's operand. */
static struct norm_work norm_work_of(const struct op_call *call, const struct cpu_kernels *kernels, const struct array *x)
{
    const struct rms_norm_params *p = call->params;
    int64_t n = cpu_row_length(x);
    return (struct norm_work){.call = call, .kernels = kernels, .rows = array_size(x) / n, .n = n, .eps = p->eps};
}

enum status cpu_norm(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    struct norm_work w = norm_work_of(call, kernels, call->in[0]);
    threads_run(c, cpu_div_up(w.rows, ROWS), norm_item, &w);
    return OK;
}

/* in: dy, dsum or NULL, x, gain, rstd. out: dx. r^3 / C sum(g dy x) is one number for each row, the coefficient of x. The
 * gain is frozen (dispatch sends calls that want dg to the reference). */
static void norm_bwd_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct norm_work *w = arg;
    const struct array *dsum = w->call->in[1], *gain = w->call->in[3];
    const float *rstd = w->call->in[4]->data;
    int64_t end = cpu_min((item + 1) * ROWS, w->rows);
    for (int64_t i = item * ROWS; i < end; i++) {
        const float *dy = cpu_row_at(w->call->in[0], i), *x = cpu_row_at(w->call->in[2], i);
        double r = (double)rstd[i], dot = w->kernels->norm_dot(dy, gain->data, x, w->n);
        w->kernels->norm_bwd(cpu_row_at(w->call->out[0], i), dy, x, gain->data, dsum ? cpu_row_at(dsum, i) : NULL, rstd[i],
                             (float)(r * r * r * dot / (double)w->n), w->n);
    }
}

enum status cpu_norm_bwd(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    struct norm_work w = norm_work_of(call, kernels, call->in[2]);
    threads_run(c, cpu_div_up(w.rows, ROWS), norm_bwd_item, &w);
    return OK;
}
