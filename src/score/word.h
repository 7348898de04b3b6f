/* word: what counts as a word, white space and a digit in the texts that are scored.
 *
 * The classes are those of Python's `re` on str, because the scorer's rules were first written as such expressions: \w is a
 * letter or number of any script or the underscore, \s is white space of any script. \d is narrowed to the ten ASCII digits
 * (years and reference numbers in other digits are not read). Classes of characters beyond ASCII come from the project's own
 * table (io/tokenizer/unicode.h), so results do not depend on the machine's libraries. A byte outside well-formed UTF-8 is
 * of no class. */
#ifndef YA_SCORE_WORD_H
#define YA_SCORE_WORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORD_LETTER = 1, WORD_SPACE = 2, WORD_DIGIT = 4 }; /* a digit is a LETTER too: both make \w */

/* Classes of the ASCII bytes; 0 from 0x80 up, where the functions below ask the table of characters. */
extern const uint8_t word_ascii[256];

/* Whether the character that starts at `at`, or the one that ends there, is part of a word. False at the ends of the text.
 */
bool word_starts_at(const char *text, size_t n, size_t at);
bool word_ends_at(const char *text, size_t at);

/* Skips what is of the class (WORD_LETTER or WORD_SPACE) from `at` on and returns the place behind it. */
size_t word_skip(const char *text, size_t n, size_t at, unsigned of_class);
/* The same backwards: the start of the run that ends at `at`. */
size_t word_skip_back(const char *text, size_t at, unsigned of_class);

/* ASCII only: a digit, and the lower case of a letter. */
static inline bool word_is_digit(char ch)
{
    return ch >= '0' && ch <= '9';
}
/* The lower case of an ASCII letter; any other byte as it is. */
static inline char word_lower(char ch)
{
    return ch >= 'A' && ch <= 'Z' ? (char)(ch | 0x20) : ch;
}

#endif
