/* pretokenizer: cuts text into the pieces inside which BPE merges. A pre-tokenizer is a list of stages, each applied inside
 * the pieces of the one before. The expressions of the best-known tokenizers are scanners written by hand
 * (pretokenizer_scan.c); all others run by expression.h. Time is linear for any text. */
#ifndef YA_IO_PRETOKENIZER_H
#define YA_IO_PRETOKENIZER_H

#include "io/tokenizer/expression.h"

enum pretokenizer_kind {
    PRE_GPT2,       /* GPT-2's expression */
    PRE_LLAMA3,     /* Llama 3: digits in threes, contractions in any case */
    PRE_QWEN2,      /* Qwen 2 to 3: as Llama 3, digits one by one */
    PRE_DIGIT_EACH, /* every digit apart (SmolLM, StarCoder: before PRE_GPT2) */
    PRE_DIGIT_RUN,  /* every run of digits apart */
    PRE_NUMBER_EACH,
    PRE_NUMBER_RUN, /* the same for \p{N}, as written in an expression */
    PRE_PUNCT_RUN,  /* the four stages of llama.cpp's "default": punctuation, PRE_GPT2, numbers, three digits */
    PRE_ASCII_3,
    PRE_PATTERN /* any other expression */
};

/* What becomes of the matches of an expression and of the text between them. */
enum pretokenizer_behavior {
    SPLIT_ISOLATED,      /* each a piece */
    SPLIT_REMOVED,       /* matches are dropped */
    SPLIT_WITH_PREVIOUS, /* a match belongs to the piece before it */
    SPLIT_WITH_NEXT,     /* ... after it */
    SPLIT_CONTIGUOUS     /* neighbouring matches are one piece */
};

struct pretokenizer_stage {
    enum pretokenizer_kind kind;
    enum pretokenizer_behavior behavior; /* PRE_PATTERN */
    bool invert;                         /* PRE_PATTERN: what does not match counts as the match */
    struct expression *pattern;          /* PRE_PATTERN: owned */
};

enum { PRE_STAGES = 12 };
struct pretokenizer {
    struct pretokenizer_stage stages[PRE_STAGES];
    int n;
};
/* Frees the expressions of its stages, not *pre itself, which is an empty list afterwards. A zeroed one may be released. */
void pretokenizer_release(struct pretokenizer *pre);
/* Appends a stage written by hand. `name` begins the message of E_UNSUPPORTED: too many stages. */
enum status pretokenizer_add(struct ctx *c, struct pretokenizer *pre, const char *name, enum pretokenizer_kind kind);
/* Appends a split by an expression; one that is known and for which `behavior` makes no difference becomes a stage written
 * by hand, unless `plain` asks for the general matcher (tests). */
enum status pretokenizer_add_pattern(struct ctx *c, struct pretokenizer *pre, const char *name, const char *pattern,
                                     size_t n, enum pretokenizer_behavior behavior, bool invert, bool plain);

/* The expression of a stage that is written by hand, as tokenizer.json files spell it; NULL: PRE_DIGIT_*, PRE_PATTERN. */
const char *pretokenizer_pattern(enum pretokenizer_kind kind);
/* Length of the first piece of n > 0 bytes; not for PRE_PATTERN. */
size_t pretokenizer_scan(enum pretokenizer_kind kind, const char *s, size_t n);

/* What llama.cpp's names (tokenizer.ggml.pre) stand for. */
struct pretokenizer_rules {
    const char *names;                    /* separated and enclosed by spaces */
    const char *patterns[PRE_STAGES + 1]; /* expressions, each Isolated; PRETOKENIZER_DIGITS is the Digits pre-tokenizer */
    bool ignore_merges, adds_bos, nfc;
};
#define PRETOKENIZER_DIGITS "\001digits"
/* NULL when the name (n bytes) is not known. */
const struct pretokenizer_rules *pretokenizer_rules_find(const char *name, size_t n);
/* The other way: the first name that stands for these n expressions, with pieces that are tokens kept whole and NFC as
 * given, into `name`. False when there is none. */
bool pretokenizer_rules_name(const char *const *patterns, int n, bool whole, bool nfc, char *name, size_t name_bytes);
/* Appends the stages of such rules; `plain` as above. */
enum status pretokenizer_from_rules(struct ctx *c, struct pretokenizer *pre, const char *name,
                                    const struct pretokenizer_rules *rules, bool plain);

/* Walks over texts: after pretokenizer_start, pretokenizer_next gives piece after piece; *n is 0 at the end. */
struct pretokenizer_cut;
struct pretokenizer_walk {
    const struct pretokenizer *pre;
    const char *text;
    size_t n, at;
    size_t end[PRE_STAGES];        /* end of the current piece of each stage */
    bool dropped[PRE_STAGES];      /* ... which is left out */
    struct pretokenizer_cut *cuts; /* owned: what the stages with patterns remember; NULL: none has one */
};
/* Prepares a walk, and frees it; E_MEMORY. `pre` is borrowed. */
enum status pretokenizer_walk_init(struct ctx *c, struct pretokenizer_walk *w, const struct pretokenizer *pre);
void pretokenizer_walk_release(struct ctx *c, struct pretokenizer_walk *w);
/* Begins a text of n bytes, which is borrowed; the next piece of it, [*piece, *piece + *n). */
void pretokenizer_start(struct pretokenizer_walk *w, const char *text, size_t n);
enum status pretokenizer_next(struct ctx *c, struct pretokenizer_walk *w, const char **piece, size_t *n);

#endif
