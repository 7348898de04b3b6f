/* jinja_print: str() and repr() of values, as Python writes them: True, None, 1.0, 'it\'s' as "it's", ['a', 1]. Templates
 * print lists and dicts of tools this way. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/template/jinja_internal.h"
#include "io/tokenizer/unicode.h"

/* The shortest digits that read back to the same number; an exponent below 1e-4 and from 1e16 on. */
void jinja_print_float(char text[40], double f)
{
    char e[32];
    if (isnan(f) || isinf(f)) {
        snprintf(text, 40, "%s", isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    int precision = 0;
    do snprintf(e, sizeof e, "%.*e", precision, f);
    while (strtod(e, NULL) != f && ++precision < 17);
    int exponent = atoi(strchr(e, 'e') + 1);
    if (exponent >= -4 && exponent < 16) {
        int decimals = precision - exponent;
        snprintf(text, 40, "%.*f", decimals > 1 ? decimals : 1, f);
        return;
    }
    snprintf(text, 40, "%s", e); /* two digits of exponent at least, there as here */
}

/* Whether str.isprintable: everything but separators, controls, formats, surrogates, private and unassigned ones. */
static bool is_printable(uint32_t cp)
{
    if (cp < 0x80) return cp >= 0x20 && cp < 0x7F;
    size_t low = 0, high = unicode_category_rows;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (unicode_category_table[middle].first <= cp)
            low = middle;
        else
            high = middle;
    }
    const char *name = unicode_category_names[unicode_category_table[low].value & UNICODE_CATEGORY];
    return name[0] != 'C' && name[0] != 'Z';
}

/* One character of a string, escaped as Python does. */
static void repr_character(struct jinja_builder *b, struct jinja_string s, size_t at, struct unicode_unit u, char quote)
{
    static const char from[] = "\\\n\r\t", to[] = "\\nrt";
    char text[16];
    const char *known = u.cp < 0x80 && u.cp > 0 ? strchr(from, (int)u.cp) : NULL;
    bool outside = s.outside && s.outside[at];
    if (known || u.cp == (uint32_t)quote)
        snprintf(text, sizeof text, "\\%c", known ? to[known - from] : quote);
    else if (is_printable(u.cp))
        text[0] = '\0';
    else
        snprintf(text, sizeof text, u.cp < 0x100 ? "\\x%02x" : u.cp < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)u.cp);
    if (text[0])
        jinja_builder_bytes(b, text, strlen(text), outside);
    else
        jinja_builder_append(b, jinja_part(s, at, at + u.bytes));
}

/* A string in single quotes, or in double ones where it has single ones only. */
static enum status repr_string(struct jinja_run *r, struct jinja_string s, struct jinja_builder *b)
{
    bool single = s.n > 0 && memchr(s.s, '\'', s.n), twice = s.n > 0 && memchr(s.s, '"', s.n);
    char quote = single && !twice ? '"' : '\'';
    TRY(jinja_step(r, s.n / 8));
    jinja_builder_bytes(b, &quote, 1, false);
    for (size_t at = 0; at < s.n;) {
        struct unicode_unit u = unicode_next(s.s + at, s.n - at);
        repr_character(b, s, at, u, quote);
        at += u.bytes;
    }
    jinja_builder_bytes(b, &quote, 1, false);
    return r->c->status;
}

/* [a, b] or (a, b). */
static enum status repr_list(struct jinja_run *r, const struct jinja_value *v, struct jinja_builder *b)
{
    const struct jinja_list *l = v->u.list;
    bool tuple = v->form == LIST_TUPLE;
    if (v->form > LIST_TUPLE) return jinja_refuse(r, "printing a %s", jinja_value_type(v));
    jinja_builder_str(b, tuple ? "(" : "[");
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0) jinja_builder_str(b, ", ");
        TRY(jinja_print_repr(r, &l->items[i], b));
    }
    jinja_builder_str(b, tuple ? l->n == 1 ? ",)" : ")" : "]");
    return r->c->status;
}

/* {'a': b}. */
static enum status repr_dict(struct jinja_run *r, const struct jinja_dict *d, struct jinja_builder *b)
{
    jinja_builder_str(b, "{");
    for (size_t i = 0; i < d->n; i++) {
        if (i > 0) jinja_builder_str(b, ", ");
        TRY(jinja_print_repr(r, &d->pairs[i].key, b));
        jinja_builder_str(b, ": ");
        TRY(jinja_print_repr(r, &d->pairs[i].value, b));
    }
    jinja_builder_str(b, "}");
    return r->c->status;
}

enum status jinja_print_repr(struct jinja_run *r, const struct jinja_value *v, struct jinja_builder *b)
{
    enum status status;
    TRY(jinja_step(r, 1));
    if (v->kind == JINJA_UNDEFINED) {
        jinja_builder_str(b, "Undefined");
        return r->c->status;
    }
    if (v->kind == JINJA_STRING && v->form == STRING_SAFE) return jinja_refuse(r, "printing a list with a safe string");
    if (v->kind == JINJA_STRING) return repr_string(r, v->u.s, b);
    if (v->kind != JINJA_LIST && v->kind != JINJA_DICT) return jinja_print(r, v, b);
    TRY(jinja_enter(r));
    status = v->kind == JINJA_LIST ? repr_list(r, v, b) : repr_dict(r, v->u.dict, b);
    jinja_leave(r);
    return status;
}

enum status jinja_print(struct jinja_run *r, const struct jinja_value *v, struct jinja_builder *b)
{
    char text[40];
    TRY(jinja_step(r, 1));
    switch ((enum jinja_kind)v->kind) {
    case JINJA_UNDEFINED:
        return v->form == UNDEFINED_UNSAFE ? jinja_value_fail_undefined(r, v) : OK;
    case JINJA_NONE:
        jinja_builder_str(b, "None");
        break;
    case JINJA_BOOL:
        jinja_builder_str(b, v->u.b ? "True" : "False");
        break;
    case JINJA_INT:
        snprintf(text, sizeof text, "%lld", (long long)v->u.i);
        jinja_builder_str(b, text);
        break;
    case JINJA_FLOAT:
        jinja_print_float(text, v->u.f);
        jinja_builder_str(b, text);
        break;
    case JINJA_STRING:
        TRY(jinja_step(r, v->u.s.n / 16));
        jinja_builder_append(b, v->u.s);
        break;
    case JINJA_LIST:
    case JINJA_DICT:
        return jinja_print_repr(r, v, b);
    default:
        if (v->kind != JINJA_LOOP || v->u.loop) return jinja_refuse(r, "printing a %s", jinja_value_type(v));
        jinja_builder_str(b, "missing"); /* of a loop that has ended */
    }
    return r->c->status;
}

enum status jinja_print_string(struct jinja_run *r, const struct jinja_value *v, struct jinja_string *out)
{
    struct jinja_builder b = {.a = &r->arena};
    if (v->kind == JINJA_STRING) {
        *out = v->u.s;
        return OK;
    }
    TRY(jinja_print(r, v, &b));
    *out = jinja_builder_string(&b);
    return OK;
}
