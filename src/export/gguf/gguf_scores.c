/* gguf_scores: a list of merges as scores of pieces. A tokenizer.json joins pairs in the order of its list. llama.cpp, as
 * SentencePiece, has no list: of all neighbours whose joined text is a piece it joins those whose piece has the best score.
 *
 * Inside a piece always the same pairs are joined, whatever stands around it, so only one pair ever makes it: the last one
 * when the piece's own characters are joined in the order of the list. The rank of that pair is the piece's score. It need
 * not be the first pair in the list that gives the text: with the merges ab, a + bc, cd, ab + c, bc the piece "abc" is made
 * of ab + c (ab comes before bc), so "abcd" becomes ab + cd, since cd stands before ab + c. */
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "export/gguf/gguf_scores.h"
#include "io/tokenizer/unicode.h"

enum { PIECE_CHARS_MAX = 256, KEY_SHIFT = 32 };
static const double NEVER = -1;

struct gguf_scores {
    struct ctx *c;
    const struct tokenizer *t;
    struct map *by_text;  /* owned: text of a piece to its id */
    struct map64 *ranks;  /* owned: left id << 32 | right id to the place in the list */
    int64_t loose, first; /* pieces that llama.cpp makes and the list does not; one of them */
};

static bool gguf_scores_find(const struct gguf_scores *s, const char *text, size_t n, uint64_t *id)
{
    return map_get(s->by_text, text, n, id);
}

/* The place in the list of the pair that text [a, b) and [b, c) are; false: no such pair. *pieces: both are pieces. */
static bool gguf_scores_rank_of(const struct gguf_scores *s, const char *text, const size_t *at, uint64_t *rank,
                                bool *pieces)
{
    uint64_t left, right;
    *pieces =
        gguf_scores_find(s, text + at[0], at[1] - at[0], &left) && gguf_scores_find(s, text + at[1], at[2] - at[1], &right);
    return *pieces && map64_get(s->ranks, left << KEY_SHIFT | right, rank);
}

/* Joins the characters of a piece, whose places are at[0..n], in the order of the list. The rank of the last pair when one
 * part is left, else NEVER. */
static double gguf_scores_join_all(const struct gguf_scores *s, const char *text, size_t *at, size_t n)
{
    uint64_t best = 0;
    while (n > 1) {
        size_t place = n;
        for (size_t i = 0; i + 1 < n; i++) {
            uint64_t rank;
            bool pieces;
            if (!gguf_scores_rank_of(s, text, at + i, &rank, &pieces) || (place < n && rank >= best)) continue;
            best = rank;
            place = i;
        }
        if (place == n) return NEVER;
        memmove(at + place + 1, at + place + 2, (n - place - 1) * sizeof *at);
        n--;
    }
    return (double)best;
}

/* Whether some cut of the text leaves two pieces, which llama.cpp would join. */
static bool has_cut(const struct gguf_scores *s, const char *text, size_t n)
{
    for (size_t at = unicode_next(text, n).bytes; at < n; at += unicode_next(text + at, n - at).bytes) {
        uint64_t rank;
        bool pieces;
        gguf_scores_rank_of(s, text, (size_t[]){0, at, n}, &rank, &pieces);
        if (pieces) return true;
    }
    return false;
}

/* The score of a piece of two characters or more, or 0 when the list never makes it. */
static enum status score_piece(struct gguf_scores *s, int64_t id, float *score)
{
    const char *text = tokenizer_token(s->t, (int32_t)id);
    size_t at[PIECE_CHARS_MAX + 1], n = 0, bytes = strlen(text);
    for (size_t k = 0; k < bytes; k += unicode_next(text + k, bytes - k).bytes) {
        if (n == PIECE_CHARS_MAX)
            return ctx_fail(s->c, E_UNSUPPORTED,
                            "token %lld has more than %d characters, too many for a piece that GGUF scores", (long long)id,
                            (int)PIECE_CHARS_MAX);
        at[n++] = k;
    }
    at[n] = bytes;
    if (n < 2) return OK;
    double rank = gguf_scores_join_all(s, text, at, n);
    if (rank != NEVER)
        *score = -(float)(rank + 1);
    else if (has_cut(s, text, bytes) && s->loose++ == 0)
        s->first = id;
    return OK;
}

static enum status read_pairs(struct gguf_scores *s, const struct gguf_merges *merges)
{
    struct gguf_string left, right;
    uint64_t l, r, before;
    for (size_t i = 0; merges->get(merges->user, i, &left, &right); i++)
        if (gguf_scores_find(s, left.data, left.n, &l) && gguf_scores_find(s, right.data, right.n, &r) &&
            !map64_get(s->ranks, l << KEY_SHIFT | r, &before))
            TRY(map64_put(s->ranks, l << KEY_SHIFT | r, i, NULL));
    return OK;
}

static enum status gguf_scores_score_all(struct gguf_scores *s, const struct gguf_merges *merges, const bool *is_piece,
                                         int64_t n, float *scores)
{
    for (int64_t i = 0; i < n; i++) {
        const char *text = is_piece[i] ? tokenizer_token(s->t, (int32_t)i) : NULL;
        if (text) TRY(map_put(s->by_text, text, strlen(text), (uint64_t)i, NULL));
    }
    TRY(read_pairs(s, merges));
    for (int64_t i = 0; i < n; i++)
        if (is_piece[i]) TRY(score_piece(s, i, &scores[i]));
    if (s->loose > 0)
        ctx_log(
            s->c, LOG_WARN,
            "%lld pieces, \"%s\" among them, are in the vocabulary and made by no merge of the list; llama.cpp joins any "
            "neighbours whose text is a piece, so texts with them get other ids there",
            (long long)s->loose, tokenizer_token(s->t, (int32_t)s->first));
    return OK;
}

enum status gguf_scores_of_merges(struct ctx *c, const struct tokenizer *t, const struct gguf_merges *merges,
                                  const bool *is_piece, int64_t n, float *scores)
{
    struct gguf_scores s = {.c = c, .t = t, .by_text = map_new(c, (size_t)n), .ranks = map64_new(c, (size_t)n)};
    if (ctx_ok(c)) gguf_scores_score_all(&s, merges, is_piece, n, scores);
    map_free(s.by_text);
    map64_free(s.ranks);
    return c->status;
}
