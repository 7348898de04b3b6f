/* bpe_queue: merges of a long piece, in about linear time.
 *
 * The usual answer is one priority queue of (rank, position). On ten megabytes of one letter it holds ten million entries,
 * and every pop walks 23 levels of cold memory. But only the ranks need a queue: all positions where one merge applies are
 * done left to right anyway. So there is one bucket of positions for each merge, and a small heap of the buckets that are
 * not empty.
 *
 * A bucket is a plain queue, because positions reach it in rising order. Before a symbol stands, only merges inside its text
 * have touched that text, and those do not depend on what is around: a symbol is always made by the same last merge (u, v).
 * Say that each symbol with a shorter text is made from left to right. The pair (u, v) at a position comes into being when
 * the later of its two halves does, so these pairs, too, come from left to right; their bucket is taken from in that order;
 * and so the symbol is made from left to right. (Not so if a file spells its unknown token with merges as well. Then the
 * order of two merges of equal rank may differ from the definition, and nothing else.)
 *
 * When a merge makes a pair of lower rank than the bucket in hand, that pair's bucket moves to the top and is done first:
 * the order is exactly that of one queue. A position whose pair has changed since is skipped when its turn comes.
 *
 * Symbols lie in an array with their lengths at both ends (a boundary tag, as in Knuth's allocator), so neighbours are found
 * without links: 8 bytes for a symbol instead of 16. */
#include "io/tokenizer/bpe_queue.h"

#include <string.h>

#include "base/mem.h"

#define NONE UINT32_MAX
enum { CHUNK_ITEMS = 14 };
#define DEAD (-1) /* in symbols[]: not the start of a symbol */

/* A min-heap. */
struct heap {
    uint64_t *items;
    size_t n, room;
};

/* A piece of a bucket's queue; the chunks of a bucket are linked by index. */
struct chunk {
    uint32_t next, n;
    uint32_t items[CHUNK_ITEMS];
};

/* The positions at which one merge may apply. */
struct bucket {
    int32_t left, right, result;
    uint32_t rank;
    uint32_t first, last; /* chunks; NONE when empty */
    uint32_t cursor;      /* next item of the first chunk */
    bool queued;          /* in the heap of buckets */
};

/* One call of bpe_queue_run. */
struct queue {
    struct ctx *c;
    const struct bpe *bpe;
    int32_t *symbols;  /* at the first place of a symbol its id, at the others DEAD */
    uint32_t *lengths; /* at the first and at the last place of a symbol its length */
    uint32_t n;
    struct bucket *buckets;
    size_t n_buckets, bucket_room;
    struct map64 *by_rank; /* rank -> bucket */
    struct heap order;     /* rank << 32 | bucket */
    struct chunk *chunks;
    size_t n_chunks, chunk_room;
    uint32_t free_chunk; /* list of used-up chunks */
    uint32_t recent;     /* bucket of the last look-up: runs of equal pairs need no other */
};

/* Adds an item and lets it rise to its place. */
static enum status heap_push(struct ctx *c, struct heap *h, uint64_t item)
{
    if (h->n == h->room) {
        size_t room = h->room ? h->room * 2 : 8;
        uint64_t *items = mem_resize(c, h->items, h->room, room, sizeof *items);
        if (!items) return c->status;
        h->items = items;
        h->room = room;
    }
    size_t at = h->n++;
    for (; at > 0 && h->items[(at - 1) / 2] > item; at = (at - 1) / 2) h->items[at] = h->items[(at - 1) / 2];
    h->items[at] = item;
    return OK;
}

/* Takes the smallest item out; the last one sinks into its place. */
static uint64_t heap_pop(struct heap *h)
{
    uint64_t top = h->items[0], item = h->items[--h->n];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= h->n) break;
        if (child + 1 < h->n && h->items[child + 1] < h->items[child]) child++;
        if (h->items[child] >= item) break;
        h->items[at] = h->items[child];
        at = child;
    }
    h->items[at] = item;
    return top;
}

/* Index of an empty chunk, or NONE with the failure in the ctx. */
static uint32_t chunk_get(struct queue *q)
{
    uint32_t at = q->free_chunk;
    if (at != NONE) {
        q->free_chunk = q->chunks[at].next;
    } else {
        if (q->n_chunks == q->chunk_room) {
            size_t room = q->chunk_room + q->chunk_room / 2 + 16;
            struct chunk *chunks = mem_resize(q->c, q->chunks, q->chunk_room, room, sizeof *chunks);
            if (!chunks) return NONE;
            q->chunks = chunks;
            q->chunk_room = room;
        }
        at = (uint32_t)q->n_chunks++;
    }
    q->chunks[at] = (struct chunk){.next = NONE};
    return at;
}

/* Appends a position to a bucket. */
static enum status bucket_push(struct queue *q, struct bucket *k, uint32_t position)
{
    if (k->last == NONE || q->chunks[k->last].n == CHUNK_ITEMS) {
        uint32_t fresh = chunk_get(q);
        if (fresh == NONE) return q->c->status;
        if (k->last == NONE) {
            k->first = fresh;
            k->cursor = 0;
        } else {
            q->chunks[k->last].next = fresh;
        }
        k->last = fresh;
    }
    struct chunk *chunk = &q->chunks[k->last];
    chunk->items[chunk->n++] = position;
    return OK;
}

/* The oldest position of the bucket, or NONE when it is empty. */
static uint32_t bucket_pop(struct queue *q, struct bucket *k)
{
    if (k->first == NONE) return NONE;
    struct chunk *chunk = &q->chunks[k->first];
    uint32_t position = chunk->items[k->cursor];
    if (++k->cursor == chunk->n) {
        uint32_t used = k->first;
        k->first = chunk->next;
        k->cursor = 0;
        if (k->first == NONE) k->last = NONE;
        chunk->next = q->free_chunk;
        q->free_chunk = used;
    }
    return position;
}

/* The bucket of a merge, made when it is new; NONE with the failure in the ctx. */
static uint32_t bucket_of(struct queue *q, int32_t left, int32_t right, uint64_t merge)
{
    uint64_t found;
    if (map64_get(q->by_rank, merge >> 32, &found)) return (uint32_t)found;
    if (q->n_buckets == q->bucket_room) {
        size_t room = q->bucket_room * 2 + 16;
        struct bucket *buckets = mem_resize(q->c, q->buckets, q->bucket_room, room, sizeof *buckets);
        if (!buckets) return NONE;
        q->buckets = buckets;
        q->bucket_room = room;
    }
    uint32_t at = (uint32_t)q->n_buckets;
    q->buckets[at] = (struct bucket){.left = left,
                                     .right = right,
                                     .result = (int32_t)(uint32_t)merge,
                                     .rank = (uint32_t)(merge >> 32),
                                     .first = NONE,
                                     .last = NONE};
    if (map64_put(q->by_rank, merge >> 32, at, NULL) != OK) return NONE;
    q->n_buckets++;
    return at;
}

/* Files the pair that starts at `position`, if it is one that merges. */
static enum status queue_pair(struct queue *q, uint32_t position)
{
    uint32_t next = position + q->lengths[position];
    if (next >= q->n) return OK;
    int32_t left = q->symbols[position], right = q->symbols[next];
    uint32_t at = q->recent;
    if (at == NONE || q->buckets[at].left != left || q->buckets[at].right != right) {
        uint64_t merge = bpe_merge(q->bpe, left, right);
        if (merge == BPE_NO_MERGE) return OK;
        at = bucket_of(q, left, right, merge);
        if (at == NONE) return q->c->status;
        q->recent = at;
    }
    struct bucket *k = &q->buckets[at];
    TRY(bucket_push(q, k, position));
    if (k->queued) return OK;
    k->queued = true;
    return heap_push(q->c, &q->order, (uint64_t)k->rank << 32 | at);
}

/* Merges the pair at `position`, if it is still (left, right), and files the two new pairs. */
static enum status merge_at(struct queue *q, uint32_t position, int32_t left, int32_t right, int32_t result)
{
    if (q->symbols[position] != left) return OK;
    uint32_t next = position + q->lengths[position];
    if (next >= q->n || q->symbols[next] != right) return OK;
    uint32_t length = q->lengths[position] + q->lengths[next];
    q->symbols[position] = result;
    q->symbols[next] = DEAD;
    q->lengths[position] = length;
    q->lengths[position + length - 1] = length;
    if (position > 0) TRY(queue_pair(q, position - q->lengths[position - 1]));
    return queue_pair(q, position);
}

/* Works through the buckets in the order of their ranks. */
static enum status queue_drain(struct queue *q)
{
    while (q->order.n > 0) {
        uint64_t top = q->order.items[0];
        struct bucket *k = &q->buckets[(uint32_t)top];
        int32_t left = k->left, right = k->right, result = k->result;
        while (q->order.items[0] == top) {
            uint32_t position = bucket_pop(q, &q->buckets[(uint32_t)top]); /* the array may have moved */
            if (position == NONE) {
                heap_pop(&q->order);
                q->buckets[(uint32_t)top].queued = false;
                break;
            }
            TRY(merge_at(q, position, left, right, result));
        }
    }
    return OK;
}

static void queue_release(struct queue *q)
{
    mem_free(q->c, q->buckets);
    map64_free(q->by_rank);
    mem_free(q->c, q->order.items);
    mem_free(q->c, q->chunks);
    mem_free(q->c, q->lengths);
}

enum status bpe_queue_run(struct ctx *c, const struct bpe *b, int32_t *symbols, size_t n, struct ids *out)
{
    BUG_ON(c, n > INT32_MAX, "a piece of %zu symbols", n);
    struct queue q = {.c = c, .bpe = b, .symbols = symbols, .n = (uint32_t)n, .free_chunk = NONE, .recent = NONE};
    q.lengths = mem_alloc(c, n, sizeof *q.lengths);
    q.by_rank = map64_new(c, 64);
    enum status st = q.lengths && q.by_rank ? OK : c->status;
    for (size_t i = 0; i < n && st == OK; i++) q.lengths[i] = 1;
    for (size_t i = 0; i < n && st == OK; i++) st = queue_pair(&q, (uint32_t)i);
    if (st == OK) st = queue_drain(&q);
    for (size_t i = 0; i < n && st == OK; i += q.lengths[i]) st = ids_push(c, out, symbols[i]);
    queue_release(&q);
    return st;
}
