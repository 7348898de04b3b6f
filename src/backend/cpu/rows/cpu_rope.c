/* cpu_rope: rotary embedding; struct rope_params in op.h has the formula. Sines and cosines are made in double once for each
 * position, not for each token, where positions are small (packed documents restart at 0): they would cost as much as the
 * rotation of ten heads. */
#include <math.h>

#include "backend/cpu/rows/cpu_rows.h"
#include "backend/cpu/cpu_scratch.h"
#include "base/threads.h"

/* Tokens, or rows of the table, that a work item takes: few, so that a short prompt has items for all threads. */
enum { ROWS = 4 };

struct rope_work {
    const struct op_call *call;
    const struct cpu_kernels *kernels;
    int64_t n_tokens, half, n_table;
    bool by_position; /* the table is indexed by position, not by token */
    float *table;     /* (n_table, 2, half): cosines, sines */
};

static int32_t position_of(const struct rope_work *w, int64_t token)
{
    return ((const int32_t *)w->call->in[1]->data)[token];
}

/* Fills rows of the table: cos and sin of position * inv_freq[j], j < D / 2, times the attention factor p->scale. The
 * inverse rotation (backward) has -sin. */
static void table_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct rope_work *w = arg;
    const struct rope_params *p = w->call->params;
    const float *inv_freq = w->call->in[2]->data;
    int64_t end = cpu_min((item + 1) * ROWS, w->n_table);
    for (int64_t i = item * ROWS; i < end; i++) {
        double position = w->by_position ? (double)i : (double)position_of(w, i);
        float *cosine = w->table + i * 2 * w->half, *sine = cosine + w->half;
        for (int64_t j = 0; j < w->half; j++) {
            double angle = position * (double)inv_freq[j];
            cosine[j] = (float)(cos(angle) * p->scale);
            sine[j] = (float)((p->inverse ? -sin(angle) : sin(angle)) * p->scale);
        }
    }
}

/* y = x rotated, for all H heads of some tokens: elements j and j + D / 2 of a head are one pair. */
static void rotate_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct rope_work *w = arg;
    const struct array *x = w->call->in[0], *y = w->call->out[0];
    int64_t end = cpu_min((item + 1) * ROWS, w->n_tokens), half = w->half;
    for (int64_t i = item * ROWS; i < end; i++) {
        const float *cosine = w->table + (w->by_position ? position_of(w, i) : i) * 2 * half;
        for (int64_t h = 0; h < x->shape[1]; h++) {
            const float *a = (const float *)x->data + i * x->stride[0] + h * x->stride[1];
            float *out = (float *)y->data + i * y->stride[0] + h * y->stride[1];
            w->kernels->rotate(out, out + half, a, a + half, cosine, cosine + half, half);
        }
    }
}

/* x (N, H, D), positions i32 (N), inv_freq f32 (D / 2) -> y as x. The table is indexed by position where all positions lie
 * in [0, N), and has one row for each token otherwise (long contexts continued from a cache). */
enum status cpu_rope(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    const struct array *x = call->in[0];
    struct rope_work w = {.call = call, .kernels = kernels, .n_tokens = x->shape[0], .half = x->shape[2] / 2};
    int64_t low = 0, high = 0;
    for (int64_t i = 0; i < w.n_tokens; i++) {
        low = cpu_min(low, position_of(&w, i));
        high = cpu_max(high, position_of(&w, i));
    }
    w.by_position = low == 0 && high < w.n_tokens;
    w.n_table = w.by_position ? high + 1 : w.n_tokens;
    int mark = scope_open(c);
    w.table = cpu_scratch_f32(c, w.n_table * 2 * w.half);
    if (w.table) {
        threads_run(c, cpu_div_up(w.n_table, ROWS), table_item, &w);
        threads_run(c, cpu_div_up(w.n_tokens, ROWS), rotate_item, &w);
    }
    scope_close(c, mark);
    return c->status;
}
