/* jinja_expression: parses expressions by recursive descent with jinja2's precedence, the loosest first:
 *
 *   condition    a if b else c
 *   or, and, not
 *   comparison   a < b <= c, a in b, a not in b
 *   + -          then ~ (concatenation), then * / // %, then **
 *   sign         -a
 *   primary      a name, a constant, [..], {..}, (..), then .name, [key], (args)
 *   and behind that filters and tests: a | upper is defined */
#include <string.h>

#include "io/template/jinja_parser.h"

static enum status parse_not(struct jinja_parser *p, struct jinja_node **out);
static enum status parse_unary(struct jinja_parser *p, bool filters, struct jinja_node **out);

/* A new node at the line of the current token. */
static enum status node_make(struct jinja_parser *p, int kind, struct jinja_node **out)
{
    *out = jinja_parse_node(p, kind, p->token.line);
    return *out ? OK : p->c->status;
}

/* *left becomes (*left op right). */
static enum status node_binary(struct jinja_parser *p, char op, struct jinja_node *right, struct jinja_node **left)
{
    struct jinja_node *n;
    TRY(node_make(p, NODE_BINARY, &n));
    n->op = (uint8_t)op;
    n->a = *left;
    n->b = right;
    *left = n;
    return OK;
}

/* Counts nesting. */
static enum status deeper(struct jinja_parser *p)
{
    if (p->depth == JINJA_PARSE_DEPTH_MAX) return jinja_parse_fail(p, E_UNSUPPORTED, "an expression nested so deeply");
    p->depth++;
    return OK;
}

/* ---- members, items and calls ---- */

/* An argument in (...) : a value or name=value. */
static enum status parse_argument(struct jinja_parser *p, bool *keywords, struct jinja_node **out)
{
    if (jinja_parse_is_op(&p->token, '*') || jinja_parse_is_op(&p->token, 'p'))
        return jinja_parse_fail(p, E_UNSUPPORTED, "arguments spread by * or **");
    bool named = p->token.kind == TOKEN_NAME && p->has_ahead && jinja_parse_is_op(&p->ahead, 'a');
    if (!named) {
        if (*keywords) return jinja_parse_fail(p, E_INPUT, "a positional argument behind a keyword");
        return jinja_parse_expression(p, true, out);
    }
    *keywords = true;
    struct jinja_node *n;
    TRY(node_make(p, NODE_KEYWORD, &n));
    n->constant = jinja_value_string(p->token.text);
    TRY(jinja_parse_advance(p));
    TRY(jinja_parse_advance(p));
    TRY(jinja_parse_expression(p, true, &n->a));
    *out = n;
    return OK;
}

/* (a, b, name=c). */
static enum status parse_arguments(struct jinja_parser *p, struct jinja_node **list)
{
    bool keywords = false;
    struct jinja_node **end = list;
    TRY(jinja_parse_expect_op(p, '('));
    for (int n = 0; !jinja_parse_is_op(&p->token, ')'); n++) {
        if (n == JINJA_ARGUMENTS_MAX) return jinja_parse_fail(p, E_UNSUPPORTED, "so many arguments");
        if (n > 0) TRY(jinja_parse_expect_op(p, ','));
        if (jinja_parse_is_op(&p->token, ')')) break;
        TRY(parse_argument(p, &keywords, end));
        end = &(*end)->next;
    }
    return jinja_parse_expect_op(p, ')');
}

/* Up to three parts of a slice; `first` was read already, or NULL. The current token is the first colon. */
static enum status parse_slice(struct jinja_parser *p, struct jinja_node *first, struct jinja_node *of,
                               struct jinja_node **out)
{
    struct jinja_node *n;
    TRY(node_make(p, NODE_SLICE, &n));
    n->a = of;
    n->b = first;
    for (int i = 0; i < 2 && jinja_parse_is_op(&p->token, ':'); i++) {
        TRY(jinja_parse_advance(p));
        if (jinja_parse_is_op(&p->token, ':') || jinja_parse_is_op(&p->token, ']')) continue;
        TRY(jinja_parse_expression(p, true, i == 0 ? &n->c : &n->d));
    }
    *out = n;
    return OK;
}

/* [...] behind a value. */
static enum status expression_item(struct jinja_parser *p, struct jinja_node **node)
{
    struct jinja_node *key = NULL;
    TRY(jinja_parse_advance(p));
    if (!jinja_parse_is_op(&p->token, ':')) TRY(jinja_parse_expression(p, true, &key));
    if (jinja_parse_is_op(&p->token, ':')) {
        TRY(parse_slice(p, key, *node, node));
    } else {
        struct jinja_node *n;
        TRY(node_make(p, NODE_ITEM, &n));
        n->a = *node;
        n->b = key;
        *node = n;
    }
    if (jinja_parse_is_op(&p->token, ',')) return jinja_parse_fail(p, E_UNSUPPORTED, "a tuple as an index");
    return jinja_parse_expect_op(p, ']');
}

/* Behind a dot: a name, or a number for an item. */
static enum status expression_member(struct jinja_parser *p, struct jinja_node **node)
{
    struct jinja_node *n, *key;
    TRY(jinja_parse_advance(p));
    bool name = p->token.kind == TOKEN_NAME;
    if (!name && p->token.kind != TOKEN_INTEGER) return jinja_parse_fail(p, E_INPUT, "a name or number is missing behind .");
    TRY(node_make(p, name ? NODE_MEMBER : NODE_ITEM, &n));
    n->a = *node;
    if (name) {
        n->constant = jinja_value_string(p->token.text);
        if (jinja_symbol(p->t, p->token.text) < 0) return p->c->status;
    } else {
        TRY(node_make(p, NODE_CONSTANT, &key));
        key->constant = jinja_value_int(p->token.integer);
        n->b = key;
    }
    *node = n;
    return jinja_parse_advance(p);
}

/* A call of what stands before. */
static enum status parse_call(struct jinja_parser *p, struct jinja_node **node)
{
    struct jinja_node *n;
    TRY(node_make(p, NODE_CALL, &n));
    n->a = *node;
    *node = n;
    return parse_arguments(p, &n->b);
}

enum status jinja_parse_postfix(struct jinja_parser *p, struct jinja_node **node)
{
    for (;;) {
        if (jinja_parse_is_op(&p->token, '.'))
            TRY(expression_member(p, node));
        else if (jinja_parse_is_op(&p->token, '['))
            TRY(expression_item(p, node));
        else if (jinja_parse_is_op(&p->token, '('))
            TRY(parse_call(p, node));
        else
            return OK;
    }
}

/* ---- primaries ---- */

/* [a, b]. */
static enum status jinja_expression_parse_list(struct jinja_parser *p, struct jinja_node **out)
{
    struct jinja_node *n;
    TRY(node_make(p, NODE_LIST, &n));
    TRY(jinja_parse_advance(p));
    struct jinja_node **end = &n->a;
    while (!jinja_parse_is_op(&p->token, ']')) {
        if (n->a) TRY(jinja_parse_expect_op(p, ','));
        if (jinja_parse_is_op(&p->token, ']')) break;
        TRY(jinja_parse_expression(p, true, end));
        end = &(*end)->next;
    }
    *out = n;
    return jinja_parse_expect_op(p, ']');
}

/* {"a": b}. */
static enum status parse_dict(struct jinja_parser *p, struct jinja_node **out)
{
    struct jinja_node *n;
    TRY(node_make(p, NODE_DICT, &n));
    TRY(jinja_parse_advance(p));
    struct jinja_node **end = &n->a;
    while (!jinja_parse_is_op(&p->token, '}')) {
        if (n->a) TRY(jinja_parse_expect_op(p, ','));
        if (jinja_parse_is_op(&p->token, '}')) break;
        TRY(jinja_parse_expression(p, true, end));
        end = &(*end)->next;
        TRY(jinja_parse_expect_op(p, ':'));
        TRY(jinja_parse_expression(p, true, end));
        end = &(*end)->next;
    }
    *out = n;
    return jinja_parse_expect_op(p, '}');
}

/* A name: a constant or a variable. */
static enum status expression_name(struct jinja_parser *p, struct jinja_node **out)
{
    const struct jinja_token *k = &p->token;
    struct jinja_node *n = *out;
    bool yes = jinja_parse_is_name(k, "true") || jinja_parse_is_name(k, "True");
    if (yes || jinja_parse_is_name(k, "false") || jinja_parse_is_name(k, "False")) {
        n->constant = jinja_value_bool(yes);
    } else if (jinja_parse_is_name(k, "none") || jinja_parse_is_name(k, "None")) {
        n->constant = (struct jinja_value){.kind = JINJA_NONE};
    } else {
        n->kind = NODE_NAME;
        n->symbol = jinja_symbol(p->t, k->text);
        p->t->reads_clock = p->t->reads_clock || jinja_parse_is_name(k, "strftime_now");
        if (n->symbol < 0) return p->c->status;
    }
    return jinja_parse_advance(p);
}

/* Strings that follow each other are one. */
static enum status parse_string(struct jinja_parser *p, struct jinja_node *n)
{
    struct jinja_string text = {"", NULL, 0};
    while (p->token.kind == TOKEN_STRING) {
        text = jinja_arena_concat(&p->t->arena, text, p->token.text);
        TRY(jinja_parse_advance(p));
    }
    text.outside = NULL;
    n->constant = jinja_value_string(text);
    return jinja_symbol(p->t, text) < 0 ? p->c->status : OK;
}

/* What an expression is made of. */
static enum status parse_primary(struct jinja_parser *p, struct jinja_node **out)
{
    if (jinja_parse_is_op(&p->token, '[')) return jinja_expression_parse_list(p, out);
    if (jinja_parse_is_op(&p->token, '{')) return parse_dict(p, out);
    if (jinja_parse_is_op(&p->token, '(')) {
        TRY(jinja_parse_advance(p));
        if (jinja_parse_is_op(&p->token, ')')) {
            TRY(node_make(p, NODE_LIST, out));
            (*out)->op = 1;
        } else {
            TRY(jinja_parse_tuple(p, true, out));
        }
        return jinja_parse_expect_op(p, ')');
    }
    TRY(node_make(p, NODE_CONSTANT, out));
    switch (p->token.kind) {
    case TOKEN_NAME:
        return expression_name(p, out);
    case TOKEN_STRING:
        return parse_string(p, *out);
    case TOKEN_INTEGER:
        (*out)->constant = jinja_value_int(p->token.integer);
        return jinja_parse_advance(p);
    case TOKEN_FLOAT:
        (*out)->constant = (struct jinja_value){.kind = JINJA_FLOAT, .u.f = p->token.number};
        return jinja_parse_advance(p);
    default:
        return jinja_parse_fail(p, E_INPUT, "a value is missing");
    }
}

/* ---- filters and tests ---- */

/* A filter or test that jinja2 has and this interpreter has not is refused here; one that jinja2 lacks as well fails there
 * when it is compiled, unless an if stands around it: then when it is reached. */
static enum status check_name(struct jinja_parser *p, int found, const char *sort, struct jinja_string name)
{
    if (found == NAME_UNSUPPORTED) return jinja_parse_fail(p, E_UNSUPPORTED, "the %s '%.*s'", sort, (int)name.n, name.s);
    if (found == NAME_UNKNOWN && !p->soft)
        return jinja_parse_fail(p, E_INPUT, "No %s named '%.*s'.", sort, (int)name.n, name.s);
    return OK;
}

/* NAME or NAME(...) of a filter, on *node. */
static enum status parse_filter(struct jinja_parser *p, struct jinja_node **node)
{
    struct jinja_node *n;
    if (p->token.kind != TOKEN_NAME) return jinja_parse_fail(p, E_INPUT, "the name of a filter is missing");
    TRY(node_make(p, NODE_FILTER, &n));
    n->constant = jinja_value_string(p->token.text);
    TRY(check_name(p, jinja_filter_find(p->token.text), "filter", p->token.text));
    n->a = *node;
    *node = n;
    TRY(jinja_parse_advance(p));
    return jinja_parse_is_op(&p->token, '(') ? parse_arguments(p, &n->b) : OK;
}

enum status jinja_parse_filters(struct jinja_parser *p, bool first, struct jinja_node **out)
{
    bool bar = first;
    *out = NULL;
    if (!first) TRY(jinja_parse_skip_op(p, '|', &bar));
    while (bar) {
        TRY(parse_filter(p, out));
        TRY(jinja_parse_skip_op(p, '|', &bar));
    }
    return OK;
}

/* Whether an argument without brackets follows the name of a test ("x is divisibleby 3"). */
static bool starts_argument(const struct jinja_token *k)
{
    static const char *const others[] = {"else", "or", "and"};
    for (size_t i = 0; i < 3; i++)
        if (jinja_parse_is_name(k, others[i])) return false;
    return k->kind == TOKEN_NAME || k->kind == TOKEN_STRING || k->kind == TOKEN_INTEGER || k->kind == TOKEN_FLOAT ||
           jinja_parse_is_op(k, '[') || jinja_parse_is_op(k, '{');
}

/* Behind `is`: [not] name, and an argument that may stand without parentheses. */
static enum status parse_test(struct jinja_parser *p, struct jinja_node **node)
{
    struct jinja_node *n, *negation;
    bool negated;
    TRY(jinja_parse_advance(p));
    TRY(jinja_parse_skip_name(p, "not", &negated));
    if (p->token.kind != TOKEN_NAME) return jinja_parse_fail(p, E_INPUT, "the name of a test is missing");
    TRY(node_make(p, NODE_TEST, &n));
    n->a = *node;
    n->constant = jinja_value_string(p->token.text);
    TRY(check_name(p, jinja_test_find(p->token.text), "test", p->token.text));
    TRY(jinja_parse_advance(p));
    if (jinja_parse_is_op(&p->token, '(')) {
        TRY(parse_arguments(p, &n->b));
    } else if (starts_argument(&p->token)) {
        if (jinja_parse_is_name(&p->token, "is")) return jinja_parse_fail(p, E_INPUT, "two tests in a row");
        TRY(parse_primary(p, &n->b));
        TRY(jinja_parse_postfix(p, &n->b));
    }
    *node = n;
    if (!negated) return OK;
    TRY(node_make(p, NODE_UNARY, &negation));
    negation->op = '!';
    negation->a = n;
    *node = negation;
    return OK;
}

/* Filters, tests and calls behind an operand. */
static enum status expression_behind(struct jinja_parser *p, struct jinja_node **node)
{
    for (;;) {
        bool bar;
        TRY(jinja_parse_skip_op(p, '|', &bar));
        if (bar)
            TRY(parse_filter(p, node));
        else if (jinja_parse_is_name(&p->token, "is"))
            TRY(parse_test(p, node));
        else if (jinja_parse_is_op(&p->token, '('))
            TRY(parse_call(p, node));
        else
            return OK;
    }
}

/* ---- operators ---- */

/* A sign, or an operand. */
static enum status parse_unary(struct jinja_parser *p, bool filters, struct jinja_node **out)
{
    TRY(deeper(p));
    if (jinja_parse_is_op(&p->token, '-') || jinja_parse_is_op(&p->token, '+')) {
        struct jinja_node *n;
        TRY(node_make(p, NODE_UNARY, &n));
        n->op = (uint8_t)p->token.op;
        TRY(jinja_parse_advance(p));
        TRY(parse_unary(p, false, &n->a));
        *out = n;
    } else {
        TRY(parse_primary(p, out));
    }
    p->depth--;
    TRY(jinja_parse_postfix(p, out));
    return filters ? expression_behind(p, out) : OK;
}

typedef enum status (*operand_fn)(struct jinja_parser *p, struct jinja_node **out);

/* Operands joined from the left by one of `ops`. */
static enum status parse_left(struct jinja_parser *p, const char *ops, operand_fn operand, struct jinja_node **out)
{
    TRY(operand(p, out));
    while (p->token.kind == TOKEN_OPERATOR && strchr(ops, p->token.op)) {
        char op = p->token.op;
        struct jinja_node *right;
        TRY(jinja_parse_advance(p));
        TRY(operand(p, &right));
        TRY(node_binary(p, op, right, out));
    }
    return OK;
}

static enum status parse_power_operand(struct jinja_parser *p, struct jinja_node **out)
{
    return parse_unary(p, true, out);
}

static enum status parse_power(struct jinja_parser *p, struct jinja_node **out)
{
    return parse_left(p, "p", parse_power_operand, out);
}

static enum status parse_product(struct jinja_parser *p, struct jinja_node **out)
{
    return parse_left(p, "*/%d", parse_power, out);
}

/* Operands joined by ~. */
static enum status parse_concat(struct jinja_parser *p, struct jinja_node **out)
{
    TRY(parse_product(p, out));
    if (!jinja_parse_is_op(&p->token, '~')) return OK;
    struct jinja_node *n, **end = &(*out)->next;
    TRY(node_make(p, NODE_CONCAT, &n));
    n->a = *out;
    for (;;) {
        bool more;
        TRY(jinja_parse_skip_op(p, '~', &more));
        if (!more) break;
        TRY(parse_product(p, end));
        end = &(*end)->next;
    }
    *out = n;
    return OK;
}

static enum status parse_sum(struct jinja_parser *p, struct jinja_node **out)
{
    return parse_left(p, "+-", parse_concat, out);
}

/* The operator of a comparison that stands here, or 0; it is stepped over. */
static enum status comparison_op(struct jinja_parser *p, char *op)
{
    *op = 0;
    if (p->token.kind == TOKEN_OPERATOR && strchr("=!<l>g", p->token.op)) {
        *op = p->token.op;
    } else if (jinja_parse_is_name(&p->token, "in")) {
        *op = 'i';
    } else if (jinja_parse_is_name(&p->token, "not") && p->has_ahead && jinja_parse_is_name(&p->ahead, "in")) {
        *op = 'n';
        TRY(jinja_parse_advance(p));
    }
    return *op ? jinja_parse_advance(p) : OK;
}

/* A chain of comparisons. */
static enum status parse_comparison(struct jinja_parser *p, struct jinja_node **out)
{
    char op;
    TRY(parse_sum(p, out));
    TRY(comparison_op(p, &op));
    if (!op) return OK;
    struct jinja_node *n;
    TRY(node_make(p, NODE_COMPARE, &n));
    n->a = *out;
    for (struct jinja_node **end = &n->b; op; end = &(*end)->next) {
        TRY(node_make(p, NODE_OPERAND, end));
        (*end)->op = (uint8_t)op;
        TRY(parse_sum(p, &(*end)->a));
        TRY(comparison_op(p, &op));
    }
    *out = n;
    return OK;
}

/* not a: binds less than a comparison and more than `and`. */
static enum status parse_not(struct jinja_parser *p, struct jinja_node **out)
{
    if (!jinja_parse_is_name(&p->token, "not")) return parse_comparison(p, out);
    struct jinja_node *n;
    TRY(node_make(p, NODE_UNARY, &n));
    n->op = '!';
    TRY(deeper(p));
    TRY(jinja_parse_advance(p));
    TRY(parse_not(p, &n->a));
    p->depth--;
    *out = n;
    return OK;
}

/* operand word operand word ...: `and` or `or`, grouped to the left. */
static enum status parse_joined(struct jinja_parser *p, const char *word, char op, operand_fn operand,
                                struct jinja_node **out)
{
    TRY(operand(p, out));
    for (;;) {
        struct jinja_node *right;
        bool more;
        TRY(jinja_parse_skip_name(p, word, &more));
        if (!more) return OK;
        TRY(operand(p, &right));
        TRY(node_binary(p, op, right, out));
    }
}

static enum status parse_and(struct jinja_parser *p, struct jinja_node **out)
{
    return parse_joined(p, "and", 'a', parse_not, out);
}

static enum status parse_or(struct jinja_parser *p, struct jinja_node **out)
{
    return parse_joined(p, "or", 'o', parse_and, out);
}

/* "a if b else c"; what is already in *out becomes a. */
static enum status parse_condition(struct jinja_parser *p, struct jinja_node **out)
{
    bool soft = p->soft, is_if, is_else;
    for (;;) {
        struct jinja_node *n;
        TRY(jinja_parse_skip_name(p, "if", &is_if));
        if (!is_if) break;
        TRY(node_make(p, NODE_CONDITION, &n));
        n->b = *out;
        p->soft = true;
        TRY(parse_or(p, &n->a));
        TRY(jinja_parse_skip_name(p, "else", &is_else));
        if (is_else) TRY(jinja_parse_expression(p, true, &n->c));
        p->soft = soft;
        *out = n;
    }
    return OK;
}

enum status jinja_parse_expression(struct jinja_parser *p, bool condition, struct jinja_node **out)
{
    TRY(deeper(p));
    TRY(parse_or(p, out));
    if (condition) TRY(parse_condition(p, out));
    p->depth--;
    return OK;
}

enum status jinja_parse_tuple(struct jinja_parser *p, bool condition, struct jinja_node **out)
{
    TRY(jinja_parse_expression(p, condition, out));
    if (!jinja_parse_is_op(&p->token, ',')) return OK;
    struct jinja_node *n, **end = &(*out)->next;
    TRY(node_make(p, NODE_LIST, &n));
    n->op = 1;
    n->a = *out;
    while (jinja_parse_is_op(&p->token, ',')) {
        TRY(jinja_parse_advance(p));
        if (p->token.kind == TOKEN_CLOSE || jinja_parse_is_op(&p->token, ')')) break;
        TRY(jinja_parse_expression(p, condition, end));
        end = &(*end)->next;
    }
    *out = n;
    return OK;
}
