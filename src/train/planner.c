/* planner: the memory of a training by item. See planner.h.
 *
 * Activations are counted from what the tape keeps (the `saves` column of array/ops.def), in f32 numbers a token and layer:
 *
 *   first norm   its sum C, its output C (input of q, k, v), rstd 1
 *   q, k, v      one array (H + 2 G) D, of which v is a view; h of three adapters 3 R
 *   rope         q' H D, k' G D
 *   attention    o H D (input of the output linear), lse H; h R
 *   second norm  sum C, output C, rstd 1
 *   gate, up     one array 2 F; h 2 R
 *   swiglu       F (input of down); h R
 *
 * With block checkpointing only a block's input C stays, and one block's worth comes alive at a time. Backward works on the
 * gradients of one block beside that: about as much again. tests/train/test_planner.c holds the sum against the peak that
 * the step pool reports. */
#include "train/planner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const plan_item_name[PLAN_ITEMS] = {
    "base weights",           "adapter", "gradients", "optimizer moments", "activations", "logits and loss",
    "program and data index", "saving",
};

enum { LOGIT_CHUNK_ROWS = 64, POOL_ROUNDING_PERCENT = 5, ADVICE_MAX = 3 };

/* f32 numbers a token that one block leaves on the tape. */
static int64_t block_numbers(const struct model_config *m, int64_t rank)
{
    int64_t hd = m->n_heads * m->head_dim, gd = m->n_kv_heads * m->head_dim;
    return 4 * m->hidden + (hd + 2 * gd) + hd + gd + hd + m->n_heads + 3 * m->ffn + 7 * rank + 2;
}

static size_t activation_bytes(const struct model_config *m, int64_t rank, int64_t tokens, bool checkpoint_blocks)
{
    int64_t block = block_numbers(m, rank);
    int64_t kept = checkpoint_blocks ? m->n_layers * m->hidden + block : m->n_layers * block;
    int64_t backward = block + 2 * m->hidden;
    size_t bytes = (size_t)(kept + backward) * (size_t)tokens * sizeof(float);
    return bytes + bytes / 100 * POOL_ROUNDING_PERCENT; /* size classes of the step pool */
}

/* The chunk of logits of the loss, and d loss / d hidden with the final hidden states. */
static size_t logit_bytes(const struct model_config *m, int64_t tokens)
{
    int64_t rows = tokens < LOGIT_CHUNK_ROWS ? tokens : LOGIT_CHUNK_ROWS;
    return ((size_t)rows * (size_t)m->vocab + 2 * (size_t)tokens * (size_t)m->hidden) * sizeof(float);
}

static int64_t largest_rank(const struct lora *l)
{
    int64_t rank = 0;
    for (size_t i = 0; i < l->n_modules; i++) rank = l->modules[i].rank > rank ? l->modules[i].rank : rank;
    return rank;
}

static void fill(struct plan *p, const struct plan_input *in, bool checkpoint_blocks)
{
    size_t adapter = (size_t)lora_parameter_count(in->lora) * sizeof(float);
    p->checkpoint_blocks = checkpoint_blocks;
    p->bytes[PLAN_WEIGHTS] = in->weights_bytes;
    p->bytes[PLAN_ADAPTER] = adapter;
    p->bytes[PLAN_GRADIENTS] = adapter;
    p->bytes[PLAN_MOMENTS] = 2 * adapter;
    p->bytes[PLAN_ACTIVATIONS] = activation_bytes(in->model, largest_rank(in->lora), in->longest_tokens, checkpoint_blocks);
    p->bytes[PLAN_LOGITS] = logit_bytes(in->model, in->longest_tokens);
    p->bytes[PLAN_PROGRAM] = in->program_bytes;
    p->bytes[PLAN_SAVE] = 3 * adapter;
    p->total = 0;
    for (int i = 0; i < PLAN_ITEMS; i++) p->total += p->bytes[i];
}

struct plan plan_make(const struct plan_input *in, size_t free_bytes)
{
    struct plan p = {.free_bytes = free_bytes};
    fill(&p, in, in->checkpoint == PLAN_CHECKPOINT_ON);
    if (in->checkpoint == PLAN_CHECKPOINT_AUTO && p.total > free_bytes) fill(&p, in, true);
    return p;
}

/* ---- refusal --------------------------------------------------------------------------------------------------------- */

struct advice {
    char text[96];
    size_t saves;
};

static void add_advice(struct advice *list, int *n, size_t saves, const char *option, int64_t value)
{
    if (*n == ADVICE_MAX || saves < ((size_t)1 << 20)) return;
    if (value > 0)
        snprintf(list[*n].text, sizeof(list[*n].text), "%s %" PRId64, option, value);
    else
        snprintf(list[*n].text, sizeof(list[*n].text), "%s", option);
    list[(*n)++].saves = saves;
}

static double gib(size_t bytes)
{
    return (double)bytes / (double)((size_t)1 << 30);
}

/* Cheapest first: recomputing costs a third more time, a smaller batch with more accumulation only speed, shorter sequences
 * cut documents, a smaller rank changes the adapter. */
static int advise(const struct plan_input *in, const struct plan *p, struct advice *list)
{
    int n = 0;
    size_t activations = p->bytes[PLAN_ACTIVATIONS];
    size_t recomputed = activation_bytes(in->model, largest_rank(in->lora), in->longest_tokens, true);
    if (!p->checkpoint_blocks) add_advice(list, &n, activations - recomputed, "--grad-checkpoint on", 0);
    if (in->batch > 1) add_advice(list, &n, activations / 2, "--batch", in->batch / 2);
    if (in->max_length > 64) add_advice(list, &n, activations / 2, "--max-length", in->max_length / 2);
    if (in->rank > 1) add_advice(list, &n, 3 * p->bytes[PLAN_ADAPTER], "--rank", in->rank / 2);
    return n;
}

enum status plan_check(struct ctx *c, const struct plan_input *in, const struct plan *p)
{
    struct advice list[ADVICE_MAX];
    char text[512] = "";
    if (p->total <= p->free_bytes) return OK;
    int n = advise(in, p, list);
    for (int i = 0; i < n; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%s (-%.2f)", i ? ", " : "", list[i].text, gib(list[i].saves));
    }
    return ctx_fail(c, E_FIT, "needs %.2f GiB, %.2f free. Cheapest changes: %s", gib(p->total), gib(p->free_bytes),
                    n ? text : "a smaller model, or a machine with more memory");
}
