/* cpu_loss_int: the loss with both products in integers (gemm_int.h). Logits lie with rows down and words across: codes of
 * h against panels of the tile's words, then codes of p = e^(logit - max), with the words' scales folded in, against
 * panels of the same words as rows. A tile of words is packed as columns and as rows, once for all blocks of a work item.
 * p has a scale of its own for each row and tile, so a tile far below the maximum keeps its precision. */
#include <float.h>
#include <string.h>

#include "array/codec/int8.h"
#include "backend/cpu/loss/cpu_loss.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm_int/gemm_int.h"

enum { ROWS = 96, WORDS = 128 /* whole panels of any width */ };

/* What one work item needs: two plans of quantisation, panels of the tile's words, and the scratch where codes lie.
 * `group` is loss_work.group, blocks of ROWS rows that share each tile of words. */
struct loss_int_parts {
    const struct loss_item *item;
    const struct int_kernels *q;
    struct int_cut h_cut, p_cut;         /* of C; of WORDS, for sizes: the slice's last tile has fewer and cuts them anew */
    int64_t columns_stride, rows_stride; /* of panels */
    float *h, *h_scale;                  /* (group, ROWS, h_cut.row_steps), (group, ROWS, h_cut.runs) */
    float *tile, *p, *p_scale;           /* (ROWS, WORDS), (ROWS, p_cut.row_steps), (ROWS, p_cut.runs) */
    float *columns, *rows;               /* the tile's words as columns of B, and as rows */
    float *scale;                        /* (WORDS) */
};

/* Lays the item's parts out from `scratch` on; returns its end. */
static float *loss_int_lay_out(const struct loss_work *w, struct loss_int_parts *b, float *scratch)
{
    int64_t nr = w->kernels->nr;
    b->q = int_kernels_for(w->kernels, w->w);
    b->h_cut = int_cut(b->q, w->width);
    b->p_cut = int_cut(b->q, WORDS);
    b->columns_stride = b->h_cut.panel_steps * nr;
    b->rows_stride = b->p_cut.panel_steps * nr;
    const struct loss_part parts[] = {{&b->h, w->group * ROWS * b->h_cut.row_steps},
                                      {&b->h_scale, w->group * ROWS * b->h_cut.runs},
                                      {&b->tile, ROWS * WORDS},
                                      {&b->p, ROWS * b->p_cut.row_steps},
                                      {&b->p_scale, ROWS * b->p_cut.runs},
                                      {&b->columns, cpu_div_up(WORDS, nr) * b->columns_stride},
                                      {&b->rows, cpu_div_up(w->width, nr) * b->rows_stride},
                                      {&b->scale, WORDS}};
    return loss_lay_out(parts, sizeof parts / sizeof *parts, scratch);
}

/* Floats of a work item: the parts are laid out at an address that is never touched, and the distance is measured. */
static int64_t loss_int_scratch(const struct loss_work *w)
{
    static float origin[1];
    struct loss_int_parts b;
    return loss_int_lay_out(w, &b, origin) - origin;
}

/* Rows [at, at + n) of the item: a block. */
struct loss_int_block {
    int64_t at, n;
};

/* Makes words [word, word + words) ready: as columns of B for the logits (reduction over C), with their scales, and, when
 * a gradient is wanted, as rows of B for dh (reduction over the words). */
static void loss_int_pack_words(const struct loss_work *w, const struct loss_int_parts *b, int64_t word, int64_t words)
{
    int_pack_transposed(w->kernels, b->q, &b->h_cut, w->w, 0, word, words, b->columns, b->columns_stride);
    for (int64_t v = 0; v < words; v++) b->scale[v] = int8_row_scale(weight_row(w->w, word + v));
    struct int_cut cut = int_cut(b->q, words);
    if (b->item->dh) int_pack_rows(w->kernels, b->q, &cut, w->w, word, 0, w->width, b->rows, b->rows_stride);
}

/* tile (n, words) = h W^T for a block of rows. */
static void logits(const struct loss_work *w, const struct loss_int_parts *b, struct loss_int_block block, int64_t words)
{
    struct int_block product = {.q = b->q,
                                .cut = &b->h_cut,
                                .m = block.n,
                                .n = words,
                                .codes = b->h + block.at * b->h_cut.row_steps,
                                .scale = b->h_scale + block.at * b->h_cut.runs,
                                .panels = b->columns,
                                .panel_stride = b->columns_stride,
                                .column_scale = b->scale,
                                .c = b->tile,
                                .ldc = WORDS};
    int_block(w->kernels, &product);
}

/* One tile of words for one block of rows: logits, softmax in place, and dh (n, C) += p W with p quantised again. */
static void loss_int_word_tile(const struct loss_work *w, const struct loss_int_parts *b, struct loss_int_block block,
                               int64_t word, int64_t words)
{
    logits(w, b, block, words);
    struct loss_tile tile = {block.at, block.n, word, words, b->tile, WORDS};
    loss_softmax_rows(w, b->item, &tile);
    if (!b->item->dh) return;
    struct int_cut cut = int_cut(b->q, words);
    int_quantise_rows(b->q, &cut, b->tile, WORDS, b->scale, block.n, b->p, b->p_scale);
    struct int_block product = {.q = b->q,
                                .cut = &cut,
                                .m = block.n,
                                .n = w->width,
                                .codes = b->p,
                                .scale = b->p_scale,
                                .panels = b->rows,
                                .panel_stride = b->rows_stride,
                                .c = b->item->dh + block.at * w->ld,
                                .ldc = w->ld,
                                .accumulate = true};
    int_block(w->kernels, &product);
}

/* A work item: h is quantised once, then every tile of words of the slice is packed once and serves all blocks. */
static void loss_int_run(const struct loss_work *w, const struct loss_item *item)
{
    struct loss_int_parts b = {.item = item};
    loss_int_lay_out(w, &b, item->scratch);
    for (int64_t i = 0; i < item->n; i++) {
        item->max[i] = -FLT_MAX;
        int_quantise_rows(b.q, &b.h_cut, cpu_row_at(w->call->in[0], w->row[item->first + i]), 0, NULL, 1,
                          b.h + i * b.h_cut.row_steps, b.h_scale + i * b.h_cut.runs);
    }
    for (int64_t word = item->word; word < item->end; word += WORDS) {
        int64_t words = cpu_min(WORDS, item->end - word);
        loss_int_pack_words(w, &b, word, words);
        for (int64_t at = 0; at < item->n; at += ROWS)
            loss_int_word_tile(w, &b, (struct loss_int_block){at, cpu_min(ROWS, item->n - at)}, word, words);
    }
}

const struct loss_method loss_method_int = {
    .rows = ROWS, .words = WORDS, .scratch_floats = loss_int_scratch, .run = loss_int_run};
