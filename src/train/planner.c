/* planner: see planner.h.
 *
 * AUTO takes the smallest number of recomputed blocks that fits, since each costs its forward pass once more. The last block
 * is never one of them: when its turn comes in backward, all the others are still kept, so nothing would be gained. On
 * devices where a pass over memory costs most the numbers begin at -1: even what one such pass makes again is kept.
 *
 * Where that does not do on a device with memory of its own, the inputs of as few recomputed blocks as fit lie in the host's
 * memory, for two copies each. */
#include "train/planner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* As the page before step 1 names them. */
const char *const plan_item_name[PLAN_ITEMS] = {
    [PLAN_WEIGHTS] = "base weights",
    [PLAN_ADAPTER] = "adapter",
    [PLAN_GRADIENTS] = "gradients",
    [PLAN_MOMENTS] = "optimizer moments",
    [PLAN_LAYOUT] = "weights laid out in bf16",
    [PLAN_STEP] = "activations and loss",
    [PLAN_PROGRAM] = "program and data index",
};

enum { SAVE_BYTES = 3 << 20 };

size_t plan_saving_bytes(const struct parameters *trained)
{
    size_t saving = SAVE_BYTES;
    for (size_t i = 0; i < trained->n; i++) {
        size_t bytes = (size_t)(trained->list[i].rows * trained->list[i].cols) * sizeof(float);
        if (SAVE_BYTES + bytes > saving) saving = SAVE_BYTES + bytes;
    }
    return saving;
}

/* The plan with `recomputed` blocks computed again in backward and the inputs of `offloaded` of them in the host's memory.
 * The step's item is the peak of a real step that computes nothing; the others are arithmetic on the number of trainable
 * parameters, all of which are f32. */
static enum status planner_fill(struct plan *p, const struct plan_input *in, int64_t recomputed, int64_t offloaded)
{
    size_t values = (size_t)in->parameters * sizeof(float);
    struct plan_step step = {0};
    if (in->count) TRY(in->count(in->user, recomputed, offloaded, &step));
    p->recomputed_blocks = recomputed;
    p->offloaded_blocks = offloaded;
    p->aside_bytes = step.aside;
    p->held_step_bytes = step.held;
    p->bytes[PLAN_WEIGHTS] = in->weights_bytes;
    p->bytes[PLAN_ADAPTER] = values;
    p->bytes[PLAN_GRADIENTS] = values;
    p->bytes[PLAN_MOMENTS] = 2 * values;
    p->bytes[PLAN_STEP] = step.touched;
    p->bytes[PLAN_PROGRAM] = in->program_bytes;
    p->total = 0;
    for (int i = 0; i < PLAN_ITEMS; i++) p->total += p->bytes[i];
    return OK;
}

/* Whether the plan fits with so many blocks recomputed. Counting a step takes the address space of that step, so where the
 * system refuses it (ulimit -v), the step would be refused too. */
static enum status planner_try(struct plan *p, const struct plan_input *in, int64_t recomputed, bool *fits)
{
    enum status status = planner_fill(p, in, recomputed, 0);
    *fits = status == OK && p->total <= p->free_bytes;
    if (status != E_MEMORY || !in->c) return status;
    ctx_clear(in->c);
    return OK;
}

/* The plan with the fewest blocks recomputed that fits, from `low` on, or with the most there are. */
static enum status fill_auto(struct plan *p, const struct plan_input *in, int64_t low, int64_t high)
{
    bool fits = false;
    if (high <= low) return planner_fill(p, in, low, 0);
    TRY(planner_try(p, in, low, &fits));
    if (fits) return OK;
    while (high - low > 1) { /* low does not fit; high may */
        int64_t middle = low + (high - low) / 2;
        TRY(planner_try(p, in, middle, &fits));
        if (fits)
            high = middle;
        else
            low = middle;
    }
    return planner_fill(p, in, high, 0);
}

/* Offloads the inputs of as few recomputed blocks as fit, or of all. */
static enum status offload_auto(struct plan *p, const struct plan_input *in)
{
    int64_t low = 0, high = p->recomputed_blocks, recomputed = p->recomputed_blocks;
    if (!in->offloads || p->total <= p->free_bytes || high < 1) return OK;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        TRY(planner_fill(p, in, recomputed, middle));
        if (p->total <= p->free_bytes)
            high = middle;
        else
            low = middle;
    }
    return planner_fill(p, in, recomputed, high);
}

/* What the options say of recomputing. */
static enum status fill_by_options(struct plan *p, const struct plan_input *in, int64_t most)
{
    if (in->recomputed_blocks >= 0)
        return planner_fill(p, in, in->recomputed_blocks < in->n_blocks ? in->recomputed_blocks : in->n_blocks, 0);
    if (in->checkpoint == PLAN_CHECKPOINT_AUTO) return fill_auto(p, in, in->keeps_all ? -1 : 0, most);
    return planner_fill(p, in, in->checkpoint == PLAN_CHECKPOINT_ON ? most : 0, 0);
}

/* Bytes that only save time: taken where they are few beside what is free, and not where memory was asked to be saved. */
static void plan_layout(const struct plan_input *in, struct plan *p)
{
    bool plenty = p->free_bytes != SIZE_MAX && p->total + in->layout_bytes <= p->free_bytes / 2;
    p->lays_out = in->layout_bytes > 0 && plenty && p->recomputed_blocks <= 0;
    if (!p->lays_out) return;
    p->bytes[PLAN_LAYOUT] = in->layout_bytes;
    p->total += in->layout_bytes;
}

/* A given number of recomputed blocks (a resumed run's) wins over the option. */
enum status plan_make(const struct plan_input *in, size_t free_bytes, struct plan *out)
{
    int64_t most = in->n_blocks > 0 ? in->n_blocks - 1 : 0;
    *out = (struct plan){.limited = in->max_bytes > 0 && in->max_bytes < free_bytes};
    out->free_bytes = out->limited ? in->max_bytes : free_bytes;
    TRY(fill_by_options(out, in, most));
    TRY(offload_auto(out, in));
    plan_layout(in, out);
    out->fits = out->total <= out->free_bytes && out->aside_bytes <= (in->offloads ? in->host_bytes : SIZE_MAX);
    return OK;
}

/* ---- refusal --------------------------------------------------------------------------------------------------------- */

/* Changes that save less than 1 MiB are not worth naming. */
static void add_advice(struct plan_advice *list, int *n, size_t saves, const char *option, int64_t value)
{
    if (*n == PLAN_ADVICE_MAX || saves < ((size_t)1 << 20)) return;
    if (value > 0)
        snprintf(list[*n].text, sizeof(list[*n].text), "%s %" PRId64, option, value);
    else
        snprintf(list[*n].text, sizeof(list[*n].text), "%s", option);
    list[(*n)++].saves = saves;
}

/* For messages. */
static double gib(size_t bytes)
{
    return (double)bytes / (double)((size_t)1 << 30);
}

/* Cheapest first: recomputing costs a third more time, a smaller batch with more accumulation only speed, shorter sequences
 * cut documents, a smaller rank changes the adapter. Activations are all but proportional to tokens. */
enum status plan_advise(const struct plan_input *in, const struct plan *p, struct plan_advice *list, int *n)
{
    *n = 0;
    size_t now = p->bytes[PLAN_STEP];
    struct plan_step recomputed = {now, now, 0};
    if (in->count && in->n_blocks > 1) TRY(in->count(in->user, in->n_blocks - 1, p->offloaded_blocks, &recomputed));
    if (now > recomputed.touched) add_advice(list, n, now - recomputed.touched, "--grad-checkpoint on", 0);
    if (in->batch > 1) add_advice(list, n, now / 2, "--batch", in->batch / 2);
    if (in->max_length > 64) add_advice(list, n, now / 2, "--max-length", in->max_length / 2);
    if (in->rank > 1) add_advice(list, n, 2 * p->bytes[PLAN_ADAPTER], "--rank", in->rank / 2);
    return OK;
}

enum status plan_check(struct ctx *c, const struct plan_input *in, const struct plan *p)
{
    struct plan_advice list[PLAN_ADVICE_MAX];
    char text[512] = "";
    int n = 0;
    if (p->fits) return OK;
    if (p->total <= p->free_bytes)
        return ctx_fail(c, E_FIT,
                        "the inputs of %" PRId64
                        " blocks would lie in the host's memory: %.2f GiB, of which %.2f are free. Take "
                        "a smaller --max-length or --batch",
                        p->offloaded_blocks, gib(p->aside_bytes), gib(in->host_bytes));
    TRY(plan_advise(in, p, list, &n));
    for (int i = 0; i < n; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%s (-%.2f)", i ? ", " : "", list[i].text, gib(list[i].saves));
    }
    return ctx_fail(c, E_FIT, "needs %.2f GiB, %.2f %s. Cheapest changes: %s", gib(p->total), gib(p->free_bytes),
                    p->limited ? "allowed by --max-memory" : "free",
                    n ? text : "a smaller model, or a machine with more memory");
}
