/* cpu_loss_rows: what those methods share whose tiles of logits have rows down and words across (int8 and bf16): the
 * running softmax, and where the parts of a work item's scratch lie. */
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/loss/cpu_loss.h"

float *loss_lay_out(const struct loss_part *parts, size_t n, float *scratch)
{
    for (size_t i = 0; i < n; i++) {
        *parts[i].start = scratch;
        scratch += cpu_round_up(parts[i].floats, 16);
    }
    return scratch;
}

/* Keeps the logit of the row's target token if that token is one of the tile's words. */
static void note_target(const struct loss_work *w, int64_t row, const struct loss_tile *t, const float *logits)
{
    int64_t target = loss_targets(w)[w->row[row]] - t->word;
    if (target >= 0 && target < t->words) w->target[row] = logits[target];
}

/* The online softmax of Milakov and Gimelshein (2018): when a tile raises a row's maximum from m to m', the sum and the
 * weighted sum of rows of W so far are multiplied by e^(m - m'), and the tile's own are added. */
void loss_softmax_rows(const struct loss_work *w, const struct loss_item *item, const struct loss_tile *t)
{
    for (int64_t i = 0; i < t->n; i++) {
        int64_t row = t->at + i;
        float *logits = t->logits + i * t->ld, old = item->max[row], sum;
        note_target(w, item->first + row, t, logits);
        w->kernels->row_softmax(logits, t->words, &item->max[row], &sum);
        float change = old - item->max[row];
        w->kernels->exp(&change, &change, 1);
        item->sum[row] = item->sum[row] * (double)change + (double)sum;
        if (item->dh && change != 1.0f) w->kernels->scale(item->dh + row * w->ld, change, item->dh + row * w->ld, w->width);
    }
}
