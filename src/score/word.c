/* word: the classes of characters behind the matcher and the citation expressions (see word.h). ASCII, which is nearly all
 * of most texts, is one look into a table of 256 bytes; only bytes from 0x80 up are decoded and looked up in the table of
 * Unicode categories. */
#include "score/word.h"

#include "io/tokenizer/unicode.h"

/* clang-format off */
#define S WORD_SPACE
#define D (WORD_DIGIT | WORD_LETTER)
#define L WORD_LETTER
const uint8_t word_ascii[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, S, S, S, S, S, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, S, S, S, S,
    S, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, D, D, D, D, D, D, D, D, D, D, 0, 0, 0, 0, 0, 0,
    0, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, 0, 0, 0, 0, L,
    0, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, 0, 0, 0, 0, 0,
};
#undef S
#undef D
#undef L
/* clang-format on */

/* WORD_LETTER and WORD_SPACE of a code point. The numbers of other scripts are letters here, as in Python's \w. */
static unsigned class_of(uint32_t cp)
{
    if (cp < 0x80) return word_ascii[cp];
    unsigned bits = unicode_class(cp);
    return (bits & (UNICODE_LETTER | UNICODE_NUMBER) ? WORD_LETTER : 0) | (bits & UNICODE_SPACE ? WORD_SPACE : 0);
}

bool word_starts_at(const char *text, size_t n, size_t at)
{
    if (at >= n) return false;
    uint8_t ch = (uint8_t)text[at];
    if (ch < 0x80) return word_ascii[ch] & WORD_LETTER;
    return class_of(unicode_next(text + at, n - at).cp) & WORD_LETTER;
}

bool word_ends_at(const char *text, size_t at)
{
    if (at == 0) return false;
    uint8_t ch = (uint8_t)text[at - 1];
    if (ch < 0x80) return word_ascii[ch] & WORD_LETTER;
    return class_of(unicode_last(text, at).cp) & WORD_LETTER;
}

size_t word_skip(const char *text, size_t n, size_t at, unsigned of_class)
{
    while (at < n) {
        struct unicode_unit u = {(uint8_t)text[at], 1};
        if (u.cp >= 0x80) u = unicode_next(text + at, n - at);
        if (!(class_of(u.cp) & of_class)) break;
        at += u.bytes;
    }
    return at;
}

size_t word_skip_back(const char *text, size_t at, unsigned of_class)
{
    while (at > 0) {
        struct unicode_unit u = {(uint8_t)text[at - 1], 1};
        if (u.cp >= 0x80) u = unicode_last(text, at);
        if (!(class_of(u.cp) & of_class)) break;
        at -= u.bytes;
    }
    return at;
}
