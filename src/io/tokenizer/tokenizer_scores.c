/* tokenizer_scores: SentencePiece keeps no list of merges: of all neighbours whose joined text is a piece, those whose piece
 * has the best score are joined first, the leftmost of equals. With different scores this is a list of merges: the pieces in
 * the order of their scores, each by every pair of pieces that it can be made of. The piece "abc" gives the merges a + bc
 * and ab + c where all four are pieces. Of these pairs a text only ever takes one, because what happens inside a piece
 * before it is whole does not depend on what stands around it; so their order among themselves does not matter.
 *
 * Equal scores would make the order depend on the place in the text. Files that have them (converted without their scores)
 * are refused: their ids would be anybody's guess. One case is real: in Llama's vocabulary all runs of spaces have the same
 * score. Taking them in the order of their ids, as the conversion to tokenizer.json does, cuts runs of any length as
 * SentencePiece does.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/tokenizer/tokenizer_internal.h"
#include "io/tokenizer/unicode.h"

/* Looking up all ways to cut a piece reads each of its bytes once a cut. */
enum { CUT_WORK_MAX = 1 << 30 };

/* A piece that takes part, while they are sorted. */
struct scored {
    float score;
    int32_t id;
};

/* The best score first; equal ones in the order of their ids. */
static int compare_scores(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

/* Added tokens, bytes and placeholders are never made by merging. */
static bool tokenizer_scores_takes_part(const struct tokenizer *t, int32_t id)
{
    unsigned flags = id >= 0 ? t->tokens[id].flags : 0;
    return (flags & TOKEN_PRESENT) && !(flags & (TOKEN_ADDED | TOKEN_BYTE | TOKEN_UNUSED));
}

/* The pieces that take part, the best score first. */
static enum status sort_pieces(struct ctx *c, const struct tokenizer *t, const float *scores, struct scored **out, size_t *n)
{
    struct scored *list = mem_alloc(c, (size_t)t->n_tokens, sizeof *list);
    size_t count = 0, work = 0;
    if (!list) return c->status;
    *out = list;
    for (int32_t id = 0; id < t->n_tokens; id++) {
        if (!tokenizer_scores_takes_part(t, id)) continue;
        size_t bytes = t->tokens[id].n_text;
        if (!isfinite(scores[id]))
            return ctx_fail(c, E_INPUT, "%s: the score of token %d is not a finite number", t->name, id);
        if (bytes > 1 << 15 || (work += bytes * bytes) > CUT_WORK_MAX)
            return ctx_fail(c, E_INPUT, "%s: its pieces are too long (token %d has %zu bytes)", t->name, id, bytes);
        list[count++] = (struct scored){scores[id], id};
    }
    qsort(list, count, sizeof *list, compare_scores);
    *n = count;
    return OK;
}

/* True when the bytes are a single character. */
static bool is_one_char(const char *text, size_t n)
{
    return unicode_next(text, n).bytes == n;
}

/* Keeps the merge in the list (for export) and in the table. */
static enum status add_merge(struct ctx *c, struct tokenizer *t, int32_t left, int32_t right, int32_t result, size_t *room)
{
    if (t->n_merges == *room) {
        size_t more = *room * 2 + 1024;
        void *merges = mem_resize(c, t->merges, *room, more, sizeof *t->merges);
        if (!merges) return c->status;
        t->merges = merges;
        *room = more;
    }
    t->merges[t->n_merges].left = left;
    t->merges[t->n_merges++].right = right;
    return bpe_add_merge(&t->bpe, left, right, result);
}

/* All ways to make a piece of two. */
static enum status scores_cut_piece(struct ctx *c, struct tokenizer *t, int32_t id, size_t *room)
{
    const char *text = t->tokens[id].text;
    size_t n = t->tokens[id].n_text;
    for (size_t at = n ? unicode_next(text, n).bytes : 0; at < n; at += unicode_next(text + at, n - at).bytes) {
        int32_t left = tokenizer_vocab_find(t, text, at), right = tokenizer_vocab_find(t, text + at, n - at);
        bool has_left = tokenizer_scores_takes_part(t, left), has_right = tokenizer_scores_takes_part(t, right);
        if (has_left && has_right) {
            TRY(add_merge(c, t, left, right, id, room));
        } else if ((has_left || is_one_char(text, at)) && (has_right || is_one_char(text + at, n - at))) {
            return ctx_fail(c, E_UNSUPPORTED, "%s: piece %d, \"%.80s\", has a character that is no piece itself", t->name,
                            id, text);
        }
    }
    return OK;
}

/* Whether a piece is made of U+2581 alone. */
static bool is_space_run(const struct tokenizer *t, int32_t id)
{
    size_t n = t->tokens[id].n_text;
    for (size_t i = 0; i + 3 <= n; i += 3)
        if (memcmp(t->tokens[id].text + i, TOKENIZER_SPACE, 3) != 0) return false;
    return n % 3 == 0;
}

enum status tokenizer_scores_apply(struct ctx *c, struct tokenizer *t, const float *scores)
{
    struct scored *list = NULL;
    size_t n = 0, room = 0;
    int32_t before = -1; /* the piece of the merges added last */
    enum status st = sort_pieces(c, t, scores, &list, &n);
    for (size_t i = 0; i < n && st == OK; i++) {
        size_t merges = t->n_merges;
        st = scores_cut_piece(c, t, list[i].id, &room);
        if (st != OK || t->n_merges == merges) continue;
        if (before >= 0 && scores[before] == list[i].score && !(is_space_run(t, before) && is_space_run(t, list[i].id)))
            st = ctx_fail(c, E_UNSUPPORTED, "%s: pieces %d and %d have the same score, so which merges first is not known",
                          t->name, before, list[i].id);
        before = list[i].id;
    }
    mem_free(c, list);
    return st;
}

bool tokenizer_scored_merge(const struct tokenizer *t, size_t i, int32_t *left, int32_t *right)
{
    if (i >= t->n_merges) return false;
    *left = t->merges[i].left;
    *right = t->merges[i].right;
    return true;
}

enum status tokenizer_escape_spaces(struct ctx *c, struct tokenizer *t, bool prefix, bool first)
{
    if (prefix) TRY(rewriter_add_prepend(c, &t->normal, t->name, TOKENIZER_SPACE, false, first));
    t->drops_prefix = prefix;
    return rewriter_add_replace(c, &t->normal, t->name, " ", 1, false, TOKENIZER_SPACE, strlen(TOKENIZER_SPACE));
}
