/* bpe: byte-pair encoding of one piece of text (Sennrich et al., 2016): its bytes or characters become symbols, and the pair
 * of neighbours that comes first in the list of merges is merged, the leftmost first, until no pair is in the list.
 *
 * With the merges 0: l o, 1: e r, 2: lo w, 3: low er, the piece "lower" goes l o w e r -> lo w e r -> lo w er -> low er ->
 * lower: one token. "slow" goes s l o w -> s lo w -> s low: two. */
#ifndef YA_IO_BPE_H
#define YA_IO_BPE_H

#include "base/map.h"
#include "io/tokenizer/tokenizer.h"

struct bpe {
    struct map64 *merges; /* left id << 32 | right id -> rank << 32 | id of the result; owned */
    uint32_t n_merges;    /* the next rank */
    struct map *whole;    /* bytes of a token -> id: pieces that are not merged at all (ignore_merges); owned, or NULL */
    struct map64 *chars;  /* SentencePiece: symbols are characters, code point -> id; NULL: they are bytes; owned */
    int32_t byte_id[256]; /* the token of one byte (with chars: "<0x0A>", for characters without a token); -1: none */
    int32_t unknown_id;   /* stands for what has no token; -1: that is left out, as the reference does */
    bool byte_fallback;   /* with chars: a character without a token becomes its bytes' tokens */
    bool fuse_unknown;    /* neighbouring unknown ones become one unknown_id */
};

/* Empty tables, sized for so many merges. E_MEMORY. Undone by bpe_release. */
enum status bpe_init(struct ctx *c, struct bpe *b, size_t expected_merges);
void bpe_release(struct bpe *b);
/* Appends a merge to the list. A pair that is already there gets the new rank, as in the reference. */
enum status bpe_add_merge(struct bpe *b, int32_t left, int32_t right, int32_t result);
/* The merge of a pair as rank << 32 | result, or BPE_NO_MERGE. Smaller is sooner. */
#define BPE_NO_MERGE UINT64_MAX
uint64_t bpe_merge(const struct bpe *b, int32_t left, int32_t right);

/* Bytes at the start of a piece of n > 0 bytes that become one symbol, or several by byte fallback; *known is false when
 * they have no token and count as unknown. */
size_t bpe_unit(const struct bpe *b, const char *piece, size_t n, bool *known);

/* Scratch of one encode call: remembers where short pieces were encoded before, as places in its text and in its ids. */
struct bpe_work {
    struct bpe_seen *seen; /* owned; NULL: the text is too short for it to pay */
    size_t n_seen;         /* a power of two */
    uint32_t generation;   /* entries of another generation point into text that is gone */
    int32_t *symbols;      /* owned: the symbols of a long piece */
    size_t room;
    /* A byte or character without a token for which nothing stands, in the text of bpe_encode; NULL: none. */
    const char *left_out;
};
/* Scratch for a text of so many bytes; E_MEMORY. Undone by bpe_work_release. */
enum status bpe_work_init(struct ctx *c, struct bpe_work *w, size_t text_bytes);
void bpe_work_release(struct ctx *c, struct bpe_work *w);
/* The text that pieces pointed into changes. */
void bpe_work_forget(struct bpe_work *w);

/* Appends the ids of n > 0 bytes. `piece` stays readable, and ids stay in `out`, until bpe_work_forget. */
enum status bpe_encode(struct ctx *c, const struct bpe *b, struct bpe_work *w, const char *piece, size_t n, struct ids *out);

#endif
