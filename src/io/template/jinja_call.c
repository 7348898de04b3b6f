/* jinja_call: calls. Arguments are evaluated first and then spread over the parameters of a macro, a filter or a method, by
 * place and by name, with the failures that Python would report. The functions that every template has are here too: range,
 * namespace, dict, raise_exception, strftime_now. */
#include <stdio.h>
#include <string.h>

#include "io/template/jinja_internal.h"

/* ---- arguments ---- */

enum status jinja_call_read(struct jinja_run *r, const struct jinja_node *list, struct jinja_arguments *a)
{
    size_t n = 0;
    for (const struct jinja_node *i = list; i; i = i->next) n++;
    *a = (struct jinja_arguments){0};
    if (n == 0) return OK;
    a->values = jinja_arena_alloc(&r->arena, n, sizeof *a->values);
    a->names = jinja_arena_alloc(&r->arena, n, sizeof *a->names);
    if (!a->values || !a->names) return r->c->status;
    for (const struct jinja_node *i = list; i; i = i->next) {
        bool keyword = i->kind == NODE_KEYWORD;
        TRY(jinja_eval(r, keyword ? i->a : i, &a->values[a->n]));
        if (keyword) a->names[a->n] = i->constant.u.s;
        a->n_positional += !keyword;
        a->n++;
    }
    return OK;
}

/* Whether a parameter, "width" or "width=", has this name. */
static bool parameter_is(const char *parameter, struct jinja_string name)
{
    size_t n = strcspn(parameter, "=");
    return n == name.n && memcmp(parameter, name.s, n) == 0;
}

enum status jinja_call_bind(struct jinja_run *r, const char *what, const struct jinja_arguments *a,
                            const char *const *parameters, size_t n, struct jinja_value *values)
{
    for (size_t i = 0; i < n; i++) values[i] = jinja_value_undefined(UNDEFINED_NAME, (struct jinja_string){"", NULL, 0});
    if (a->n_positional > n) return jinja_fail(r, "%s() takes %zu arguments but %zu were given", what, n, a->n_positional);
    bool given[8] = {0};
    for (size_t i = 0; i < a->n; i++) {
        size_t at = i;
        if (i >= a->n_positional)
            for (at = 0; at < n && !parameter_is(parameters[at], a->names[i]);) at++;
        if (at == n)
            return jinja_fail(r, "%s() got an unexpected keyword argument '%.*s'", what, (int)a->names[i].n, a->names[i].s);
        if (given[at]) return jinja_fail(r, "%s() got multiple values for an argument", what);
        given[at] = true;
        values[at] = a->values[i];
    }
    for (size_t i = 0; i < n; i++)
        if (!given[i] && !strchr(parameters[i], '='))
            return jinja_fail(r, "%s() is missing the argument '%s'", what, parameters[i]);
    return OK;
}

/* ---- functions ---- */

static const char *const function_names[] = {[FUNCTION_RANGE] = "range",
                                             [FUNCTION_NAMESPACE] = "namespace",
                                             [FUNCTION_DICT] = "dict",
                                             [FUNCTION_RAISE] = "raise_exception",
                                             [FUNCTION_DATE] = "strftime_now"};

bool jinja_call_global(struct jinja_string name, struct jinja_value *out)
{
    for (size_t i = 0; i < sizeof function_names / sizeof function_names[0]; i++)
        if (jinja_text_equal(name, function_names[i])) {
            *out = (struct jinja_value){.kind = JINJA_FUNCTION, .u.i = (int64_t)i};
            return true;
        }
    return false;
}

/* range(stop), range(start, stop), range(start, stop, step). */
static enum status call_range(struct jinja_run *r, const struct jinja_arguments *a, struct jinja_value *out)
{
    int64_t v[3] = {0, 0, 1};
    if (a->n == 0 || a->n > 3 || a->n_positional != a->n) return jinja_fail(r, "range expected 1 to 3 arguments");
    for (size_t i = 0; i < a->n; i++)
        if (a->values[i].kind == JINJA_UNDEFINED)
            return jinja_value_fail_undefined(r, &a->values[i]);
        else if (!jinja_value_integer(&a->values[i], &v[i]))
            return jinja_fail(r, "'%s' object cannot be interpreted as an integer", jinja_value_type(&a->values[i]));
    if (a->n == 1) {
        v[1] = v[0];
        v[0] = 0;
    }
    if (v[2] == 0) return jinja_fail(r, "range() arg 3 must not be zero");
    TRY(jinja_value_list(r, LIST_RANGE, out));
    for (int64_t i = v[0]; v[2] > 0 ? i < v[1] : i > v[1];) {
        TRY(jinja_step(r, 1));
        if (out->u.list->n == JINJA_LIST_MAX)
            return jinja_fail(r, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).");
        TRY(jinja_value_push(r, out, jinja_value_int(i)));
        if (__builtin_add_overflow(i, v[2], &i)) break;
    }
    return OK;
}

/* namespace(a=1) and dict(a=1), both also of a dict. */
static enum status call_dict(struct jinja_run *r, const struct jinja_arguments *a, bool names, struct jinja_value *out)
{
    TRY(jinja_value_dict(r, out));
    for (size_t i = 0; i < a->n; i++) {
        const struct jinja_value *v = &a->values[i];
        if (i >= a->n_positional) {
            if (names && a->names[i].n > 0 && a->names[i].s[0] == '_')
                return jinja_refuse(r, "a member of a namespace that begins with an underscore");
            TRY(jinja_value_put(r, out->u.dict, jinja_value_string(a->names[i]), *v));
        } else if (v->kind == JINJA_DICT && i == 0) {
            for (size_t k = 0; k < v->u.dict->n; k++)
                TRY(jinja_value_put(r, out->u.dict, v->u.dict->pairs[k].key, v->u.dict->pairs[k].value));
        } else {
            return jinja_refuse(r, "a %s out of a %s", names ? "namespace" : "dict", jinja_value_type(v));
        }
    }
    if (names) out->kind = JINJA_NAMESPACE;
    return OK;
}

/* raise_exception(message): how a template refuses a conversation. */
static enum status call_raise(struct jinja_run *r, const struct jinja_arguments *a)
{
    struct jinja_string message;
    if (a->n != 1) return jinja_fail(r, "raise_exception() takes 1 argument but %zu were given", a->n);
    TRY(jinja_print_string(r, &a->values[0], &message));
    int n = message.n < 800 ? (int)message.n : 800;
    return ctx_fail(r->c, E_INPUT, "%s: line %d: the template refuses the conversation: %.*s", r->t->name, (int)r->line, n,
                    message.s);
}

/* One of the global functions. */
static enum status call_function(struct jinja_run *r, int which, const struct jinja_arguments *a, struct jinja_value *out)
{
    struct jinja_string text;
    switch ((enum jinja_function)which) {
    case FUNCTION_RANGE:
        return call_range(r, a, out);
    case FUNCTION_NAMESPACE:
    case FUNCTION_DICT:
        return call_dict(r, a, which == FUNCTION_NAMESPACE, out);
    case FUNCTION_RAISE:
        return call_raise(r, a);
    case FUNCTION_DATE:
        break;
    }
    if (a->n != 1 || a->values[0].kind != JINJA_STRING) return jinja_fail(r, "strftime_now() takes a string");
    TRY(jinja_date_write(r, &r->in->now, a->values[0].u.s, &text));
    *out = jinja_value_string(text);
    return OK;
}

/* ---- macros ---- */

/* Gives the parameters their values: arguments by place, then by name, then defaults. `used` marks arguments by name. */
static enum status bind_macro(struct jinja_run *r, const struct jinja_macro *m, const struct jinja_arguments *a,
                              struct jinja_scope *scope, bool *used)
{
    size_t place = 0;
    for (const struct jinja_node *p = m->node->d; p; p = p->next, place++) {
        struct jinja_string name = r->t->symbols.names[p->symbol];
        struct jinja_value v = jinja_value_undefined(UNDEFINED_HINT, jinja_value_text("a parameter was not provided").u.s);
        bool given = place < a->n_positional;
        if (given) v = a->values[place];
        for (size_t i = a->n_positional; i < a->n; i++) {
            if (a->names[i].n != name.n || memcmp(a->names[i].s, name.s, name.n) != 0) continue;
            if (given) return jinja_fail(r, "macro '%.*s' got two values for an argument", (int)m->name.n, m->name.s);
            v = a->values[i];
            given = used[i] = true;
        }
        if (!given && p->a) TRY(jinja_eval(r, p->a, &v));
        TRY(jinja_scope_set(r, scope, p->symbol, v));
    }
    if (a->n_positional > place && jinja_symbol_find(r->t, jinja_value_text("varargs").u.s) >= 0)
        return jinja_refuse(r, "the variable varargs");
    if (a->n_positional > place)
        return jinja_fail(r, "macro '%.*s' takes not more than %zu argument(s)", (int)m->name.n, m->name.s, place);
    return OK;
}

enum status jinja_call_macro(struct jinja_run *r, const struct jinja_macro *m, const struct jinja_arguments *a,
                             const struct jinja_value *caller, struct jinja_value *out)
{
    struct jinja_scope *scope = jinja_scope_new(r, m->scope), *around = r->scope;
    struct jinja_string text = {0};
    bool *used = jinja_arena_alloc(&r->arena, a->n + 1, sizeof *used);
    if (!scope || !used) return r->c->status;
    TRY(jinja_enter(r));
    r->scope = scope;
    enum status status = bind_macro(r, m, a, scope, used);
    bool keeps = jinja_symbol_find(r->t, jinja_value_text("kwargs").u.s) >= 0;
    for (size_t i = a->n_positional; i < a->n && status == OK; i++)
        if (!used[i])
            status = keeps ? jinja_refuse(r, "the variable kwargs")
                           : jinja_fail(r, "macro '%.*s' takes no keyword argument '%.*s'", (int)m->name.n, m->name.s,
                                        (int)a->names[i].n, a->names[i].s);
    if (status == OK && caller) status = jinja_scope_set(r, scope, r->t->caller, *caller);
    if (status == OK) status = jinja_run_captured(r, m->node->b, scope, &text);
    r->scope = around;
    jinja_leave(r);
    if (status == OK) *out = jinja_value_string(text);
    return status;
}

enum status jinja_call(struct jinja_run *r, const struct jinja_value *f, const struct jinja_arguments *a,
                       struct jinja_value *out)
{
    TRY(jinja_step(r, 1));
    switch ((enum jinja_kind)f->kind) {
    case JINJA_UNDEFINED:
        return jinja_value_fail_undefined(r, f);
    case JINJA_MACRO:
        return jinja_call_macro(r, f->u.macro, a, NULL, out);
    case JINJA_METHOD:
        return jinja_method_call(r, f->u.method, a, out);
    case JINJA_FUNCTION:
        return call_function(r, (int)f->u.i, a, out);
    case JINJA_LOOP:
        return jinja_refuse(r, "a recursive loop");
    default:
        return jinja_fail(r, "'%s' object is not callable", jinja_value_type(f));
    }
}
