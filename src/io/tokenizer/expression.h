/* expression: the regular expressions of tokenizer.json files, as the reference (Oniguruma with Ruby's syntax) reads them:
 * among the matches at a place, the one that a backtracking search would find first. Time and memory are linear in the text
 * for every pattern; what would break that, and what is not understood, is refused by name when the pattern is made.
 *
 * Supported: alternation, groups, greedy, lazy and possessive quantifiers, look-ahead of any form, look-behind of one
 * character, classes with ranges, negation, nesting and intersection, \p of general categories and scripts, \s \d \w \h and
 * their negations, ^ $ \A \z \Z \b, (?i:...) over ASCII letters.
 */
#ifndef YA_IO_EXPRESSION_H
#define YA_IO_EXPRESSION_H

#include "base/ctx.h"

struct expression; /* immutable: threads may share one */

/* n bytes of UTF-8. E_UNSUPPORTED or E_INPUT names the construct and where it stands; `name` begins the message. */
struct expression *expression_new(struct ctx *c, const char *name, const char *source, size_t n);
void expression_free(struct expression *p);

/* What expression_read found out about a text: 3 bytes for each of its bytes. Zero-initialise; may be used again and again.
 */
struct expression_work {
    uint8_t *classes; /* owned: class of the character that starts here, or EXPRESSION_INSIDE */
    uint16_t *states; /* owned: which matches can start or go on here; n + 1 of them */
    size_t n, room;
};
/* Frees it; zeroed, it may be used again. */
void expression_work_release(struct ctx *c, struct expression_work *w);
/* Reads n bytes of a text (any bytes; must stay while matches are looked for). Everything below then answers about this
 * text. E_MEMORY. */
enum status expression_read(struct ctx *c, const struct expression *p, struct expression_work *w, const char *text,
                            size_t n);
/* The leftmost match in the text of the last expression_read that starts at or after byte `from` (a place between
 * characters, at most n); false when there is none. It may be empty. */
bool expression_find(const struct expression *p, const struct expression_work *w, size_t from, size_t *start, size_t *end);
/* A walk over the text of the last expression_read in segments: the matches and what lies between them, as the reference
 * finds all matches: an empty one right behind another match does not count, any other empty one is a segment of no length.
 */
struct expression_cut {
    const struct expression *p;
    const struct expression_work *w;
    size_t from, done, match_start, match_end, last_end;
    bool have_match, matched;
};
struct expression_segment {
    size_t start, end;
    bool is_match;
};
/* Begins a walk, and gives the next segment; false at the end. */
void expression_cut_start(struct expression_cut *cut, const struct expression *p, const struct expression_work *w);
bool expression_cut_next(struct expression_cut *cut, struct expression_segment *out);

/* The place after the character at `at` < n. */
size_t expression_step(const struct expression_work *w, size_t at);

#endif
