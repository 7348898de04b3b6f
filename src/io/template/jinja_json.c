/* jinja_json: json.dumps, as transformers' tojson calls it: no HTML escapes, ", " and ": " between, text as it is. Written
 * and not built as a tree: {"b": 1, "a": [true]} keeps the order of its members unless the template asks for sorted ones. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/template/jinja_internal.h"
#include "io/tokenizer/unicode.h"

struct jinja_json {
    struct jinja_run *r;
    const struct jinja_json_style *style;
    struct jinja_builder *b;
    int level;
};

static enum status json_value(struct jinja_json *j, const struct jinja_value *v);

static void json_line(struct jinja_json *j)
{
    if (!j->style->indented) return;
    jinja_builder_str(j->b, "\n");
    for (int i = 0; i < j->level; i++) jinja_builder_append(j->b, j->style->indent);
}

/* The escape of a character, or "" where it stands for itself. */
static void json_escape(char text[16], uint32_t cp, bool ascii)
{
    static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
    const char *known = cp > 0 && cp < 0x80 ? strchr(from, (int)cp) : NULL;
    text[0] = '\0';
    if (known)
        snprintf(text, 16, "\\%c", to[known - from]);
    else if (cp < 0x20 || (ascii && cp >= 0x7F && cp < 0x10000 && cp != 0x7F))
        snprintf(text, 16, "\\u%04x", (unsigned)cp);
    else if (ascii && cp >= 0x10000)
        snprintf(text, 16, "\\u%04x\\u%04x", 0xD800 + (unsigned)((cp - 0x10000) >> 10), 0xDC00 + (unsigned)(cp & 0x3FF));
}

/* A string with its escapes. */
static enum status json_text(struct jinja_json *j, struct jinja_string s)
{
    char text[16];
    size_t done = 0;
    TRY(jinja_step(j->r, s.n / 8));
    jinja_builder_str(j->b, "\"");
    for (size_t at = 0; at < s.n;) {
        struct unicode_unit u = unicode_next(s.s + at, s.n - at);
        json_escape(text, u.cp, j->style->ascii);
        if (text[0]) {
            jinja_builder_append(j->b, jinja_part(s, done, at));
            jinja_builder_bytes(j->b, text, strlen(text), s.outside && s.outside[at]);
            done = at + u.bytes;
        }
        at += u.bytes;
    }
    jinja_builder_append(j->b, jinja_part(s, done, s.n));
    jinja_builder_str(j->b, "\"");
    return j->r->c->status;
}

/* An array. */
static enum status json_list(struct jinja_json *j, const struct jinja_list *l)
{
    jinja_builder_str(j->b, "[");
    j->level++;
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0) jinja_builder_append(j->b, j->style->item);
        json_line(j);
        TRY(json_value(j, &l->items[i]));
    }
    j->level--;
    if (l->n > 0) json_line(j);
    jinja_builder_str(j->b, "]");
    return j->r->c->status;
}

/* Keys that are no strings become the text of their value. */
static enum status json_key(struct jinja_json *j, const struct jinja_value *key)
{
    if (key->kind == JINJA_STRING) return json_text(j, key->u.s);
    if (key->kind > JINJA_FLOAT || key->kind == JINJA_UNDEFINED)
        return jinja_fail(j->r, "keys must be str, int, float, bool or None, not %s", jinja_value_type(key));
    jinja_builder_str(j->b, "\"");
    TRY(json_value(j, key));
    jinja_builder_str(j->b, "\"");
    return OK;
}

/* The members in the order of their keys: a list of their numbers. */
static enum status sorted_members(struct jinja_run *r, const struct jinja_dict *d, size_t **order)
{
    *order = jinja_arena_alloc(&r->arena, d->n, sizeof **order);
    if (!*order) return r->c->status;
    for (size_t i = 0; i < d->n; i++) {
        size_t at = i;
        for (; at > 0; at--) {
            int sign;
            TRY(jinja_value_order(r, &d->pairs[i].key, &d->pairs[(*order)[at - 1]].key, "<", &sign));
            if (sign >= 0) break;
            (*order)[at] = (*order)[at - 1];
        }
        (*order)[at] = i;
    }
    return OK;
}

/* An object, its members in the order that is asked for. */
static enum status json_dict(struct jinja_json *j, const struct jinja_dict *d)
{
    size_t *order = NULL;
    if (j->style->sorted) TRY(sorted_members(j->r, d, &order));
    jinja_builder_str(j->b, "{");
    j->level++;
    for (size_t i = 0; i < d->n; i++) {
        const struct jinja_pair *pair = &d->pairs[order ? order[i] : i];
        if (i > 0) jinja_builder_append(j->b, j->style->item);
        json_line(j);
        TRY(json_key(j, &pair->key));
        jinja_builder_append(j->b, j->style->key);
        TRY(json_value(j, &pair->value));
    }
    j->level--;
    if (d->n > 0) json_line(j);
    jinja_builder_str(j->b, "}");
    return j->r->c->status;
}

/* An array or object, one level deeper. */
static enum status json_nested(struct jinja_json *j, const struct jinja_value *v)
{
    TRY(jinja_enter(j->r));
    enum status status = v->kind == JINJA_LIST ? json_list(j, v->u.list) : json_dict(j, v->u.dict);
    jinja_leave(j->r);
    return status;
}

/* Any value; what JSON cannot say is refused as Python refuses it. */
static enum status json_value(struct jinja_json *j, const struct jinja_value *v)
{
    static const char *const bools[] = {"false", "true"};
    TRY(jinja_step(j->r, 1));
    switch ((enum jinja_kind)v->kind) {
    case JINJA_NONE:
        jinja_builder_str(j->b, "null");
        return j->r->c->status;
    case JINJA_BOOL:
        jinja_builder_str(j->b, bools[v->u.b]);
        return j->r->c->status;
    case JINJA_FLOAT:
        if (isnan(v->u.f)) jinja_builder_str(j->b, "NaN");
        if (isinf(v->u.f)) jinja_builder_str(j->b, v->u.f < 0 ? "-Infinity" : "Infinity");
        return isfinite(v->u.f) ? jinja_print(j->r, v, j->b) : j->r->c->status;
    case JINJA_INT:
        return jinja_print(j->r, v, j->b);
    case JINJA_STRING:
        return json_text(j, v->u.s);
    case JINJA_LIST:
        if (v->form <= LIST_TUPLE) return json_nested(j, v);
        break;
    case JINJA_DICT:
        return json_nested(j, v);
    default:
        break;
    }
    return jinja_fail(j->r, "Object of type %s is not JSON serializable", jinja_value_type(v));
}

enum status jinja_json_write(struct jinja_run *r, const struct jinja_value *v, const struct jinja_json_style *style,
                             struct jinja_builder *b)
{
    struct jinja_json j = {.r = r, .style = style, .b = b};
    return json_value(&j, v);
}
