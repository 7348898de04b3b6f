/* citation: how a text refers to others, and the year that it gives for itself. Hand-written matchers with the results of
 * the regular expressions in docs/score.md, in time linear in the text.
 *
 * `original` reproduces the expressions as they were published; the default differs from them in four places: a number in
 * brackets counts once, not also as "word and year"; ibid., op. cit. and loc. cit. are whole words; so are the words before
 * a year ("unpublished 1890" is no date of publication). */
#ifndef YA_SCORE_CITATION_H
#define YA_SCORE_CITATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* References in brackets, in parentheses, and as items of a numbered bibliography: [12]  [Smith 2020]  (Smith, 2020)
 * (Smith et al., 2020)  "1. Smith, Title, 2020" on one line. */
int64_t citation_count(const char *text, size_t n, bool original);

/* The year of a text, from its first 2,000 characters: behind a word of publication, or else the first number that looks
 * like a year from 1800 to 2029. False: none. */
bool citation_year(const char *text, size_t n, bool original, int *year);
/* The first year from 1000 to 2029 in a date ("1923-03-15"). */
bool citation_year_of_date(const char *text, size_t n, int *year);
/* The first, or the smallest, year from 1800 to 2029 in text[0..n). */
bool citation_year_first(const char *text, size_t n, int *year);
bool citation_year_least(const char *text, size_t n, int *year);
/* Bytes of the first `characters` characters. */
size_t citation_head(const char *text, size_t n, size_t characters);

/* Tests at a hit of the matcher. Behind "US": any number, or one long enough to be a patent's. Before "cit": "op." or
 * "loc.", anywhere or as a word. */
bool citation_number_any(const char *text, size_t n, size_t begin, size_t end);
bool citation_number_long(const char *text, size_t n, size_t begin, size_t end);
bool citation_cit_any(const char *text, size_t n, size_t begin, size_t end);
bool citation_cit_word(const char *text, size_t n, size_t begin, size_t end);

#endif
