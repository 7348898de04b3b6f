/* jinja_lookup: a.name and a[key], Python's attributes and items, as jinja2 mixes them. a.name asks for an attribute (a
 * method, here) and then for an item; a["name"] the other way round. */
#include <stdio.h>
#include <string.h>

#include "io/template/jinja_internal.h"

/* An undefined value that remembers what was looked for. */
static enum status missing(struct jinja_run *r, const struct jinja_value *of, struct jinja_string name, int form,
                           struct jinja_value *out)
{
    if (of->kind == JINJA_UNDEFINED) return jinja_value_fail_undefined(r, of);
    *out = jinja_value_undefined(form, name);
    out->of = of->kind;
    return OK;
}

/* A method of the value's type under this name. *found false: there is none. */
static enum status find_method(struct jinja_run *r, const struct jinja_value *of, struct jinja_string name, bool *found,
                               struct jinja_value *out)
{
    int what = jinja_method_find((enum jinja_kind)of->kind, name);
    *found = what != MEMBER_NONE;
    if (what == MEMBER_UNSUPPORTED)
        return jinja_refuse(r, "the attribute '%.*s' of a %s", (int)name.n, name.s, jinja_value_type(of));
    if (what == MEMBER_CHANGES) {
        *out = jinja_value_undefined(UNDEFINED_UNSAFE, name);
        out->of = of->kind;
    }
    if (what != MEMBER_METHOD) return OK;
    *out = (struct jinja_value){.kind = JINJA_METHOD};
    out->u.method = jinja_arena_alloc(&r->arena, 1, sizeof *out->u.method);
    if (!out->u.method) return r->c->status;
    *out->u.method = (struct jinja_method){*of, name};
    return OK;
}

static enum status jinja_find_member(struct jinja_run *r, const struct jinja_value *of, struct jinja_string name,
                                     bool *found, struct jinja_value *out)
{
    *found = false;
    if (of->kind != JINJA_DICT && of->kind != JINJA_NAMESPACE) return OK;
    const struct jinja_value *v = jinja_value_get(r, of->u.dict, jinja_value_string(name));
    *found = v != NULL;
    if (v) *out = *v;
    return r->c->status;
}

enum status jinja_lookup_member(struct jinja_run *r, const struct jinja_value *of, struct jinja_string name,
                                struct jinja_value *out)
{
    bool found;
    if (of->kind == JINJA_LOOP && of->u.loop) return jinja_loop_member(r, of->u.loop, name, out);
    if (of->kind == JINJA_MACRO || of->kind == JINJA_FUNCTION || of->kind == JINJA_METHOD)
        return jinja_refuse(r, "the attribute '%.*s' of a %s", (int)name.n, name.s, jinja_value_type(of));
    TRY(find_method(r, of, name, &found, out));
    if (!found) TRY(jinja_find_member(r, of, name, &found, out));
    return found ? OK : missing(r, of, name, UNDEFINED_MEMBER, out);
}

/* The item at a place, which counts from the end when negative; false where there is none. */
static bool list_item(const struct jinja_value *of, int64_t i, struct jinja_value *out)
{
    const struct jinja_list *l = of->u.list;
    int64_t n = (int64_t)l->n;
    if (i < 0) i += n;
    if (of->form == LIST_VIEW || of->form == LIST_GENERATOR || i < 0 || i >= n) return false;
    *out = l->items[i];
    return true;
}

/* A character of a string, by its number in code points. */
static bool text_item(const struct jinja_value *of, int64_t i, struct jinja_value *out)
{
    struct jinja_string s = of->u.s;
    int64_t n = (int64_t)jinja_text_length(s);
    if (i < 0) i += n;
    if (i < 0 || i >= n) return false;
    size_t at = jinja_text_offset(s, (size_t)i);
    *out = jinja_value_string(jinja_part(s, at, at + jinja_text_next(s, at)));
    return true;
}

enum status jinja_lookup_item(struct jinja_run *r, const struct jinja_value *of, const struct jinja_value *key,
                              struct jinja_value *out)
{
    int64_t i;
    bool found;
    if (of->kind == JINJA_UNDEFINED) return jinja_value_fail_undefined(r, of);
    if (key->kind == JINJA_STRING) {
        if (of->kind == JINJA_LOOP && of->u.loop) return jinja_lookup_member(r, of, key->u.s, out);
        TRY(jinja_find_member(r, of, key->u.s, &found, out));
        if (!found) TRY(find_method(r, of, key->u.s, &found, out));
        return found ? OK : missing(r, of, key->u.s, UNDEFINED_MEMBER, out);
    }
    if (of->kind == JINJA_DICT) {
        const struct jinja_value *v = jinja_value_get(r, of->u.dict, *key);
        TRY(r->c->status);
        if (v) *out = *v;
        if (v) return OK;
    }
    if (jinja_value_integer(key, &i)) {
        if (of->kind == JINJA_STRING) TRY(jinja_step(r, of->u.s.n / 16));
        if (of->kind == JINJA_LIST ? list_item(of, i, out) : of->kind == JINJA_STRING && text_item(of, i, out)) return OK;
    }
    struct jinja_string name;
    TRY(jinja_print_string(r, key, &name));
    return missing(r, of, name, UNDEFINED_ELEMENT, out);
}

/* ---- slices ---- */

/* Python's slice.indices for n members. */
static enum status slice_bounds(struct jinja_run *r, const struct jinja_value bounds[3], int64_t n, int64_t *start,
                                int64_t *stop, int64_t *step)
{
    int64_t *places[2] = {start, stop};
    *step = 1;
    if (bounds[2].kind != JINJA_NONE && !jinja_value_integer(&bounds[2], step))
        return jinja_fail(r, "slice indices must be integers or None or have an __index__ method");
    if (*step == 0) return jinja_fail(r, "slice step cannot be zero");
    int64_t low = *step > 0 ? 0 : -1, high = *step > 0 ? n : n - 1;
    for (int i = 0; i < 2; i++) {
        int64_t v;
        if (bounds[i].kind == JINJA_NONE) {
            v = (*step > 0) == (i == 0) ? low : high;
        } else if (!jinja_value_integer(&bounds[i], &v)) {
            return jinja_fail(r, "slice indices must be integers or None or have an __index__ method");
        } else {
            if (v < 0) v = v < -n ? low : v + n;
            v = v < low ? low : v > high ? high : v;
        }
        *places[i] = v;
    }
    return OK;
}

/* A part of a list. */
static enum status slice_list(struct jinja_run *r, const struct jinja_value *of, const struct jinja_value bounds[3],
                              struct jinja_value *out)
{
    int64_t start, stop, step;
    const struct jinja_list *l = of->u.list;
    TRY(slice_bounds(r, bounds, (int64_t)l->n, &start, &stop, &step));
    TRY(jinja_value_list(r, of->form, out));
    while (step > 0 ? start < stop : start > stop) {
        TRY(jinja_step(r, 1));
        TRY(jinja_value_push(r, out, l->items[start]));
        if (__builtin_add_overflow(start, step, &start)) break;
    }
    return OK;
}

/* A part of a string, by code points. */
static enum status slice_text(struct jinja_run *r, struct jinja_string s, const struct jinja_value bounds[3],
                              struct jinja_value *out)
{
    int64_t start, stop, step;
    struct jinja_value all;
    TRY(jinja_step(r, s.n / 16));
    TRY(slice_bounds(r, bounds, (int64_t)jinja_text_length(s), &start, &stop, &step));
    if (step == 1) {
        size_t from = jinja_text_offset(s, (size_t)start), to = jinja_text_offset(s, (size_t)stop);
        *out = jinja_value_string(jinja_part(s, from, to > from ? to : from));
        return OK;
    }
    const struct jinja_value text = jinja_value_string(s);
    struct jinja_builder b = {.a = &r->arena};
    TRY(jinja_value_items(r, &text, &all));
    while (step > 0 ? start < stop : start > stop) {
        jinja_builder_append(&b, all.u.list->items[start].u.s);
        if (__builtin_add_overflow(start, step, &start)) break;
    }
    *out = jinja_value_string(jinja_builder_string(&b));
    return r->c->status;
}

enum status jinja_lookup_slice(struct jinja_run *r, const struct jinja_value *of, const struct jinja_value bounds[3],
                               struct jinja_value *out)
{
    if (of->kind == JINJA_UNDEFINED) return jinja_value_fail_undefined(r, of);
    if (of->kind == JINJA_STRING) {
        TRY(slice_text(r, of->u.s, bounds, out));
        out->form = of->form;
        return OK;
    }
    if (of->kind == JINJA_LIST && (of->form <= LIST_TUPLE || of->form == LIST_RANGE)) return slice_list(r, of, bounds, out);
    return jinja_fail(r, "'%s' object is not subscriptable", jinja_value_type(of));
}

/* ---- paths ---- */

/* A part of a path: digits are a number. */
static struct jinja_value path_key(struct jinja_string part)
{
    int64_t number = 0;
    /* More than nine digits are a name: no list is that long. */
    for (size_t i = 0; i < part.n; i++) {
        if (part.s[i] < '0' || part.s[i] > '9' || part.n > 9) return jinja_value_string(part);
        number = number * 10 + (part.s[i] - '0');
    }
    return part.n > 0 ? jinja_value_int(number) : jinja_value_string(part);
}

/* One step of a path. */
static enum status path_step(struct jinja_run *r, const struct jinja_value *key, const struct jinja_value *otherwise,
                             struct jinja_value *v)
{
    struct jinja_value of = *v;
    TRY(jinja_step(r, 1));
    TRY(jinja_lookup_item(r, &of, key, v));
    if (v->kind == JINJA_UNDEFINED && otherwise && otherwise->kind > JINJA_NONE) *v = *otherwise;
    return OK;
}

enum status jinja_lookup_path(struct jinja_run *r, const struct jinja_value *of, const struct jinja_value *path,
                              const struct jinja_value *otherwise, struct jinja_value *out)
{
    *out = *of;
    if (path->kind == JINJA_NONE) return OK;
    if (path->kind != JINJA_STRING) return path_step(r, path, otherwise, out);
    struct jinja_string rest = path->u.s;
    for (;;) {
        const char *dot = rest.n > 0 ? memchr(rest.s, '.', rest.n) : NULL;
        struct jinja_string part = jinja_part(rest, 0, dot ? (size_t)(dot - rest.s) : rest.n);
        const struct jinja_value key = path_key(part);
        TRY(path_step(r, &key, otherwise, out));
        if (!dot) return OK;
        rest = jinja_part(rest, part.n + 1, rest.n);
    }
}
