/* rewriter: what tokenizers do to a text before it is cut and merged: the normalizers of a tokenizer.json (NFC, NFKC, Strip,
 * Prepend, Replace), and the part of its Metaspace and ByteLevel pre-tokenizers that changes text. */
#ifndef YA_IO_REWRITER_H
#define YA_IO_REWRITER_H

#include "base/buf.h"
#include "io/tokenizer/expression.h"

enum rewrite_kind { REWRITE_NFC, REWRITE_NFKC, REWRITE_STRIP, REWRITE_PREPEND, REWRITE_REPLACE };

struct rewrite {
    enum rewrite_kind kind;
    char *from, *to; /* owned; from: REPLACE of a string; to: REPLACE, PREPEND */
    size_t n_from, n_to;
    struct expression *pattern; /* owned; REPLACE of an expression; NULL: of the string */
    bool left, right;           /* STRIP: white space at which ends */
    bool unless;                /* PREPEND: not where the text begins with `to` already */
    bool first;                 /* PREPEND: only at the start of the whole text */
};

enum { REWRITES_MAX = 8 };
struct rewriter {
    struct rewrite steps[REWRITES_MAX];
    int n;
};
/* Frees its steps; zeroed, it is an empty list of steps. */
void rewriter_release(struct ctx *c, struct rewriter *r);
/* Appends a step that needs no text. `name` begins the message of E_UNSUPPORTED, too many steps; the same below. */
enum status rewriter_add(struct ctx *c, struct rewriter *r, const char *name, const struct rewrite *step);
/* Appends a step that puts `text` in front: everywhere or, with `first`, at the start of the whole text only; with `unless`
 * not where it stands already. */
enum status rewriter_add_prepend(struct ctx *c, struct rewriter *r, const char *name, const char *text, bool unless,
                                 bool first);
/* Appends a step that replaces every occurrence of `from`, a string, or with `is_pattern` an expression. */
enum status rewriter_add_replace(struct ctx *c, struct rewriter *r, const char *name, const char *from, size_t n_from,
                                 bool is_pattern, const char *to, size_t n_to);

/* Scratch, and the text of the last rewriter_run. Initialise with rewriter_work_init. */
struct rewriter_work {
    struct buf texts[2], origins[2], scratch;
    struct expression_work pattern;
    bool track; /* whether origins are wanted */
    const char *text;
    size_t n;
    const uint32_t *origin; /* [n + 1]: where each byte, and the end, came from; NULL: the text is as it was */
};
/* cap: the most bytes that a text may grow to. */
void rewriter_work_init(struct rewriter_work *w, struct ctx *c, size_t cap, bool track);
void rewriter_work_release(struct ctx *c, struct rewriter_work *w);
/* The most bytes that a text of n may become; more is E_INPUT. */
size_t rewriter_cap(size_t n);
/* Applies all steps; the result stands in *w until the next run. `first`: the text is the start of what is tokenized. With
 * origins, n must be below 2^32. */
enum status rewriter_run(struct ctx *c, const struct rewriter *r, struct rewriter_work *w, const char *text, size_t n,
                         bool first);

#endif
