/* cpu_loss_bf16: the loss with both products in bf16 (gemm_bf16.h). Logits lie with rows down and words across, as in
 * cpu_loss_int.c: h against panels of the words, then p = e^(logit - max), which is at most 1, against panels of the same
 * words as rows.
 *
 * The panels are shared: by AMX the products take less time than packing, so that work items which pack for themselves, 22
 * blocks of 96 rows each all of the vocabulary twice, are bound by it on 16 threads. Work items of a pass read the panels
 * from L3, and dh of their rows is read and written once for each tile of TILE_WORDS. */
#include <float.h>

#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm_bf16/bf16_layout.h"
#include "backend/cpu/loss/cpu_loss.h"

enum {
    ROWS = 128,        /* 2,048 rows are 16 blocks by 4 slices */
    WORDS = 512,       /* slices and passes are multiples of it: whole panels of any width */
    TILE_WORDS = 1024, /* of a tile of logits, where a pass has so many of a slice: dh is read and written once for each */
    PASS_WORDS = 4096, /* in both forms 32 MiB of panels for 2,048 columns */
    MOST_SLICES = 8,   /* so that a slice of a pass has no fewer than 512 words */
    PACK_WORDS = 64    /* of a work item that packs: whole panels, and groups of k */
};

static const struct bf16_kernels *loss_bf16_kernels(const struct loss_work *w)
{
    return bf16_kernels_for(w->kernels, w->w);
}

/* ---- panels ----------------------------------------------------------------------------------------------------------- */

/* The whole weight laid out before, for the logits and for dh; NULL: passes pack. */
static const uint32_t *laid_out(const struct loss_work *w, enum gemm_form form)
{
    struct gemm_source source = {.form = form, .weight = w->w, .scale = 1.0f};
    return bf16_layout_of(&source);
}

static bool loss_bf16_packed(const struct loss_work *w)
{
    return laid_out(w, GEMM_TRANSPOSED) != NULL;
}

/* Steps from panel to panel of the words as columns of B, and as rows. */
static int64_t columns_stride(const struct loss_work *w)
{
    return bf16_steps(w->width) * w->kernels->nr;
}

static int64_t rows_stride(const struct loss_work *w)
{
    return bf16_steps(laid_out(w, GEMM_ROWS) ? w->w->rows : w->pass_words) * w->kernels->nr;
}

/* Panels of a slice as columns; those as rows follow behind. */
static int64_t columns_floats(const struct loss_work *w)
{
    return cpu_div_up(w->pass_words, w->kernels->nr) * columns_stride(w);
}

static int64_t slice_floats(const struct loss_work *w)
{
    if (loss_bf16_packed(w)) return 0;
    return columns_floats(w) + (w->dh ? cpu_div_up(w->width, w->kernels->nr) * rows_stride(w) : 0);
}

static int64_t loss_bf16_panel_floats(const struct loss_work *w)
{
    return w->slices * slice_floats(w);
}

static int64_t loss_bf16_pack_items(const struct loss_work *w)
{
    return w->slices * cpu_div_up(w->pass_words, PACK_WORDS);
}

/* Where the panels with columns [word, ..), and with rows [word, ..), of a slice of the pass begin. */
static const uint32_t *columns_of(const struct loss_work *w, int64_t slice, int64_t word)
{
    const uint32_t *whole = laid_out(w, GEMM_TRANSPOSED);
    int64_t start = 0, nr = w->kernels->nr;
    if (whole) return whole + word / nr * columns_stride(w);
    loss_pass_words(w, slice, &start);
    return (const uint32_t *)(w->panels + slice * slice_floats(w)) + (word - start) / nr * columns_stride(w);
}

static const uint32_t *rows_of(const struct loss_work *w, int64_t slice, int64_t word)
{
    const uint32_t *whole = laid_out(w, GEMM_ROWS);
    int64_t start = 0, nr = w->kernels->nr;
    if (whole) return whole + word / 2 * nr;
    loss_pass_words(w, slice, &start);
    return (const uint32_t *)(w->panels + slice * slice_floats(w)) + columns_floats(w) + (word - start) / 2 * nr;
}

/* PACK_WORDS words as columns, for the logits, and, when a gradient is wanted, as rows, for dh. */
static void loss_bf16_pack_item(void *arg, int64_t item, int worker)
{
    const struct loss_work *w = arg;
    int64_t pieces = cpu_div_up(w->pass_words, PACK_WORDS), slice = item / pieces, at = item % pieces * PACK_WORDS, word;
    int64_t words = cpu_min(loss_pass_words(w, slice, &word) - at, PACK_WORDS);
    float *scratch = w->scratch + worker * w->scratch_floats;
    uint32_t *panels = (uint32_t *)(w->panels + slice * slice_floats(w));
    if (words <= 0) return;
    struct bf16_pack p = {.source = {.form = GEMM_TRANSPOSED, .weight = w->w, .scale = 1.0f},
                          .k = w->width,
                          .first = word + at,
                          .n = words,
                          .dst = panels + at / w->kernels->nr * columns_stride(w),
                          .panel_stride = columns_stride(w)};
    bf16_pack_panels(w->kernels, loss_bf16_kernels(w), &p, scratch);
    if (!w->dh) return;
    p = (struct bf16_pack){.source = {.form = GEMM_ROWS, .weight = w->w, .scale = 1.0f},
                           .from = word + at,
                           .k = words,
                           .n = w->width,
                           .dst = panels + columns_floats(w) + at / 2 * w->kernels->nr,
                           .panel_stride = rows_stride(w)};
    bf16_pack_panels(w->kernels, loss_bf16_kernels(w), &p, scratch);
}

/* ---- h ---------------------------------------------------------------------------------------------------------------- */

/* Rows that count, in bf16; a tile may read ROWS of the last block. */
static int64_t loss_bf16_h_floats(const struct loss_work *w)
{
    return cpu_round_up(w->n, ROWS) * bf16_row_steps(w->width);
}

static void loss_bf16_h_item(void *arg, int64_t block, int worker)
{
    (void)worker;
    const struct loss_work *w = arg;
    int64_t rs = bf16_row_steps(w->width), end = cpu_min((block + 1) * ROWS, w->n);
    for (int64_t i = block * ROWS; i < end; i++)
        bf16_round_rows(loss_bf16_kernels(w), cpu_row_at(w->call->in[0], w->row[i]), 0, 1, w->width,
                        (uint32_t *)w->h + i * rs);
}

/* ---- tiles ------------------------------------------------------------------------------------------------------------ */

/* The scratch of a work item: the tile of logits, and p in bf16, whose last rows a tile may read past the block's. */
static float *loss_bf16_lay_out(float *scratch, float **tile, float **p)
{
    const struct loss_part parts[] = {{tile, ROWS * TILE_WORDS}, {p, ROWS * bf16_row_steps(TILE_WORDS)}};
    return loss_lay_out(parts, sizeof parts / sizeof *parts, scratch);
}

/* Floats of a work item of either kind. The parts are laid out at an address that is never touched. */
static int64_t loss_bf16_scratch(const struct loss_work *w)
{
    static float origin[1];
    float *tile, *p;
    return cpu_max(loss_bf16_lay_out(origin, &tile, &p) - origin, bf16_pack_scratch(w->kernels));
}

/* Words [word, word + words) for the rows of the item, a block: logits, softmax in place, and dh += p W with p rounded. */
static void loss_bf16_word_tile(const struct loss_work *w, const struct loss_item *item, int64_t word, int64_t words)
{
    const struct bf16_kernels *q = loss_bf16_kernels(w);
    float *logits, *p;
    loss_bf16_lay_out(item->scratch, &logits, &p);
    struct bf16_block product = {.q = q,
                                 .m = item->n,
                                 .n = words,
                                 .n_parts = 1,
                                 .part = {{.k = w->width,
                                           .a = (const uint32_t *)w->h + item->first * bf16_row_steps(w->width),
                                           .rs = bf16_row_steps(w->width),
                                           .panels = columns_of(w, item->slice, word),
                                           .panel_stride = columns_stride(w)}},
                                 .c = logits,
                                 .ldc = TILE_WORDS};
    bf16_block(w->kernels, &product);
    struct loss_tile tile = {0, item->n, word, words, logits, TILE_WORDS};
    loss_softmax_rows(w, item, &tile);
    if (!item->dh) return;
    bf16_round_rows(q, logits, TILE_WORDS, item->n, words, (uint32_t *)p);
    product = (struct bf16_block){.q = q,
                                  .m = item->n,
                                  .n = w->width,
                                  .n_parts = 1,
                                  .part = {{.k = words,
                                            .a = (const uint32_t *)p,
                                            .rs = bf16_row_steps(words),
                                            .panels = rows_of(w, item->slice, word),
                                            .panel_stride = rows_stride(w)}},
                                  .c = item->dh,
                                  .ldc = w->ld,
                                  .accumulate = true};
    bf16_block(w->kernels, &product);
}

/* A work item: a block of rows against the words of the pass. Tiles are cut the same way, and so sums are the same bits,
 * where a pass is a whole slice. */
static void loss_bf16_run(const struct loss_work *w, const struct loss_item *item)
{
    const struct bf16_kernels *q = loss_bf16_kernels(w);
    for (int64_t i = 0; i < item->n && w->pass == 0; i++) item->max[i] = -FLT_MAX;
    if (q->open) q->open();
    for (int64_t word = item->word, end; word < item->end; word = end) {
        end = cpu_min(word + w->shared_words, item->end);
        for (; word < end; word += TILE_WORDS) loss_bf16_word_tile(w, item, word, cpu_min(TILE_WORDS, end - word));
    }
    if (q->close) q->close();
}

static const struct loss_sharing sharing = {.most_slices = MOST_SLICES,
                                            .words = PASS_WORDS,
                                            .panel_floats = loss_bf16_panel_floats,
                                            .h_floats = loss_bf16_h_floats,
                                            .packed = loss_bf16_packed,
                                            .pack_items = loss_bf16_pack_items,
                                            .pack_item = loss_bf16_pack_item,
                                            .h_item = loss_bf16_h_item};

const struct loss_method loss_method_bf16 = {
    .rows = ROWS, .words = WORDS, .scratch_floats = loss_bf16_scratch, .run = loss_bf16_run, .sharing = &sharing};
