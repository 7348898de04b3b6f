/* unicode: UTF-8 units, character classes and NFC, as the tokenizers of reference see them.
 *
 * The classes come from a table generated out of the reference implementation (tools/gen_unicode_table.py) and not from
 * utf8proc, whose Unicode version depends on the machine: ids must not. utf8proc does the canonical (de)composition, whose
 * data are frozen for assigned characters by Unicode's stability policy; characters that were assigned after the reference's
 * own NFC was made are left alone here as there (UNICODE_INERT).
 *
 * A byte that is not part of well-formed UTF-8 is a unit of its own, of no class: texts are bytes and any bytes are allowed.
 */
#ifndef YA_IO_UNICODE_H
#define YA_IO_UNICODE_H

#include "base/buf.h"
#include "base/ctx.h"

/* Bits of unicode_class. NUMBER and DIGIT differ in 13 characters that only the newer tables of the reference know. */
enum {
    UNICODE_LETTER = 1,    /* \p{L} */
    UNICODE_NUMBER = 2,    /* \p{N} */
    UNICODE_SPACE = 4,     /* \s */
    UNICODE_PUNCT = 8,     /* \p{P} */
    UNICODE_WORD = 16,     /* \w at the border of an added token */
    UNICODE_DIGIT = 32,    /* what the Digits pre-tokenizer splits */
    UNICODE_INERT = 64,    /* too new for the reference's NFC */
    UNICODE_INERT_K = 128, /* ... and for its NFKC */
    UNICODE_MARK = 256     /* what the Punctuation pre-tokenizer sets apart */
};

struct unicode_range {
    uint32_t first; /* the class holds from here to the next row's first */
    uint16_t bits;
};
extern const struct unicode_range unicode_table[];
extern const size_t unicode_table_rows;

/* General category and script as the reference's regular expressions know them (made by tools/gen_unicode_category.py). */
enum { UNICODE_CATEGORY = 31, UNICODE_SCRIPT_SHIFT = 5, UNICODE_SCRIPT = 31, UNICODE_REGEX_WORD = 1024 };
struct unicode_row {
    uint32_t first; /* holds from here to the next row's first */
    uint16_t value; /* index into unicode_category_names | (index into unicode_script_names + 1) << 5 | 1024 for \w */
};
extern const struct unicode_row unicode_category_table[];
extern const size_t unicode_category_rows;
extern const char *const unicode_category_names[], *const unicode_script_names[]; /* up to a NULL */

/* A code point's class bits; 0 for anything above U+10FFFF. */
unsigned unicode_class(uint32_t cp);

enum { UNICODE_INVALID = 0x110000 }; /* the "code point" of a byte outside well-formed UTF-8 */

struct unicode_unit {
    uint32_t cp; /* or UNICODE_INVALID */
    size_t bytes;
};

/* The unit at s; n > 0 bytes are readable. A byte that begins no well-formed character is UNICODE_INVALID, 1 byte. */
struct unicode_unit unicode_next(const char *s, size_t n);
/* The unit that ends at s + n; n > 0. */
struct unicode_unit unicode_last(const char *s, size_t n);

enum unicode_form { UNICODE_NFC, UNICODE_NFKC };
/* The form is never more than so many times longer than its source, in UTF-8 (Unicode Standard Annex 15). */
enum { UNICODE_NFC_GROWTH = 3, UNICODE_NFKC_GROWTH = 11 };

/* Whether the text is surely in the form already (every unit below U+0300 or U+00A0, or invalid): no copy is needed then. */
bool unicode_is_normal_quick(enum unicode_form form, const char *s, size_t n);
/* Appends the form of n bytes; invalid bytes are copied. Linear time, whatever the order of combining marks. `origins`,
 * unless NULL, gets a uint32_t for each byte appended: where in s it came from. Characters that compose or change order with
 * each other count as coming from the first of them; what the form leaves as it is comes from its own place. The errors of
 * appending to the two buffers, E_MEMORY. */
enum status unicode_normalize(struct ctx *c, enum unicode_form form, const char *s, size_t n, struct buf *out,
                              struct buf *origins);

/* Narrows [*s, *s + *n) as Python's str.strip() does (Jinja's `trim` filter). */
void unicode_strip(const char **s, size_t *n);

#endif
