/* cpu_loss: LINEAR_CROSS_ENTROPY as attention whose keys and values are both the vocabulary's rows.
 *
 *   nll_i = log sum_v e^(h_i . W_v) - h_i . W_t     dh_i = weight_i (sum_v p_iv W_v - W_t)
 *
 * sum_v p_v W_v with an online softmax (cpu_attention.c) needs each tile of logits once: no (rows, V) buffer, no second pass
 * over W, and W itself is read in place as the A operand of one product and the B operand of the other. Storing a chunk's
 * logits and recomputing them were rejected: 100 MB of traffic a chunk, or half as much again to compute.
 *
 * Rows of weight 0 are left out by compacting. A job is 96 rows against a slice of the vocabulary; there is one slice unless
 * rows are few. Partial results meet in order of slices. Sums are f64. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu_rows.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm.h"
#include "base/threads.h"

enum {
    ROWS = 96,        /* columns of a tile of logits */
    PANEL_ROWS = 128, /* room for them as whole panels of any width */
    WORDS = 48,       /* rows of a tile: with 96 rows of dh, h and logits, 576 wide, about an L2; measured best */
    JOBS = 64,        /* as many are wanted, so that few rows still use many threads, and threads finish together */
    COPY_ROWS = ROWS > WORDS ? ROWS : WORDS, /* rows of h before the tiles, of W in them */
    JOIN_ROWS = 16
};

struct work {
    const struct op_call *call;
    const struct cpu_kernels *kernels;
    const struct weight *w;
    int64_t n, width, ld; /* rows that count; C; padded C */
    int64_t slices, slice_words;
    int64_t *row;  /* (n) where they are */
    float *dh;     /* (slices, n, ld) or NULL: sum over the slice of e^(logit - max) W_v */
    double *sum;   /* (slices, n) */
    float *max;    /* (slices, n) */
    float *target; /* (n) logit of the target */
    double *nll;   /* (n) */
    float *scratch;
    int64_t scratch_floats;
};

struct block {
    int64_t first, n; /* rows [first, first + n) of the compacted */
    float *turned;    /* their h as panels, (.., C, nr) */
    float *tile;      /* (WORDS, ROWS) */
    float *copy;      /* (COPY_ROWS, ld): rows of h, then tiles of W that cannot be read in place */
    float *max, *change, *tile_sum;
    double *sum;
    float *dh; /* (n, ld) */
};

static const int32_t *targets_of(const struct work *w)
{
    return w->call->in[1]->data;
}

static int64_t scratch_floats(const struct work *w)
{
    return PANEL_ROWS * w->width + WORDS * ROWS + COPY_ROWS * w->ld + 3 * ROWS;
}

/* Rows [word, word + n) of W: in place when they are f32, aligned and their stride suits, else widened. */
static const float *words_at(const struct work *w, int64_t word, int64_t n, float *copy, int64_t *ld)
{
    struct gemm_source s = {.weight = w->w};
    if (weight_is_f32(w->w) && !w->w->row_map && w->w->row_bytes % sizeof(float) == 0) {
        const float *rows = gemm_source_row(w->kernels, &s, word, 0, w->width, copy);
        *ld = (int64_t)(w->w->row_bytes / sizeof(float));
        if (rows != copy) return gemm_direct_rows(w->kernels, rows, ld, n, w->width, copy);
    }
    *ld = w->ld;
    for (int64_t i = 0; i < n; i++) {
        float *to = copy + i * w->ld;
        const float *row = gemm_source_row(w->kernels, &s, word + i, 0, w->width, to);
        if (row != to) memcpy(to, row, (size_t)w->width * sizeof(float));
        memset(to + w->width, 0, (size_t)(w->ld - w->width) * sizeof(float));
    }
    return copy;
}

static void turn_rows(const struct work *w, const struct block *b)
{
    int64_t nr = w->kernels->nr;
    memset(b->turned, 0, (size_t)(PANEL_ROWS * w->width) * sizeof(float));
    for (int64_t j = 0; j < b->n; j++)
        memcpy(b->copy + j * w->ld, cpu_row_at(w->call->in[0], w->row[b->first + j]), (size_t)w->width * sizeof(float));
    for (int64_t j = 0; j < b->n; j += nr)
        w->kernels->transpose(b->turned + j * w->width, nr, b->copy + j * w->ld, w->ld, cpu_min(nr, b->n - j), w->width,
                              1.0f);
}

static void softmax_tile(const struct work *w, const struct block *b, int64_t words)
{
    float old[ROWS];
    memcpy(old, b->max, sizeof old);
    memset(b->tile_sum, 0, sizeof old);
    w->kernels->column_max(b->max, b->tile, ROWS, words, ROWS, 1.0f);
    for (int64_t j = 0; j < ROWS; j++) b->change[j] = old[j] - b->max[j];
    w->kernels->exp(b->change, b->change, ROWS);
    w->kernels->column_exp(b->tile, ROWS, words, ROWS, 1.0f, b->max, b->tile_sum);
    for (int64_t j = 0; j < b->n; j++) {
        b->sum[j] = b->sum[j] * (double)b->change[j] + (double)b->tile_sum[j];
        if (b->dh && b->change[j] != 1.0f) w->kernels->scale(b->dh + j * w->ld, b->change[j], b->dh + j * w->ld, w->width);
    }
}

static void word_tile(const struct work *w, const struct block *b, int64_t word, int64_t words)
{
    int64_t nr = w->kernels->nr, ld;
    const float *rows = words_at(w, word, words, b->copy, &ld);
    struct gemm_block logits = {.m = words,
                                .n = ROWS,
                                .k = w->width,
                                .a = rows,
                                .rs = ld,
                                .cs = 1,
                                .b = b->turned,
                                .panel_stride = w->width * nr,
                                .ldb = nr,
                                .c = b->tile,
                                .ldc = ROWS};
    gemm_block(w->kernels, &logits);
    for (int64_t j = 0; j < b->n; j++) {
        int64_t target = targets_of(w)[w->row[b->first + j]] - word;
        if (target >= 0 && target < words) w->target[b->first + j] = b->tile[target * ROWS + j];
    }
    softmax_tile(w, b, words);
    if (!b->dh) return;
    struct gemm_block product = {.m = b->n,
                                 .n = w->width,
                                 .k = words,
                                 .a = b->tile,
                                 .rs = 1,
                                 .cs = ROWS,
                                 .b = rows,
                                 .panel_stride = nr,
                                 .ldb = ld,
                                 .c = b->dh,
                                 .ldc = w->ld,
                                 .accumulate = true};
    gemm_block(w->kernels, &product);
}

static void loss_job(void *arg, int64_t job, int worker)
{
    const struct work *w = arg;
    int64_t slice = job % w->slices, at;
    struct block b = {.first = job / w->slices * ROWS};
    b.n = cpu_min(ROWS, w->n - b.first);
    b.turned = w->scratch + worker * w->scratch_floats;
    b.tile = b.turned + PANEL_ROWS * w->width;
    b.copy = b.tile + WORDS * ROWS;
    b.max = b.copy + COPY_ROWS * w->ld;
    b.change = b.max + ROWS;
    b.tile_sum = b.change + ROWS;
    at = slice * w->n + b.first;
    b.sum = w->sum + at;
    b.dh = w->dh ? w->dh + at * w->ld : NULL;

    turn_rows(w, &b);
    for (int64_t j = 0; j < ROWS; j++) b.max[j] = -FLT_MAX;
    for (int64_t j = 0; j < b.n; j++) b.sum[j] = 0;
    if (b.dh) memset(b.dh, 0, (size_t)(b.n * w->ld) * sizeof(float));
    int64_t end = cpu_min((slice + 1) * w->slice_words, w->w->rows);
    for (int64_t word = slice * w->slice_words; word < end; word += WORDS)
        word_tile(w, &b, word, cpu_min(WORDS, end - word));
    memcpy(w->max + at, b.max, (size_t)b.n * sizeof(float));
}

/* Brings the slices of one row together: nll, and dh = weight (sum_v p_v W_v - W_t). */
static void join_row(const struct work *w, int64_t i, float *scratch)
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
    w->kernels->axpy(dh, -weight, gemm_source_row(w->kernels, &source, targets_of(w)[w->row[i]], 0, w->width, scratch),
                     w->width);
}

static void join_job(void *arg, int64_t job, int worker)
{
    const struct work *w = arg;
    int64_t end = cpu_min((job + 1) * JOIN_ROWS, w->n);
    for (int64_t i = job * JOIN_ROWS; i < end; i++) join_row(w, i, w->scratch + worker * w->scratch_floats);
}

static void store_sums(const struct work *w)
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

/* Compacts the rows that count and cuts the vocabulary. */
static void plan(struct work *w)
{
    const float *weights = w->call->in[2]->data;
    for (int64_t i = 0; i < w->call->in[0]->shape[0]; i++)
        if (weights[i] != 0) w->row[w->n++] = i;
    int64_t blocks = cpu_max(cpu_div_up(w->n, ROWS), 1), tiles = cpu_div_up(w->w->rows, WORDS);
    int64_t slices = cpu_min(cpu_div_up(JOBS, blocks), tiles);
    w->slice_words = cpu_div_up(tiles, slices) * WORDS;
    w->slices = cpu_div_up(w->w->rows, w->slice_words);
}

enum status cpu_loss(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    const struct linear_cross_entropy_params *p = call->params;
    const struct array *h = call->in[0];
    struct work w = {.call = call, .kernels = kernels, .w = p->w, .width = h->shape[1], .ld = gemm_direct_ld(h->shape[1])};
    int mark = scope_open(c);
    w.row = cpu_scratch(c, DTYPE_I64, h->shape[0]);
    if (w.row) plan(&w);
    w.sum = cpu_scratch(c, DTYPE_F64, w.slices * w.n);
    w.nll = cpu_scratch(c, DTYPE_F64, w.n);
    w.max = cpu_scratch_f32(c, w.slices * w.n);
    w.target = cpu_scratch_f32(c, w.n);
    if (call->out[3]) w.dh = cpu_scratch_f32(c, w.slices * w.n * w.ld);
    w.scratch_floats = cpu_round_up(scratch_floats(&w), 16);
    w.scratch = cpu_scratch_f32(c, w.scratch_floats * threads_count(c));
    if (ctx_ok(c)) {
        for (int i = 2; i < 4; i++)
            if (call->out[i]) memset(call->out[i]->data, 0, (size_t)array_size(call->out[i]) * sizeof(float));
        threads_run(c, cpu_div_up(w.n, ROWS) * w.slices, loss_job, &w);
        threads_run(c, cpu_div_up(w.n, JOIN_ROWS), join_job, &w);
        store_sums(&w);
    }
    scope_close(c, mark);
    return c->status;
}
