/* json_scan: see the header. A state machine over five expectations: a value, a value or the end of an array, a key or the
 * end of an object, a comma or an end, nothing. Nesting is a bit for each level and not recursion, so a deep document costs
 * no stack.
 *
 * For {"a": [1]} the calls give OBJECT, KEY a, ARRAY, INTEGER 1, ARRAY_END, OBJECT_END, END.
 *
 * Rejected: jansson's own parser as the only reader, because it cannot bound memory before it builds, refuses integers over
 * 64 bits (tokenizer_config.json has one) and U+0000 in keys. */
#include "io/json_scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

void json_scan_init(struct json_scan *s, struct ctx *c, const char *what, const char *text, size_t n)
{
    memset(s, 0, sizeof *s);
    s->c = c;
    s->what = what;
    s->text = text;
    s->n = n;
    s->expect = EXPECT_VALUE;
    buf_init(&s->decoded, c, n + 1); /* decoding never makes a string longer */
}

void json_scan_restart(struct json_scan *s, const char *what, const char *text, size_t n)
{
    s->what = what;
    s->text = text;
    s->n = n;
    s->at = s->token_at = 0;
    s->expect = EXPECT_VALUE;
    s->depth = 0;
    s->decoded.cap_bytes = n + 1;
    buf_clear(&s->decoded);
}

void json_scan_release(struct json_scan *s)
{
    buf_release(&s->decoded);
}

/* Fails at an offset: lines and columns (in bytes, from 1) are counted only now, when somebody wants to read them. */
static enum json_token fail_at(struct json_scan *s, size_t at, const char *message)
{
    size_t line = 1, start = 0;
    for (size_t i = 0; i < at; i++) {
        if (s->text[i] != '\n') continue;
        line++;
        start = i + 1;
    }
    if (line == 1 && !memchr(s->text, '\n', s->n)) /* of a file of rows `what` names the line: "rows.jsonl:5: column 13" */
        ctx_fail(s->c, E_INPUT, "%s: column %zu: %s", s->what, at + 1, message);
    else
        ctx_fail(s->c, E_INPUT, "%s: line %zu, column %zu: %s", s->what, line, at - start + 1, message);
    return SCAN_FAILED;
}

/* The same for functions that return bool. */
static bool refuse_at(struct json_scan *s, size_t at, const char *message)
{
    fail_at(s, at, message);
    return false;
}

bool json_scan_fail(struct json_scan *s, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return refuse_at(s, s->token_at, message);
}

bool json_scan_is(const struct json_scan *s, const char *name)
{
    size_t n = strlen(name);
    return n == s->string_bytes && memcmp(s->string, name, n) == 0;
}

bool json_scan_i64(const struct json_scan *s, int64_t *out)
{
    const char *p = s->string, *end = p + s->string_bytes;
    bool negative = *p == '-';
    int64_t v = 0;
    for (p += negative; p < end; p++) {
        int digit = *p - '0'; /* subtracted for negatives: INT64_MIN has no positive twin */
        if (__builtin_mul_overflow(v, (int64_t)10, &v)) return false;
        if (__builtin_add_overflow(v, (int64_t)(negative ? -digit : digit), &v)) return false;
    }
    *out = v;
    return true;
}

/* White space of JSON, which is four characters. */
static void scan_skip_space(struct json_scan *s)
{
    while (s->at < s->n) {
        char ch = s->text[s->at];
        if (ch != ' ' && ch != '\n' && ch != '\r' && ch != '\t') return;
        s->at++;
    }
}

/* Four hex digits at `at`, or -1. */
static int32_t hex4(const struct json_scan *s, size_t at)
{
    if (s->n - at < 4) return -1;
    int32_t v = 0;
    for (size_t i = at; i < at + 4; i++) {
        int ch = (unsigned char)s->text[i];
        int digit = ch >= '0' && ch <= '9'                     ? ch - '0'
                    : (ch | 0x20) >= 'a' && (ch | 0x20) <= 'f' ? (ch | 0x20) - 'a' + 10
                                                               : -1;
        if (digit < 0) return -1;
        v = v * 16 + digit;
    }
    return v;
}

/* A code point as UTF-8. */
static void append_code_point(struct buf *b, uint32_t cp)
{
    char out[4];
    size_t n;
    if (cp < 0x80) {
        out[0] = (char)cp;
        n = 1;
    } else if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        n = 2;
    } else if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        n = 3;
    } else {
        out[0] = (char)(0xf0 | cp >> 18);
        n = 4;
    }
    for (size_t i = 1; i < n; i++) out[i] = (char)(0x80 | (cp >> (6 * (n - 1 - i)) & 0x3f));
    buf_append(b, out, n);
}

static const char LONE_SURROGATE[] =
    "escape of a lone surrogate, one half of a character: write both halves, or leave it out";

/* \uXXXX, s->at on the first digit; a high surrogate must be followed by the escape of a low one. */
static bool unicode_escape(struct json_scan *s)
{
    size_t start = s->at - 2;
    int32_t unit = hex4(s, s->at);
    if (unit < 0) return refuse_at(s, start, "\\u needs four hex digits");
    s->at += 4;
    uint32_t cp = (uint32_t)unit;
    if (cp >= 0xd800 && cp < 0xdc00) {
        int32_t low = s->n - s->at >= 6 && s->text[s->at] == '\\' && s->text[s->at + 1] == 'u' ? hex4(s, s->at + 2) : -1;
        if (low < 0xdc00 || low > 0xdfff) return refuse_at(s, start, LONE_SURROGATE);
        s->at += 6;
        cp = 0x10000 + ((cp - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
    } else if (cp >= 0xdc00 && cp < 0xe000) {
        return refuse_at(s, start, LONE_SURROGATE);
    }
    append_code_point(&s->decoded, cp);
    return true;
}

/* One escape, s->at on the backslash. */
static bool read_escape(struct json_scan *s)
{
    static const char meaning[128] = {
        ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};
    s->at++;
    if (s->at == s->n) return refuse_at(s, s->token_at, "unterminated string");
    char ch = s->text[s->at++];
    if (ch == 'u') return unicode_escape(s);
    if ((uint8_t)ch >= 128 || !meaning[(uint8_t)ch]) return refuse_at(s, s->at - 2, "unknown escape in a string");
    buf_append_char(&s->decoded, meaning[(uint8_t)ch]);
    return true;
}

/* Whether all of eight bytes are ASCII that stands for itself in a string: no quote, no backslash, nothing below 0x20. The
 * test of each byte leaves its answer in the byte's top bit; a borrow from a lower byte can only add a false alarm. */
static bool all_plain(const char *text)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t v;
    memcpy(&v, text, sizeof v);
    uint64_t quote = v ^ ones * '"', escape = v ^ ones * '\\';
    return !((v | (v - ones * 0x20) | (quote - ones) | (escape - ones)) & ones * 0x80);
}

/* Moves over plain characters up to a quote or backslash. */
static bool skip_plain(struct json_scan *s)
{
    while (s->at < s->n) {
        while (s->n - s->at >= 8 && all_plain(s->text + s->at)) s->at += 8;
        if (s->at == s->n) break;
        unsigned char ch = (unsigned char)s->text[s->at];
        if (ch == '"' || ch == '\\') return true;
        if (ch < 0x20) return refuse_at(s, s->at, "control character in a string (it must be escaped)");
        size_t n = utf8_length((const uint8_t *)s->text + s->at, s->n - s->at);
        if (n == 0)
            return refuse_at(s, s->at, "invalid UTF-8 in a string (of an older encoding? iconv -f WINDOWS-1252 -t UTF-8)");
        s->at += n;
    }
    return refuse_at(s, s->token_at, "unterminated string");
}

/* A string, s->at on the opening quote. Without escapes the result points into the text. */
static bool scan_read_string(struct json_scan *s)
{
    size_t run = ++s->at;
    bool copied = false;
    buf_clear(&s->decoded);
    for (;;) {
        if (!skip_plain(s)) return false;
        bool ends = s->text[s->at] == '"';
        if (ends && !copied) break;
        buf_append(&s->decoded, s->text + run, s->at - run);
        if (ends) break;
        copied = true;
        if (!read_escape(s)) return false;
        run = s->at;
    }
    s->string = copied ? buf_str(&s->decoded) : s->text + run;
    s->string_bytes = copied ? s->decoded.len : s->at - run;
    s->at++;
    return buf_ok(&s->decoded);
}

/* One or more digits. */
static bool scan_digits(struct json_scan *s)
{
    size_t start = s->at;
    while (s->at < s->n && s->text[s->at] >= '0' && s->text[s->at] <= '9') s->at++;
    return s->at > start;
}

/* Takes the character if it comes next. */
static bool scan_take(struct json_scan *s, char ch)
{
    if (s->at == s->n || s->text[s->at] != ch) return false;
    s->at++;
    return true;
}

/* A number by the grammar -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? */
static enum json_token scan_read_number(struct json_scan *s)
{
    size_t start = s->at;
    bool real = false;
    scan_take(s, '-');
    if (!scan_take(s, '0') && !scan_digits(s)) return fail_at(s, start, "a number needs digits");
    if (scan_take(s, '.')) {
        real = true;
        if (!scan_digits(s)) return fail_at(s, start, "a number needs digits after its point");
    }
    if (scan_take(s, 'e') || scan_take(s, 'E')) {
        real = true;
        if (!scan_take(s, '+')) scan_take(s, '-');
        if (!scan_digits(s)) return fail_at(s, start, "a number needs digits in its exponent");
    }
    if (s->at - start > JSON_MAX_NUMBER) return fail_at(s, start, "number literal longer than 1024 characters");
    s->string = s->text + start;
    s->string_bytes = s->at - start;
    return real ? SCAN_REAL : SCAN_INTEGER;
}

/* What to say where no value begins: other languages write some values in ways that look like JSON. */
static const char *explain_word(const struct json_scan *s)
{
    static const struct {
        const char *word, *what;
    } words[] = {
        {"NaN", "NaN is no JSON value: write null, or leave the member out"},
        {"Infinity", "Infinity is no JSON value: write null, or leave the member out"},
        {"None", "None is no JSON value: write null (in Python, json.dumps does)"},
        {"True", "True is no JSON value: write true (in Python, json.dumps does)"},
        {"False", "False is no JSON value: write false (in Python, json.dumps does)"},
        {"'", "a JSON string stands between double quotes (in Python, json.dumps writes them)"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i].word);
        if (s->n - s->at >= n && memcmp(s->text + s->at, words[i].word, n) == 0) return words[i].what;
    }
    return "expected a JSON value";
}

/* true, false or null. */
static enum json_token read_word(struct json_scan *s)
{
    static const struct {
        const char *word;
        enum json_token token;
    } words[] = {{"true", SCAN_TRUE}, {"false", SCAN_FALSE}, {"null", SCAN_NULL}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i].word);
        if (s->n - s->at < n || memcmp(s->text + s->at, words[i].word, n) != 0) continue;
        s->at += n;
        return words[i].token;
    }
    if (s->at == 0 && s->n >= 3 && memcmp(s->text, "\xef\xbb\xbf", 3) == 0) {
        return fail_at(s, 0, "byte order mark before the JSON text (save the file as UTF-8 without one)");
    }
    return fail_at(s, s->at, explain_word(s));
}

/* After a complete value: what the enclosing container allows. */
static void after_value(struct json_scan *s)
{
    s->expect = s->depth ? EXPECT_COMMA_OR_END : EXPECT_NOTHING;
}

/* An object or array begins. */
static enum json_token open_container(struct json_scan *s, bool object)
{
    if (s->depth == JSON_MAX_DEPTH) return fail_at(s, s->at, "nested deeper than 128 levels");
    s->in_object[s->depth++] = object;
    s->at++;
    s->expect = object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
    return object ? SCAN_OBJECT : SCAN_ARRAY;
}

/* The innermost one ends. */
static enum json_token close_container(struct json_scan *s)
{
    bool object = s->in_object[--s->depth];
    s->at++;
    after_value(s);
    return object ? SCAN_OBJECT_END : SCAN_ARRAY_END;
}

/* A key with its colon. */
static enum json_token json_scan_read_key(struct json_scan *s)
{
    if (s->text[s->at] != '"') return fail_at(s, s->at, "expected a key in double quotes");
    if (!scan_read_string(s)) return SCAN_FAILED;
    scan_skip_space(s);
    if (!scan_take(s, ':')) return fail_at(s, s->at, "expected ':' after a key");
    s->expect = EXPECT_VALUE;
    return SCAN_KEY;
}

/* A value, by its first character. */
static enum json_token scan_read_value(struct json_scan *s)
{
    char ch = s->text[s->at];
    if (ch == '{' || ch == '[') return open_container(s, ch == '{');
    enum json_token t;
    if (ch == '"')
        t = scan_read_string(s) ? SCAN_STRING : SCAN_FAILED;
    else if (ch == '-' || (ch >= '0' && ch <= '9'))
        t = scan_read_number(s);
    else
        t = read_word(s);
    after_value(s);
    return t;
}

/* Handles ',' and the closing bracket; s->expect is then what must follow. */
static enum json_token next_item(struct json_scan *s)
{
    bool object = s->in_object[s->depth - 1];
    if (s->text[s->at] == (object ? '}' : ']')) return close_container(s);
    if (s->text[s->at] != ',') return fail_at(s, s->at, object ? "expected ',' or '}'" : "expected ',' or ']'");
    s->at++;
    scan_skip_space(s);
    s->token_at = s->at;
    if (s->at == s->n) return fail_at(s, s->at, "unexpected end of the JSON text");
    return object ? json_scan_read_key(s) : scan_read_value(s);
}

enum json_token json_scan_next(struct json_scan *s)
{
    if (!ctx_ok(s->c)) return SCAN_FAILED;
    scan_skip_space(s);
    s->token_at = s->at;
    if (s->at == s->n) {
        return s->expect == EXPECT_NOTHING ? SCAN_END : fail_at(s, s->at, "unexpected end of the JSON text");
    }
    char ch = s->text[s->at];
    switch (s->expect) {
    case EXPECT_NOTHING:
        return fail_at(s, s->at, "unexpected text after the JSON document");
    case EXPECT_COMMA_OR_END:
        return next_item(s);
    case EXPECT_KEY_OR_END:
        return ch == '}' ? close_container(s) : json_scan_read_key(s);
    case EXPECT_VALUE_OR_END:
        return ch == ']' ? close_container(s) : scan_read_value(s);
    case EXPECT_VALUE:
        return scan_read_value(s);
    }
    return SCAN_FAILED;
}

bool json_scan_skip(struct json_scan *s, enum json_token t)
{
    if (t != SCAN_OBJECT && t != SCAN_ARRAY) return t != SCAN_FAILED;
    int outside = s->depth - 1;
    while (s->depth > outside) {
        if (json_scan_next(s) == SCAN_FAILED) return false;
    }
    return true;
}
