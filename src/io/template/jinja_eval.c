/* jinja_eval: evaluates the tree of an expression. Integers are 64 bits and overflow is refused, where Python would go on
 * with larger ones; division, floor and remainder follow Python's rules for signs. In `a + b` a string that came through
 * `safe` turns the other one into escaped HTML, as markupsafe does, because templates of chat models exist that rely on it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/template/jinja_internal.h"

/* [a, b] or (a, b). */
static enum status eval_list(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    TRY(jinja_value_list(r, n->op ? LIST_TUPLE : LIST_PLAIN, out));
    for (const struct jinja_node *i = n->a; i; i = i->next) {
        struct jinja_value v;
        TRY(jinja_eval(r, i, &v));
        TRY(jinja_value_push(r, out, v));
    }
    return OK;
}

/* {key: value, ...}. */
static enum status eval_dict(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    TRY(jinja_value_dict(r, out));
    for (const struct jinja_node *i = n->a; i; i = i->next->next) {
        struct jinja_value key, value;
        TRY(jinja_eval(r, i, &key));
        TRY(jinja_eval(r, i->next, &value));
        TRY(jinja_value_put(r, out->u.dict, key, value));
    }
    return OK;
}

/* a[from:to:step]. */
static enum status eval_slice(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    const struct jinja_node *const parts[3] = {n->b, n->c, n->d};
    struct jinja_value of, bounds[3] = {{.kind = JINJA_NONE}, {.kind = JINJA_NONE}, {.kind = JINJA_NONE}};
    TRY(jinja_eval(r, n->a, &of));
    for (int i = 0; i < 3; i++)
        if (parts[i]) TRY(jinja_eval(r, parts[i], &bounds[i]));
    r->line = n->line;
    return jinja_lookup_slice(r, &of, bounds, out);
}

/* a[key]. */
static enum status eval_item(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value of, key;
    TRY(jinja_eval(r, n->a, &of));
    TRY(jinja_eval(r, n->b, &key));
    r->line = n->line;
    return jinja_lookup_item(r, &of, &key, out);
}

/* f(args). */
static enum status eval_call(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value f;
    struct jinja_arguments a;
    TRY(jinja_eval(r, n->a, &f));
    TRY(jinja_call_read(r, n->b, &a));
    r->line = n->line;
    return jinja_call(r, &f, &a, out);
}

/* a | name(args). */
static enum status eval_filter(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value v;
    struct jinja_arguments a;
    TRY(jinja_eval(r, n->a, &v));
    TRY(jinja_call_read(r, n->b, &a));
    r->line = n->line;
    return jinja_filter_apply(r, n->constant.u.s, &v, &a, out);
}

/* a is name(args). */
static enum status eval_test(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value v;
    struct jinja_arguments a;
    bool yes;
    TRY(jinja_eval(r, n->a, &v));
    TRY(jinja_call_read(r, n->b, &a));
    r->line = n->line;
    TRY(jinja_test_apply(r, n->constant.u.s, &v, &a, &yes));
    *out = jinja_value_bool(yes);
    return OK;
}

/* ---- operators ---- */

/* not a, -a, +a. */
static enum status eval_unary(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value v;
    int64_t i;
    TRY(jinja_eval(r, n->a, &v));
    if (n->op == '!') {
        *out = jinja_value_bool(!jinja_value_true(&v));
        return OK;
    }
    if (v.kind == JINJA_UNDEFINED) return jinja_value_fail_undefined(r, &v);
    *out = v;
    if (v.kind == JINJA_FLOAT) {
        out->u.f = n->op == '-' ? -v.u.f : v.u.f;
        return OK;
    }
    if (!jinja_value_integer(&v, &i))
        return jinja_fail(r, "bad operand type for unary %c: '%s'", n->op, jinja_value_type(&v));
    if (n->op == '-' && __builtin_sub_overflow((int64_t)0, i, &i)) return jinja_refuse(r, "a whole number beyond 64 bits");
    *out = jinja_value_int(i);
    return OK;
}

/* The five characters that markupsafe escapes. */
static struct jinja_string escape_html(struct jinja_run *r, struct jinja_string s)
{
    static const char from[] = "&<>'\"", *const to[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    struct jinja_builder b = {.a = &r->arena};
    size_t done = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *found = s.s[i] ? strchr(from, s.s[i]) : NULL;
        if (!found) continue;
        jinja_builder_append(&b, jinja_part(s, done, i));
        jinja_builder_bytes(&b, to[found - from], strlen(to[found - from]), s.outside && s.outside[i]);
        done = i + 1;
    }
    jinja_builder_append(&b, jinja_part(s, done, s.n));
    return jinja_builder_string(&b);
}

/* str + str, list + list. */
enum status jinja_eval_add(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b,
                           struct jinja_value *out)
{
    if (a->kind == JINJA_STRING && b->kind == JINJA_STRING) {
        struct jinja_string x = a->u.s, y = b->u.s;
        TRY(jinja_step(r, (x.n + y.n) / 64));
        if (b->form == STRING_SAFE && a->form != STRING_SAFE) x = escape_html(r, x);
        if (a->form == STRING_SAFE && b->form != STRING_SAFE) y = escape_html(r, y);
        *out = jinja_value_string(jinja_arena_concat(&r->arena, x, y));
        out->form = a->form == STRING_SAFE || b->form == STRING_SAFE ? STRING_SAFE : STRING_PLAIN;
        return r->c->status;
    }
    if (a->kind == JINJA_LIST && a->form <= LIST_TUPLE && !(b->kind == JINJA_LIST && a->form == b->form))
        return jinja_fail(r, "can only concatenate %s (not \"%s\") to %s", jinja_value_type(a), jinja_value_type(b),
                          jinja_value_type(a));
    if (a->kind != JINJA_LIST || b->kind != JINJA_LIST || a->form != b->form || a->form > LIST_TUPLE)
        return jinja_fail(r, "unsupported operand type(s) for +: '%s' and '%s'", jinja_value_type(a), jinja_value_type(b));
    TRY(jinja_value_list(r, a->form, out));
    TRY(jinja_step(r, a->u.list->n + b->u.list->n));
    for (size_t i = 0; i < a->u.list->n; i++) TRY(jinja_value_push(r, out, a->u.list->items[i]));
    for (size_t i = 0; i < b->u.list->n; i++) TRY(jinja_value_push(r, out, b->u.list->items[i]));
    return OK;
}

/* A string or list a number of times. */
static enum status eval_repeat(struct jinja_run *r, const struct jinja_value *v, int64_t times, struct jinja_value *out)
{
    if (v->kind == JINJA_LIST) TRY(jinja_value_list(r, v->form, out));
    if (v->kind == JINJA_LIST && v->form > LIST_TUPLE) return jinja_refuse(r, "repeating a %s", jinja_value_type(v));
    if (v->kind == JINJA_STRING && v->form == STRING_SAFE) return jinja_refuse(r, "repeating a safe string");
    struct jinja_builder b = {.a = &r->arena};
    size_t n = v->kind == JINJA_LIST ? v->u.list->n : v->u.s.n;
    for (int64_t i = 0; i < times && n > 0; i++) {
        TRY(jinja_step(r, 1 + n / 16));
        if (v->kind == JINJA_STRING) jinja_builder_append(&b, v->u.s);
        for (size_t k = 0; v->kind == JINJA_LIST && k < n; k++) TRY(jinja_value_push(r, out, v->u.list->items[k]));
        TRY(r->c->status);
    }
    if (v->kind == JINJA_STRING) *out = jinja_value_string(jinja_builder_string(&b));
    return OK;
}

/* x ** y of integers; a negative exponent gives a float, as in Python. */
static enum status eval_power(struct jinja_run *r, int64_t x, int64_t y, struct jinja_value *out)
{
    int64_t v = 1;
    if (y < 0) {
        if (x == 0) return jinja_fail(r, "0.0 cannot be raised to a negative power");
        *out = (struct jinja_value){.kind = JINJA_FLOAT, .u.f = pow((double)x, (double)y)};
        return OK;
    }
    if (x == 0 || x == 1) v = y == 0 ? 1 : x;
    if (x == -1) v = y % 2 ? -1 : 1;
    for (; y > 0 && x != 0 && x != 1 && x != -1; y--)
        if (__builtin_mul_overflow(v, x, &v)) return jinja_refuse(r, "a whole number beyond 64 bits");
    *out = jinja_value_int(v);
    return OK;
}

/* An operator on two integers. */
static enum status eval_ints(struct jinja_run *r, char op, int64_t x, int64_t y, struct jinja_value *out)
{
    int64_t v = 0;
    bool over = false;
    if (op == 'p') return eval_power(r, x, y, out);
    if ((op == '/' || op == 'd' || op == '%') && y == 0)
        return jinja_fail(r, op == '%'   ? "integer modulo by zero"
                             : op == '/' ? "division by zero"
                                         : "integer division or modulo by zero");
    if (op == '/') {
        const int64_t exact = (int64_t)1 << 53; /* beyond it a double does not hold the number, and would be rounded twice */
        if (x < -exact || x > exact || y < -exact || y > exact) return jinja_refuse(r, "a division of numbers beyond 2^53");
        *out = (struct jinja_value){.kind = JINJA_FLOAT, .u.f = (double)x / (double)y};
        return OK;
    }
    if (op == '+') over = __builtin_add_overflow(x, y, &v);
    if (op == '-') over = __builtin_sub_overflow(x, y, &v);
    if (op == '*') over = __builtin_mul_overflow(x, y, &v);
    if (op == 'd' && y == -1) over = __builtin_sub_overflow((int64_t)0, x, &v);
    if (op == 'd' && y != -1) v = x / y - (x % y != 0 && (x < 0) != (y < 0));
    if (op == '%' && y != -1) v = x % y + (x % y != 0 && (x < 0) != (y < 0) ? y : 0);
    if (over) return jinja_refuse(r, "a whole number beyond 64 bits");
    *out = jinja_value_int(v);
    return OK;
}

/* Python's x % y: the rest has the sign of y, also when it is 0. */
static double float_rest(double x, double y)
{
    double rest = fmod(x, y);
    if (rest == 0) return copysign(0.0, y);
    return (rest < 0) != (y < 0) ? rest + y : rest;
}

/* Python's x // y: not floor(x / y), because the quotient may have been rounded up to a whole number (1.0 // 0.1 is 9.0). */
static double float_quotient(double x, double y)
{
    double rest = fmod(x, y), quotient = (x - rest) / y;
    if (rest != 0 && (rest < 0) != (y < 0)) quotient -= 1;
    double whole = floor(quotient);
    if (quotient == 0) return copysign(0.0, x / y);
    return quotient - whole > 0.5 ? whole + 1 : whole;
}

/* x ** y of floats, with Python's failures. */
static enum status float_power(struct jinja_run *r, double x, double y, double *out)
{
    if (x == 0 && y < 0) return jinja_fail(r, "0.0 cannot be raised to a negative power");
    if (x < 0 && isfinite(x) && isfinite(y) && y != floor(y)) return jinja_refuse(r, "a complex number");
    *out = pow(x, y);
    if (isinf(*out) && isfinite(x) && isfinite(y)) return jinja_fail(r, "(34, 'Numerical result out of range')");
    return OK;
}

/* An operator on two floats. */
static enum status eval_floats(struct jinja_run *r, char op, double x, double y, struct jinja_value *out)
{
    double v = 0;
    if ((op == '/' || op == 'd' || op == '%') && y == 0) return jinja_fail(r, "float division by zero");
    if (op == '+') v = x + y;
    if (op == '-') v = x - y;
    if (op == '*') v = x * y;
    if (op == '/') v = x / y;
    if (op == 'd') v = float_quotient(x, y);
    if (op == '%') v = float_rest(x, y);
    if (op == 'p') TRY(float_power(r, x, y, &v));
    *out = (struct jinja_value){.kind = JINJA_FLOAT, .u.f = v};
    return OK;
}

/* An operator on any two values. */
static enum status eval_operator(struct jinja_run *r, char op, const struct jinja_value *a, const struct jinja_value *b,
                                 struct jinja_value *out)
{
    int64_t x, y;
    double f, g;
    if (a->kind == JINJA_UNDEFINED) return jinja_value_fail_undefined(r, a);
    if (b->kind == JINJA_UNDEFINED) return jinja_value_fail_undefined(r, b);
    if (jinja_value_integer(a, &x) && jinja_value_integer(b, &y)) return eval_ints(r, op, x, y, out);
    if (jinja_value_number(a, &f) && jinja_value_number(b, &g)) return eval_floats(r, op, f, g, out);
    bool left = a->kind == JINJA_STRING || a->kind == JINJA_LIST, right = b->kind == JINJA_STRING || b->kind == JINJA_LIST;
    if (op == '*' && left && jinja_value_integer(b, &y)) return eval_repeat(r, a, y, out);
    if (op == '*' && right && jinja_value_integer(a, &x)) return eval_repeat(r, b, x, out);
    if (op == '%' && a->kind == JINJA_STRING) return jinja_refuse(r, "the %% of strings");
    if (op == '+' && a->kind == JINJA_STRING && b->kind != JINJA_STRING)
        return jinja_fail(r, "can only concatenate str (not \"%s\") to str", jinja_value_type(b));
    if (op == '+') return jinja_eval_add(r, a, b, out);
    const char text[2] = {op == 'd' ? '/' : op, '\0'};
    return jinja_fail(r, "unsupported operand type(s) for %s: '%s' and '%s'", op == 'p' ? "**" : text, jinja_value_type(a),
                      jinja_value_type(b));
}

/* a op b; `and` and `or` evaluate b only where a does not decide. */
static enum status eval_binary(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value a, b;
    TRY(jinja_eval(r, n->a, &a));
    if (n->op == 'a' || n->op == 'o') {
        *out = a;
        return jinja_value_true(&a) == (n->op == 'o') ? OK : jinja_eval(r, n->b, out);
    }
    TRY(jinja_eval(r, n->b, &b));
    r->line = n->line;
    return eval_operator(r, (char)n->op, &a, &b, out);
}

/* a ~ b ~ ...: all as strings. */
static enum status eval_concat(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_string all = {"", NULL, 0};
    for (const struct jinja_node *i = n->a; i; i = i->next) {
        struct jinja_value v;
        struct jinja_string s;
        TRY(jinja_eval(r, i, &v));
        TRY(jinja_print_string(r, &v, &s));
        TRY(jinja_step(r, (all.n + s.n) / 64));
        all = jinja_arena_concat(&r->arena, all, s);
        TRY(r->c->status);
    }
    *out = jinja_value_string(all);
    return OK;
}

/* One link of a comparison. */
static enum status eval_operand(struct jinja_run *r, char op, const struct jinja_value *a, const struct jinja_value *b,
                                bool *out)
{
    int sign;
    if (op == '=' || op == '!') {
        TRY(jinja_value_equal(r, a, b, out));
        *out = *out == (op == '=');
        return OK;
    }
    if (op == 'i' || op == 'n') {
        TRY(jinja_value_contains(r, b, a, out));
        *out = *out == (op == 'i');
        return OK;
    }
    TRY(jinja_value_order(r, a, b, op == '<' ? "<" : op == 'l' ? "<=" : op == '>' ? ">" : ">=", &sign));
    *out = op == '<' ? sign < 0 : op == 'l' ? sign <= 0 : op == '>' ? sign > 0 : sign >= 0;
    return OK;
}

/* a < b < c: each pair is compared, up to the first that is false. */
static enum status eval_compare(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value left, right;
    bool yes = true;
    TRY(jinja_eval(r, n->a, &left));
    for (const struct jinja_node *i = n->b; i && yes; i = i->next) {
        TRY(jinja_eval(r, i->a, &right));
        r->line = n->line;
        TRY(eval_operand(r, (char)i->op, &left, &right, &yes));
        left = right;
    }
    *out = jinja_value_bool(yes);
    return OK;
}

/* b if a else c. */
static enum status eval_condition(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value v;
    TRY(jinja_eval(r, n->a, &v));
    if (jinja_value_true(&v)) return jinja_eval(r, n->b, out);
    if (n->c) return jinja_eval(r, n->c, out);
    *out = jinja_value_undefined(UNDEFINED_HINT,
                                 jinja_value_text("the inline if-expression evaluated to false and no else section was "
                                                  "defined.")
                                     .u.s);
    return OK;
}

/* a.name. */
static enum status eval_member(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value of;
    TRY(jinja_eval(r, n->a, &of));
    r->line = n->line;
    return jinja_lookup_member(r, &of, n->constant.u.s, out);
}

/* Any node. */
static enum status eval_node(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    switch ((enum jinja_node_kind)n->kind) {
    case NODE_CONSTANT:
        *out = n->constant;
        return OK;
    case NODE_NAME:
        return jinja_scope_get(r, n->symbol, out);
    case NODE_LIST:
        return eval_list(r, n, out);
    case NODE_DICT:
        return eval_dict(r, n, out);
    case NODE_MEMBER:
        return eval_member(r, n, out);
    case NODE_ITEM:
        return eval_item(r, n, out);
    case NODE_SLICE:
        return eval_slice(r, n, out);
    case NODE_CALL:
        return eval_call(r, n, out);
    case NODE_FILTER:
        return eval_filter(r, n, out);
    case NODE_TEST:
        return eval_test(r, n, out);
    case NODE_UNARY:
        return eval_unary(r, n, out);
    case NODE_BINARY:
        return eval_binary(r, n, out);
    case NODE_CONCAT:
        return eval_concat(r, n, out);
    case NODE_COMPARE:
        return eval_compare(r, n, out);
    case NODE_CONDITION:
        return eval_condition(r, n, out);
    default:
        BUG_ON(r->c, true, "node %d is no expression", n->kind);
        return r->c->status;
    }
}

enum status jinja_eval(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    TRY(jinja_step(r, 1));
    TRY(jinja_enter(r));
    r->line = n->line;
    enum status status = eval_node(r, n, out);
    jinja_leave(r);
    return status;
}
