/* pretokenizer_scan: the best-known expressions as scanners written by hand. Their alternatives in order (the first that
 * matches wins, each as long as it can):
 *
 *   GPT-2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   Llama 3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
 *            \s+(?!\S)|\s+
 *   Qwen 2   the same with \p{N} in place of \p{N}{1,3}
 *
 * How white space splits, worked out once so that nothing is tried twice. Take the longest run of \s at the current place.
 * `\s+(?!\S)` matches all of it at the end of the text and all but its last character elsewhere (that one may belong to the
 * next piece), and a single character is left to `\s+`. `\s*[\r\n]+` reaches to the last line break of the run and, where
 * there is one, comes first. The run is scanned again for its rest, so every character is seen at most twice or thrice.
 *
 * A regular-expression library was rejected: PCRE2 backtracks and carries another Unicode version, and RE2 has no lookahead.
 * expression.h reads these expressions too, some times slower; a test holds the two against each other.
 */
#include "io/tokenizer/pretokenizer.h"

#include <string.h>

#include "io/tokenizer/unicode.h"

/* What the scanners ask of a character. OTHER is anything that is neither space, letter nor number. */
enum kind { LETTER, NUMBER, SPACE, BREAK, OTHER };

/* The kind of a code point. */
static enum kind pretokenizer_scan_kind_of(uint32_t cp)
{
    if (cp < 0x80) {
        uint32_t lower = cp | 0x20;
        if (lower >= 'a' && lower <= 'z') return LETTER;
        if (cp >= '0' && cp <= '9') return NUMBER;
        if (cp == '\n' || cp == '\r') return BREAK;
        return cp == ' ' || (cp >= 9 && cp <= 13) ? SPACE : OTHER;
    }
    unsigned bits = unicode_class(cp);
    if (bits & UNICODE_LETTER) return LETTER;
    if (bits & UNICODE_NUMBER) return NUMBER;
    return bits & UNICODE_SPACE ? SPACE : OTHER;
}

/* A line break is white space too. */
static bool is_space(enum kind k)
{
    return k == SPACE || k == BREAK;
}

/* Kind of the unit at s + at and its length; at == n gives length 0 and SPACE, which ends every run of something else. */
static enum kind kind_at(const char *s, size_t n, size_t at, size_t *bytes)
{
    if (at >= n) {
        *bytes = 0;
        return SPACE;
    }
    struct unicode_unit u = unicode_next(s + at, n - at);
    *bytes = u.bytes;
    return pretokenizer_scan_kind_of(u.cp);
}

/* End of the run of one kind from `at` on. */
static size_t run_end(const char *s, size_t n, size_t at, enum kind kind)
{
    size_t bytes;
    while (kind_at(s, n, at, &bytes) == kind && bytes > 0) at += bytes;
    return at;
}

/* Bytes of a contraction ('s 't 're 've 'm 'll 'd) at s, or 0. With any_case the letters match as the reference folds them:
 * U+017F, the long s, is an s. */
static size_t contraction(const char *s, size_t n, bool any_case)
{
    if (n < 2 || s[0] != '\'') return 0;
    if (any_case && n >= 3 && memcmp(s + 1, "\xC5\xBF", 2) == 0) return 3;
    int fold = any_case ? 0x20 : 0;
    int a = s[1] | fold, b = n >= 3 ? s[2] | fold : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' || a == 'v') && b == 'e') return 3;
    return a == 'l' && b == 'l' ? 3 : 0;
}

/* A piece that starts with white space and is not glued to what follows: see the head of this file. */
static size_t space_piece(const char *s, size_t n, bool breaks_first)
{
    size_t at = 0, last = 0, after_break = 0, bytes;
    for (;;) {
        enum kind k = kind_at(s, n, at, &bytes);
        if (bytes == 0 || !is_space(k)) break;
        last = at;
        at += bytes;
        if (k == BREAK) after_break = at;
    }
    if (breaks_first && after_break > 0) return after_break;
    if (at == n || last == 0) return at;
    return last;
}

/* Length of the first piece by GPT-2's expression. */
static size_t scan_gpt2(const char *s, size_t n)
{
    size_t len = contraction(s, n, false);
    if (len > 0) return len;
    size_t first, second;
    enum kind k = kind_at(s, n, 0, &first);
    size_t from = 0; /* where the run starts: after an optional space */
    if (s[0] == ' ') {
        k = kind_at(s, n, first, &second);
        from = first;
    }
    if (is_space(k)) return space_piece(s, n, false);
    return run_end(s, n, from, k);
}

/* max_numbers: how many \p{N} go into one piece. */
static size_t scan_llama3(const char *s, size_t n, int max_numbers)
{
    size_t len = contraction(s, n, true);
    if (len > 0) return len;
    size_t first, second;
    enum kind k = kind_at(s, n, 0, &first);
    enum kind next = kind_at(s, n, first, &second);
    if (k == LETTER) return run_end(s, n, first, LETTER);
    if ((k == SPACE || k == OTHER) && second > 0 && next == LETTER) return run_end(s, n, first, LETTER);
    if (k == NUMBER) {
        size_t at = first;
        for (int i = 1; i < max_numbers && kind_at(s, n, at, &second) == NUMBER; i++) at += second;
        return at;
    }
    bool spaced = s[0] == ' ' && next == OTHER;
    if (k == OTHER || spaced) return run_end(s, n, run_end(s, n, spaced ? first : 0, OTHER), BREAK);
    return space_piece(s, n, true);
}

static bool is_digit(uint32_t cp)
{
    return unicode_class(cp) & UNICODE_DIGIT;
}
static bool is_number(uint32_t cp)
{
    return unicode_class(cp) & UNICODE_NUMBER;
}
static bool is_punct(uint32_t cp)
{
    return (unicode_class(cp) & UNICODE_PUNCT) || (cp < 0x80 && cp > 0 && strchr("$+<=>^~|", (int)cp));
}

/* Splits between members of a set and the rest; with `each` every member is a piece of its own. */
static size_t scan_set(const char *s, size_t n, bool (*member)(uint32_t), bool each)
{
    struct unicode_unit u = unicode_next(s, n);
    bool inside = member(u.cp);
    size_t at = u.bytes;
    if (inside && each) return at;
    for (; at < n; at += u.bytes) {
        u = unicode_next(s + at, n - at);
        if (member(u.cp) != inside) break;
    }
    return at;
}

/* Whether three ASCII digits begin the text. */
static bool three_digits(const char *s, size_t n)
{
    if (n < 3) return false;
    for (int i = 0; i < 3; i++)
        if (s[i] < '0' || s[i] > '9') return false;
    return true;
}

/* Three ASCII digits, or what stands before the next three. */
static size_t scan_ascii_3(const char *s, size_t n)
{
    if (three_digits(s, n)) return 3;
    size_t at = 1;
    while (at < n && !three_digits(s + at, n - at)) at++;
    return at;
}

size_t pretokenizer_scan(enum pretokenizer_kind kind, const char *s, size_t n)
{
    switch (kind) {
    case PRE_GPT2:
        return scan_gpt2(s, n);
    case PRE_LLAMA3:
        return scan_llama3(s, n, 3);
    case PRE_QWEN2:
        return scan_llama3(s, n, 1);
    case PRE_DIGIT_EACH:
        return scan_set(s, n, is_digit, true);
    case PRE_DIGIT_RUN:
        return scan_set(s, n, is_digit, false);
    case PRE_NUMBER_EACH:
        return scan_set(s, n, is_number, true);
    case PRE_NUMBER_RUN:
        return scan_set(s, n, is_number, false);
    case PRE_PUNCT_RUN:
        return scan_set(s, n, is_punct, false);
    case PRE_ASCII_3:
        return scan_ascii_3(s, n);
    case PRE_PATTERN:
        break;
    }
    BUG_ON(NULL, true, "pre-tokenizer stage %d is not written by hand", (int)kind);
}

#define LLAMA3_HEAD "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define LLAMA3_TAIL "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

const char *pretokenizer_pattern(enum pretokenizer_kind kind)
{
    static const char *const patterns[] = {
        [PRE_GPT2] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        [PRE_LLAMA3] = LLAMA3_HEAD "\\p{N}{1,3}" LLAMA3_TAIL,
        [PRE_QWEN2] = LLAMA3_HEAD "\\p{N}" LLAMA3_TAIL,
        [PRE_NUMBER_EACH] = "\\p{N}",
        [PRE_NUMBER_RUN] = "\\p{N}+",
        [PRE_PUNCT_RUN] = "[\\p{P}\\$\\+<=>\\^~\\|]+",
        [PRE_ASCII_3] = "[0-9][0-9][0-9]",
        [PRE_PATTERN] = NULL,
    };
    return patterns[kind];
}
