/* jinja_method: methods of strings, lists and dicts: message.content.strip(), text.split("</think>"), d.items(). The sandbox
 * of the reference lets none change its object, so append, update and their like are refused here too. */
#include <stdio.h>
#include <string.h>

#include "io/template/jinja_internal.h"
#include "io/tokenizer/unicode.h"

struct method_call {
    struct jinja_run *r;
    const struct jinja_value *self;
    struct jinja_string s; /* of a string */
    struct jinja_string name;
    const struct jinja_arguments *a;
    struct jinja_value v[4]; /* the arguments, bound */
    struct jinja_value *out;
};

/* Binds the arguments to the method's parameters. */
static enum status method_bind(struct method_call *m, const char *const *parameters, size_t n)
{
    char what[40];
    snprintf(what, sizeof what, "%.*s", (int)m->name.n, m->name.s);
    return jinja_call_bind(m->r, what, m->a, parameters, n, m->v);
}

/* Whether an optional argument was given; None counts as not. */
static bool method_given(const struct jinja_value *v)
{
    return v->kind != JINJA_NONE && !(v->kind == JINJA_UNDEFINED && v->form == UNDEFINED_NAME && v->u.s.n == 0);
}

static enum status need_string(struct method_call *m, const struct jinja_value *v, struct jinja_string *out)
{
    if (v->kind == JINJA_UNDEFINED) return jinja_value_fail_undefined(m->r, v);
    if (v->kind != JINJA_STRING)
        return jinja_fail(m->r, "%.*s() takes a string, not %s", (int)m->name.n, m->name.s, jinja_value_type(v));
    *out = v->u.s;
    return OK;
}

static enum status need_int(struct method_call *m, const struct jinja_value *v, int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    if (!method_given(v) || jinja_value_integer(v, out)) return OK;
    return jinja_fail(m->r, "'%s' object cannot be interpreted as an integer", jinja_value_type(v));
}

/* The result is a string. */
static enum status give_string(struct method_call *m, struct jinja_string s)
{
    *m->out = jinja_value_string(s);
    return m->r->c->status;
}

/* ---- strings ---- */

static enum status text_strip(struct method_call *m)
{
    static const char *const parameters[] = {"chars="};
    struct jinja_string chars;
    TRY(method_bind(m, parameters, 1));
    int sides = m->name.s[0] == 'l' ? STRIP_LEFT : m->name.s[0] == 'r' ? STRIP_RIGHT : STRIP_LEFT | STRIP_RIGHT;
    bool some = method_given(&m->v[0]);
    if (some) TRY(need_string(m, &m->v[0], &chars));
    TRY(jinja_step(m->r, (m->s.n / 16 + 1) * (some ? chars.n / 64 + 1 : 1)));
    return give_string(m, jinja_text_strip(m->s, some ? &chars : NULL, sides));
}

static enum status text_split(struct method_call *m)
{
    static const char *const parameters[] = {"sep=", "maxsplit="};
    struct jinja_string by;
    int64_t most;
    TRY(method_bind(m, parameters, 2));
    bool some = method_given(&m->v[0]);
    if (some) TRY(need_string(m, &m->v[0], &by));
    TRY(need_int(m, &m->v[1], -1, &most));
    return jinja_text_split(m->r, m->s, some ? &by : NULL, most < 0 ? -1 : most, m->name.s[0] == 'r', m->out);
}

/* splitlines(keepends). */
static enum status text_lines(struct method_call *m)
{
    static const char *const parameters[] = {"keepends="};
    TRY(method_bind(m, parameters, 1));
    return jinja_text_lines(m->r, m->s, method_given(&m->v[0]) && jinja_value_true(&m->v[0]), m->out);
}

/* Whether a string begins or ends with a part. */
static bool has_end(struct jinja_string s, struct jinja_string part, bool end)
{
    return part.n <= s.n && (part.n == 0 || memcmp(end ? s.s + s.n - part.n : s.s, part.s, part.n) == 0);
}

/* The one argument of methods that look for something; where they begin and end is not supported. */
static enum status bind_sought(struct method_call *m)
{
    static const char *const parameters[] = {"sub", "start=", "end="};
    TRY(method_bind(m, parameters, 3));
    if (!method_given(&m->v[1]) && !method_given(&m->v[2])) return OK;
    return jinja_refuse(m->r, "a place to begin or end at in %.*s()", (int)m->name.n, m->name.s);
}

/* startswith and endswith, with one part or a tuple of them. */
static enum status text_starts(struct method_call *m)
{
    bool end = m->name.s[0] == 'e', yes = false;
    TRY(bind_sought(m));
    struct jinja_value parts = m->v[0];
    if (parts.kind != JINJA_LIST || parts.form != LIST_TUPLE) {
        struct jinja_string part;
        TRY(need_string(m, &m->v[0], &part));
        TRY(jinja_step(m->r, part.n / 16));
        yes = has_end(m->s, part, end);
    }
    for (size_t i = 0; parts.kind == JINJA_LIST && parts.form == LIST_TUPLE && i < parts.u.list->n && !yes; i++) {
        struct jinja_string part;
        TRY(need_string(m, &parts.u.list->items[i], &part));
        TRY(jinja_step(m->r, 1 + part.n / 16));
        yes = has_end(m->s, part, end);
    }
    *m->out = jinja_value_bool(yes);
    return OK;
}

/* removeprefix and removesuffix. */
static enum status text_remove(struct method_call *m)
{
    static const char *const parameters[] = {"prefix"};
    struct jinja_string part, s = m->s;
    bool end = jinja_text_equal(m->name, "removesuffix");
    TRY(method_bind(m, parameters, 1));
    TRY(need_string(m, &m->v[0], &part));
    TRY(jinja_step(m->r, part.n / 16));
    if (has_end(s, part, end)) s = end ? jinja_part(s, 0, s.n - part.n) : jinja_part(s, part.n, s.n);
    return give_string(m, s);
}

/* replace(old, new, count). */
static enum status text_replace(struct method_call *m)
{
    static const char *const parameters[] = {"old", "new", "count="};
    struct jinja_string from, to, out;
    int64_t most;
    TRY(method_bind(m, parameters, 3));
    TRY(need_string(m, &m->v[0], &from));
    TRY(need_string(m, &m->v[1], &to));
    TRY(need_int(m, &m->v[2], -1, &most));
    TRY(jinja_text_replace(m->r, m->s, from, to, most < 0 ? -1 : most, &out));
    return give_string(m, out);
}

/* upper, lower, title, capitalize. */
static enum status text_case(struct method_call *m)
{
    struct jinja_string out;
    int which = jinja_text_equal(m->name, "upper")   ? CASE_UPPER
                : jinja_text_equal(m->name, "title") ? CASE_TITLE
                : jinja_text_equal(m->name, "lower") ? CASE_LOWER
                                                     : CASE_CAPITAL;
    TRY(method_bind(m, NULL, 0));
    TRY(jinja_text_case(m->r, m->s, which, &out));
    return give_string(m, out);
}

/* find, rfind and index, rindex; in code points. */
static enum status text_find(struct method_call *m)
{
    struct jinja_string part;
    TRY(bind_sought(m));
    TRY(need_string(m, &m->v[0], &part));
    TRY(jinja_step(m->r, (m->s.n + 1) * (part.n / 64 + 1)));
    size_t at = m->name.s[0] == 'r' ? jinja_text_find_last(m->s, part) : jinja_text_find(m->s, part, 0);
    bool fails = jinja_text_equal(m->name, "index") || jinja_text_equal(m->name, "rindex");
    if (at == SIZE_MAX && fails) return jinja_fail(m->r, "substring not found");
    *m->out = jinja_value_int(at == SIZE_MAX ? -1 : (int64_t)jinja_text_length(jinja_part(m->s, 0, at)));
    return OK;
}

/* count(part), without overlaps. */
static enum status text_count(struct method_call *m)
{
    struct jinja_string part;
    int64_t n = 0;
    TRY(bind_sought(m));
    TRY(need_string(m, &m->v[0], &part));
    if (part.n == 0) n = (int64_t)jinja_text_length(m->s) + 1;
    TRY(jinja_step(m->r, m->s.n / 16 + 1));
    for (size_t at = 0; part.n > 0 && (at = jinja_text_find(m->s, part, at)) != SIZE_MAX; at += part.n) n++;
    *m->out = jinja_value_int(n);
    return OK;
}

/* The items of a list with a string between. */
static enum status method_join(struct jinja_run *r, struct jinja_string by, const struct jinja_value *of,
                               struct jinja_value *out)
{
    struct jinja_builder b = {.a = &r->arena};
    struct jinja_value all;
    TRY(jinja_value_items(r, of, &all));
    for (size_t i = 0; i < all.u.list->n; i++) {
        const struct jinja_value *v = &all.u.list->items[i];
        if (v->kind != JINJA_STRING)
            return jinja_fail(r, "sequence item %zu: expected str instance, %s found", i, jinja_value_type(v));
        TRY(jinja_step(r, 1 + (by.n + v->u.s.n) / 16));
        if (i > 0) jinja_builder_append(&b, by);
        jinja_builder_append(&b, v->u.s);
    }
    *out = jinja_value_string(jinja_builder_string(&b));
    return r->c->status;
}

/* sep.join(list). */
static enum status text_join(struct method_call *m)
{
    static const char *const parameters[] = {"iterable"};
    TRY(method_bind(m, parameters, 1));
    return method_join(m->r, m->s, &m->v[0], m->out);
}

/* What isdigit and its like ask of every character. */
enum text_class { CLASS_ALPHA, CLASS_ALNUM, CLASS_SPACE, CLASS_UPPER, CLASS_LOWER, CLASS_DIGIT };

static enum text_class class_named(struct jinja_string name)
{
    static const char *const names[] = {[CLASS_ALPHA] = "isalpha",
                                        [CLASS_ALNUM] = "isalnum",
                                        [CLASS_SPACE] = "isspace",
                                        [CLASS_UPPER] = "isupper",
                                        [CLASS_LOWER] = "islower"};
    size_t i = 0;
    while (i < CLASS_DIGIT && !jinja_text_equal(name, names[i])) i++;
    return (enum text_class)i;
}

/* Whether an ASCII character agrees with the class. Upper and lower only ask that it is not the other one: "A1" is upper in
 * Python, and that a letter is there at all is asked of the whole text. */
static bool is_of_class(enum text_class class, unsigned char ch)
{
    bool upper = ch >= 'A' && ch <= 'Z', lower = ch >= 'a' && ch <= 'z', digit = ch >= '0' && ch <= '9';
    switch (class) {
    case CLASS_ALPHA:
        return upper || lower;
    case CLASS_ALNUM:
        return upper || lower || digit;
    case CLASS_UPPER:
        return !lower;
    case CLASS_LOWER:
        return !upper;
    case CLASS_DIGIT:
        return digit;
    case CLASS_SPACE:
        break;
    }
    return jinja_text_is_space(ch);
}

/* isspace, of any characters. */
static bool is_all_space(struct jinja_string s)
{
    for (size_t at = 0; at < s.n;) {
        struct unicode_unit u = unicode_next(s.s + at, s.n - at);
        if (!jinja_text_is_space(u.cp)) return false;
        at += u.bytes;
    }
    return s.n > 0;
}

/* isdigit and its like, where only ASCII is asked; other characters are not decided here, but for isspace. */
static enum status text_is(struct method_call *m)
{
    bool yes = m->s.n > 0, cased = false;
    enum text_class class = class_named(m->name);
    TRY(method_bind(m, NULL, 0));
    TRY(jinja_step(m->r, m->s.n / 8));
    for (size_t i = 0; i < m->s.n && yes && class != CLASS_SPACE; i++) {
        unsigned char ch = (unsigned char)m->s.s[i];
        if (ch >= 0x80) return jinja_refuse(m->r, "%.*s() of a string that is not ASCII", (int)m->name.n, m->name.s);
        yes = is_of_class(class, ch);
        cased = cased || is_of_class(CLASS_ALPHA, ch);
    }
    if (class == CLASS_UPPER || class == CLASS_LOWER) yes = yes && cased;
    if (class == CLASS_SPACE) yes = is_all_space(m->s);
    *m->out = jinja_value_bool(yes);
    return OK;
}

/* format(args). */
static enum status text_format(struct method_call *m)
{
    struct jinja_string out;
    TRY(jinja_format(m->r, m->s, m->a, &out));
    return give_string(m, out);
}

/* ---- dicts and lists ---- */

/* get(key, default). */
static enum status dict_get(struct method_call *m)
{
    static const char *const parameters[] = {"key", "default="};
    TRY(method_bind(m, parameters, 2));
    const struct jinja_value *v = jinja_value_get(m->r, m->self->u.dict, m->v[0]);
    TRY(m->r->c->status);
    *m->out = v ? *v : m->a->n > 1 ? m->v[1] : (struct jinja_value){.kind = JINJA_NONE};
    return OK;
}

/* items, keys and values. */
static enum status dict_view(struct method_call *m)
{
    const struct jinja_dict *d = m->self->u.dict;
    TRY(method_bind(m, NULL, 0));
    TRY(jinja_value_list(m->r, LIST_VIEW, m->out));
    TRY(jinja_step(m->r, d->n));
    for (size_t i = 0; i < d->n; i++) {
        struct jinja_value v = m->name.s[0] == 'v' ? d->pairs[i].value : d->pairs[i].key;
        if (m->name.s[0] == 'i') {
            TRY(jinja_value_list(m->r, LIST_TUPLE, &v));
            TRY(jinja_value_push(m->r, &v, d->pairs[i].key));
            TRY(jinja_value_push(m->r, &v, d->pairs[i].value));
        }
        TRY(jinja_value_push(m->r, m->out, v));
    }
    return OK;
}

/* copy(). */
static enum status dict_copy(struct method_call *m)
{
    const struct jinja_dict *d = m->self->u.dict;
    TRY(method_bind(m, NULL, 0));
    TRY(jinja_value_dict(m->r, m->out));
    for (size_t i = 0; i < d->n; i++) TRY(jinja_value_put(m->r, m->out->u.dict, d->pairs[i].key, d->pairs[i].value));
    return OK;
}

/* index and count. */
static enum status list_find(struct method_call *m)
{
    static const char *const parameters[] = {"value"};
    const struct jinja_list *l = m->self->u.list;
    int64_t n = 0, at = -1;
    TRY(method_bind(m, parameters, 1));
    for (size_t i = 0; i < l->n; i++) {
        bool same;
        TRY(jinja_value_equal(m->r, &l->items[i], &m->v[0], &same));
        n += same;
        if (same && at < 0) at = (int64_t)i;
    }
    if (m->name.s[0] == 'i' && at < 0) return jinja_fail(m->r, "the value is not in the list");
    *m->out = jinja_value_int(m->name.s[0] == 'i' ? at : n);
    return OK;
}

/* ---- which there are ---- */

static const struct method {
    uint8_t kind;
    const char *name;
    enum status (*call)(struct method_call *m);
} methods[] = {
    {JINJA_STRING, "strip", text_strip},
    {JINJA_STRING, "lstrip", text_strip},
    {JINJA_STRING, "rstrip", text_strip},
    {JINJA_STRING, "split", text_split},
    {JINJA_STRING, "rsplit", text_split},
    {JINJA_STRING, "splitlines", text_lines},
    {JINJA_STRING, "startswith", text_starts},
    {JINJA_STRING, "endswith", text_starts},
    {JINJA_STRING, "removeprefix", text_remove},
    {JINJA_STRING, "removesuffix", text_remove},
    {JINJA_STRING, "replace", text_replace},
    {JINJA_STRING, "upper", text_case},
    {JINJA_STRING, "lower", text_case},
    {JINJA_STRING, "title", text_case},
    {JINJA_STRING, "capitalize", text_case},
    {JINJA_STRING, "find", text_find},
    {JINJA_STRING, "rfind", text_find},
    {JINJA_STRING, "index", text_find},
    {JINJA_STRING, "rindex", text_find},
    {JINJA_STRING, "count", text_count},
    {JINJA_STRING, "join", text_join},
    {JINJA_STRING, "format", text_format},
    {JINJA_STRING, "isdigit", text_is},
    {JINJA_STRING, "isnumeric", text_is},
    {JINJA_STRING, "isdecimal", text_is},
    {JINJA_STRING, "isalpha", text_is},
    {JINJA_STRING, "isalnum", text_is},
    {JINJA_STRING, "isspace", text_is},
    {JINJA_STRING, "isupper", text_is},
    {JINJA_STRING, "islower", text_is},
    {JINJA_DICT, "get", dict_get},
    {JINJA_DICT, "items", dict_view},
    {JINJA_DICT, "keys", dict_view},
    {JINJA_DICT, "values", dict_view},
    {JINJA_DICT, "copy", dict_copy},
    {JINJA_LIST, "index", list_find},
    {JINJA_LIST, "count", list_find},
};

/* Whether a name is in a list that ends with NULL. */
static bool jinja_method_is_listed(const char *const *names, struct jinja_string name)
{
    for (; *names; names++)
        if (jinja_text_equal(name, *names)) return true;
    return false;
}

/* The row of a method, or NULL. */
static const struct method *method_find(enum jinja_kind kind, struct jinja_string name)
{
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (methods[i].kind == kind && jinja_text_equal(name, methods[i].name)) return &methods[i];
    return NULL;
}

int jinja_method_find(enum jinja_kind kind, struct jinja_string name)
{
    static const char *const list_changes[] = {"append", "clear",  "pop",    "reverse", "insert",
                                               "sort",   "extend", "remove", NULL};
    static const char *const dict_changes[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};
    static const char *const text_others[] = {"casefold",  "center",       "encode",      "expandtabs", "format_map",
                                              "isascii",   "isidentifier", "isprintable", "istitle",    "ljust",
                                              "maketrans", "partition",    "rjust",       "rpartition", "swapcase",
                                              "translate", "zfill",        NULL};
    static const char *const list_others[] = {"copy", NULL}, *const dict_others[] = {"fromkeys", NULL};
    if (name.n > 1 && name.s[0] == '_' && name.s[1] == '_') return MEMBER_UNSUPPORTED;
    if (method_find(kind, name)) return MEMBER_METHOD;
    if (kind == JINJA_LIST && jinja_method_is_listed(list_changes, name)) return MEMBER_CHANGES;
    if (kind == JINJA_DICT && jinja_method_is_listed(dict_changes, name)) return MEMBER_CHANGES;
    bool other = (kind == JINJA_STRING && jinja_method_is_listed(text_others, name)) ||
                 (kind == JINJA_LIST && jinja_method_is_listed(list_others, name)) ||
                 (kind == JINJA_DICT && jinja_method_is_listed(dict_others, name));
    return other ? MEMBER_UNSUPPORTED : MEMBER_NONE;
}

enum status jinja_method_call(struct jinja_run *r, const struct jinja_method *method, const struct jinja_arguments *a,
                              struct jinja_value *out)
{
    struct method_call m = {.r = r, .self = &method->self, .name = method->name, .a = a, .out = out};
    const struct method *found = method_find((enum jinja_kind)method->self.kind, method->name);
    BUG_ON(r->c, !found, "method %.*s", (int)method->name.n, method->name.s);
    if (method->self.kind == JINJA_STRING) m.s = method->self.u.s;
    if (method->self.kind == JINJA_STRING && method->self.form == STRING_SAFE)
        return jinja_refuse(r, "a method of a safe string");
    return found->call(&m);
}
