/* bpe: see bpe.h. Words are short, so most pieces go through merge_short: the ranks of the pairs lie in an array, the
 * smallest is searched, its neighbours are looked up again. That is quadratic with a tiny constant and stops at SHORT
 * symbols; bpe_queue takes longer pieces. Words also repeat, so a direct-mapped table remembers where in the output the ids
 * of a piece stand.
 *
 * Rejected: a table of finished words shared between calls (a tokenizer is immutable, so that threads may share it). */
#include "io/tokenizer/bpe.h"

#include <string.h>

#include "base/mem.h"
#include "io/tokenizer/bpe_queue.h"
#include "io/tokenizer/unicode.h"

enum { SHORT = 48, SEEN_MIN = 64, SEEN_MAX = 8192, BYTES_PER_SEEN = 16 };

/* One piece that was encoded before in this call: its bytes, and where in the output its ids lie. */
struct bpe_seen {
    const char *piece;
    size_t at; /* index of the first id in the output */
    uint32_t n, n_ids, generation;
};

enum status bpe_init(struct ctx *c, struct bpe *b, size_t expected_merges)
{
    *b = (struct bpe){.unknown_id = -1};
    for (int i = 0; i < 256; i++) b->byte_id[i] = -1;
    b->merges = map64_new(c, expected_merges);
    return b->merges ? OK : c->status;
}

void bpe_release(struct bpe *b)
{
    map64_free(b->merges);
    map_free(b->whole);
    map64_free(b->chars);
    *b = (struct bpe){0};
}

/* Two ids as one key of the table of merges. */
static uint64_t pair_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* The order of the calls is the rank of the merges: earlier ones are applied first. */
enum status bpe_add_merge(struct bpe *b, int32_t left, int32_t right, int32_t result)
{
    return map64_put(b->merges, pair_key(left, right), (uint64_t)b->n_merges++ << 32 | (uint32_t)result, NULL);
}

/* Rank in the upper half, resulting id in the lower half: the smallest value is the merge to apply. */
uint64_t bpe_merge(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t value;
    return map64_get(b->merges, pair_key(left, right), &value) ? value : BPE_NO_MERGE;
}

enum status bpe_work_init(struct ctx *c, struct bpe_work *w, size_t text_bytes)
{
    *w = (struct bpe_work){.generation = 1};
    size_t n = SEEN_MIN;
    while (n < SEEN_MAX && n < text_bytes / BYTES_PER_SEEN) n *= 2;
    if (text_bytes < SEEN_MIN * BYTES_PER_SEEN) return OK;
    w->seen = mem_alloc(c, n, sizeof *w->seen);
    if (!w->seen) return c->status;
    w->n_seen = n;
    return OK;
}

void bpe_work_release(struct ctx *c, struct bpe_work *w)
{
    mem_free(c, w->seen);
    mem_free(c, w->symbols);
    *w = (struct bpe_work){0};
}

/* The text that remembered pieces point into is about to change. */
void bpe_work_forget(struct bpe_work *w)
{
    w->generation++;
    if (w->generation == 0) { /* wrapped: old entries would look new */
        if (w->seen) memset(w->seen, 0, w->n_seen * sizeof *w->seen);
        w->generation = 1;
    }
}

/* A hash to choose a slot by; equality is checked on the bytes. */
static size_t bpe_slot_of(const char *piece, size_t n)
{
    uint64_t h = n * 0x9E3779B97F4A7C15u;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = 0;
        memcpy(&word, piece + i, n - i < 8 ? n - i : 8);
        h = (h ^ word) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    }
    return (size_t)h;
}

/* True when each byte of a character has a token of its own, as byte fallback needs. */
static bool has_bytes(const struct bpe *b, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (b->byte_id[(uint8_t)bytes[i]] < 0) return false;
    return true;
}

/* The first symbol of a piece: its length in bytes, and whether the vocabulary has it. */
size_t bpe_unit(const struct bpe *b, const char *piece, size_t n, bool *known)
{
    uint64_t id;
    if (!b->chars) {
        *known = b->byte_id[(uint8_t)piece[0]] >= 0;
        return 1;
    }
    struct unicode_unit u = unicode_next(piece, n);
    *known = map64_get(b->chars, u.cp, &id) || (b->byte_fallback && has_bytes(b, piece, u.bytes));
    return u.bytes;
}

/* The symbols a piece starts as: one a byte, except bytes that the vocabulary lacks. */
static size_t first_bytes(const struct bpe *b, struct bpe_work *w, const char *piece, size_t n, int32_t *symbols)
{
    size_t count = 0;
    bool after_unknown = false;
    for (size_t i = 0; i < n; i++) {
        int32_t id = b->byte_id[(uint8_t)piece[i]];
        bool unknown = id < 0;
        if (unknown) id = b->unknown_id;
        if (id < 0) w->left_out = piece + i;
        if (id >= 0 && !(unknown && after_unknown && b->fuse_unknown)) symbols[count++] = id;
        after_unknown = unknown;
    }
    return count;
}

/* ... or one a character. As in the reference, an unknown one is written when a known one follows: bytes that stand in for
 * a character are no such thing and come before it. */
static size_t first_chars(const struct bpe *b, struct bpe_work *w, const char *piece, size_t n, int32_t *symbols)
{
    size_t count = 0, bytes;
    bool unknown = false;
    for (size_t i = 0; i < n; i += bytes) {
        struct unicode_unit u = unicode_next(piece + i, n - i);
        uint64_t id;
        bytes = u.bytes;
        if (map64_get(b->chars, u.cp, &id)) {
            if (unknown) symbols[count++] = b->unknown_id;
            unknown = false;
            symbols[count++] = (int32_t)id;
        } else if (b->byte_fallback && has_bytes(b, piece + i, bytes)) {
            for (size_t k = 0; k < bytes; k++) symbols[count++] = b->byte_id[(uint8_t)piece[i + k]];
        } else if (b->unknown_id >= 0) {
            if (unknown && !b->fuse_unknown) symbols[count++] = b->unknown_id;
            unknown = true;
        } else {
            w->left_out = piece + i;
        }
    }
    if (unknown) symbols[count++] = b->unknown_id;
    return count;
}

/* The symbols of a piece before any merge; returns their number. */
static size_t first_symbols(const struct bpe *b, struct bpe_work *w, const char *piece, size_t n, int32_t *symbols)
{
    return b->chars ? first_chars(b, w, piece, n, symbols) : first_bytes(b, w, piece, n, symbols);
}

/* Merges n <= SHORT symbols in place; returns how many are left. */
static size_t merge_short(const struct bpe *b, int32_t *symbols, size_t n)
{
    uint64_t pairs[SHORT]; /* pairs[i]: merge of symbols i and i + 1 */
    for (size_t i = 0; i + 1 < n; i++) pairs[i] = bpe_merge(b, symbols[i], symbols[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (pairs[i] < pairs[best]) best = i;
        if (pairs[best] == BPE_NO_MERGE) break;
        symbols[best] = (int32_t)(uint32_t)pairs[best];
        memmove(symbols + best + 1, symbols + best + 2, (n - best - 2) * sizeof *symbols);
        if (best + 2 < n) memmove(pairs + best, pairs + best + 1, (n - best - 2) * sizeof *pairs);
        n--;
        if (best > 0) pairs[best - 1] = bpe_merge(b, symbols[best - 1], symbols[best]);
        if (best + 1 < n) pairs[best] = bpe_merge(b, symbols[best], symbols[best + 1]);
    }
    return n;
}

/* A piece whose symbols fit on the stack. */
static enum status encode_short(struct ctx *c, const struct bpe *b, struct bpe_work *w, const char *piece, size_t n,
                                struct ids *out)
{
    int32_t symbols[SHORT];
    size_t count = merge_short(b, symbols, first_symbols(b, w, piece, n, symbols));
    for (size_t i = 0; i < count; i++) TRY(ids_push(c, out, symbols[i]));
    return OK;
}

/* Any other piece, in memory that is kept for the next one. */
static enum status encode_long(struct ctx *c, const struct bpe *b, struct bpe_work *w, const char *piece, size_t n,
                               struct ids *out)
{
    if (n > INT32_MAX) return ctx_fail(c, E_INPUT, "a piece of %zu bytes without a break is too long to tokenize", n);
    if (n > w->room) {
        int32_t *grown = mem_resize(c, w->symbols, w->room, n, sizeof *grown);
        if (!grown) return c->status;
        w->symbols = grown;
        w->room = n;
    }
    return bpe_queue_run(c, b, w->symbols, first_symbols(b, w, piece, n, w->symbols), out);
}

/* A piece that is one byte, or a token as a whole, needs no merging; a piece that came before in this text is copied. */
enum status bpe_encode(struct ctx *c, const struct bpe *b, struct bpe_work *w, const char *piece, size_t n, struct ids *out)
{
    uint64_t whole;
    if (n == 1 && !b->chars && b->byte_id[(uint8_t)piece[0]] >= 0) return ids_push(c, out, b->byte_id[(uint8_t)piece[0]]);
    if (b->whole && map_get(b->whole, piece, n, &whole)) return ids_push(c, out, (int32_t)whole);
    if (n > SHORT) return encode_long(c, b, w, piece, n, out);
    if (!w->seen) return encode_short(c, b, w, piece, n, out);

    struct bpe_seen *seen = &w->seen[bpe_slot_of(piece, n) & (w->n_seen - 1)];
    if (seen->generation == w->generation && seen->n == n && memcmp(seen->piece, piece, n) == 0) {
        for (size_t i = 0; i < seen->n_ids; i++) TRY(ids_push(c, out, out->data[seen->at + i]));
        return OK;
    }
    size_t at = out->n;
    TRY(encode_short(c, b, w, piece, n, out));
    *seen = (struct bpe_seen){piece, at, (uint32_t)n, (uint32_t)(out->n - at), w->generation};
    return OK;
}
