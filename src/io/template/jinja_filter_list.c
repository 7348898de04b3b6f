/* jinja_filter_list: filters that walk through lists, dicts and strings: first, join, map, selectattr, sort and their like.
 * Those that give generators in jinja2 give lists here that print and iterate as generators do. */
#include <string.h>

#include "io/template/jinja_filter.h"

/* The items of what is filtered, as a list of its own. */
static enum status all_items(struct jinja_filter_call *f, const struct jinja_list **l)
{
    struct jinja_value all;
    TRY(jinja_value_items(f->r, f->v, &all));
    *l = all.u.list;
    return OK;
}

static enum status filter_list(struct jinja_filter_call *f)
{
    return jinja_value_items(f->r, f->v, f->out);
}

/* first and last of what can be walked through. */
static enum status filter_end(struct jinja_filter_call *f)
{
    const struct jinja_list *l;
    bool last = f->name.s[0] == 'l';
    TRY(all_items(f, &l));
    if (l->n > 0)
        *f->out = l->items[last ? l->n - 1 : 0];
    else
        *f->out = jinja_value_undefined(
            UNDEFINED_HINT,
            jinja_value_text(last ? "No last item, sequence was empty." : "No first item, sequence was empty.").u.s);
    return OK;
}

/* Items as text, each after a path into it. */
static enum status filter_join(struct jinja_filter_call *f)
{
    struct jinja_builder b = {.a = &f->r->arena};
    struct jinja_string by = {"", NULL, 0};
    const struct jinja_list *l;
    if (jinja_filter_given(&f->args[0])) TRY(jinja_print_string(f->r, &f->args[0], &by));
    TRY(all_items(f, &l));
    for (size_t i = 0; i < l->n; i++) {
        struct jinja_value v = l->items[i];
        if (jinja_filter_given(&f->args[1])) TRY(jinja_lookup_path(f->r, &l->items[i], &f->args[1], NULL, &v));
        TRY(jinja_step(f->r, 1 + by.n / 16));
        if (i > 0) jinja_builder_append(&b, by);
        TRY(jinja_print(f->r, &v, &b));
    }
    *f->out = jinja_value_string(jinja_builder_string(&b));
    return f->r->c->status;
}

/* items: pairs of a dict. */
static enum status filter_items(struct jinja_filter_call *f)
{
    TRY(jinja_value_list(f->r, LIST_GENERATOR, f->out));
    if (f->v->kind == JINJA_UNDEFINED) return OK;
    if (f->v->kind != JINJA_DICT) return jinja_fail(f->r, "Can only get item pairs from a mapping.");
    const struct jinja_dict *d = f->v->u.dict;
    TRY(jinja_step(f->r, d->n));
    for (size_t i = 0; i < d->n; i++) {
        struct jinja_value pair;
        TRY(jinja_value_list(f->r, LIST_TUPLE, &pair));
        TRY(jinja_value_push(f->r, &pair, d->pairs[i].key));
        TRY(jinja_value_push(f->r, &pair, d->pairs[i].value));
        TRY(jinja_value_push(f->r, f->out, pair));
    }
    return OK;
}

/* reverse, of strings too. */
static enum status filter_reverse(struct jinja_filter_call *f)
{
    const struct jinja_list *l;
    TRY(all_items(f, &l));
    TRY(jinja_value_list(f->r, f->v->kind == JINJA_STRING ? LIST_PLAIN : LIST_GENERATOR, f->out));
    for (size_t i = l->n; i-- > 0;) TRY(jinja_value_push(f->r, f->out, l->items[i]));
    if (f->v->kind != JINJA_STRING) return OK;
    struct jinja_builder b = {.a = &f->r->arena};
    for (size_t i = 0; i < l->n; i++) jinja_builder_append(&b, f->out->u.list->items[i].u.s);
    *f->out = jinja_value_string(jinja_builder_string(&b));
    return f->r->c->status;
}

/* ---- order ---- */

/* What items are compared by: a path into them, in lower case unless case counts. */
static enum status sort_key(struct jinja_filter_call *f, const struct jinja_value *item, const struct jinja_value *path,
                            bool any_case, struct jinja_value *key)
{
    *key = *item;
    if (path && jinja_filter_given(path) && path->kind != JINJA_NONE) {
        if (path->kind == JINJA_STRING && path->u.s.n > 0 && memchr(path->u.s.s, ',', path->u.s.n))
            return jinja_refuse(f->r, "several attributes to sort by");
        TRY(jinja_lookup_path(f->r, item, path, NULL, key));
    }
    if (!any_case || key->kind != JINJA_STRING) return OK;
    return jinja_text_case(f->r, key->u.s, CASE_LOWER, &key->u.s);
}

/* The key of `sort` is a list: of what each of the paths, which commas part, finds in the item. So keys that are equal,
 * undefined ones too, are never asked which is the lesser. */
static enum status sort_keys(struct jinja_filter_call *f, const struct jinja_value *item, const struct jinja_value *paths,
                             bool any_case, struct jinja_value *keys)
{
    struct jinja_value path = *paths, key;
    TRY(jinja_value_list(f->r, LIST_PLAIN, keys));
    bool several = jinja_filter_given(paths) && paths->kind == JINJA_STRING;
    for (struct jinja_string rest = several ? paths->u.s : (struct jinja_string){0};;) {
        const char *comma = several && rest.n > 0 ? memchr(rest.s, ',', rest.n) : NULL;
        size_t n = comma ? (size_t)(comma - rest.s) : rest.n;
        if (several) path = jinja_value_string(jinja_part(rest, 0, n));
        TRY(sort_key(f, item, &path, any_case, &key));
        TRY(jinja_value_push(f->r, keys, key));
        if (!comma) return OK;
        rest = jinja_part(rest, n + 1, rest.n);
    }
}

struct sort_item {
    struct jinja_value key, item;
};

/* Merges two sorted runs, from[0, half) and from[half, n). Of equal keys the one of the first run goes first, also in
 * reverse, as Python's sort has it. */
static enum status sort_merge(struct jinja_run *r, struct sort_item *to, const struct sort_item *from, size_t n, size_t half,
                              bool reverse)
{
    size_t a = 0, b = half;
    for (size_t i = 0; i < n; i++) {
        int sign = 0;
        if (a < half && b < n)
            TRY(reverse ? jinja_value_order(r, &from[a].key, &from[b].key, "<", &sign)
                        : jinja_value_order(r, &from[b].key, &from[a].key, "<", &sign));
        to[i] = a < half && (b == n || sign >= 0) ? from[a++] : from[b++];
    }
    return OK;
}

/* Stable, by merging runs of 1, 2, 4, ... items. */
static enum status sort_items(struct jinja_run *r, struct sort_item *items, size_t n, bool reverse)
{
    struct sort_item *other = jinja_arena_alloc(&r->arena, n, sizeof *other), *from = items, *to = other;
    if (!other) return r->c->status;
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t at = 0; at < n; at += 2 * run) {
            size_t left = n - at, both = left < 2 * run ? left : 2 * run;
            TRY(sort_merge(r, to + at, from + at, both, run < both ? run : both, reverse));
        }
        struct sort_item *swap = from;
        from = to;
        to = swap;
    }
    if (from != items) memcpy(items, from, n * sizeof *items);
    return OK;
}

/* Takes sort_key or sort_keys. */
typedef enum status (*sort_key_fn)(struct jinja_filter_call *f, const struct jinja_value *item,
                                   const struct jinja_value *path, bool any_case, struct jinja_value *key);

/* The list sorted, by keys that are made once an item: comparing then costs no look-up. */
static enum status sort_list(struct jinja_filter_call *f, const struct jinja_list *l, sort_key_fn make_key,
                             const struct jinja_value *path, bool any_case, bool reverse)
{
    struct sort_item *items = jinja_arena_alloc(&f->r->arena, l->n, sizeof *items);
    if (!items) return f->r->c->status;
    for (size_t i = 0; i < l->n; i++) {
        items[i].item = l->items[i];
        TRY(make_key(f, &l->items[i], path, any_case, &items[i].key));
    }
    TRY(sort_items(f->r, items, l->n, reverse));
    TRY(jinja_value_list(f->r, LIST_PLAIN, f->out));
    for (size_t i = 0; i < l->n; i++) TRY(jinja_value_push(f->r, f->out, items[i].item));
    return OK;
}

/* sort(reverse, case_sensitive, attribute). */
static enum status filter_sort(struct jinja_filter_call *f)
{
    const struct jinja_list *l;
    TRY(all_items(f, &l));
    return sort_list(f, l, sort_keys, &f->args[2], !jinja_filter_flag(&f->args[1], false),
                     jinja_filter_flag(&f->args[0], false));
}

/* dictsort(case_sensitive, by, reverse). */
static enum status filter_dictsort(struct jinja_filter_call *f)
{
    struct jinja_value by = jinja_value_int(0), pairs;
    if (f->v->kind == JINJA_UNDEFINED) return jinja_value_fail_undefined(f->r, f->v);
    if (f->v->kind != JINJA_DICT) return jinja_fail(f->r, "'%s' object has no attribute 'items'", jinja_value_type(f->v));
    if (f->args[1].kind == JINJA_STRING && jinja_text_equal(f->args[1].u.s, "value")) by = jinja_value_int(1);
    TRY(filter_items(f));
    pairs = *f->out;
    return sort_list(f, pairs.u.list, sort_key, &by, !jinja_filter_flag(&f->args[0], false),
                     jinja_filter_flag(&f->args[2], false));
}

/* unique(case_sensitive, attribute). */
static enum status filter_unique(struct jinja_filter_call *f)
{
    const struct jinja_list *l;
    struct jinja_value seen;
    bool undefined = false; /* was seen: all undefined values are equal */
    TRY(all_items(f, &l));
    TRY(jinja_value_dict(f->r, &seen));
    TRY(jinja_value_list(f->r, LIST_GENERATOR, f->out));
    for (size_t i = 0; i < l->n; i++) {
        struct jinja_value key;
        TRY(sort_key(f, &l->items[i], &f->args[1], !jinja_filter_flag(&f->args[0], false), &key));
        if (key.kind == JINJA_UNDEFINED && undefined) continue;
        undefined |= key.kind == JINJA_UNDEFINED;
        if (key.kind != JINJA_LIST && key.kind != JINJA_DICT && jinja_value_get(f->r, seen.u.dict, key)) continue;
        TRY(f->r->c->status);
        TRY(jinja_value_put(f->r, seen.u.dict, key, key));
        TRY(jinja_value_push(f->r, f->out, l->items[i]));
    }
    return OK;
}

/* min, max */
static enum status filter_least(struct jinja_filter_call *f)
{
    const struct jinja_list *l;
    struct jinja_value best = {0};
    TRY(all_items(f, &l));
    *f->out = jinja_value_undefined(UNDEFINED_HINT, jinja_value_text("No aggregated item, sequence was empty.").u.s);
    for (size_t i = 0; i < l->n; i++) {
        struct jinja_value key;
        int sign = -1;
        TRY(sort_key(f, &l->items[i], &f->args[1], !jinja_filter_flag(&f->args[0], false), &key));
        if (i > 0 && f->name.s[1] == 'i') TRY(jinja_value_order(f->r, &key, &best, "<", &sign));
        if (i > 0 && f->name.s[1] == 'a') TRY(jinja_value_order(f->r, &best, &key, "<", &sign));
        if (sign >= 0) continue;
        best = key;
        *f->out = l->items[i];
    }
    return OK;
}

/* Whole numbers, or lists onto a list to start with; floats, which Python adds with a compensation, are refused. */
static enum status filter_sum(struct jinja_filter_call *f)
{
    const struct jinja_list *l;
    struct jinja_value sum = jinja_filter_given(&f->args[1]) ? f->args[1] : jinja_value_int(0);
    TRY(all_items(f, &l));
    for (size_t i = 0; i < l->n; i++) {
        int64_t a, b;
        struct jinja_value v = l->items[i], so_far = sum;
        if (jinja_filter_given(&f->args[0])) TRY(jinja_lookup_path(f->r, &l->items[i], &f->args[0], NULL, &v));
        if (v.kind == JINJA_UNDEFINED) return jinja_value_fail_undefined(f->r, &v);
        if (so_far.kind == JINJA_LIST && v.kind == JINJA_LIST)
            TRY(jinja_eval_add(f->r, &so_far, &v, &sum));
        else if (jinja_value_integer(&so_far, &a) && jinja_value_integer(&v, &b) && !__builtin_add_overflow(a, b, &a))
            sum = jinja_value_int(a);
        else
            return jinja_refuse(f->r, "the sum of these values");
    }
    *f->out = sum;
    return OK;
}

/* ---- map, select, reject ---- */

/* The arguments from number `from` on, as those of an inner filter or test. */
static struct jinja_arguments rest_of(const struct jinja_arguments *a, size_t from)
{
    return (struct jinja_arguments){a->values + from, a->names + from, a->n - from, a->n_positional - from};
}

/* map(attribute=..., default=...) and map(filter, args...). */
static enum status filter_map(struct jinja_filter_call *f)
{
    static const char *const parameters[] = {"attribute", "default="};
    const struct jinja_arguments *a = f->a;
    struct jinja_value v[2];
    const struct jinja_list *l;
    bool path = a->n_positional == 0;
    if (path) TRY(jinja_call_bind(f->r, "map", a, parameters, 2, v));
    if (!path && a->values[0].kind != JINJA_STRING) return jinja_fail(f->r, "map requires the name of a filter");
    TRY(all_items(f, &l));
    TRY(jinja_value_list(f->r, LIST_GENERATOR, f->out));
    for (size_t i = 0; i < l->n; i++) {
        struct jinja_value item;
        struct jinja_arguments rest = path ? (struct jinja_arguments){0} : rest_of(a, 1);
        if (path)
            TRY(jinja_lookup_path(f->r, &l->items[i], &v[0], &v[1], &item));
        else
            TRY(jinja_filter_apply(f->r, a->values[0].u.s, &l->items[i], &rest, &item));
        TRY(jinja_value_push(f->r, f->out, item));
    }
    return OK;
}

/* select, reject, selectattr and rejectattr. */
static enum status filter_select(struct jinja_filter_call *f)
{
    const struct jinja_arguments *a = f->a;
    size_t off = f->name.n > strlen("select"); /* the attribute */
    const struct jinja_list *l;
    if (a->n_positional < off) return jinja_fail(f->r, "Missing parameter for attribute name");
    bool test = a->n_positional > off;
    if (test && a->values[off].kind != JINJA_STRING) return jinja_fail(f->r, "the name of a test is missing");
    TRY(jinja_value_list(f->r, LIST_GENERATOR, f->out));
    if (!jinja_value_true(f->v)) return OK;
    TRY(all_items(f, &l));
    for (size_t i = 0; i < l->n; i++) {
        struct jinja_value v = l->items[i];
        struct jinja_arguments rest = test ? rest_of(a, off + 1) : (struct jinja_arguments){0};
        if (off) TRY(jinja_lookup_path(f->r, &l->items[i], &a->values[0], NULL, &v));
        bool yes = jinja_value_true(&v);
        if (test) TRY(jinja_test_apply(f->r, a->values[off].u.s, &v, &rest, &yes));
        if (yes == (f->name.s[0] == 's')) TRY(jinja_value_push(f->r, f->out, l->items[i]));
    }
    return OK;
}

const struct jinja_filter jinja_filter_lists[] = {
    {"dictsort", filter_dictsort, {"case_sensitive=", "by=", "reverse="}, false},
    {"first", filter_end, {NULL}, false},
    {"items", filter_items, {NULL}, false},
    {"join", filter_join, {"d=", "attribute="}, false},
    {"last", filter_end, {NULL}, false},
    {"list", filter_list, {NULL}, false},
    {"map", filter_map, {NULL}, true},
    {"max", filter_least, {"case_sensitive=", "attribute="}, false},
    {"min", filter_least, {"case_sensitive=", "attribute="}, false},
    {"reject", filter_select, {NULL}, true},
    {"rejectattr", filter_select, {NULL}, true},
    {"reverse", filter_reverse, {NULL}, false},
    {"select", filter_select, {NULL}, true},
    {"selectattr", filter_select, {NULL}, true},
    {"sort", filter_sort, {"reverse=", "case_sensitive=", "attribute="}, false},
    {"sum", filter_sum, {"attribute=", "start="}, false},
    {"unique", filter_unique, {"case_sensitive=", "attribute="}, false},
};
const size_t jinja_filter_n_lists = sizeof jinja_filter_lists / sizeof jinja_filter_lists[0];
