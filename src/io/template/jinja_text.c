/* jinja_text: strings as Python sees them. A string is UTF-8 in memory and a sequence of code points for the template, so
 * places are bytes inside and code points outside: s[2:] of "héllo" begins at byte 3. */
#include <string.h>
#include <utf8proc.h>

#include "base/str.h"
#include "io/template/jinja_internal.h"
#include "io/tokenizer/unicode.h"

bool jinja_text_equal(struct jinja_string a, const char *b)
{
    return strlen(b) == a.n && memcmp(a.s, b, a.n) == 0;
}

bool jinja_text_is_space(uint32_t cp)
{
    if (cp < 0x80) return (cp >= 9 && cp <= 13) || (cp >= 28 && cp <= 32);
    return cp == 0x85 || cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

size_t jinja_text_next(struct jinja_string s, size_t at)
{
    return unicode_next(s.s + at, s.n - at).bytes;
}

size_t jinja_text_length(struct jinja_string s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) n += ((unsigned char)s.s[i] & 0xC0) != 0x80;
    return n;
}

size_t jinja_text_offset(struct jinja_string s, size_t at)
{
    size_t i = 0;
    for (; i < s.n; i++)
        if (((unsigned char)s.s[i] & 0xC0) != 0x80 && at-- == 0) break;
    return i;
}

size_t jinja_text_find(struct jinja_string s, struct jinja_string part, size_t from)
{
    if (from > s.n) return SIZE_MAX;
    if (part.n == 0) return from;
    const char *at = memmem(s.s + from, s.n - from, part.s, part.n);
    return at ? (size_t)(at - s.s) : SIZE_MAX;
}

size_t jinja_text_find_last(struct jinja_string s, struct jinja_string part)
{
    if (part.n == 0) return s.n;
    for (size_t end = s.n; end >= part.n; end--) {
        const char *last = str_find_last(s.s, part.s[0], end - part.n + 1);
        if (!last) break;
        if (memcmp(last, part.s, part.n) == 0) return (size_t)(last - s.s);
        end = (size_t)(last - s.s) + part.n;
    }
    return SIZE_MAX;
}

/* ---- strip ---- */

/* Whether strip takes a character away. */
static bool is_stripped(struct unicode_unit u, const char *at, const struct jinja_string *chars)
{
    return chars ? u.bytes > 0 && memmem(chars->s, chars->n, at, u.bytes) != NULL : jinja_text_is_space(u.cp);
}

struct jinja_string jinja_text_strip(struct jinja_string s, const struct jinja_string *chars, int sides)
{
    while (!chars && (sides & STRIP_LEFT) && s.n > 0 && s.s[0] == ' ') s = jinja_part(s, 1, s.n);
    while (!chars && (sides & STRIP_RIGHT) && s.n > 0 && s.s[s.n - 1] == ' ') s.n--;
    while ((sides & STRIP_LEFT) && s.n > 0) {
        struct unicode_unit u = unicode_next(s.s, s.n);
        if (!is_stripped(u, s.s, chars)) break;
        s = jinja_part(s, u.bytes, s.n);
    }
    while ((sides & STRIP_RIGHT) && s.n > 0) {
        struct unicode_unit u = unicode_last(s.s, s.n);
        if (!is_stripped(u, s.s + s.n - u.bytes, chars)) break;
        s.n -= u.bytes;
    }
    return s;
}

/* ---- replace and split ---- */

enum status jinja_text_replace(struct jinja_run *r, struct jinja_string s, struct jinja_string from, struct jinja_string to,
                               int64_t most, struct jinja_string *out)
{
    struct jinja_builder b = {.a = &r->arena};
    size_t done = 0, at = 0;
    TRY(jinja_step(r, s.n / 16));
    for (; most != 0; most--) {
        size_t found = jinja_text_find(s, from, at);
        if (found == SIZE_MAX) break;
        TRY(jinja_step(r, 1 + to.n / 16));
        jinja_builder_append(&b, jinja_part(s, done, found));
        jinja_builder_append(&b, to);
        TRY(r->c->status);
        done = found + from.n;
        at = done;
        if (from.n == 0) { /* between all characters, and at both ends */
            if (found == s.n) break;
            at = found + jinja_text_next(s, found);
        }
    }
    if (done == 0 && b.n == 0) {
        *out = s;
        return OK;
    }
    jinja_builder_append(&b, jinja_part(s, done, s.n));
    *out = jinja_builder_string(&b);
    return r->c->status;
}

/* Appends a part to a list. */
static enum status text_push(struct jinja_run *r, struct jinja_value *list, struct jinja_string s)
{
    TRY(jinja_step(r, 1));
    return jinja_value_push(r, list, jinja_value_string(s));
}

/* Cuts from the right: the pieces come in reverse. */
static enum status split_right(struct jinja_run *r, struct jinja_string s, struct jinja_string by, int64_t most,
                               struct jinja_value *out)
{
    for (; most != 0; most--) {
        TRY(jinja_step(r, (s.n + 1) * (by.n / 64 + 1)));
        size_t found = jinja_text_find_last(s, by);
        if (found == SIZE_MAX) break;
        TRY(text_push(r, out, jinja_part(s, found + by.n, s.n)));
        s.n = found;
    }
    TRY(text_push(r, out, s));
    struct jinja_list *l = out->u.list;
    for (size_t i = 0; i < l->n / 2; i++) {
        struct jinja_value v = l->items[i];
        l->items[i] = l->items[l->n - 1 - i];
        l->items[l->n - 1 - i] = v;
    }
    return OK;
}

/* At runs of white space; none at the ends. */
static enum status split_words(struct jinja_run *r, struct jinja_string s, int64_t most, struct jinja_value *out)
{
    for (;; most--) {
        s = jinja_text_strip(s, NULL, STRIP_LEFT);
        if (s.n == 0) return OK;
        size_t end = 0;
        while (end < s.n && !jinja_text_is_space(unicode_next(s.s + end, s.n - end).cp)) end += jinja_text_next(s, end);
        if (most == 0) {
            return text_push(r, out, jinja_text_strip(s, NULL, STRIP_RIGHT));
        }
        TRY(text_push(r, out, jinja_part(s, 0, end)));
        s = jinja_part(s, end, s.n);
    }
}

enum status jinja_text_split(struct jinja_run *r, struct jinja_string s, const struct jinja_string *by, int64_t most,
                             bool from_right, struct jinja_value *out)
{
    TRY(jinja_value_list(r, LIST_PLAIN, out));
    TRY(jinja_step(r, s.n / 16));
    if (by && by->n == 0) return jinja_fail(r, "empty separator");
    if (from_right && !by && most >= 0) return jinja_refuse(r, "rsplit at white space with a limit");
    if (!by) return split_words(r, s, most, out);
    if (from_right) return split_right(r, s, *by, most, out);
    size_t at = 0;
    for (; most != 0; most--) {
        size_t found = jinja_text_find(s, *by, at);
        if (found == SIZE_MAX) break;
        TRY(text_push(r, out, jinja_part(s, at, found)));
        at = found + by->n;
    }
    return text_push(r, out, jinja_part(s, at, s.n));
}

/* The bytes of the line break at `at`, as str.splitlines knows them, or 0. */
static size_t line_break(struct jinja_string s, size_t at)
{
    struct unicode_unit u = unicode_next(s.s + at, s.n - at);
    if (u.cp == '\r' && at + 1 < s.n && s.s[at + 1] == '\n') return 2;
    bool is = (u.cp >= 10 && u.cp <= 13) || (u.cp >= 28 && u.cp <= 30) || u.cp == 0x85 || u.cp == 0x2028 || u.cp == 0x2029;
    return is ? u.bytes : 0;
}

enum status jinja_text_lines(struct jinja_run *r, struct jinja_string s, bool keep_ends, struct jinja_value *out)
{
    TRY(jinja_value_list(r, LIST_PLAIN, out));
    TRY(jinja_step(r, s.n / 16));
    size_t from = 0;
    for (size_t at = 0; at < s.n;) {
        size_t width = line_break(s, at);
        if (width > 0) {
            TRY(text_push(r, out, jinja_part(s, from, keep_ends ? at + width : at)));
            from = at + width;
        }
        at += width > 0 ? width : jinja_text_next(s, at);
    }
    return from < s.n ? text_push(r, out, jinja_part(s, from, s.n)) : OK;
}

/* ---- case ---- */

/* The upper case of a character that becomes several, or NULL. */
static const char *long_upper(uint32_t cp)
{
    size_t low = 0, high = jinja_upper_rows;
    while (cp >= 0x80 && low < high) {
        size_t middle = (low + high) / 2;
        if (jinja_upper_table[middle].cp == cp) return jinja_upper_table[middle].upper;
        if (jinja_upper_table[middle].cp < cp)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Whether the other case of a character is not known here: it depends on what stands around it (a sigma at the end of a
 * word), or the case at the start of a word is a third one. */
static bool case_unknown(uint32_t cp, bool upper, int which)
{
    if (!upper) return cp == 0x130 || cp == 0x3A3;
    if (which == CASE_UPPER) return false;
    return long_upper(cp) || (cp >= 0x1C4 && cp <= 0x1CC) || (cp >= 0x1F1 && cp <= 0x1F3) ||
           (cp >= 0x1F80 && cp <= 0x1FFF) || (cp >= 0x10D0 && cp <= 0x10FF);
}

/* Whether a character has another case. */
static bool is_cased(uint32_t cp)
{
    return cp < 0x110000 && (utf8proc_toupper((int32_t)cp) != (int32_t)cp || utf8proc_tolower((int32_t)cp) != (int32_t)cp);
}

enum status jinja_text_case(struct jinja_run *r, struct jinja_string s, int which, struct jinja_string *out)
{
    struct jinja_builder b = {.a = &r->arena};
    bool start = true;
    TRY(jinja_step(r, s.n / 8));
    for (size_t at = 0; at < s.n;) {
        struct unicode_unit u = unicode_next(s.s + at, s.n - at);
        bool upper = which == CASE_UPPER || (start && which != CASE_LOWER), outside = s.outside && s.outside[at];
        if (u.cp >= 0x80 && case_unknown(u.cp, upper, which))
            return jinja_refuse(r, "the other case of U+%04X", (unsigned)u.cp);
        const char *several = upper ? long_upper(u.cp) : NULL;
        utf8proc_uint8_t bytes[4];
        int32_t cp = u.cp >= 0x110000 ? 0 : upper ? utf8proc_toupper((int32_t)u.cp) : utf8proc_tolower((int32_t)u.cp);
        if (several)
            jinja_builder_bytes(&b, several, strlen(several), outside);
        else if (u.cp < 0x110000)
            jinja_builder_bytes(&b, (char *)bytes, (size_t)utf8proc_encode_char(cp, bytes), outside);
        start = which == CASE_TITLE && !is_cased(u.cp);
        at += u.bytes;
    }
    *out = jinja_builder_string(&b);
    return r->c->status;
}
