/* jinja_filter: filters of single values, and the table of all filters with their parameters. A filter gets its arguments
 * bound to the names in that table, so `x | default("a", true)` and `x | default(default_value="a", boolean=true)` are the
 * same call. */
#include "io/template/jinja_filter.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool jinja_filter_flag(const struct jinja_value *v, bool otherwise)
{
    return jinja_filter_given(v) ? jinja_value_true(v) : otherwise;
}

enum status jinja_filter_int(struct jinja_filter_call *f, const struct jinja_value *v, int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    if (!jinja_filter_given(v) || v->kind == JINJA_NONE || jinja_value_integer(v, out)) return OK;
    return jinja_fail(f->r, "'%s' object cannot be interpreted as an integer", jinja_value_type(v));
}

/* The value as text: most filters of text take anything. */
static enum status filter_text(struct jinja_filter_call *f, struct jinja_string *out)
{
    return jinja_print_string(f->r, f->v, out);
}

/* What becomes of a safe string is safe. */
static enum status keep_form(struct jinja_filter_call *f)
{
    if (f->v->kind == JINJA_STRING) f->out->form = f->v->form;
    return OK;
}

/* default(value, boolean): in the place of what is undefined or, with boolean, false. */
static enum status filter_default(struct jinja_filter_call *f)
{
    bool missing = f->v->kind == JINJA_UNDEFINED || (jinja_filter_flag(&f->args[1], false) && !jinja_value_true(f->v));
    *f->out = !missing ? *f->v : f->a->n > 0 ? f->args[0] : jinja_value_text("");
    return OK;
}

/* string. */
static enum status filter_string(struct jinja_filter_call *f)
{
    struct jinja_string s;
    TRY(filter_text(f, &s));
    *f->out = jinja_value_string(s);
    return keep_form(f);
}

/* safe: the string is not escaped when it meets others. */
static enum status filter_safe(struct jinja_filter_call *f)
{
    TRY(filter_string(f));
    f->out->form = STRING_SAFE;
    return OK;
}

/* trim(chars). What jinja_step counts is about the comparisons: each byte with each of the characters. */
static enum status filter_trim(struct jinja_filter_call *f)
{
    struct jinja_string s;
    bool some = jinja_filter_given(&f->args[0]) && f->args[0].kind != JINJA_NONE;
    if (some && f->args[0].kind != JINJA_STRING) return jinja_fail(f->r, "strip arg must be None or str");
    TRY(filter_text(f, &s));
    TRY(jinja_step(f->r, (s.n / 16 + 1) * (some ? f->args[0].u.s.n / 64 + 1 : 1)));
    *f->out = jinja_value_string(jinja_text_strip(s, some ? &f->args[0].u.s : NULL, STRIP_LEFT | STRIP_RIGHT));
    return keep_form(f);
}

/* upper, lower, title, capitalize. */
static enum status filter_case(struct jinja_filter_call *f)
{
    struct jinja_string s, out;
    int which = f->name.s[0] == 'u' ? CASE_UPPER : f->name.s[0] == 'l' ? CASE_LOWER : CASE_CAPITAL;
    TRY(filter_text(f, &s));
    TRY(jinja_text_case(f->r, s, which, &out));
    *f->out = jinja_value_string(out);
    return keep_form(f);
}

/* replace(old, new, count). */
static enum status filter_replace(struct jinja_filter_call *f)
{
    struct jinja_string s, from, to, out;
    int64_t most;
    TRY(filter_text(f, &s));
    TRY(jinja_print_string(f->r, &f->args[0], &from));
    TRY(jinja_print_string(f->r, &f->args[1], &to));
    TRY(jinja_filter_int(f, &f->args[2], -1, &most));
    TRY(jinja_text_replace(f->r, s, from, to, most < 0 ? -1 : most, &out));
    *f->out = jinja_value_string(out);
    return OK;
}

/* length and count. */
static enum status filter_length(struct jinja_filter_call *f)
{
    int64_t n;
    TRY(jinja_value_length(f->r, f->v, &n));
    *f->out = jinja_value_int(n);
    return OK;
}

/* The lines of a text joined again with `by` in front: of the first only with `first`, of empty ones only with `blank`. */
static enum status indent_lines(struct jinja_filter_call *f, struct jinja_string s, struct jinja_string by)
{
    struct jinja_builder b = {.a = &f->r->arena};
    struct jinja_value lines;
    bool first = jinja_filter_flag(&f->args[1], false), blank = jinja_filter_flag(&f->args[2], false);
    TRY(jinja_text_lines(f->r, s, false, &lines));
    if (first) jinja_builder_append(&b, by);
    for (size_t i = 0; i < lines.u.list->n; i++) {
        struct jinja_string line = lines.u.list->items[i].u.s;
        TRY(jinja_step(f->r, 1 + by.n / 16));
        if (i > 0) jinja_builder_str(&b, "\n");
        if (i > 0 && (blank || line.n > 0)) jinja_builder_append(&b, by);
        jinja_builder_append(&b, line);
    }
    *f->out = jinja_value_string(jinja_builder_string(&b));
    return f->r->c->status;
}

/* n spaces. */
static enum status spaces(struct jinja_filter_call *f, int64_t n, struct jinja_string *out)
{
    struct jinja_builder b = {.a = &f->r->arena};
    if (n > 10000) return jinja_refuse(f->r, "an indentation by %lld", (long long)n);
    for (int64_t i = 0; i < n; i++) jinja_builder_str(&b, " ");
    *out = jinja_builder_string(&b);
    return f->r->c->status;
}

/* indent(width, first, blank). */
static enum status filter_indent(struct jinja_filter_call *f)
{
    static const struct jinja_string newline = {"\n", NULL, 1};
    struct jinja_string s, by;
    int64_t width;
    if (f->v->kind != JINJA_STRING) return jinja_fail(f->r, "indent takes a string, not %s", jinja_value_type(f->v));
    if (f->v->form == STRING_SAFE) return jinja_refuse(f->r, "the indentation of a safe string");
    s = f->v->u.s;
    if (f->args[0].kind == JINJA_STRING) {
        by = f->args[0].u.s;
    } else {
        TRY(jinja_filter_int(f, &f->args[0], 4, &width));
        TRY(spaces(f, width, &by));
    }
    return indent_lines(f, jinja_arena_concat(&f->r->arena, s, newline), by);
}

/* Whether Python may read a number here that is not read by text_number: with "_", with digits of other scripts, "inf" or
 * "nan", or with very many digits. */
static bool is_other_number(struct jinja_string s)
{
    static const char *const words[] = {"inf", "infinity", "nan"};
    size_t at = s.s[0] == '+' || s.s[0] == '-', n = s.n - at;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (n == strlen(words[i]) && strncasecmp(s.s + at, words[i], n) == 0) return true;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.s[i] < 0x80 && (!s.s[i] || !strchr("0123456789+-.eE_", s.s[i]))) return false;
    return true;
}

/* Python's int() or float() of the text of a number: no letters, spaces around allowed. *known: it is one. */
static enum status text_number(struct jinja_run *r, struct jinja_string s, bool *known, bool *whole, int64_t *i, double *d)
{
    char text[128], *end;
    TRY(jinja_step(r, s.n / 8));
    s = jinja_text_strip(s, NULL, STRIP_LEFT | STRIP_RIGHT);
    *known = false;
    if (s.n == 0) return OK;
    size_t n = s.n < sizeof text ? s.n : 0;
    memcpy(text, s.s, n);
    text[n] = '\0';
    if (n == 0 || strspn(text, "0123456789+-.eE") != n)
        return is_other_number(s) ? jinja_refuse(r, "the number in this text") : OK;
    *whole = strcspn(text, ".eE") == n;
    errno = 0;
    *i = strtoll(text, &end, 10);
    if (*whole && errno == ERANGE) return jinja_refuse(r, "a whole number beyond 64 bits");
    if (!*whole) *d = strtod(text, &end);
    *known = *end == '\0';
    return OK;
}

/* int(default, base) and float(default). */
static enum status filter_number(struct jinja_filter_call *f)
{
    bool real = f->name.s[0] == 'f', whole = false, known = false;
    int64_t i = 0;
    double d = 0;
    if (jinja_filter_given(&f->args[1])) return jinja_refuse(f->r, "int with a base");
    *f->out = jinja_filter_given(&f->args[0]) ? f->args[0] : jinja_value_int(0);
    if (real && !jinja_filter_given(&f->args[0])) *f->out = (struct jinja_value){.kind = JINJA_FLOAT, .u.f = 0};
    if (f->v->kind == JINJA_UNDEFINED) return jinja_value_fail_undefined(f->r, f->v);
    if (jinja_value_integer(f->v, &i))
        known = whole = true;
    else if (f->v->kind == JINJA_STRING)
        TRY(text_number(f->r, f->v->u.s, &known, &whole, &i, &d));
    else
        known = jinja_value_number(f->v, &d);
    if (!known) return OK;
    if (whole) d = (double)i;
    if (!whole && !real && !(fabs(d) < 0x1p62)) return jinja_refuse(f->r, "a whole number beyond 64 bits");
    *f->out = real ? (struct jinja_value){.kind = JINJA_FLOAT, .u.f = d} : jinja_value_int(whole ? i : (int64_t)d);
    return OK;
}

/* abs. */
static enum status filter_abs(struct jinja_filter_call *f)
{
    int64_t i;
    *f->out = *f->v;
    if (f->v->kind == JINJA_FLOAT)
        f->out->u.f = fabs(f->v->u.f);
    else if (jinja_value_integer(f->v, &i) && i == INT64_MIN)
        return jinja_refuse(f->r, "a whole number beyond 64 bits");
    else if (!jinja_value_integer(f->v, &i))
        return jinja_fail(f->r, "bad operand type for abs(): '%s'", jinja_value_type(f->v));
    else
        *f->out = jinja_value_int(i < 0 ? -i : i);
    return OK;
}

/* indent=, separators=(item, key) of tojson. */
static enum status json_style(struct jinja_filter_call *f, struct jinja_json_style *style)
{
    const struct jinja_value *indent = &f->args[1], *separators = &f->args[2];
    int64_t width;
    style->indented = jinja_filter_given(indent) && indent->kind != JINJA_NONE;
    if (style->indented && indent->kind == JINJA_STRING) {
        style->indent = indent->u.s;
    } else if (style->indented) {
        TRY(jinja_filter_int(f, indent, 0, &width));
        TRY(spaces(f, width, &style->indent));
    }
    style->item = jinja_value_text(style->indented ? "," : ", ").u.s;
    style->key = jinja_value_text(": ").u.s;
    if (!jinja_filter_given(separators) || separators->kind == JINJA_NONE) return OK;
    const struct jinja_list *l = separators->kind == JINJA_LIST ? separators->u.list : NULL;
    if (!l || l->n != 2 || l->items[0].kind != JINJA_STRING || l->items[1].kind != JINJA_STRING)
        return jinja_fail(f->r, "the separators of tojson are two strings");
    style->item = l->items[0].u.s;
    style->key = l->items[1].u.s;
    return OK;
}

/* tojson(indent), as transformers defines it. */
static enum status filter_tojson(struct jinja_filter_call *f)
{
    struct jinja_json_style style = {.ascii = jinja_filter_flag(&f->args[0], false),
                                     .sorted = jinja_filter_flag(&f->args[3], false)};
    struct jinja_builder b = {.a = &f->r->arena};
    TRY(json_style(f, &style));
    TRY(jinja_json_write(f->r, f->v, &style, &b));
    *f->out = jinja_value_string(jinja_builder_string(&b));
    return f->r->c->status;
}

static const struct jinja_filter filters[] = {
    {"abs", filter_abs, {NULL}, false},
    {"capitalize", filter_case, {NULL}, false},
    {"count", filter_length, {NULL}, false},
    {"d", filter_default, {"default_value=", "boolean="}, false},
    {"default", filter_default, {"default_value=", "boolean="}, false},
    {"float", filter_number, {"default="}, false},
    {"indent", filter_indent, {"width=", "first=", "blank="}, false},
    {"int", filter_number, {"default=", "base="}, false},
    {"length", filter_length, {NULL}, false},
    {"lower", filter_case, {NULL}, false},
    {"replace", filter_replace, {"old", "new", "count="}, false},
    {"safe", filter_safe, {NULL}, false},
    {"string", filter_string, {NULL}, false},
    {"tojson", filter_tojson, {"ensure_ascii=", "indent=", "separators=", "sort_keys="}, false},
    {"trim", filter_trim, {"chars="}, false},
    {"upper", filter_case, {NULL}, false},
};

/* The row of a filter, or NULL. */
static const struct jinja_filter *filter_find(struct jinja_string name)
{
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++)
        if (jinja_text_equal(name, filters[i].name)) return &filters[i];
    for (size_t i = 0; i < jinja_filter_n_lists; i++)
        if (jinja_text_equal(name, jinja_filter_lists[i].name)) return &jinja_filter_lists[i];
    return NULL;
}

int jinja_filter_find(struct jinja_string name)
{
    static const char *const others[] = {"attr",        "batch",     "center",  "e",        "escape",    "filesizeformat",
                                         "forceescape", "format",    "groupby", "pprint",   "random",    "round",
                                         "slice",       "striptags", "title",   "truncate", "urlencode", "urlize",
                                         "wordcount",   "wordwrap",  "xmlattr"};
    if (filter_find(name)) return NAME_KNOWN;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (jinja_text_equal(name, others[i])) return NAME_UNSUPPORTED;
    return NAME_UNKNOWN;
}

enum status jinja_filter_apply(struct jinja_run *r, struct jinja_string name, const struct jinja_value *v,
                               const struct jinja_arguments *a, struct jinja_value *out)
{
    const struct jinja_filter *found = filter_find(name);
    struct jinja_filter_call f = {.r = r, .name = name, .v = v, .a = a, .out = out};
    size_t n = 0;
    TRY(jinja_step(r, 1));
    if (!found && jinja_filter_find(name) == NAME_UNSUPPORTED)
        return jinja_refuse(r, "the filter '%.*s'", (int)name.n, name.s);
    if (!found) return jinja_fail(r, "No filter named '%.*s' found.", (int)name.n, name.s);
    while (n < JINJA_FILTER_ARGUMENTS && found->parameters[n]) n++;
    if (!found->own) TRY(jinja_call_bind(r, found->name, a, found->parameters, n, f.args));
    struct jinja_value result = {.kind = JINJA_NONE};
    f.out = &result;
    TRY(jinja_enter(r));
    enum status status = found->apply(&f);
    jinja_leave(r);
    *out = result;
    return status;
}
