/* citation: the regular expressions of docs/score.md, written out as matchers. Each expression has one character that is
 * rare in prose ('[', '(' or '.' behind a digit), which memchr finds at memory speed; what stands around it is then looked
 * at by hand. For "(Smith et al., 2020)" the search stops at '(', word_skip passes over the name, and et_al checks the rest.
 *
 * Every matcher looks at a bounded piece of text or at a line that is never looked at twice, so the time is linear in the
 * text whatever it holds; the same expressions in a backtracking engine are quadratic on lines of "1. a, 1. a, ...". */
#include "score/citation.h"

#include <string.h>

#include "score/word.h"

/* Whether four ASCII digits stand at `at`. */
static bool four_digits(const char *text, size_t n, size_t at)
{
    if (n - at < 4) return false;
    for (size_t i = 0; i < 4; i++)
        if (!word_is_digit(text[at + i])) return false;
    return true;
}

/* The number that four ASCII digits make. */
static int year_value(const char *text)
{
    return (text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 + (text[3] - '0');
}

/* Whether text[from, to) is nothing but ASCII digits. */
static bool all_digits(const char *text, size_t from, size_t to)
{
    for (; from < to; from++)
        if (!word_is_digit(text[from])) return false;
    return true;
}

/* ---- references in brackets and parentheses -------------------------------------------------------------------------- */

/* Behind a word that ends at `at`: an optional comma (where `comma`), white space, four digits and `close`. Without anything
 * in between, the four digits are the end of the word itself, which needs a character before them. */
static bool year_and_close(const char *text, size_t n, size_t word, size_t at, bool comma, char close)
{
    if (at < n && text[at] == close) return at - word > 4 && four_digits(text, n, at - 4);
    if (comma && at < n && text[at] == ',') at++;
    at = word_skip(text, n, at, WORD_SPACE);
    return at < n && four_digits(text, n, at) && at + 4 < n && text[at + 4] == close;
}

/* \[\d+\] and \[\w+\s*\d{4}\], from behind the bracket. */
static int bracket(const char *text, size_t n, size_t at, bool original)
{
    size_t word = word_skip(text, n, at, WORD_LETTER);
    if (word == at) return 0;
    bool number = word < n && text[word] == ']' && all_digits(text, at, word);
    if (number && !original) return 1;
    return number + year_and_close(text, n, at, word, false, ']');
}

/* Whether the lower-case ASCII word stands at *at, in any case; *at then moves behind it. */
static bool word_is(const char *text, size_t n, size_t *at, const char *word)
{
    size_t bytes = strlen(word);
    if (n - *at < bytes) return false;
    for (size_t i = 0; i < bytes; i++)
        if (word_lower(text[*at + i]) != word[i]) return false;
    *at += bytes;
    return true;
}

/* \s+et\s+al\.?,?\s*\d{4}\) from behind the name. */
static bool et_al(const char *text, size_t n, size_t at)
{
    size_t next = word_skip(text, n, at, WORD_SPACE);
    if (next == at || !word_is(text, n, &next, "et")) return false;
    at = word_skip(text, n, next, WORD_SPACE);
    if (at == next || !word_is(text, n, &at, "al")) return false;
    if (at < n && text[at] == '.') at++;
    if (at < n && text[at] == ',') at++;
    at = word_skip(text, n, at, WORD_SPACE);
    return at < n && four_digits(text, n, at) && at + 4 < n && text[at + 4] == ')';
}

/* \(\w+,?\s*\d{4}\) and \(\w+\s+et\s+al\.?,?\s*\d{4}\), from behind the parenthesis. */
static int parenthesis(const char *text, size_t n, size_t at)
{
    size_t word = word_skip(text, n, at, WORD_LETTER);
    if (word == at) return 0;
    return year_and_close(text, n, at, word, true, ')') || et_al(text, n, word);
}

/* ---- numbered bibliographies ------------------------------------------------------------------------------------------ */

/* Where four digits in a row end, from `at` on and before the end of the line; 0: nowhere on this line, which ends at *line.
 */
static size_t year_on_line(const char *text, size_t n, size_t at, size_t *line)
{
    int run = 0;
    for (; at < n && text[at] != '\n'; at++) {
        run = word_is_digit(text[at]) ? run + 1 : 0;
        if (run == 4) return at + 1;
    }
    *line = at;
    return 0;
}

/* \d+\.\s+\w+,.*?\d{4}, matches that do not overlap. A line that was searched to its end in vain is not searched again. */
static int64_t bibliography(const char *text, size_t n)
{
    int64_t found = 0;
    size_t end = 0, vain = 0; /* of the last match; up to here no line end follows four digits */
    const char *dot = text;
    while ((dot = memchr(dot, '.', n - (size_t)(dot - text))) != NULL) {
        size_t at = (size_t)(dot - text);
        dot++;
        if (at == 0 || at - 1 < end || !word_is_digit(text[at - 1])) continue;
        /* Cheapest tests first: a digit before the full stop, then the white space, the name and the comma behind it. */
        size_t space = word_skip(text, n, at + 1, WORD_SPACE);
        if (space == at + 1) continue;
        size_t word = word_skip(text, n, space, WORD_LETTER);
        if (word == space || word == n || text[word] != ',' || word + 1 < vain) continue;
        size_t year = year_on_line(text, n, word + 1, &vain);
        if (year == 0) continue;
        found++;
        end = year;
        dot = text + year;
    }
    return found;
}

int64_t citation_count(const char *text, size_t n, bool original)
{
    int64_t found = n ? bibliography(text, n) : 0;
    const char *end = text + n, *p = text;
    for (; p < end && (p = memchr(p, '[', (size_t)(end - p))) != NULL; p++)
        found += bracket(text, n, (size_t)(p - text) + 1, original);
    for (p = text; p < end && (p = memchr(p, '(', (size_t)(end - p))) != NULL; p++)
        found += parenthesis(text, n, (size_t)(p - text) + 1);
    return found;
}

/* ---- years ------------------------------------------------------------------------------------------------------------ */

size_t citation_head(const char *text, size_t n, size_t characters)
{
    if (n <= characters) return n;
    size_t at = 0;
    for (; at < n; at++) {
        if (((uint8_t)text[at] & 0xC0) == 0x80) continue;
        if (characters == 0) break;
        characters--;
    }
    return at;
}

/* Whether one of eight bytes is a digit: a byte b is one when b ^ 0x30 is below 10, which the usual test for a byte below n
 * answers for all eight at once. */
static bool any_digit(const char *text)
{
    uint64_t v;
    memcpy(&v, text, sizeof v);
    v ^= UINT64_C(0x3030303030303030);
    return (v - UINT64_C(0x0A0A0A0A0A0A0A0A)) & ~v & UINT64_C(0x8080808080808080);
}

/* The next run of digits from *at on, [*at, *end). */
static bool next_digits(const char *text, size_t n, size_t *at, size_t *end)
{
    while (*at + 8 <= n && !any_digit(text + *at)) *at += 8;
    while (*at < n && !word_is_digit(text[*at])) ++*at;
    for (*end = *at; *end < n && word_is_digit(text[*end]);) ++*end;
    return *at < n;
}

/* Whether the digits [at, end) are a year of the form \b(FIRST...)\b: four of them alone, from `least` to 2029. */
static bool is_year(const char *text, size_t n, size_t at, size_t end, int least, int *year)
{
    if (end - at != 4 || word_ends_at(text, at) || word_starts_at(text, n, end)) return false;
    int value = year_value(text + at);
    if (value < least || value > 2029) return false;
    *year = value;
    return true;
}

/* The first number of four digits from `least` to 2029 that stands alone. */
static bool first_year(const char *text, size_t n, int least, int *year)
{
    size_t at = 0, end;
    for (; next_digits(text, n, &at, &end); at = end)
        if (is_year(text, n, at, end, least, year)) return true;
    return false;
}

bool citation_year_of_date(const char *text, size_t n, int *year)
{
    return first_year(text, n, 1000, year);
}

bool citation_year_first(const char *text, size_t n, int *year)
{
    return first_year(text, n, 1800, year);
}

bool citation_year_least(const char *text, size_t n, int *year)
{
    bool found = false;
    size_t at = 0, end;
    int value;
    for (; next_digits(text, n, &at, &end); at = end) {
        if (!is_year(text, n, at, end, 1800, &value) || (found && value > *year)) continue;
        *year = value;
        found = true;
    }
    return found;
}

/* Whether the word ends at `at`; *begin becomes its start. Letters only, in any case. */
static bool ends_in(const char *text, size_t at, const char *word, size_t *begin)
{
    size_t bytes = strlen(word);
    if (at < bytes) return false;
    *begin = at - bytes;
    size_t end = *begin;
    return word_is(text, at, &end, word);
}

/* Whether a word of publication ends at `at`. The original takes it as a part of a longer word too ("unpublished 1890"); a
 * whole word is asked for otherwise, but not before the sign (C), which may follow anything. */
static bool ends_in_publication(const char *text, size_t at, bool original)
{
    static const char *const words[] = {"copyright", "\xC2\xA9", "published", "written"};
    size_t begin;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ends_in(text, at, words[i], &begin)) return original || i == 1 || !word_ends_at(text, begin);
    return false;
}

/* (?:copyright|(c)|published|written)\s*(?:in\s*)?(\d{4}) : whether that stands before the digits at `at`. */
static bool is_published(const char *text, size_t at, bool original)
{
    size_t before = word_skip_back(text, at, WORD_SPACE), begin;
    if (ends_in(text, before, "in", &begin) && ends_in_publication(text, word_skip_back(text, begin, WORD_SPACE), original))
        return true;
    return ends_in_publication(text, before, original);
}

bool citation_year(const char *text, size_t n, bool original, int *year)
{
    bool found = false, tried = false; /* a year without such a word; the first year with one, which was no good */
    n = citation_head(text, n, 2000);
    size_t at = 0, end;
    for (; next_digits(text, n, &at, &end); at = end) {
        if (end - at < 4) continue;
        if (!found) found = is_year(text, n, at, end, 1800, year);
        if (tried || !is_published(text, at, original)) continue;
        int value = year_value(text + at);
        if (value >= 1500 && value <= 2030) {
            *year = value;
            return true;
        }
        tried = true;
    }
    return found;
}

/* ---- tests at a hit ---- */

bool citation_number_any(const char *text, size_t n, size_t begin, size_t end)
{
    (void)begin;
    end = word_skip(text, n, end, WORD_SPACE);
    return end < n && word_is_digit(text[end]);
}

/* "US2345678", "US 2,345,678", "EP 0123456": five digits joined to the letters, or seven behind a space, which money and
 * street numbers seldom have. */
bool citation_number_long(const char *text, size_t n, size_t begin, size_t end)
{
    (void)begin;
    bool space = end < n && text[end] == ' ';
    int digits = 0;
    for (size_t at = end + space; at < n; at++) {
        if (word_is_digit(text[at]))
            digits++;
        else if (text[at] != ',' || digits == 0 || at + 1 == n || !word_is_digit(text[at + 1]))
            break;
    }
    return digits >= (space ? 7 : 5) && digits <= 13;
}

/* Behind op or loc, with an optional full stop and white space: where those letters begin, or SIZE_MAX. */
static size_t op_or_loc(const char *text, size_t begin)
{
    size_t at = word_skip_back(text, begin, WORD_SPACE), start;
    if (at > 0 && text[at - 1] == '.') at--;
    if (ends_in(text, at, "op", &start) || ends_in(text, at, "loc", &start)) return start;
    return SIZE_MAX;
}

bool citation_cit_any(const char *text, size_t n, size_t begin, size_t end)
{
    (void)n, (void)end;
    return op_or_loc(text, begin) != SIZE_MAX;
}

bool citation_cit_word(const char *text, size_t n, size_t begin, size_t end)
{
    (void)n, (void)end;
    size_t at = op_or_loc(text, begin);
    return at != SIZE_MAX && !word_ends_at(text, at);
}
