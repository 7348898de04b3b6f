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
    UNICODE_LETTER = 1, /* \p{L} */
    UNICODE_NUMBER = 2, /* \p{N} */
    UNICODE_SPACE = 4,  /* \s */
    UNICODE_PUNCT = 8,  /* \p{P} */
    UNICODE_WORD = 16,  /* \w at the border of an added token */
    UNICODE_DIGIT = 32, /* what the Digits pre-tokenizer splits */
    UNICODE_INERT = 64  /* too new for the reference's NFC */
};

struct unicode_range {
    uint32_t first; /* the class holds from here to the next row's first */
    uint8_t bits;
};
extern const struct unicode_range unicode_table[];
extern const size_t unicode_table_rows;

/* A code point's class bits; 0 for anything above U+10FFFF. */
unsigned unicode_class(uint32_t cp);

enum { UNICODE_INVALID = 0x110000 }; /* the "code point" of a byte outside well-formed UTF-8 */

struct unicode_unit {
    uint32_t cp; /* or UNICODE_INVALID */
    size_t bytes;
};

/* The unit at s; n > 0 bytes are readable. */
struct unicode_unit unicode_next(const char *s, size_t n);
/* The unit that ends at s + n; n > 0. */
struct unicode_unit unicode_last(const char *s, size_t n);

/* Whether the text is surely in NFC already (every unit below U+0300 or invalid): no copy is needed then. */
bool unicode_is_nfc_quick(const char *s, size_t n);
/* Appends the NFC form of n bytes; invalid bytes are copied. Linear time, whatever the order of combining marks. */
enum status unicode_nfc(struct ctx *c, const char *s, size_t n, struct buf *out);

/* Narrows [*s, *s + *n) as Python's str.strip() does (Jinja's `trim` filter). */
void unicode_strip(const char **s, size_t *n);

#endif
