/* jinja_lexer: see jinja_lexer.h. Operators of two characters have a letter: == '=', != '!', <= 'l', >= 'g', // 'd', ** 'p';
 * a single = is 'a'. */
#include "io/template/jinja_lexer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "io/tokenizer/unicode.h"

/* A failure at the line of the current place. */
static enum status lexer_fail(const struct jinja_lexer *l, enum status status, const char *what)
{
    return ctx_fail(l->t->c, status, "%s: line %d: %s", l->t->name, (int)l->line, what);
}

/* \r\n and \r become \n, and one line break at the end goes, as jinja2 does. */
enum status jinja_lexer_start(struct jinja_lexer *l, struct jinja_template *t, const char *source, size_t n)
{
    *l = (struct jinja_lexer){.t = t, .line = 1, .line_starting = true};
    char *copy = jinja_arena_alloc(&t->arena, n + 1, 1);
    if (!copy) return t->c->status;
    for (size_t i = 0; i < n; i++) {
        if (source[i] == '\r' && i + 1 < n && source[i + 1] == '\n') continue;
        copy[l->n++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (l->n > 0 && copy[l->n - 1] == '\n') l->n--;
    copy[l->n] = '\0';
    l->source = copy;
    return OK;
}

/* Whether the source has `what` at a place. */
static bool lexer_is(const struct jinja_lexer *l, size_t at, const char *what)
{
    size_t n = strlen(what);
    return l->n - at >= n && memcmp(l->source + at, what, n) == 0;
}

/* Moves on to a place and counts the lines on the way. */
static void lexer_move(struct jinja_lexer *l, size_t to)
{
    for (; l->at < to; l->at++) l->line += l->source[l->at] == '\n';
}

/* The first byte from `at` on that is not white space, as \s matches it. */
static size_t lexer_skip_space(const struct jinja_lexer *l, size_t at)
{
    while (at < l->n) {
        struct unicode_unit u = unicode_next(l->source + at, l->n - at);
        if (!jinja_text_is_space(u.cp)) break;
        at += u.bytes;
    }
    return at;
}

/* ---- text between tags ---- */

/* Whether a tag begins at `at`; its sort ('{', '%' or '#'). */
static char tag_at(const struct jinja_lexer *l, size_t at)
{
    if (at + 1 >= l->n || l->source[at] != '{') return 0;
    char next = l->source[at + 1];
    return next == '{' || next == '%' || next == '#' ? next : 0;
}

/* Behind the end of a block tag at `at` (its sign is there): white space after "-", one line break unless "+". */
static size_t after_block(const struct jinja_lexer *l, size_t at)
{
    char sign = l->source[at];
    size_t end = sign == '-' || sign == '+' ? at + 3 : at + 2;
    if (sign == '-') return lexer_skip_space(l, end);
    return sign != '+' && end < l->n && l->source[end] == '\n' ? end + 1 : end;
}

/* Cuts the text in front of a tag: all white space before a "-", else what stands before a tag that is not {{ in its line.
 */
static struct jinja_string cut_text(const struct jinja_lexer *l, size_t from, size_t tag, char sort, char sign)
{
    struct jinja_string text = {l->source + from, NULL, tag - from};
    if (sign == '-') return jinja_text_strip(text, NULL, STRIP_RIGHT);
    if (sign == '+' || sort == '{') return text;
    size_t line = text.n;
    while (line > 0 && text.s[line - 1] != '\n') line--;
    if (line == 0 && !l->line_starting) return text;
    struct jinja_string rest = jinja_part(text, line, text.n);
    if (rest.n > 0 && jinja_text_strip(rest, NULL, STRIP_LEFT).n == 0) text.n = line;
    return text;
}

/* Behind "{%", a sign and a word; 0 when something else stands there. */
static size_t after_word(const struct jinja_lexer *l, size_t tag, const char *word)
{
    size_t at = tag + 2;
    if (at < l->n && (l->source[at] == '-' || l->source[at] == '+')) at++;
    at = lexer_skip_space(l, at);
    return lexer_is(l, at, word) ? lexer_skip_space(l, at + strlen(word)) : 0;
}

/* Where the end of a block stands at `at` ("%}", "-%}", with `plus` also "+%}"). */
static bool closes_block(const struct jinja_lexer *l, size_t at, bool plus)
{
    return lexer_is(l, at, "%}") || lexer_is(l, at, "-%}") || (plus && lexer_is(l, at, "+%}"));
}

/* {# ... #}. */
static enum status skip_comment(struct jinja_lexer *l, size_t tag)
{
    const char *end = memmem(l->source + tag + 2, l->n - tag - 2, "#}", 2);
    if (!end) return lexer_fail(l, E_INPUT, "a comment without an end");
    size_t at = (size_t)(end - l->source);
    size_t body = tag + 2; /* a sign is that of the start first: {#-#} ends without one */
    body += l->source[body] == '-' || l->source[body] == '+';
    char sign = at > body ? l->source[at - 1] : 0;
    lexer_move(l, after_block(l, sign == '-' || sign == '+' ? at - 1 : at));
    l->line_starting = l->at > 0 && l->source[l->at - 1] == '\n';
    return OK;
}

/* The text of {% raw %}, up to and without the tag that ends it. */
static enum status lex_raw(struct jinja_lexer *l, struct jinja_token *out)
{
    for (size_t at = l->at; at < l->n; at++) {
        if (tag_at(l, at) != '%') continue;
        size_t end = after_word(l, at, "endraw");
        if (end == 0 || !closes_block(l, end, true)) continue;
        char sign = l->source[at + 2] == '-' || l->source[at + 2] == '+' ? l->source[at + 2] : 0;
        *out = (struct jinja_token){.kind = TOKEN_TEXT, .line = l->line, .text = cut_text(l, l->at, at, '%', sign)};
        lexer_move(l, after_block(l, end));
        l->line_starting = l->source[l->at - 1] == '\n';
        l->raw = false;
        return OK;
    }
    return lexer_fail(l, E_INPUT, "{% raw %} without {% endraw %}");
}

/* Steps into the tag at `tag`; comments and {% raw %} are passed. */
static enum status open_tag(struct jinja_lexer *l, size_t tag, char sort, char sign)
{
    if (sort == '#') return skip_comment(l, tag);
    size_t raw = sort == '%' ? after_word(l, tag, "raw") : 0;
    if (raw > 0 && closes_block(l, raw, false)) {
        bool minus = l->source[raw] == '-';
        lexer_move(l, minus ? lexer_skip_space(l, raw + 3) : raw + 2);
        l->line_starting = l->source[l->at - 1] == '\n';
        l->raw = true;
        return OK;
    }
    lexer_move(l, tag + 2 + (sign != 0));
    l->line_starting = false;
    l->state = sort == '{' ? LEXER_PRINT : LEXER_BLOCK;
    l->opened = true;
    return OK;
}

/* Text up to the next tag, or the tag. */
static enum status lex_root(struct jinja_lexer *l, struct jinja_token *out)
{
    if (l->raw) return lex_raw(l, out);
    size_t from = l->at, tag = from;
    while (tag < l->n && !tag_at(l, tag)) tag++;
    char sort = tag_at(l, tag), sign = 0;
    if (!sort) {
        *out = (struct jinja_token){.kind = from < l->n ? TOKEN_TEXT : TOKEN_END, .line = l->line};
        out->text = (struct jinja_string){l->source + from, NULL, l->n - from};
        lexer_move(l, l->n);
        return OK;
    }
    if (tag + 2 < l->n && (l->source[tag + 2] == '-' || l->source[tag + 2] == '+')) sign = l->source[tag + 2];
    *out = (struct jinja_token){.kind = TOKEN_TEXT, .line = l->line, .text = cut_text(l, from, tag, sort, sign)};
    return open_tag(l, tag, sort, sign);
}

/* ---- inside tags ---- */

static bool lexer_is_digit(char ch)
{
    return ch >= '0' && ch <= '9';
}

static bool lexer_is_letter(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_' || (unsigned char)ch >= 0x80;
}

/* A code point as UTF-8. */
static void append_character(struct jinja_builder *b, uint32_t cp)
{
    char s[4];
    size_t n = 0;
    if (cp < 0x80) {
        s[n++] = (char)cp;
    } else if (cp < 0x800) {
        s[n++] = (char)(0xC0 | cp >> 6);
    } else if (cp < 0x10000) {
        s[n++] = (char)(0xE0 | cp >> 12);
        s[n++] = (char)(0x80 | (cp >> 6 & 63));
    } else {
        s[n++] = (char)(0xF0 | cp >> 18);
        s[n++] = (char)(0x80 | (cp >> 12 & 63));
        s[n++] = (char)(0x80 | (cp >> 6 & 63));
    }
    if (cp >= 0x80) s[n++] = (char)(0x80 | (cp & 63));
    jinja_builder_bytes(b, s, n, false);
}

/* \xNN, \uNNNN, \UNNNNNNNN with the digits at `at`. */
static enum status append_hex(struct jinja_lexer *l, struct jinja_builder *b, size_t at, size_t end, size_t digits)
{
    uint32_t cp = 0;
    for (size_t i = 0; i < digits; i++) {
        char ch = at + i < end ? l->source[at + i] : 'x';
        int v = lexer_is_digit(ch)       ? ch - '0'
                : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
                : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                         : -1;
        if (v < 0) return lexer_fail(l, E_INPUT, "an escape in a string that is not complete");
        cp = cp << 4 | (uint32_t)v;
    }
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000))
        return lexer_fail(l, E_UNSUPPORTED, "an escape in a string that is no character");
    append_character(b, cp);
    return OK;
}

/* The escape at `at`, behind the backslash; *used is how long it is. */
static enum status append_escape(struct jinja_lexer *l, struct jinja_builder *b, size_t at, size_t end, size_t *used)
{
    static const char from[] = "\n\\'\"abfnrtv", to[] = "\0\\'\"\a\b\f\n\r\t\v";
    char ch = l->source[at];
    *used = 1;
    if (ch == 'x' || ch == 'u' || ch == 'U') {
        size_t digits = ch == 'x' ? 2 : ch == 'u' ? 4 : 8;
        *used += digits;
        return append_hex(l, b, at + 1, end, digits);
    }
    if (ch == 'N') return lexer_fail(l, E_UNSUPPORTED, "the escape \\N in a string");
    if ((unsigned char)ch >= 0x80)
        return lexer_fail(l, E_UNSUPPORTED, "a backslash in front of a character that is not ASCII");
    if (ch >= '0' && ch <= '7') {
        uint32_t cp = 0;
        for (*used = 0; *used < 3 && at + *used < end && l->source[at + *used] >= '0' && l->source[at + *used] <= '7';
             ++*used)
            cp = cp * 8 + (uint32_t)(l->source[at + *used] - '0');
        append_character(b, cp);
        return OK;
    }
    const char *known = strchr(from, ch);
    if (ch == '\n') return OK; /* a backslash joins two lines */
    if (!known || ch == '\0') {
        jinja_builder_bytes(b, "\\", 1, false);
        *used = 0;
    } else {
        jinja_builder_bytes(b, &to[known - from], 1, false);
    }
    return OK;
}

/* A string constant, its escapes resolved. */
static enum status lex_string(struct jinja_lexer *l, struct jinja_token *out)
{
    char quote = l->source[l->at];
    size_t end = l->at + 1;
    bool escapes = false;
    for (; end < l->n && l->source[end] != quote; end++)
        if (l->source[end] == '\\') {
            escapes = true;
            end++;
        }
    if (end >= l->n) return lexer_fail(l, E_INPUT, "a string without an end");
    struct jinja_builder b = {.a = &l->t->arena};
    size_t at = l->at + 1, used;
    while (escapes && at < end) {
        const char *slash = memchr(l->source + at, '\\', end - at);
        size_t stop = slash ? (size_t)(slash - l->source) : end;
        jinja_builder_bytes(&b, l->source + at, stop - at, false);
        at = stop;
        if (!slash) break;
        TRY(append_escape(l, &b, at + 1, end, &used));
        at += 1 + used;
    }
    out->kind = TOKEN_STRING;
    out->text = escapes ? jinja_builder_string(&b) : (struct jinja_string){l->source + l->at + 1, NULL, end - l->at - 1};
    out->text.outside = NULL;
    lexer_move(l, end + 1);
    return l->t->c->status;
}

/* Digits with single underscores between them, from `at`; copies the digits. */
static size_t lex_digits(const struct jinja_lexer *l, size_t at, char *text, size_t *n, size_t room)
{
    while (at < l->n && (lexer_is_digit(l->source[at]) || (l->source[at] == '_' && lexer_is_digit(l->source[at + 1])))) {
        if (l->source[at] != '_' && *n + 1 < room) text[(*n)++] = l->source[at];
        at++;
    }
    return at;
}

/* An integer or a float, with _ between digits. */
static enum status lex_number(struct jinja_lexer *l, struct jinja_token *out)
{
    char text[400];
    size_t n = 0, at = lex_digits(l, l->at, text, &n, sizeof text - 8);
    bool real = false;
    if (at + 1 < l->n && l->source[at] == '.' && lexer_is_digit(l->source[at + 1])) {
        real = true;
        text[n++] = '.';
        at = lex_digits(l, at + 1, text, &n, sizeof text - 6);
    }
    if (at + 1 < l->n && (l->source[at] == 'e' || l->source[at] == 'E')) {
        size_t sign = l->source[at + 1] == '+' || l->source[at + 1] == '-';
        if (at + 1 + sign < l->n && lexer_is_digit(l->source[at + 1 + sign])) {
            real = true;
            text[n++] = 'e';
            if (sign) text[n++] = l->source[at + 1];
            at = lex_digits(l, at + 1 + sign, text, &n, sizeof text - 1);
        }
    }
    text[n] = '\0';
    if (!real && ((n > 1 && text[0] == '0') || n > 18 || (at < l->n && lexer_is_letter(l->source[at]))))
        return lexer_fail(l, E_UNSUPPORTED, "a number of this form");
    if (n > 300) return lexer_fail(l, E_UNSUPPORTED, "a number of this length");
    out->kind = real ? TOKEN_FLOAT : TOKEN_INTEGER;
    out->number = real ? strtod(text, NULL) : 0;
    out->integer = real ? 0 : strtoll(text, NULL, 10);
    lexer_move(l, at);
    return OK;
}

/* Brackets must close in order; a tag does not end inside one. */
static enum status count_bracket(struct jinja_lexer *l, char ch)
{
    static const char open[] = "([{", close[] = ")]}";
    const char *opened = strchr(open, ch);
    if (opened) {
        if (l->n_brackets == JINJA_BRACKETS_MAX) return lexer_fail(l, E_UNSUPPORTED, "brackets nested so deeply");
        l->brackets[l->n_brackets++] = close[opened - open];
    } else if (strchr(close, ch)) {
        if (l->n_brackets == 0 || l->brackets[l->n_brackets - 1] != ch)
            return lexer_fail(l, E_INPUT, "a closing bracket that does not fit");
        l->n_brackets--;
    }
    return OK;
}

/* An operator of one or two characters. */
static enum status lex_operator(struct jinja_lexer *l, struct jinja_token *out)
{
    static const char *const pairs[] = {"===", "!!=", "l<=", "g>=", "d//", "p**"};
    out->kind = TOKEN_OPERATOR;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (lexer_is(l, l->at, pairs[i] + 1)) {
            out->op = pairs[i][0];
            lexer_move(l, l->at + 2);
            return OK;
        }
    char ch = l->source[l->at];
    if (!strchr("+-*/%~<>()[]{}.,:|=;", ch) || ch == '\0') return lexer_fail(l, E_INPUT, "an unexpected character in a tag");
    TRY(count_bracket(l, ch));
    out->op = ch == '=' ? 'a' : ch;
    lexer_move(l, l->at + 1);
    return OK;
}

/* The end of the tag when it stands here and no bracket is open. */
static bool lex_close(struct jinja_lexer *l)
{
    if (l->n_brackets > 0) return false;
    if (l->state == LEXER_BLOCK) {
        if (!closes_block(l, l->at, true)) return false;
        lexer_move(l, after_block(l, l->at));
    } else if (lexer_is(l, l->at, "-}}")) {
        lexer_move(l, lexer_skip_space(l, l->at + 3));
    } else if (lexer_is(l, l->at, "}}")) {
        lexer_move(l, l->at + 2);
    } else {
        return false;
    }
    l->line_starting = l->source[l->at - 1] == '\n';
    l->state = LEXER_ROOT;
    return true;
}

/* One token inside a tag. */
static enum status lex_tag(struct jinja_lexer *l, struct jinja_token *out)
{
    if (!lex_close(l)) lexer_move(l, lexer_skip_space(l, l->at));
    *out = (struct jinja_token){.kind = TOKEN_CLOSE, .line = l->line};
    if (l->state == LEXER_ROOT || lex_close(l)) return OK;
    if (l->at >= l->n) return lexer_fail(l, E_INPUT, "a tag without an end");
    char ch = l->source[l->at];
    if (ch == '\'' || ch == '"') return lex_string(l, out);
    if (lexer_is_digit(ch)) return lex_number(l, out);
    if (!lexer_is_letter(ch)) return lex_operator(l, out);
    size_t end = l->at;
    while (end < l->n && (lexer_is_letter(l->source[end]) || lexer_is_digit(l->source[end]))) end++;
    out->kind = TOKEN_NAME;
    out->text = (struct jinja_string){l->source + l->at, NULL, end - l->at};
    lexer_move(l, end);
    return OK;
}

enum status jinja_lexer_next(struct jinja_lexer *l, struct jinja_token *out)
{
    do {
        if (l->opened) {
            *out = (struct jinja_token){.kind = l->state == LEXER_PRINT ? TOKEN_PRINT : TOKEN_BLOCK, .line = l->line};
            l->opened = false;
            return OK;
        }
        if (l->state != LEXER_ROOT) return lex_tag(l, out);
        TRY(lex_root(l, out));
    } while (out->kind == TOKEN_TEXT && out->text.n == 0);
    return OK;
}
