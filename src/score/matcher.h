/* matcher: counts many words and phrases in one pass over a text.
 *
 * An Aho-Corasick automaton (Aho and Corasick, 1975) with its failure links resolved into a dense table, so the text costs
 * one load a byte, however many patterns there are. Bytes that no pattern tells apart share a column (byte classes): upper
 * and lower case of ASCII letters always, and all white space where `any_space` is set. What the table cannot say is checked
 * at a hit: word boundaries (a letter or digit of any script, or an underscore, must not stand next to the word), exact
 * case, and whether the same pattern already covers these bytes (occurrences do not overlap, as with Python's re.findall).
 *
 * Patterns with letters beyond ASCII match in lower case, in upper case and capitalised. Not done: folding of the four
 * characters beyond ASCII whose lower case is ASCII (Kelvin sign, long s, I with and without dot). */
#ifndef YA_SCORE_MATCHER_H
#define YA_SCORE_MATCHER_H

#include "base/ctx.h"

enum {
    MATCH_LEFT = 1,  /* no word character before it ("art" is not in "smart") */
    MATCH_RIGHT = 2, /* none behind it ("art" is not in "arts") */
    MATCH_EXACT = 4  /* case as written */
};

enum { MATCHER_MAX_PATTERNS = 4096, MATCHER_MAX_BYTES = 1 << 15 }; /* of all patterns together */

/* A further test at a hit, with the place of the occurrence in the text. */
typedef bool matcher_accept(const char *text, size_t n, size_t begin, size_t end);

/* A boundary is asked for only at an end of the pattern that is a word character (".gov" may follow anything). */
struct matcher_pattern {
    const char *text; /* borrowed by the matcher; not empty, no white space at its ends */
    size_t bytes;
    unsigned flags;
    matcher_accept *accept; /* NULL: none */
};

struct matcher; /* opaque, not changed by searching: threads may share it */

/* any_space: a space in a pattern matches any run of ASCII white space, so that phrases are found across line ends.
 * `patterns` is borrowed until matcher_free. NULL with E_INPUT when the limits are passed, E_MEMORY. */
struct matcher *matcher_new(struct ctx *c, const struct matcher_pattern *patterns, size_t n, bool any_space);
/* Frees the automaton, not the patterns. Accepts NULL. */
void matcher_free(struct ctx *c, struct matcher *m);

/* A text is cut into MATCHER_STREAMS parts that are searched side by side, which hides the time of a load (matcher.c).
 * MATCHER_TEXT_MAX: bytes of a text. */
enum { MATCHER_STREAMS = 4, MATCHER_TEXT_MAX = 1 << 30 };

/* One a pattern, of one thread. Zeroed by the caller before each text. */
struct matcher_count {
    uint32_t count;
    uint32_t end[MATCHER_STREAMS]; /* of the last occurrence that counted, in each part of the text */
};

/* Adds the occurrences in text[0..n) to counts[0..n_patterns); n is at most MATCHER_TEXT_MAX. */
void matcher_run(const struct matcher *m, const char *text, size_t n, struct matcher_count *counts);

/* Rows and columns of the table: what the rules cost. */
size_t matcher_states(const struct matcher *m);
size_t matcher_classes(const struct matcher *m);

#endif
