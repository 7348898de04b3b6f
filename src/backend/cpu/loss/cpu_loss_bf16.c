/* cpu_loss_bf16: the loss with both products in bf16 (gemm_bf16.h). Logits lie with rows down and words across, as in
 * cpu_loss_int.c: h against panels of the tile's words, then p = e^(logit - max), which is at most 1, against panels of
 * the same words as rows. A tile of words is packed as columns and as rows, once for all blocks of a work item. */
#include <float.h>

#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm_bf16/gemm_bf16.h"
#include "backend/cpu/loss/cpu_loss.h"

enum { ROWS = 96, WORDS = 256 /* whole panels of any width; fewer read and write dh too often */ };

/* What one work item has: the parts of its scratch. A step, two elements in bf16, takes the place of one float. */
struct loss_bf16_parts {
    const struct loss_item *item;
    const struct bf16_kernels *q;
    int64_t columns_stride, rows_stride; /* of panels, in steps */
    float *h;                            /* (group, ROWS, row steps of C) */
    float *tile, *p;                     /* (ROWS, WORDS), (ROWS, row steps of WORDS) */
    float *columns, *rows;               /* the tile's words as columns of B, and as rows */
    float *scratch;                      /* of packing */
};

/* Lays the item's parts out from `scratch` on; returns its end. */
static float *loss_bf16_lay_out(const struct loss_work *w, struct loss_bf16_parts *b, float *scratch)
{
    int64_t nr = w->kernels->nr;
    b->q = bf16_kernels_for(w->kernels, w->w);
    b->columns_stride = bf16_steps(w->width) * nr;
    b->rows_stride = bf16_steps(WORDS) * nr;
    const struct loss_part parts[] = {{&b->h, w->group * ROWS * bf16_row_steps(w->width)},
                                      {&b->tile, ROWS * WORDS},
                                      {&b->p, ROWS * bf16_row_steps(WORDS)},
                                      {&b->columns, cpu_div_up(WORDS, nr) * b->columns_stride},
                                      {&b->rows, cpu_div_up(w->width, nr) * b->rows_stride},
                                      {&b->scratch, bf16_pack_scratch(w->kernels)}};
    return loss_lay_out(parts, sizeof parts / sizeof *parts, scratch);
}

/* Floats of a work item: the parts are laid out at an address that is never touched, and the distance is measured. */
static int64_t loss_bf16_scratch(const struct loss_work *w)
{
    static float origin[1];
    struct loss_bf16_parts b;
    return loss_bf16_lay_out(w, &b, origin) - origin;
}

/* Packs a tile of words as columns, for the logits, and, when a gradient is wanted, as rows, for dh. */
static void loss_bf16_pack_words(const struct loss_work *w, const struct loss_bf16_parts *b, int64_t word, int64_t words)
{
    struct bf16_pack p = {.source = {.form = GEMM_TRANSPOSED, .weight = w->w, .scale = 1.0f},
                          .k = w->width,
                          .first = word,
                          .n = words,
                          .dst = (uint32_t *)b->columns,
                          .panel_stride = b->columns_stride};
    bf16_pack_panels(w->kernels, b->q, &p, b->scratch);
    if (!b->item->dh) return;
    p = (struct bf16_pack){.source = {.form = GEMM_ROWS, .weight = w->w, .scale = 1.0f},
                           .from = word,
                           .k = words,
                           .n = w->width,
                           .dst = (uint32_t *)b->rows,
                           .panel_stride = b->rows_stride};
    bf16_pack_panels(w->kernels, b->q, &p, b->scratch);
}

/* Words [word, word + words) for the rows [at, at + n) of the item, which are a block: logits, softmax in place, and dh += p
 * W with p rounded. */
static void loss_bf16_word_tile(const struct loss_work *w, const struct loss_bf16_parts *b, int64_t at, int64_t n,
                                int64_t word, int64_t words)
{
    struct bf16_block product = {.q = b->q,
                                 .m = n,
                                 .n = words,
                                 .k = w->width,
                                 .a = (const uint32_t *)b->h + at * bf16_row_steps(w->width),
                                 .rs = bf16_row_steps(w->width),
                                 .panels = (const uint32_t *)b->columns,
                                 .panel_stride = b->columns_stride,
                                 .c = b->tile,
                                 .ldc = WORDS};
    bf16_block(w->kernels, &product);
    struct loss_tile tile = {at, n, word, words, b->tile, WORDS};
    loss_softmax_rows(w, b->item, &tile);
    if (!b->item->dh) return;
    bf16_round_rows(b->q, b->tile, WORDS, n, words, (uint32_t *)b->p);
    product = (struct bf16_block){.q = b->q,
                                  .m = n,
                                  .n = w->width,
                                  .k = words,
                                  .a = (const uint32_t *)b->p,
                                  .rs = bf16_row_steps(words),
                                  .panels = (const uint32_t *)b->rows,
                                  .panel_stride = b->rows_stride,
                                  .c = b->item->dh + at * w->ld,
                                  .ldc = w->ld,
                                  .accumulate = true};
    bf16_block(w->kernels, &product);
}

/* A work item: h is rounded once, then every tile of words of the slice is packed once and serves all blocks. */
static void loss_bf16_run(const struct loss_work *w, const struct loss_item *item)
{
    struct loss_bf16_parts b = {.item = item};
    loss_bf16_lay_out(w, &b, item->scratch);
    for (int64_t i = 0; i < item->n; i++) {
        item->max[i] = -FLT_MAX;
        bf16_round_rows(b.q, cpu_row_at(w->call->in[0], w->row[item->first + i]), 0, 1, w->width,
                        (uint32_t *)b.h + i * bf16_row_steps(w->width));
    }
    if (b.q->open) b.q->open();
    for (int64_t word = item->word; word < item->end; word += WORDS) {
        int64_t words = cpu_min(WORDS, item->end - word);
        loss_bf16_pack_words(w, &b, word, words);
        for (int64_t at = 0; at < item->n; at += ROWS)
            loss_bf16_word_tile(w, &b, at, cpu_min(ROWS, item->n - at), word, words);
    }
    if (b.q->close) b.q->close();
}

const struct loss_method loss_method_bf16 = {
    .rows = ROWS, .words = WORDS, .scratch_floats = loss_bf16_scratch, .run = loss_bf16_run};
