/* jinja_value: making, asking, comparing and walking through values, as Python does: 1 == 1.0 == true, an empty list is
 * false, a dict keeps its order, and iterating over a string gives its characters. */
#include <math.h>
#include <string.h>

#include "io/template/jinja_internal.h"

/* ---- making ---- */

struct jinja_value jinja_value_text(const char *s)
{
    return jinja_value_string((struct jinja_string){s, NULL, strlen(s)});
}

struct jinja_value jinja_value_string(struct jinja_string s)
{
    if (!s.s) s = (struct jinja_string){"", NULL, 0};
    return (struct jinja_value){.kind = JINJA_STRING, .u.s = s};
}

struct jinja_value jinja_value_int(int64_t i)
{
    return (struct jinja_value){.kind = JINJA_INT, .u.i = i};
}

struct jinja_value jinja_value_bool(bool b)
{
    return (struct jinja_value){.kind = JINJA_BOOL, .u.b = b};
}

struct jinja_value jinja_value_undefined(int form, struct jinja_string name)
{
    return (struct jinja_value){.kind = JINJA_UNDEFINED, .form = (uint8_t)form, .u.s = name};
}

enum status jinja_value_list(struct jinja_run *r, int form, struct jinja_value *out)
{
    *out = (struct jinja_value){.kind = JINJA_LIST, .form = (uint8_t)form};
    out->u.list = jinja_arena_alloc(&r->arena, 1, sizeof *out->u.list);
    return out->u.list ? OK : r->c->status;
}

enum status jinja_value_push(struct jinja_run *r, struct jinja_value *list, struct jinja_value item)
{
    struct jinja_list *l = list->u.list;
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 4;
        struct jinja_value *items = jinja_arena_alloc(&r->arena, room, sizeof *items);
        if (!items) return r->c->status;
        if (l->n > 0) memcpy(items, l->items, l->n * sizeof *items);
        l->items = items;
        l->room = room;
    }
    l->items[l->n++] = item;
    return OK;
}

enum status jinja_value_dict(struct jinja_run *r, struct jinja_value *out)
{
    *out = (struct jinja_value){.kind = JINJA_DICT};
    out->u.dict = jinja_arena_alloc(&r->arena, 1, sizeof *out->u.dict);
    return out->u.dict ? OK : r->c->status;
}

/* Appends a pair. */
static enum status dict_push(struct jinja_run *r, struct jinja_dict *d, struct jinja_value key, struct jinja_value value)
{
    if (d->n == d->room) {
        size_t room = d->room ? 2 * d->room : 4;
        struct jinja_pair *pairs = jinja_arena_alloc(&r->arena, room, sizeof *pairs);
        if (!pairs) return r->c->status;
        if (d->n > 0) memcpy(pairs, d->pairs, d->n * sizeof *pairs);
        d->pairs = pairs;
        d->room = room;
    }
    d->pairs[d->n++] = (struct jinja_pair){key, value};
    return OK;
}

enum { ORDER_NONE = 2 }; /* one of two numbers is NaN */

/* A whole number and a float, exactly: as doubles, 2^53 + 1 and 2^53 would be equal. */
static int compare_mixed(int64_t i, double f)
{
    if (isnan(f)) return ORDER_NONE;
    if (f >= 0x1p63) return -1;
    if (f < -0x1p63) return 1;
    int64_t whole = (int64_t)f;
    if (i != whole) return i < whole ? -1 : 1;
    double rest = f - (double)whole;
    return (rest < 0) - (rest > 0);
}

/* False unless both are numbers; *sign is -1, 0, 1 or ORDER_NONE. */
static bool compare_numbers(const struct jinja_value *a, const struct jinja_value *b, int *sign)
{
    int64_t i, k;
    /* Two integers are compared as such, since doubles would lose their last digits. */
    bool whole_a = jinja_value_integer(a, &i), whole_b = jinja_value_integer(b, &k);
    if ((!whole_a && a->kind != JINJA_FLOAT) || (!whole_b && b->kind != JINJA_FLOAT)) return false;
    if (whole_a && whole_b) {
        *sign = (i > k) - (i < k);
    } else if (whole_a) {
        *sign = compare_mixed(i, b->u.f);
    } else if (whole_b) {
        int turned = compare_mixed(k, a->u.f);
        *sign = turned == ORDER_NONE ? ORDER_NONE : -turned;
    } else {
        double x = a->u.f, y = b->u.f;
        *sign = isnan(x) || isnan(y) ? ORDER_NONE : (x > y) - (x < y);
    }
    return true;
}

/* Whether two keys are the same one: numbers by value, whatever their kinds. */
static bool key_equal(const struct jinja_value *a, const struct jinja_value *b)
{
    int sign;
    if (a->kind == JINJA_STRING && b->kind == JINJA_STRING)
        return a->u.s.n == b->u.s.n && memcmp(a->u.s.s, b->u.s.s, a->u.s.n) == 0;
    if (a->kind == JINJA_NONE || b->kind == JINJA_NONE) return a->kind == b->kind;
    return compare_numbers(a, b, &sign) && sign == 0;
}

/* The cost of comparing strings, of which no more than the shorter one is read. */
static enum status step_texts(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b)
{
    if (a->kind != JINJA_STRING || b->kind != JINJA_STRING) return OK;
    size_t n = a->u.s.n < b->u.s.n ? a->u.s.n : b->u.s.n;
    return n < 16 ? OK : jinja_step(r, n / 16);
}

const struct jinja_value *jinja_value_get(struct jinja_run *r, const struct jinja_dict *d, struct jinja_value key)
{
    if (jinja_step(r, d->n / 8) != OK) return NULL;
    for (size_t i = 0; i < d->n; i++) {
        if (step_texts(r, &d->pairs[i].key, &key) != OK) return NULL;
        if (key_equal(&d->pairs[i].key, &key)) return &d->pairs[i].value;
    }
    return NULL;
}

const struct jinja_value *jinja_value_member(struct jinja_run *r, const struct jinja_dict *d, const char *key)
{
    return jinja_value_get(r, d, jinja_value_text(key));
}

enum status jinja_value_put(struct jinja_run *r, struct jinja_dict *d, struct jinja_value key, struct jinja_value value)
{
    if (key.kind == JINJA_LIST || key.kind == JINJA_DICT)
        return jinja_fail(r, "unhashable type: '%s'", jinja_value_type(&key));
    struct jinja_value *found = (struct jinja_value *)jinja_value_get(r, d, key);
    if (found) *found = value;
    return found || !ctx_ok(r->c) ? r->c->status : dict_push(r, d, key, value);
}

/* ---- out of JSON ---- */

/* A JSON object as a dict. */
static enum status value_read_object(struct jinja_run *r, const json_t *v, bool outside, struct jinja_value *out)
{
    const char *key;
    json_t *member;
    TRY(jinja_value_dict(r, out));
    json_object_foreach((json_t *)v, key, member)
    {
        struct jinja_value name, value;
        struct jinja_builder b = {.a = &r->arena};
        jinja_builder_bytes(&b, key, strlen(key), outside);
        name = jinja_value_string(jinja_builder_string(&b));
        TRY(jinja_value_read(r, member, outside, &value));
        TRY(dict_push(r, out->u.dict, name, value));
    }
    return r->c->status;
}

/* JSON's own depth is limited where it is parsed. */
enum status jinja_value_read(struct jinja_run *r, const json_t *v, bool outside, struct jinja_value *out)
{
    if (json_is_object(v)) return value_read_object(r, v, outside, out);
    if (json_is_array(v)) {
        TRY(jinja_value_list(r, LIST_PLAIN, out));
        for (size_t i = 0; i < json_array_size(v); i++) {
            struct jinja_value item;
            TRY(jinja_value_read(r, json_array_get(v, i), outside, &item));
            TRY(jinja_value_push(r, out, item));
        }
        return OK;
    }
    if (json_is_string(v)) {
        struct jinja_builder b = {.a = &r->arena};
        jinja_builder_bytes(&b, json_string_value(v), json_string_length(v), outside);
        *out = jinja_value_string(jinja_builder_string(&b));
        return r->c->status;
    }
    *out = (struct jinja_value){.kind = JINJA_NONE};
    if (json_is_integer(v)) *out = jinja_value_int(json_integer_value(v));
    if (json_is_real(v)) *out = (struct jinja_value){.kind = JINJA_FLOAT, .u.f = json_real_value(v)};
    if (json_is_boolean(v)) *out = jinja_value_bool(json_is_true(v));
    return OK;
}

/* ---- asking ---- */

bool jinja_value_is(const struct jinja_value *v, enum jinja_kind kind)
{
    return v->kind == kind;
}

bool jinja_value_integer(const struct jinja_value *v, int64_t *out)
{
    if (v->kind == JINJA_INT) *out = v->u.i;
    if (v->kind == JINJA_BOOL) *out = v->u.b;
    return v->kind == JINJA_INT || v->kind == JINJA_BOOL;
}

bool jinja_value_number(const struct jinja_value *v, double *out)
{
    int64_t i;
    if (v->kind == JINJA_FLOAT) *out = v->u.f;
    if (jinja_value_integer(v, &i)) *out = (double)i;
    return v->kind == JINJA_FLOAT || v->kind == JINJA_INT || v->kind == JINJA_BOOL;
}

bool jinja_value_true(const struct jinja_value *v)
{
    switch ((enum jinja_kind)v->kind) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
        return v->u.b;
    case JINJA_INT:
        return v->u.i != 0;
    case JINJA_FLOAT:
        return v->u.f != 0;
    case JINJA_STRING:
        return v->u.s.n > 0;
    case JINJA_LIST:
        /* Python asks no generator whether it is empty. */
        return v->form == LIST_GENERATOR || v->u.list->n > 0;
    case JINJA_DICT:
        return v->u.dict->n > 0;
    default:
        return true;
    }
}

const char *jinja_value_type(const struct jinja_value *v)
{
    static const char *const names[] = {
        [JINJA_UNDEFINED] = "Undefined",
        [JINJA_NONE] = "NoneType",
        [JINJA_BOOL] = "bool",
        [JINJA_INT] = "int",
        [JINJA_FLOAT] = "float",
        [JINJA_STRING] = "str",
        [JINJA_LIST] = "list",
        [JINJA_DICT] = "dict",
        [JINJA_NAMESPACE] = "TemplateNamespace",
        [JINJA_MACRO] = "Macro",
        [JINJA_METHOD] = "method",
        [JINJA_FUNCTION] = "function",
        [JINJA_LOOP] = "LoopContext",
    };
    static const char *const lists[] = {"list", "tuple", "dict_items", "range", "generator"};
    return v->kind == JINJA_LIST ? lists[v->form] : names[v->kind];
}

enum status jinja_value_fail_undefined(struct jinja_run *r, const struct jinja_value *v)
{
    const struct jinja_value of = {.kind = v->of};
    int n = v->u.s.n < 200 ? (int)v->u.s.n : 200;
    switch (v->form) {
    case UNDEFINED_NAME:
        return jinja_fail(r, "'%.*s' is undefined", n, v->u.s.s);
    case UNDEFINED_MEMBER:
        if (v->of == JINJA_NONE) return jinja_fail(r, "'None' has no attribute '%.*s'", n, v->u.s.s);
        return jinja_fail(r, "'%s object' has no attribute '%.*s'", jinja_value_type(&of), n, v->u.s.s);
    case UNDEFINED_ELEMENT:
        return jinja_fail(r, "%s object has no element %.*s", jinja_value_type(&of), n, v->u.s.s);
    case UNDEFINED_UNSAFE:
        return jinja_fail(r, "access to attribute '%.*s' of '%s' object is unsafe.", n, v->u.s.s, jinja_value_type(&of));
    default:
        return jinja_fail(r, "%.*s", n, v->u.s.s);
    }
}

/* ---- comparing ---- */

/* Item by item. */
static enum status equal_lists(struct jinja_run *r, const struct jinja_list *a, const struct jinja_list *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; i < a->n && *out; i++) TRY(jinja_value_equal(r, &a->items[i], &b->items[i], out));
    return OK;
}

/* The same keys with equal values, in any order. */
static enum status equal_dicts(struct jinja_run *r, const struct jinja_dict *a, const struct jinja_dict *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; i < a->n && *out; i++) {
        const struct jinja_value *other = jinja_value_get(r, b, a->pairs[i].key);
        TRY(r->c->status);
        *out = other != NULL;
        if (other) TRY(jinja_value_equal(r, &a->pairs[i].value, other, out));
    }
    return OK;
}

/* Numbers by value whatever their kinds; all else only within a kind. Macros, methods and the like are equal when they are
 * the same object: u.dict stands for whichever pointer the union holds. */
enum status jinja_value_equal(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, bool *out)
{
    double x;
    int sign;
    enum status status = OK;
    TRY(jinja_step(r, 1));
    TRY(step_texts(r, a, b));
    *out = false;
    if (jinja_value_number(a, &x)) {
        *out = compare_numbers(a, b, &sign) && sign == 0;
    } else if (a->kind == b->kind) {
        TRY(jinja_enter(r));
        if (a->kind == JINJA_STRING)
            *out = key_equal(a, b);
        else if (a->kind == JINJA_LIST && (a->form == LIST_TUPLE) == (b->form == LIST_TUPLE))
            status = equal_lists(r, a->u.list, b->u.list, out);
        else if (a->kind == JINJA_DICT)
            status = equal_dicts(r, a->u.dict, b->u.dict, out);
        else
            *out = a->kind == JINJA_NONE || a->kind == JINJA_UNDEFINED || a->u.dict == b->u.dict;
        jinja_leave(r);
    }
    return status;
}

/* By the first items that differ. */
static enum status order_lists(struct jinja_run *r, const struct jinja_list *a, const struct jinja_list *b, const char *op,
                               int *out)
{
    size_t n = a->n < b->n ? a->n : b->n;
    for (size_t i = 0; i < n; i++) {
        bool same;
        TRY(jinja_value_equal(r, &a->items[i], &b->items[i], &same));
        if (!same) return jinja_value_order(r, &a->items[i], &b->items[i], op, out);
    }
    *out = (a->n > b->n) - (a->n < b->n);
    return OK;
}

enum status jinja_value_order(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, const char *op,
                              int *out)
{
    TRY(jinja_step(r, 1));
    TRY(step_texts(r, a, b));
    if (a->kind == JINJA_UNDEFINED) return jinja_value_fail_undefined(r, a);
    if (b->kind == JINJA_UNDEFINED) return jinja_value_fail_undefined(r, b);
    if (compare_numbers(a, b, out)) return *out == ORDER_NONE ? jinja_refuse(r, "the order of a number that is none") : OK;
    if (a->kind == JINJA_STRING && b->kind == JINJA_STRING) { /* the order of UTF-8 is that of code points */
        size_t n = a->u.s.n < b->u.s.n ? a->u.s.n : b->u.s.n;
        int sign = n > 0 ? memcmp(a->u.s.s, b->u.s.s, n) : 0;
        *out = sign != 0 ? (sign > 0) - (sign < 0) : (a->u.s.n > b->u.s.n) - (a->u.s.n < b->u.s.n);
        return OK;
    }
    if (a->kind == JINJA_LIST && b->kind == JINJA_LIST && a->form == b->form && a->form <= LIST_TUPLE) {
        TRY(jinja_enter(r));
        enum status status = order_lists(r, a->u.list, b->u.list, op, out);
        jinja_leave(r);
        return status;
    }
    return jinja_fail(r, "'%s' not supported between instances of '%s' and '%s'", op, jinja_value_type(a),
                      jinja_value_type(b));
}

enum status jinja_value_contains(struct jinja_run *r, const struct jinja_value *in, const struct jinja_value *v, bool *out)
{
    *out = false;
    if (in->kind == JINJA_UNDEFINED) return OK;
    if (in->kind == JINJA_STRING) {
        if (v->kind == JINJA_UNDEFINED || v->kind != JINJA_STRING)
            return jinja_fail(r, "'in <string>' requires string as left operand, not %s", jinja_value_type(v));
        *out = jinja_text_find(in->u.s, v->u.s, 0) != SIZE_MAX;
        return jinja_step(r, in->u.s.n / 16);
    }
    if (in->kind == JINJA_DICT) {
        if (v->kind == JINJA_LIST || v->kind == JINJA_DICT)
            return jinja_fail(r, "unhashable type: '%s'", jinja_value_type(v));
        *out = jinja_value_get(r, in->u.dict, *v) != NULL;
        return r->c->status;
    }
    if (in->kind != JINJA_LIST) return jinja_fail(r, "argument of type '%s' is not iterable", jinja_value_type(in));
    struct jinja_list *l = in->u.list;
    for (size_t i = in->form == LIST_GENERATOR ? l->at : 0; i < l->n && !*out; i++) {
        TRY(jinja_value_equal(r, &l->items[i], v, out));
        if (in->form == LIST_GENERATOR) l->at = i + 1;
    }
    return OK;
}

/* ---- walking ---- */

/* A string's characters as a list. */
static enum status jinja_value_characters(struct jinja_run *r, struct jinja_string s, struct jinja_value *list)
{
    for (size_t at = 0; at < s.n;) {
        size_t n = jinja_text_next(s, at);
        TRY(jinja_step(r, 1));
        TRY(jinja_value_push(r, list, jinja_value_string(jinja_part(s, at, at + n))));
        at += n;
    }
    return OK;
}

enum status jinja_value_items(struct jinja_run *r, const struct jinja_value *v, struct jinja_value *list)
{
    TRY(jinja_value_list(r, LIST_PLAIN, list));
    if (v->kind == JINJA_UNDEFINED) return OK;
    if (v->kind == JINJA_STRING) return jinja_value_characters(r, v->u.s, list);
    if (v->kind == JINJA_DICT) {
        TRY(jinja_step(r, v->u.dict->n));
        for (size_t i = 0; i < v->u.dict->n; i++) TRY(jinja_value_push(r, list, v->u.dict->pairs[i].key));
        return OK;
    }
    if (v->kind != JINJA_LIST) return jinja_fail(r, "'%s' object is not iterable", jinja_value_type(v));
    struct jinja_list *l = v->u.list;
    TRY(jinja_step(r, l->n));
    for (size_t i = v->form == LIST_GENERATOR ? l->at : 0; i < l->n; i++) TRY(jinja_value_push(r, list, l->items[i]));
    if (v->form == LIST_GENERATOR) l->at = l->n;
    return OK;
}

enum status jinja_value_length(struct jinja_run *r, const struct jinja_value *v, int64_t *out)
{
    *out = 0;
    if (v->kind == JINJA_UNDEFINED) return OK;
    if (v->kind == JINJA_STRING) {
        *out = (int64_t)jinja_text_length(v->u.s);
        return jinja_step(r, v->u.s.n / 16);
    }
    if (v->kind == JINJA_DICT) *out = (int64_t)v->u.dict->n;
    if (v->kind == JINJA_LIST && v->form != LIST_GENERATOR) *out = (int64_t)v->u.list->n;
    if (v->kind == JINJA_DICT || (v->kind == JINJA_LIST && v->form != LIST_GENERATOR)) return OK;
    return jinja_fail(r, "object of type '%s' has no len()", jinja_value_type(v));
}
