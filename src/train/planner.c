/* planner: the memory of a training by item. See planner.h.
 *
 * Activations are counted array by array from what the tape keeps (the `saves` column of array/ops.def), each rounded up to
 * its size class of the step pool. Width of a row in f32 numbers, for one layer:
 *
 *   first norm   its input C, rstd 1; its output (input of q, k, v) is made again
 *   q, k, v      v alone: G D; with norms of q and k all of it, (H + 2 G) D, rstd H and G; h of three adapters R each
 *   rope         q' H D, k' G D
 *   attention    o H D (input of the output linear), lse H; h R
 *   second norm  sum C, rstd 1; its output is made again
 *   gate, up     one array 2 F; h R each
 *   swiglu       nothing, it is made again; h of down R
 *
 * Of a block that is computed again only its input C stays, and one block's worth comes alive at a time. The last block is
 * kept in any case: when its turn comes, nothing is gained yet. AUTO takes the smallest number of blocks that fits, since
 * each costs its forward pass once more. Backward works on one block beside that: swiglu's output again and its gradient, F
 * each, the gradients of gate and up 2 F and of q, k, v, and some of width C, and weights packed for a product; blocks of
 * one size class that are free do not serve another, so these add up although they are not all alive at once.
 * tests/train/test_planner.c holds the sum against the peak of real runs. */
#include "train/planner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/pool.h"

const char *const plan_item_name[PLAN_ITEMS] = {
    "base weights",           "adapter", "gradients", "optimizer moments", "activations", "logits and loss",
    "program and data index", "saving",
};

enum { BACKWARD_HIDDEN = 8, LOSS_ROWS = 64 * 96, PACKED_MAX_BYTES = 8 << 20, SMALL_PERCENT = 4, ADVICE_MAX = 3 };

/* Bytes of one array of `width` f32 numbers a token. */
static size_t room(int64_t width, int64_t tokens)
{
    return pool_class_bytes((size_t)width * (size_t)tokens * sizeof(float));
}

/* Bytes that one block leaves on the tape, its input included. */
static size_t block_bytes(const struct model_config *m, int64_t rank, int64_t n)
{
    int64_t q = m->n_heads * m->head_dim, kv = m->n_kv_heads * m->head_dim;
    size_t bytes = 2 * room(m->hidden, n) + 2 * room(1, n) + 2 * room(q, n) + room(kv, n) + room(m->n_heads, n) +
                   room(2 * m->ffn, n) + LORA_PLACES * room(rank, n);
    if (m->qk_norm) return bytes + room(q + 2 * kv, n) + room(m->n_heads, n) + room(m->n_kv_heads, n);
    return bytes + room(kv, n);
}

/* A matrix product packs its weights, widened, a stretch at a time (gemm.c). */
static size_t packed(int64_t rows, int64_t cols)
{
    size_t bytes = (size_t)rows * (size_t)cols * sizeof(float);
    return pool_class_bytes(bytes < PACKED_MAX_BYTES ? bytes : PACKED_MAX_BYTES);
}

/* What backward of one block holds beside that. */
static size_t backward_bytes(const struct model_config *m, int64_t n)
{
    int64_t q = m->n_heads * m->head_dim, qkv = q + 2 * m->n_kv_heads * m->head_dim, hidden = m->hidden;
    size_t arrays = room(2 * m->ffn, n) + 2 * room(m->ffn, n) + room(qkv, n) + BACKWARD_HIDDEN * room(hidden, n);
    return arrays + packed(2 * m->ffn, hidden) + packed(m->ffn, hidden) + packed(qkv, hidden) + packed(q, hidden);
}

static int64_t largest_rank(const struct lora *l)
{
    int64_t rank = 0;
    for (size_t i = 0; i < l->n_modules; i++) rank = l->modules[i].rank > rank ? l->modules[i].rank : rank;
    return rank;
}

static int64_t block_count(const struct plan_input *in)
{
    return in->model ? in->model->n_layers : 0;
}

/* Blocks before the first one with an adapter keep nothing. */
static int64_t first_trained(const struct plan_input *in)
{
    int64_t first = block_count(in);
    for (size_t i = 0; in->lora && i < in->lora->n_modules; i++)
        first = in->lora->modules[i].layer < first ? in->lora->modules[i].layer : first;
    return first;
}

/* With the blocks [0, recomputed) computed again. Backward begins with the last block: what it finds then is the peak,
 * unless every block is computed again, which brings one back beside all inputs. */
static size_t activation_bytes(const struct plan_input *in, int64_t recomputed)
{
    const struct model_config *m = in->model;
    if (!m) return 0;
    int64_t tokens = in->longest_tokens, first = first_trained(in), trained = m->n_layers - first;
    int64_t again = recomputed > first ? recomputed - first : 0;
    if (again > trained) again = trained;
    size_t block = block_bytes(m, largest_rank(in->lora), tokens), input = room(m->hidden, tokens);
    size_t kept = (size_t)again * input + (size_t)(trained - again) * block;
    kept += again == trained ? block : input;
    size_t bytes = kept + backward_bytes(m, tokens);
    return bytes + bytes / 100 * SMALL_PERCENT; /* scratch of each thread, nodes of the tape */
}

/* The loss's partial sums of its gradient of the hidden states (cpu_loss.c: as many slices of the vocabulary as make
 * LOSS_ROWS rows at least), and that gradient. */
static size_t logit_bytes(const struct model_config *m, int64_t tokens)
{
    return room(m->hidden, tokens + LOSS_ROWS) + room(m->hidden, tokens);
}

static void fill(struct plan *p, const struct plan_input *in, int64_t recomputed)
{
    size_t adapter = (size_t)in->parameters * sizeof(float);
    p->recomputed_blocks = recomputed;
    p->bytes[PLAN_WEIGHTS] = in->weights_bytes;
    p->bytes[PLAN_ADAPTER] = adapter;
    p->bytes[PLAN_GRADIENTS] = adapter;
    p->bytes[PLAN_MOMENTS] = 2 * adapter;
    p->bytes[PLAN_ACTIVATIONS] = activation_bytes(in, recomputed);
    p->bytes[PLAN_LOGITS] = in->model ? logit_bytes(in->model, in->longest_tokens) : 0;
    p->bytes[PLAN_PROGRAM] = in->program_bytes;
    p->bytes[PLAN_SAVE] = 3 * adapter;
    p->total = 0;
    for (int i = 0; i < PLAN_ITEMS; i++) p->total += p->bytes[i];
}

/* Computing the last block again would only cost time: its backward comes first. */
static int64_t most_recomputed(const struct plan_input *in)
{
    return block_count(in) > 0 ? block_count(in) - 1 : 0;
}

struct plan plan_make(const struct plan_input *in, size_t free_bytes)
{
    struct plan p = {.limited = in->max_bytes > 0 && in->max_bytes < free_bytes};
    p.free_bytes = p.limited ? in->max_bytes : free_bytes;
    int64_t most = most_recomputed(in), first = first_trained(in);
    if (in->recomputed_blocks >= 0) {
        fill(&p, in, in->recomputed_blocks < block_count(in) ? in->recomputed_blocks : block_count(in));
        return p;
    }
    fill(&p, in, in->checkpoint == PLAN_CHECKPOINT_ON ? most : 0);
    if (in->checkpoint == PLAN_CHECKPOINT_AUTO)
        for (int64_t n = first + 1; n <= most && p.total > p.free_bytes; n++) fill(&p, in, n);
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
    size_t recomputed = activation_bytes(in, most_recomputed(in));
    if (activations > recomputed) add_advice(list, &n, activations - recomputed, "--grad-checkpoint on", 0);
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
    return ctx_fail(c, E_FIT, "needs %.2f GiB, %.2f %s. Cheapest changes: %s", gib(p->total), gib(p->free_bytes),
                    p->limited ? "allowed by --max-memory" : "free",
                    n ? text : "a smaller model, or a machine with more memory");
}
