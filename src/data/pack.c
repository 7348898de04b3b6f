/* pack: one pass of best fit over the shuffled documents, then a counting sort that brings the documents of a sequence
 * together.
 *
 * With max_length 10 and documents of 6, 5, 4 and 3 tokens in this order, 6 opens sequence 0, 5 opens sequence 1, 4 goes
 * into sequence 0 (4 tokens are free there, 5 in the other: the tighter fit), and 3 goes into sequence 1. Sequence 0 is 6 +
 * 4, sequence 1 is 5 + 3, and nothing is padded: a batch of both has 18 tokens and the offsets cu = 0, 6, 10, 15, 18.
 *
 * Best fit over all open sequences would fill a little better and cost a search over all of them; a window of WINDOW fills
 * within a few per cent and keeps a document near its place in the shuffle. Sequences are numbered in the order in which
 * they were opened, whatever batch and accumulation are; that is what makes 1 x 8 equal to 8 x 1. */
#include "data/pack.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

/* Sequences that are open at a time while packing. More fill better and mix less: a document may land as many sequences
 * before its place in the shuffle. */
enum { WINDOW = 128 };
enum { COUNT_MAX = 1 << 20 }; /* of batch and accumulation */

/* A document that takes part, with its weight in the loss. */
struct pack_item {
    int64_t document;
    float weight; /* omega * loss_weight */
};

struct pack {
    struct ctx *c;
    const struct dataset *d;
    const struct objective *o;
    struct pack_options options;
    struct pack_item *items; /* (n_items) grouped by sequence */
    int64_t n_items;
    int64_t *first; /* (n_sequences + 1) into items */
    int64_t n_sequences;
    int64_t longest_tokens, longest_items; /* of a micro-batch */
    int64_t longest_at;                    /* first sequence of the one with the most tokens */
    int64_t widest_tokens, widest_at;      /* see pack_widest_batch */

    /* the current micro-batch */
    int32_t *tokens, *positions, *targets, *cu;
    float *weights;
    int64_t *documents;
};

/* Tokens of an item's document. */
static int32_t length_of(const struct pack *p, int64_t item)
{
    return dataset_document(p->d, p->items[item].document)->n;
}

/* E_INPUT for an option out of range, and for a document that fits into no sequence. */
static enum status pack_check_options(struct ctx *c, const struct dataset *d, const struct pack_options *o)
{
    if (o->batch < 1 || o->batch > COUNT_MAX)
        return ctx_fail(c, E_INPUT, "batch %lld: want 1 to %d", (long long)o->batch, COUNT_MAX);
    if (o->accumulation < 1 || o->accumulation > COUNT_MAX)
        return ctx_fail(c, E_INPUT, "accumulation %lld: want 1 to %d", (long long)o->accumulation, COUNT_MAX);
    if (o->max_length < 2 || o->max_length > DATASET_LENGTH_MAX)
        return ctx_fail(c, E_INPUT, "maximal length %lld: want 2 to %d tokens", (long long)o->max_length,
                        DATASET_LENGTH_MAX);
    for (int64_t i = 0; i < dataset_n_documents(d); i++) {
        if (dataset_document(d, i)->n <= o->max_length) continue;
        return ctx_fail(c, E_INPUT, "a document of %d tokens does not fit into sequences of %lld", dataset_document(d, i)->n,
                        (long long)o->max_length);
    }
    return OK;
}

/* All documents that have a weight, in the dataset's order. */
static enum status list_items(struct pack *p)
{
    int64_t n = dataset_n_documents(p->d);
    TRY(objective_check(p->c, p->o, p->d));
    p->items = mem_alloc(p->c, (size_t)n, sizeof *p->items);
    if (!p->items) return p->c->status;
    for (int64_t i = 0; i < n; i++) {
        const struct dataset_document *e = dataset_document(p->d, i);
        double omega = objective_omega(p->o, e->auth_weight, e->prov_entropy);
        float weight = (float)(omega * e->loss_weight);
        if (!isfinite(weight)) /* scores can be extreme; the objective was fitted on other data */
            return ctx_fail(p->c, E_NUMERIC, "%s:%lld: weight %g * %g is not a finite number",
                            dataset_file(p->d, (size_t)e->file).path, (long long)e->row, omega, e->loss_weight);
        if (weight != 0) p->items[p->n_items++] = (struct pack_item){i, weight};
    }
    return p->n_items > 0 ? OK : ctx_fail(p->c, E_INPUT, "nothing to train on: every document's weight is 0");
}

/* The shuffle of Fisher and Yates in Durstenfeld's form, from a generator keyed by seed and epoch. */
static void shuffle(struct pack *p, int64_t epoch)
{
    struct rng r;
    rng_init(&r, p->options.seed, RNG_SHUFFLE, (uint32_t)epoch);
    for (int64_t i = p->n_items - 1; i > 0; i--) {
        int64_t j = (int64_t)rng_below(&r, (uint64_t)i + 1);
        struct pack_item t = p->items[i];
        p->items[i] = p->items[j];
        p->items[j] = t;
    }
}

/* ---- sequences ---- */

/* A sequence that still takes documents, and the tokens that are free in it. */
struct open_sequence {
    int64_t id, free_tokens;
};

/* The open sequences, in the order in which they were opened. */
struct window {
    struct open_sequence open[WINDOW];
    int n, size;
};

/* The open sequence with the fewest free tokens that still holds n more (the oldest of equals), or -1. */
static int best_fit(const struct window *w, int64_t n)
{
    int best = -1;
    for (int k = 0; k < w->n; k++)
        if (w->open[k].free_tokens >= n && (best < 0 || w->open[k].free_tokens < w->open[best].free_tokens)) best = k;
    return best;
}

/* Takes a sequence out of the window; the order of the others stays. */
static void close_sequence(struct window *w, int k)
{
    memmove(&w->open[k], &w->open[k + 1], (size_t)(w->n - k - 1) * sizeof w->open[0]);
    w->n--;
}

/* The sequence that takes a document of n tokens. A full window gives up its fullest sequence for a new one. */
static int64_t place(struct window *w, int64_t n, int64_t max_length, int64_t *n_sequences)
{
    int k = best_fit(w, n);
    if (k < 0) {
        if (w->n == w->size) close_sequence(w, best_fit(w, 0));
        k = w->n++;
        w->open[k] = (struct open_sequence){(*n_sequences)++, max_length};
    }
    int64_t id = w->open[k].id;
    w->open[k].free_tokens -= n;
    if (w->open[k].free_tokens < 2) close_sequence(w, k); /* no document is shorter than 2 tokens */
    return id;
}

/* Brings the items into the order of their sequences and fills `first`; a stable counting sort. */
static enum status group(struct pack *p, const int64_t *sequence)
{
    struct pack_item *sorted = mem_alloc(p->c, (size_t)p->n_items, sizeof *sorted);
    p->first = mem_alloc(p->c, (size_t)p->n_sequences + 1, sizeof *p->first);
    int64_t *next = mem_alloc(p->c, (size_t)p->n_sequences, sizeof *next);
    if (sorted && p->first && next) {
        for (int64_t i = 0; i < p->n_items; i++) p->first[sequence[i] + 1]++;
        for (int64_t s = 0; s < p->n_sequences; s++) {
            next[s] = p->first[s];
            p->first[s + 1] += p->first[s];
        }
        for (int64_t i = 0; i < p->n_items; i++) sorted[next[sequence[i]]++] = p->items[i];
        struct pack_item *unsorted = p->items;
        p->items = sorted;
        sorted = unsorted;
    }
    mem_free(p->c, next);
    mem_free(p->c, sorted);
    return p->c->status;
}

/* window_size 0: one document a sequence; 1: in order, a new sequence whenever the next document does not fit. */
static enum status make_sequences(struct pack *p, int window_size)
{
    struct window w = {.size = window_size};
    int64_t *sequence = mem_alloc(p->c, (size_t)p->n_items, sizeof *sequence);
    if (!sequence) return p->c->status;
    for (int64_t i = 0; i < p->n_items; i++) {
        sequence[i] =
            window_size == 0 ? p->n_sequences++ : place(&w, length_of(p, i), p->options.max_length, &p->n_sequences);
    }
    enum status status = group(p, sequence);
    mem_free(p->c, sequence);
    return status;
}

/* ---- micro-batches ---- */

/* Items of the sequences [from, to), both cut at the end of the epoch. */
struct pack_range {
    int64_t begin, end;
};

/* Items of the sequences [from, to); beyond the end of the epoch there are none. */
static struct pack_range items_of(const struct pack *p, int64_t from, int64_t to)
{
    int64_t n = p->n_sequences;
    return (struct pack_range){p->first[from < n ? from : n], p->first[to < n ? to : n]};
}

/* Sequences that make an optimizer step. */
static int64_t sequences_a_step(const struct pack *p)
{
    return p->options.batch * p->options.accumulation;
}

/* Items of an optimizer step. */
static struct pack_range step_items(const struct pack *p, int64_t step)
{
    BUG_ON(p->c, step < 0 || step >= pack_steps(p), "step %lld of an epoch of %lld", (long long)step,
           (long long)pack_steps(p));
    return items_of(p, step * sequences_a_step(p), (step + 1) * sequences_a_step(p));
}

/* Tokens of a range of items. */
static int64_t tokens_in(const struct pack *p, struct pack_range r)
{
    int64_t n = 0;
    for (int64_t i = r.begin; i < r.end; i++) n += length_of(p, i);
    return n;
}

/* Tokens of whole groups of PACK_SEGMENT_TOKENS that hold the items, each begun by an item. */
static int64_t grouped_tokens_in(const struct pack *p, struct pack_range r)
{
    int64_t n = 0;
    for (int64_t i = r.begin; i < r.end; i++)
        n += (length_of(p, i) + PACK_SEGMENT_TOKENS - 1) / PACK_SEGMENT_TOKENS * PACK_SEGMENT_TOKENS;
    return n;
}

/* Buffers for the largest micro-batch of the epoch, so that pack_batch allocates nothing. */
static enum status make_buffers(struct pack *p)
{
    for (int64_t s = 0; s < p->n_sequences; s += p->options.batch) {
        struct pack_range r = items_of(p, s, s + p->options.batch);
        int64_t tokens = tokens_in(p, r);
        if (tokens > p->longest_tokens) {
            p->longest_tokens = tokens;
            p->longest_at = s;
        }
        int64_t grouped = grouped_tokens_in(p, r);
        if (grouped > p->widest_tokens) {
            p->widest_tokens = grouped;
            p->widest_at = s;
        }
        if (r.end - r.begin > p->longest_items) p->longest_items = r.end - r.begin;
    }
    if (p->longest_tokens > INT32_MAX)
        return ctx_fail(p->c, E_INPUT, "a micro-batch of %lld tokens: want at most %d", (long long)p->longest_tokens,
                        INT32_MAX);
    size_t n = (size_t)p->longest_tokens, k = (size_t)p->longest_items;
    p->tokens = mem_alloc(p->c, n, sizeof *p->tokens);
    p->positions = mem_alloc(p->c, n, sizeof *p->positions);
    p->targets = mem_alloc(p->c, n, sizeof *p->targets);
    p->weights = mem_alloc(p->c, n, sizeof *p->weights);
    p->cu = mem_alloc(p->c, k + 1, sizeof *p->cu);
    p->documents = mem_alloc(p->c, k, sizeof *p->documents);
    return p->c->status;
}

/* What both kinds of packs begin with: options checked and documents listed. */
static struct pack *pack_new(struct ctx *c, const struct dataset *d, const struct objective *o,
                             const struct pack_options *options)
{
    if (!ctx_ok(c) || pack_check_options(c, d, options) != OK) return NULL;
    struct pack *p = mem_alloc(c, 1, sizeof *p);
    if (!p) return NULL;
    *p = (struct pack){.c = c, .d = d, .o = o, .options = *options};
    if (list_items(p) == OK) return p;
    pack_free(p);
    return NULL;
}

struct pack *pack_epoch_new(struct ctx *c, const struct dataset *d, const struct objective *o,
                            const struct pack_options *options, int64_t epoch)
{
    if (epoch < 0 || epoch > UINT32_MAX) return ctx_fail(c, E_INPUT, "epoch %lld", (long long)epoch), NULL;
    struct pack *p = pack_new(c, d, o, options);
    if (!p) return NULL;
    shuffle(p, epoch);
    if (make_sequences(p, options->packing ? WINDOW : 0) == OK && make_buffers(p) == OK) return p;
    pack_free(p);
    return NULL;
}

struct pack *pack_ordered_new(struct ctx *c, const struct dataset *d, const struct objective *o,
                              const struct pack_options *options)
{
    struct pack *p = pack_new(c, d, o, options);
    if (!p) return NULL;
    if (make_sequences(p, options->packing ? 1 : 0) == OK && make_buffers(p) == OK) return p;
    pack_free(p);
    return NULL;
}

void pack_free(struct pack *p)
{
    if (!p) return;
    void *owned[] = {p->items, p->first, p->tokens, p->positions, p->targets, p->cu, p->weights, p->documents};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) mem_free(p->c, owned[i]);
    mem_free(p->c, p);
}

int64_t pack_steps(const struct pack *p)
{
    return (p->n_sequences + sequences_a_step(p) - 1) / sequences_a_step(p);
}

int64_t pack_sequences(const struct pack *p)
{
    return p->n_sequences;
}

int64_t pack_micro_batches(const struct pack *p, int64_t step)
{
    int64_t left = p->n_sequences - step * sequences_a_step(p);
    int64_t micro = (left + p->options.batch - 1) / p->options.batch;
    return micro < p->options.accumulation ? micro : p->options.accumulation;
}

int64_t pack_step_tokens(const struct pack *p, int64_t step)
{
    return tokens_in(p, step_items(p, step));
}

int64_t pack_step_trained_tokens(const struct pack *p, int64_t step)
{
    struct pack_range r = step_items(p, step);
    int64_t n = 0;
    for (int64_t i = r.begin; i < r.end; i++) n += dataset_document(p->d, p->items[i].document)->n_trained;
    return n;
}

double pack_step_mean_weight(const struct pack *p, int64_t step)
{
    struct pack_range r = step_items(p, step);
    double sum = 0;
    for (int64_t i = r.begin; i < r.end; i++)
        sum += (double)p->items[i].weight * dataset_trained_weight(p->d, p->items[i].document);
    return sum / (double)pack_step_trained_tokens(p, step);
}

/* Which micro-batch of which step begins with the sequence `at`. */
static void pack_locate(const struct pack *p, int64_t at, int64_t *step, int64_t *micro)
{
    if (step) *step = at / sequences_a_step(p);
    if (micro) *micro = at % sequences_a_step(p) / p->options.batch;
}

int64_t pack_longest_batch(const struct pack *p, int64_t *step, int64_t *micro)
{
    pack_locate(p, p->longest_at, step, micro);
    return p->longest_tokens;
}

int64_t pack_widest_batch(const struct pack *p, int64_t *step, int64_t *micro)
{
    pack_locate(p, p->widest_at, step, micro);
    return p->widest_tokens;
}

/* One document into the buffers from token `at` on. */
static void copy_document(struct pack *p, const struct pack_item *item, int64_t at)
{
    const int32_t n = dataset_document(p->d, item->document)->n, *tokens = dataset_tokens(p->d, item->document);
    const uint8_t *trained = dataset_trained(p->d, item->document);
    memcpy(p->tokens + at, tokens, (size_t)n * sizeof *tokens);
    for (int32_t t = 0; t < n; t++) {
        bool target = t + 1 < n && trained[t + 1];
        p->positions[at + t] = t;
        p->targets[at + t] = t + 1 < n ? tokens[t + 1] : 0;
        p->weights[at + t] = target ? (float)(item->weight * chat_weight(trained[t + 1])) : 0;
    }
}

enum status pack_batch(struct pack *p, int64_t step, int64_t micro, struct batch *b)
{
    BUG_ON(p->c, micro < 0 || micro >= pack_micro_batches(p, step), "micro-batch %lld of %lld", (long long)micro,
           (long long)pack_micro_batches(p, step));
    int64_t from = step * sequences_a_step(p) + micro * p->options.batch;
    struct pack_range r = items_of(p, from, from + p->options.batch);
    struct pack_range before = {step_items(p, step).begin, r.begin};
    int64_t at = 0;
    for (int64_t i = r.begin; i < r.end; i++) {
        p->cu[i - r.begin] = (int32_t)at;
        p->documents[i - r.begin] = p->items[i].document;
        copy_document(p, &p->items[i], at);
        at += length_of(p, i);
    }
    p->cu[r.end - r.begin] = (int32_t)at;
    *b = (struct batch){.n = at,
                        .tokens = p->tokens,
                        .positions = p->positions,
                        .n_seg = (int)(r.end - r.begin),
                        .cu = p->cu,
                        .targets = p->targets,
                        .weights = p->weights,
                        .first_token = tokens_in(p, before)};
    return dataset_check(p->c, p->d);
}

const int64_t *pack_documents(const struct pack *p)
{
    return p->documents;
}
