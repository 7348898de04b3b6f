/* cpu_loss: LINEAR_CROSS_ENTROPY as attention whose keys and values are both the vocabulary's rows.
 *
 *   nll_i = log sum_v e^(h_i . W_v) - h_i . W_t     dh_i = weight_i (sum_v p_iv W_v - W_t)
 *
 * sum_v p_v W_v with an online softmax (cpu_attention.c) needs each tile of logits once: no (rows, V) buffer, no second
 * pass over W, whose rows are widened and packed once for several blocks of rows of h. Rejected: storing a chunk's logits,
 * which is 100 MB of memory traffic for each chunk; computing them twice, which is half as much work again.
 *
 * Rows of weight 0 are left out first. The rest is cut into blocks of 96 rows, and the vocabulary into slices, one unless
 * rows are few: with them the work is cut finely enough for many threads. A work item multiplies some blocks with a slice,
 * tile by tile, and leaves for each row the slice's maximum, its sum of exponentials and its sum of e^(logit - max) W_v;
 * join_row then brings the slices of a row together, in order. How many blocks a work item has may depend on the number of
 * threads, because blocks do not influence each other; how many slices there are may not, and does not. Sums are f64. */
#include <math.h>
#include <string.h>

#include "backend/cpu/loss/cpu_loss.h"
#include "backend/cpu/rows/cpu_rows.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm/gemm.h"
#include "backend/cpu/gemm_bf16/gemm_bf16.h"
#include "backend/cpu/gemm_int/gemm_int.h"
#include "base/threads.h"

enum {
    ITEMS = 64,            /* blocks times slices are at least so many, so that few rows still use many threads */
    ITEMS_A_THREAD = 8,    /* of grouped blocks, so that threads finish together */
    GROUP_BYTES = 1 << 20, /* of h, and as much of dh, that a work item goes through for each tile of words: from L3 */
    JOIN_ROWS = 16
};

int64_t loss_pass_words(const struct loss_work *w, int64_t slice, int64_t *word)
{
    *word = slice * w->slice_words + w->pass * w->pass_words;
    int64_t end = cpu_min(*word + w->pass_words, cpu_min((slice + 1) * w->slice_words, w->w->rows));
    return cpu_max(end - *word, 0);
}

/* Work item `item`: some blocks of rows against one slice of the vocabulary, or what a pass goes through of it.
 * Neighbouring items share their rows, so slices of the same rows run at about the same time; where panels are shared,
 * they share those, which are more bytes. */
static void loss_item(void *arg, int64_t item, int worker)
{
    const struct loss_work *w = arg;
    int64_t rows = w->group * w->method->rows, groups = cpu_div_up(w->n, rows), word;
    int64_t slice = w->method->sharing ? item / groups : item % w->slices;
    int64_t first = (w->method->sharing ? item % groups : item / w->slices) * rows, at = slice * w->n + first;
    int64_t words = loss_pass_words(w, slice, &word);
    struct loss_item b = {.slice = slice,
                          .first = first,
                          .n = cpu_min(rows, w->n - first),
                          .word = word,
                          .end = word + words,
                          .max = w->max + at,
                          .sum = w->sum + at,
                          .dh = w->dh ? w->dh + at * w->ld : NULL,
                          .scratch = w->scratch + worker * w->scratch_floats};
    for (int64_t j = 0; j < b.n && w->pass == 0; j++) b.sum[j] = 0;
    if (b.dh && w->pass == 0) memset(b.dh, 0, (size_t)(b.n * w->ld) * sizeof(float));
    if (words > 0) w->method->run(w, &b);
}

/* All passes of all work items; one pass unless the method shares panels. */
static void run_passes(struct ctx *c, struct loss_work *w)
{
    const struct loss_sharing *sharing = w->method->sharing;
    int64_t rows = w->group * w->method->rows, items = cpu_div_up(w->n, rows) * w->slices;
    if (sharing) threads_run(c, cpu_div_up(w->n, rows), sharing->h_item, w);
    for (w->pass = 0; w->pass * w->pass_words < w->slice_words; w->pass++) {
        if (sharing && !sharing->packed(w)) threads_run(c, sharing->pack_items(w), sharing->pack_item, w);
        threads_run(c, items, loss_item, w);
    }
}

/* Brings the slices of one row together: nll, and dh = weight (sum_v p_v W_v - W_t). */
static void join_row(const struct loss_work *w, int64_t i, float *scratch)
{
    float max = w->max[i], weight = ((const float *)w->call->in[2]->data)[w->row[i]];
    for (int64_t s = 1; s < w->slices; s++) max = w->max[s * w->n + i] > max ? w->max[s * w->n + i] : max;
    double sum = w->sum[i] * exp((double)w->max[i] - (double)max);
    for (int64_t s = 1; s < w->slices; s++) sum += w->sum[s * w->n + i] * exp((double)w->max[s * w->n + i] - (double)max);
    w->nll[i] = (double)max + log(sum) - (double)w->target[i];
    if (!w->dh) return;
    float *dh = cpu_row_at(w->call->out[3], w->row[i]);
    for (int64_t s = 0; s < w->slices; s++) {
        const float *part = w->dh + (s * w->n + i) * w->ld;
        float factor = (float)((double)weight * exp((double)w->max[s * w->n + i] - (double)max) / sum);
        if (s == 0)
            w->kernels->scale(dh, factor, part, w->width);
        else
            w->kernels->axpy(dh, factor, part, w->width);
    }
    struct gemm_source source = {.weight = w->w};
    w->kernels->axpy(dh, -weight, gemm_source_row(w->kernels, &source, loss_targets(w)[w->row[i]], 0, w->width, scratch),
                     w->width);
}

/* Work item of the second loop: JOIN_ROWS rows. */
static void loss_join_item(void *arg, int64_t item, int worker)
{
    const struct loss_work *w = arg;
    int64_t end = cpu_min((item + 1) * JOIN_ROWS, w->n);
    for (int64_t i = item * JOIN_ROWS; i < end; i++) join_row(w, i, w->scratch + worker * w->scratch_floats);
}

/* The scalar outputs, added in order of rows: out[0] = sum of weight * nll; stats = {that, sum of nll, rows}; logprobs. */
static void store_sums(const struct loss_work *w)
{
    struct array *const *out = w->call->out;
    const float *weights = w->call->in[2]->data;
    double *stats = out[1]->data;
    stats[0] = stats[1] = 0;
    stats[2] = (double)w->n;
    for (int64_t i = 0; i < w->n; i++) {
        stats[0] += (double)weights[w->row[i]] * w->nll[i];
        stats[1] += w->nll[i];
        if (out[2]) ((float *)out[2]->data)[w->row[i]] = (float)-w->nll[i];
    }
    *(float *)out[0]->data = (float)stats[0];
}

/* Compacts the rows that count and cuts the vocabulary: into as many slices as make ITEMS work items of single blocks, whole
 * tiles each, at most one a tile. Then blocks are grouped, as many as leave each thread ITEMS_A_THREAD items and as
 * GROUP_BYTES of h hold. */
static void plan(struct loss_work *w, int threads)
{
    const float *weights = w->call->in[2]->data;
    for (int64_t i = 0; i < w->call->in[0]->shape[0]; i++)
        if (weights[i] != 0) w->row[w->n++] = i;
    int64_t blocks = cpu_max(cpu_div_up(w->n, w->method->rows), 1), tiles = cpu_div_up(w->w->rows, w->method->words);
    const struct loss_sharing *sharing = w->method->sharing;
    int64_t slices = cpu_min(cpu_div_up(ITEMS, blocks), tiles);
    if (sharing) slices = cpu_min(slices, sharing->most_slices);
    w->slice_words = cpu_div_up(tiles, slices) * w->method->words;
    w->slices = cpu_div_up(w->w->rows, w->slice_words);
    w->pass_words = w->slice_words;
    w->group = 1;
    if (sharing) {
        w->shared_words = cpu_min(w->slice_words, cpu_round_up(sharing->words / w->slices, w->method->words));
        if (!sharing->packed(w)) w->pass_words = w->shared_words;
        return;
    }
    int64_t fit = GROUP_BYTES / (w->method->rows * w->ld * (int64_t)sizeof(float));
    w->group = cpu_min(cpu_min(blocks * w->slices / (ITEMS_A_THREAD * threads), fit), LOSS_MOST_BLOCKS);
    w->group = cpu_max(w->group, 1);
}

/* Inputs and outputs: struct linear_cross_entropy_params in op.h. With h (N, C) and W (V, C), scratch is dh's (slices, n,
 * C) and what the method takes for each thread; the (N, V) logits never exist. */
enum status cpu_loss(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    const struct linear_cross_entropy_params *p = call->params;
    const struct array *h = call->in[0];
    struct loss_work w = {
        .call = call, .kernels = kernels, .w = p->w, .width = h->shape[1], .ld = gemm_direct_ld(h->shape[1])};
    int mark = scope_open(c);
    w.method = int_kernels_for(kernels, p->w)    ? &loss_method_int
               : bf16_kernels_for(kernels, p->w) ? &loss_method_bf16
                                                 : &loss_method_f32;
    w.row = cpu_scratch(c, DTYPE_I64, h->shape[0]);
    if (w.row) plan(&w, threads_count(c));
    w.sum = cpu_scratch(c, DTYPE_F64, w.slices * w.n);
    w.nll = cpu_scratch(c, DTYPE_F64, w.n);
    w.max = cpu_scratch_f32(c, w.slices * w.n);
    w.target = cpu_scratch_f32(c, w.n);
    if (call->out[3]) w.dh = cpu_scratch_f32(c, w.slices * w.n * w.ld);
    if (w.method->sharing) {
        w.panels = cpu_scratch_f32(c, w.method->sharing->panel_floats(&w));
        w.h = cpu_scratch_f32(c, w.method->sharing->h_floats(&w));
    }
    w.scratch_floats = cpu_round_up(w.method->scratch_floats(&w), 16);
    w.scratch = cpu_scratch_f32(c, w.scratch_floats * threads_count(c));
    if (ctx_ok(c) && !threads_are_idle(c)) {
        for (int i = 2; i < 4; i++)
            if (call->out[i]) memset(call->out[i]->data, 0, (size_t)array_size(call->out[i]) * sizeof(float));
        run_passes(c, &w);
        threads_run(c, cpu_div_up(w.n, JOIN_ROWS), loss_join_item, &w);
        store_sums(&w);
    }
    scope_close(c, mark);
    return c->status;
}
