/* jinja_test: the tests, what follows `is`: defined, none, string, mapping, divisibleby(3), in [..], and the comparisons by
 * name. */
#include <string.h>

#include "io/template/jinja_internal.h"

struct test_call {
    struct jinja_run *r;
    struct jinja_string name;
    const struct jinja_value *v;
    const struct jinja_arguments *a;
    bool *out;
};

/* Tests that ask for the kind of a value. */
static enum status test_kind(struct test_call *t)
{
    static const struct {
        const char *name;
        uint32_t kinds; /* a bit an enum jinja_kind */
    } kinds[] = {
        {"none", 1 << JINJA_NONE},
        {"boolean", 1 << JINJA_BOOL},
        {"integer", 1 << JINJA_INT},
        {"float", 1 << JINJA_FLOAT},
        {"number", 1 << JINJA_INT | 1 << JINJA_FLOAT | 1 << JINJA_BOOL},
        {"string", 1 << JINJA_STRING},
        {"mapping", 1 << JINJA_DICT},
        {"iterable", 1 << JINJA_STRING | 1 << JINJA_LIST | 1 << JINJA_DICT | 1 << JINJA_UNDEFINED | 1 << JINJA_LOOP},
        {"callable", 1 << JINJA_MACRO | 1 << JINJA_METHOD | 1 << JINJA_FUNCTION | 1 << JINJA_LOOP | 1 << JINJA_UNDEFINED},
        {"undefined", 1 << JINJA_UNDEFINED},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (jinja_text_equal(t->name, kinds[i].name)) *t->out = kinds[i].kinds >> t->v->kind & 1;
    return OK;
}

static enum status test_defined(struct test_call *t)
{
    *t->out = t->v->kind != JINJA_UNDEFINED;
    return OK;
}

static enum status test_bool(struct test_call *t)
{
    *t->out = t->v->kind == JINJA_BOOL && t->v->u.b == (t->name.s[0] == 't');
    return OK;
}

/* What has a length and items: not a generator, not a view. An undefined value has both. */
static enum status test_sequence(struct test_call *t)
{
    const struct jinja_value *v = t->v;
    *t->out = v->kind == JINJA_STRING || v->kind == JINJA_DICT || v->kind == JINJA_UNDEFINED ||
              (v->kind == JINJA_LIST && v->form != LIST_VIEW && v->form != LIST_GENERATOR);
    return OK;
}

/* divisibleby(n), even, odd. */
static enum status test_divides(struct test_call *t)
{
    int64_t by = 2, v;
    bool named = t->name.s[0] == 'd';
    if (t->v->kind == JINJA_UNDEFINED) return jinja_value_fail_undefined(t->r, t->v);
    if (!jinja_value_integer(t->v, &v) || (named && !jinja_value_integer(&t->a->values[0], &by)) || by == 0)
        return jinja_refuse(t->r, "the test %.*s of these values", (int)t->name.n, t->name.s);
    int64_t rest = by == -1 ? 0 : v % by;
    *t->out = t->name.s[0] == 'o' ? rest != 0 : rest == 0;
    return OK;
}

/* upper and lower. */
static enum status test_case(struct test_call *t)
{
    struct jinja_string s, other;
    TRY(jinja_print_string(t->r, t->v, &s));
    TRY(jinja_text_case(t->r, s, t->name.s[0] == 'u' ? CASE_LOWER : CASE_UPPER, &other));
    bool cased = other.n != s.n || (s.n > 0 && memcmp(s.s, other.s, s.n) != 0);
    TRY(jinja_text_case(t->r, s, t->name.s[0] == 'u' ? CASE_UPPER : CASE_LOWER, &other));
    *t->out = cased && other.n == s.n && memcmp(s.s, other.s, s.n) == 0;
    return OK;
}

static enum status test_equal(struct test_call *t)
{
    TRY(jinja_value_equal(t->r, t->v, &t->a->values[0], t->out));
    if (t->name.s[0] == 'n' || t->name.s[0] == '!') *t->out = !*t->out;
    return OK;
}

/* lt, le, gt, ge and their signs. */
static enum status test_order(struct test_call *t)
{
    int sign;
    char first = t->name.s[0], last = t->name.s[t->name.n - 1];
    bool less = first == 'l' || first == '<', or_equal = t->name.n == 2 && (last == 'e' || last == '=');
    const char *const ops[] = {">", ">=", "<", "<="};
    TRY(jinja_value_order(t->r, t->v, &t->a->values[0], ops[2 * less + or_equal], &sign));
    *t->out = less ? sign < or_equal : sign > -(int)or_equal;
    return OK;
}

static enum status test_in(struct test_call *t)
{
    return jinja_value_contains(t->r, &t->a->values[0], t->v, t->out);
}

/* Identity: of objects their place, of constants their value. */
static enum status test_same(struct test_call *t)
{
    const struct jinja_value *a = t->v, *b = &t->a->values[0];
    if (a->kind == JINJA_STRING || a->kind == JINJA_INT || a->kind == JINJA_FLOAT)
        return jinja_refuse(t->r, "the test sameas of a %s", jinja_value_type(a));
    *t->out =
        a->kind == b->kind && (a->kind == JINJA_NONE || (a->kind == JINJA_BOOL ? a->u.b == b->u.b : a->u.dict == b->u.dict));
    return OK;
}

static const struct test {
    const char *name;
    size_t n; /* of arguments */
    enum status (*apply)(struct test_call *t);
} tests[] = {
    {"defined", 0, test_defined},
    {"undefined", 0, test_kind},
    {"none", 0, test_kind},
    {"boolean", 0, test_kind},
    {"integer", 0, test_kind},
    {"float", 0, test_kind},
    {"number", 0, test_kind},
    {"string", 0, test_kind},
    {"mapping", 0, test_kind},
    {"iterable", 0, test_kind},
    {"callable", 0, test_kind},
    {"sequence", 0, test_sequence},
    {"true", 0, test_bool},
    {"false", 0, test_bool},
    {"odd", 0, test_divides},
    {"even", 0, test_divides},
    {"divisibleby", 1, test_divides},
    {"upper", 0, test_case},
    {"lower", 0, test_case},
    {"eq", 1, test_equal},
    {"equalto", 1, test_equal},
    {"ne", 1, test_equal},
    {"lt", 1, test_order},
    {"lessthan", 1, test_order},
    {"le", 1, test_order},
    {"gt", 1, test_order},
    {"greaterthan", 1, test_order},
    {"ge", 1, test_order},
    /* names that only select and its like can give */
    {"==", 1, test_equal},
    {"!=", 1, test_equal},
    {"<", 1, test_order},
    {"<=", 1, test_order},
    {">", 1, test_order},
    {">=", 1, test_order},
    {"in", 1, test_in},
    {"sameas", 1, test_same},
};

static const struct test *test_find(struct jinja_string name)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        if (jinja_text_equal(name, tests[i].name)) return &tests[i];
    return NULL;
}

int jinja_test_find(struct jinja_string name)
{
    static const char *const others[] = {"filter", "test", "escaped"};
    if (test_find(name)) return NAME_KNOWN;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (jinja_text_equal(name, others[i])) return NAME_UNSUPPORTED;
    return NAME_UNKNOWN;
}

enum status jinja_test_apply(struct jinja_run *r, struct jinja_string name, const struct jinja_value *v,
                             const struct jinja_arguments *a, bool *out)
{
    const struct test *found = test_find(name);
    struct test_call t = {r, name, v, a, out};
    *out = false;
    TRY(jinja_step(r, 1));
    if (!found && jinja_test_find(name) == NAME_UNSUPPORTED) return jinja_refuse(r, "the test '%.*s'", (int)name.n, name.s);
    if (!found) return jinja_fail(r, "No test named '%.*s' found.", (int)name.n, name.s);
    if (a->n != found->n || a->n_positional != a->n)
        return jinja_fail(r, "the test '%s' takes %zu arguments, not %zu", found->name, found->n, a->n);
    return found->apply(&t);
}
