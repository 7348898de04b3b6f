/* cpu_loss_f32: the loss as attention whose keys and values are both the vocabulary's rows. Logits lie with words down and
 * rows across, so that W is read in place as the A operand of one product and the B operand of the other. */
#include <float.h>
#include <string.h>

#include "backend/cpu/cpu_loss.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm.h"

enum {
    ROWS = 96,        /* columns of a tile of logits */
    PANEL_ROWS = 128, /* room for them as whole panels of any width */
    WORDS = 48,       /* rows of a tile: with 96 rows of dh, h and logits, 576 wide, about an L2; measured best */
    COPY_ROWS = ROWS > WORDS ? ROWS : WORDS /* rows of h before the tiles, of W in them */
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

static int64_t scratch_floats(const struct loss_work *w)
{
    return PANEL_ROWS * w->width + WORDS * ROWS + COPY_ROWS * w->ld + 3 * ROWS;
}

/* Rows [word, word + n) of W: in place when they are f32, aligned and their stride suits, else widened. */
static const float *words_at(const struct loss_work *w, int64_t word, int64_t n, float *copy, int64_t *ld)
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

static void turn_rows(const struct loss_work *w, const struct block *b)
{
    int64_t nr = w->kernels->nr;
    memset(b->turned, 0, (size_t)(PANEL_ROWS * w->width) * sizeof(float));
    for (int64_t j = 0; j < b->n; j++)
        memcpy(b->copy + j * w->ld, cpu_row_at(w->call->in[0], w->row[b->first + j]), (size_t)w->width * sizeof(float));
    for (int64_t j = 0; j < b->n; j += nr)
        w->kernels->transpose(b->turned + j * w->width, nr, b->copy + j * w->ld, w->ld, cpu_min(nr, b->n - j), w->width,
                              1.0f);
}

static void softmax_tile(const struct loss_work *w, const struct block *b, int64_t words)
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

static void word_tile(const struct loss_work *w, const struct block *b, int64_t word, int64_t words)
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
        int64_t target = loss_targets(w)[w->row[b->first + j]] - word;
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

static void run(const struct loss_work *w, const struct loss_block *job)
{
    struct block b = {.first = job->first, .n = job->n, .sum = job->sum, .dh = job->dh, .turned = job->scratch};
    b.tile = b.turned + PANEL_ROWS * w->width;
    b.copy = b.tile + WORDS * ROWS;
    b.max = b.copy + COPY_ROWS * w->ld;
    b.change = b.max + ROWS;
    b.tile_sum = b.change + ROWS;
    turn_rows(w, &b);
    for (int64_t j = 0; j < ROWS; j++) b.max[j] = -FLT_MAX;
    for (int64_t word = job->word; word < job->end; word += WORDS) word_tile(w, &b, word, cpu_min(WORDS, job->end - word));
    memcpy(job->max, b.max, (size_t)b.n * sizeof(float));
}

const struct loss_way loss_way_f32 = {.rows = ROWS, .words = WORDS, .scratch_floats = scratch_floats, .run = run};
