/* cpu_loss_f32: the loss as attention whose keys and values are both the vocabulary's rows. Logits lie with words down and
 * rows across, so that W can be the A operand of one product as it lies; for the other a tile of it is packed. */
#include <float.h>
#include <string.h>

#include "backend/cpu/loss/cpu_loss.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm/gemm.h"

enum {
    ROWS = 96,                              /* columns of a tile of logits */
    PANEL_ROWS = 128,                       /* what holds them in whole panels of any width */
    WORDS = 144,                            /* rows of a tile: fewer add to dh too often; measured best */
    COPY_ROWS = ROWS > WORDS ? ROWS : WORDS /* rows of h before the tiles, of W in them */
};

/* One block of rows, and the scratch of the work item that it belongs to. */
struct loss_f32_block {
    int64_t first, n;  /* rows [first, first + n) of the compacted */
    float *transposed; /* their h as panels, (.., C, nr) */
    float *max;        /* (ROWS) */
    /* of the item, one for all its blocks */
    float *tile;     /* (WORDS, ROWS) */
    float *copy;     /* (COPY_ROWS, ld): rows of h, then tiles of W that cannot be read in place */
    float *packed;   /* (.., words, nr): the tile's words as panels */
    float *change;   /* (ROWS): e^(old maximum - new), what a tile makes earlier sums shrink by */
    float *tile_sum; /* (ROWS): sums of the tile's exponentials, added to `sum` */
    double *sum;     /* (n) */
    float *dh;       /* (n, ld) */
};

/* Floats of a work item, in the order in which loss_f32_lay_out cuts them. */
static int64_t loss_f32_scratch(const struct loss_work *w)
{
    return w->group * (PANEL_ROWS * w->width + ROWS) + WORDS * ROWS + COPY_ROWS * w->ld + 2 * ROWS +
           WORDS * cpu_round_up(w->width, w->kernels->nr);
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
    }
    return copy;
}

/* h of the block's rows as panels of nr columns, (.., C, nr): rows are gathered, then transposed panel by panel. Columns
 * past n are zeros. */
static void transpose_rows(const struct loss_work *w, const struct loss_f32_block *b)
{
    int64_t nr = w->kernels->nr;
    memset(b->transposed, 0, (size_t)(PANEL_ROWS * w->width) * sizeof(float));
    for (int64_t j = 0; j < b->n; j++)
        memcpy(b->copy + j * w->ld, cpu_row_at(w->call->in[0], w->row[b->first + j]), (size_t)w->width * sizeof(float));
    for (int64_t j = 0; j < b->n; j += nr)
        w->kernels->transpose(b->transposed + j * w->width, nr, b->copy + j * w->ld, w->ld, cpu_min(nr, b->n - j), w->width,
                              1.0f);
}

/* The tile's logits, words down, become e^(logit - max); a rising maximum scales down the sum and dh so far (see
 * loss_softmax_rows, which does the same for tiles with rows down and words across). */
static void softmax_tile(const struct loss_work *w, const struct loss_f32_block *b, int64_t words)
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

/* Words [word, word + words), which are `rows` of W, ld apart, for one block. */
static void loss_f32_word_tile(const struct loss_work *w, const struct loss_f32_block *b, int64_t word, int64_t words,
                               const float *rows, int64_t ld)
{
    int64_t nr = w->kernels->nr;
    struct gemm_block logits = {.m = words,
                                .n = ROWS,
                                .k = w->width,
                                .a = rows,
                                .rs = ld,
                                .cs = 1,
                                .b = b->transposed,
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
                                 .b = b->packed,
                                 .panel_stride = words * nr,
                                 .ldb = nr,
                                 .c = b->dh,
                                 .ldc = w->ld,
                                 .accumulate = true};
    gemm_block(w->kernels, &product);
}

/* Cuts the item into blocks and lays their parts out; returns how many there are. */
static int loss_f32_lay_out(const struct loss_work *w, const struct loss_item *item, struct loss_f32_block *blocks)
{
    float *tile = item->scratch, *copy = tile + WORDS * ROWS, *change = copy + COPY_ROWS * w->ld,
          *packed = change + 2 * ROWS;
    float *part = packed + WORDS * cpu_round_up(w->width, w->kernels->nr);
    int n = 0;
    for (int64_t at = 0; at < item->n; at += ROWS, part += PANEL_ROWS * w->width + ROWS)
        blocks[n++] = (struct loss_f32_block){.first = item->first + at,
                                              .n = cpu_min(ROWS, item->n - at),
                                              .transposed = part,
                                              .max = part + PANEL_ROWS * w->width,
                                              .tile = tile,
                                              .copy = copy,
                                              .packed = packed,
                                              .change = change,
                                              .tile_sum = change + ROWS,
                                              .sum = item->sum + at,
                                              .dh = item->dh ? item->dh + at * w->ld : NULL};
    return n;
}

/* A work item: for each tile of words, W's rows once as they lie (A operand of the logits) and once packed (B operand of
 * dh), then every block of rows against it. */
static void loss_f32_run(const struct loss_work *w, const struct loss_item *item)
{
    struct loss_f32_block blocks[LOSS_MOST_BLOCKS];
    int n = loss_f32_lay_out(w, item, blocks);
    for (int i = 0; i < n; i++) {
        transpose_rows(w, &blocks[i]);
        for (int64_t j = 0; j < ROWS; j++) blocks[i].max[j] = -FLT_MAX;
    }
    for (int64_t word = item->word; word < item->end; word += WORDS) {
        int64_t words = cpu_min(WORDS, item->end - word), ld;
        const float *rows = words_at(w, word, words, blocks[0].copy, &ld);
        struct gemm_pack p = {.source = {.form = GEMM_ROWS, .data = rows, .ld = ld, .scale = 1.0f},
                              .k = words,
                              .n = w->width,
                              .n_panels = cpu_div_up(w->width, w->kernels->nr),
                              .dst = blocks[0].packed,
                              .panel_stride = words * w->kernels->nr};
        if (item->dh) gemm_pack_panels(w->kernels, &p, NULL);
        for (int i = 0; i < n; i++) loss_f32_word_tile(w, &blocks[i], word, words, rows, ld);
    }
    for (int i = 0; i < n; i++) memcpy(item->max + i * ROWS, blocks[i].max, (size_t)blocks[i].n * sizeof(float));
}

const struct loss_method loss_method_f32 = {
    .rows = ROWS, .words = WORDS, .scratch_floats = loss_f32_scratch, .run = loss_f32_run};
