/* jinja_parser: parses statements ({% if %}, {% for %}, {% set %}, {% macro %}, ...) into the tree of a template, and has
 * the handling of tokens that jinja_expression.c uses too. A body is parsed up to the names that may end it: that of an if
 * up to elif, else or endif. */
#include "io/template/jinja_parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { TEMPLATE_MAX_BYTES = 48 << 20 };

static enum status parse_body(struct jinja_parser *p, const char *const *ends, struct jinja_node **out);

/* ---- tokens ---- */

enum status jinja_parse_fail(struct jinja_parser *p, enum status status, const char *format, ...)
{
    char what[300];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    const char *no = status == E_UNSUPPORTED ? ", which is not supported" : "";
    return ctx_fail(p->c, status, "%s: line %d: %s%s", p->t->name, (int)p->token.line, what, no);
}

struct jinja_node *jinja_parse_node(struct jinja_parser *p, int kind, int32_t line)
{
    if (p->nodes++ == JINJA_NODES_MAX) {
        jinja_parse_fail(p, E_UNSUPPORTED, "a template of this size");
        return NULL;
    }
    struct jinja_node *n = jinja_arena_alloc(&p->t->arena, 1, sizeof *n);
    if (!n) return NULL;
    n->kind = (uint8_t)kind;
    n->line = line;
    return n;
}

enum status jinja_parse_advance(struct jinja_parser *p)
{
    p->token = p->ahead;
    p->has_ahead = p->token.kind != TOKEN_END;
    return p->has_ahead ? jinja_lexer_next(&p->lexer, &p->ahead) : OK;
}

bool jinja_parse_is_name(const struct jinja_token *k, const char *name)
{
    return k->kind == TOKEN_NAME && jinja_text_equal(k->text, name);
}

bool jinja_parse_is_op(const struct jinja_token *k, char op)
{
    return k->kind == TOKEN_OPERATOR && k->op == op;
}

enum status jinja_parse_skip_name(struct jinja_parser *p, const char *name, bool *was)
{
    *was = jinja_parse_is_name(&p->token, name);
    return *was ? jinja_parse_advance(p) : OK;
}

enum status jinja_parse_skip_op(struct jinja_parser *p, char op, bool *was)
{
    *was = jinja_parse_is_op(&p->token, op);
    return *was ? jinja_parse_advance(p) : OK;
}

enum status jinja_parse_expect_op(struct jinja_parser *p, char op)
{
    if (jinja_parse_is_op(&p->token, op)) return jinja_parse_advance(p);
    return jinja_parse_fail(p, E_INPUT, "'%c' is missing", op == 'a' ? '=' : op);
}

/* The end of the tag. */
static enum status expect_close(struct jinja_parser *p)
{
    if (p->token.kind == TOKEN_CLOSE) return jinja_parse_advance(p);
    return jinja_parse_fail(p, E_INPUT, "the tag does not end where it should");
}

/* A name. */
static enum status expect_name(struct jinja_parser *p, struct jinja_string *name)
{
    if (p->token.kind != TOKEN_NAME) return jinja_parse_fail(p, E_INPUT, "a name is missing");
    *name = p->token.text;
    return jinja_parse_advance(p);
}

/* ---- targets of assignments ---- */

/* A name that is assigned to, or a member of a namespace. */
static enum status parse_target_name(struct jinja_parser *p, bool members, struct jinja_node **out)
{
    static const char *const reserved[] = {"true", "false", "none", "True", "False", "None"};
    struct jinja_string name;
    struct jinja_node *n = *out = jinja_parse_node(p, NODE_TARGET_NAME, p->token.line);
    bool dot;
    if (!n) return p->c->status;
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (jinja_parse_is_name(&p->token, reserved[i])) return jinja_parse_fail(p, E_INPUT, "a constant is set");
    TRY(expect_name(p, &name));
    n->symbol = jinja_symbol(p->t, name);
    if (n->symbol < 0) return p->c->status;
    TRY(jinja_parse_skip_op(p, '.', &dot));
    if (!dot) return OK;
    if (!members) return jinja_parse_fail(p, E_INPUT, "a member cannot be the variable of a loop");
    n->kind = NODE_TARGET_MEMBER;
    TRY(expect_name(p, &name));
    n->constant = jinja_value_string(name);
    return jinja_symbol(p->t, name) < 0 ? p->c->status : OK;
}

/* Whether one more target follows. */
static bool starts_target(const struct jinja_parser *p)
{
    return jinja_parse_is_op(&p->token, '(') || (p->token.kind == TOKEN_NAME && !jinja_parse_is_name(&p->token, "in"));
}

static enum status jinja_parser_parse_target(struct jinja_parser *p, bool members, struct jinja_node **out);

/* A name, or targets in brackets. */
static enum status parse_target_part(struct jinja_parser *p, bool members, struct jinja_node **out)
{
    bool bracket;
    TRY(jinja_parse_skip_op(p, '(', &bracket));
    if (!bracket) return parse_target_name(p, members, out);
    if (p->depth == JINJA_PARSE_DEPTH_MAX) return jinja_parse_fail(p, E_UNSUPPORTED, "targets nested so deeply");
    p->depth++;
    TRY(jinja_parser_parse_target(p, members, out));
    p->depth--;
    return jinja_parse_expect_op(p, ')');
}

/* "a", "a, b", "(a, b)", "a, (b, c)", and with `members` "ns.a". */
static enum status jinja_parser_parse_target(struct jinja_parser *p, bool members, struct jinja_node **out)
{
    bool more;
    TRY(parse_target_part(p, members, out));
    TRY(jinja_parse_skip_op(p, ',', &more));
    if (more) {
        struct jinja_node *first = *out, **end = &first->next;
        *out = jinja_parse_node(p, NODE_TARGET_TUPLE, first->line);
        if (!*out) return p->c->status;
        (*out)->a = first;
        while (more && starts_target(p)) {
            TRY(parse_target_part(p, members, end));
            end = &(*end)->next;
            TRY(jinja_parse_skip_op(p, ',', &more));
        }
    }
    return OK;
}

/* ---- statements; each begins behind its own name ---- */

/* Steps over the tag that ends a block, whose name is the current token. */
static enum status end_tag(struct jinja_parser *p)
{
    TRY(jinja_parse_advance(p));
    return expect_close(p);
}

/* if, elif, else, endif. */
static enum status parse_if(struct jinja_parser *p, struct jinja_node *n)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL}, *const end[] = {"endif", NULL};
    bool soft = p->soft;
    for (;;) {
        bool is_elif;
        TRY(jinja_parse_tuple(p, false, &n->a));
        TRY(expect_close(p));
        p->soft = true;
        TRY(parse_body(p, ends, &n->b));
        p->soft = soft;
        TRY(jinja_parse_skip_name(p, "elif", &is_elif));
        if (!is_elif) break;
        n->c = jinja_parse_node(p, NODE_IF, p->token.line);
        if (!n->c) return p->c->status;
        n = n->c;
    }
    if (jinja_parse_is_name(&p->token, "else")) {
        TRY(end_tag(p));
        p->soft = true;
        TRY(parse_body(p, end, &n->c));
        p->soft = soft;
    }
    return end_tag(p);
}

/* for target in list [if condition] [recursive], else, endfor. */
static enum status parse_for(struct jinja_parser *p, struct jinja_node *n)
{
    static const char *const ends[] = {"else", "endfor", NULL}, *const end[] = {"endfor", NULL};
    bool is;
    bool soft = p->soft;
    TRY(jinja_parser_parse_target(p, false, &n->d));
    TRY(jinja_parse_skip_name(p, "in", &is));
    if (!is) return jinja_parse_fail(p, E_INPUT, "'in' is missing");
    TRY(jinja_parse_tuple(p, false, &n->a));
    TRY(jinja_parse_skip_name(p, "if", &is));
    if (is) TRY(jinja_parse_expression(p, true, &n->c));
    if (jinja_parse_is_name(&p->token, "recursive")) return jinja_parse_fail(p, E_UNSUPPORTED, "a recursive loop");
    TRY(expect_close(p));
    p->loops++;
    p->soft = false;
    TRY(parse_body(p, ends, &n->b));
    p->loops--;
    if (jinja_parse_is_name(&p->token, "else")) {
        TRY(end_tag(p));
        TRY(parse_body(p, end, &n->e));
    }
    p->soft = soft;
    return end_tag(p);
}

/* set target = value, or a block up to endset. */
static enum status parse_set(struct jinja_parser *p, struct jinja_node *n)
{
    static const char *const end[] = {"endset", NULL};
    bool is;
    TRY(jinja_parser_parse_target(p, true, &n->d));
    TRY(jinja_parse_skip_op(p, 'a', &is));
    if (is) {
        TRY(jinja_parse_tuple(p, true, &n->a));
        return expect_close(p);
    }
    n->kind = NODE_SET_BLOCK;
    TRY(jinja_parse_filters(p, false, &n->a));
    TRY(expect_close(p));
    TRY(parse_body(p, end, &n->b));
    return end_tag(p);
}

/* (a, b=1, ...) of a macro. */
static enum status parse_parameters(struct jinja_parser *p, struct jinja_node **list)
{
    bool optional = false, first = true;
    TRY(jinja_parse_expect_op(p, '('));
    for (; !jinja_parse_is_op(&p->token, ')'); first = false) {
        struct jinja_string name;
        bool is;
        if (!first) TRY(jinja_parse_expect_op(p, ','));
        struct jinja_node *n = *list = jinja_parse_node(p, NODE_NAME, p->token.line);
        if (!n) return p->c->status;
        TRY(expect_name(p, &name));
        n->symbol = jinja_symbol(p->t, name);
        if (n->symbol < 0) return p->c->status;
        TRY(jinja_parse_skip_op(p, 'a', &is));
        if (!is && optional) return jinja_parse_fail(p, E_INPUT, "a parameter without a default behind one with a default");
        optional = is;
        if (is) TRY(jinja_parse_expression(p, true, &n->a));
        list = &n->next;
    }
    return jinja_parse_expect_op(p, ')');
}

/* The body of a macro or of what a call hands on: no break or continue reaches out of it. */
static enum status parse_closed_body(struct jinja_parser *p, const char *const *end, struct jinja_node **out)
{
    int loops = p->loops;
    bool soft = p->soft;
    p->loops = 0;
    p->soft = false;
    TRY(expect_close(p));
    TRY(parse_body(p, end, out));
    p->loops = loops;
    p->soft = soft;
    return end_tag(p);
}

/* macro name(parameters), endmacro. */
static enum status parse_macro(struct jinja_parser *p, struct jinja_node *n)
{
    static const char *const end[] = {"endmacro", NULL};
    struct jinja_string name;
    TRY(expect_name(p, &name));
    n->symbol = jinja_symbol(p->t, name);
    if (n->symbol < 0) return p->c->status;
    n->constant = jinja_value_string(name);
    TRY(parse_parameters(p, &n->d));
    return parse_closed_body(p, end, &n->b);
}

/* call(parameters) macro(args), endcall: the body is what `caller` runs in the macro. */
static enum status parse_call_block(struct jinja_parser *p, struct jinja_node *n)
{
    static const char *const end[] = {"endcall", NULL};
    n->constant = jinja_value_text("caller");
    if (jinja_parse_is_op(&p->token, '(')) TRY(parse_parameters(p, &n->d));
    TRY(jinja_parse_expression(p, true, &n->a));
    if (n->a->kind != NODE_CALL) return jinja_parse_fail(p, E_INPUT, "{%% call %%} needs a call");
    return parse_closed_body(p, end, &n->b);
}

/* filter name, endfilter. */
static enum status parse_filter_block(struct jinja_parser *p, struct jinja_node *n)
{
    static const char *const end[] = {"endfilter", NULL};
    TRY(jinja_parse_filters(p, true, &n->a));
    TRY(expect_close(p));
    TRY(parse_body(p, end, &n->b));
    return end_tag(p);
}

/* generation, endgeneration: what the assistant wrote, for masks. */
static enum status parse_generation(struct jinja_parser *p, struct jinja_node *n)
{
    static const char *const end[] = {"endgeneration", NULL};
    p->t->marks_generation = true;
    return parse_closed_body(p, end, &n->b);
}

/* break and continue. */
static enum status parse_jump(struct jinja_parser *p, struct jinja_node *n)
{
    (void)n;
    if (p->loops == 0) return jinja_parse_fail(p, E_INPUT, "break or continue outside of a loop");
    return expect_close(p);
}

static const struct statement {
    const char *name;
    int kind;
    enum status (*parse)(struct jinja_parser *p, struct jinja_node *n); /* NULL: jinja2 has it, we do not */
} statements[] = {
    {"if", NODE_IF, parse_if},
    {"for", NODE_FOR, parse_for},
    {"set", NODE_SET, parse_set},
    {"macro", NODE_MACRO, parse_macro},
    {"call", NODE_CALL_BLOCK, parse_call_block},
    {"filter", NODE_FILTER_BLOCK, parse_filter_block},
    {"generation", NODE_GENERATION, parse_generation},
    {"break", NODE_BREAK, parse_jump},
    {"continue", NODE_CONTINUE, parse_jump},
    {"with", 0, NULL},
    {"autoescape", 0, NULL},
    {"block", 0, NULL},
    {"extends", 0, NULL},
    {"include", 0, NULL},
    {"import", 0, NULL},
    {"from", 0, NULL},
    {"print", 0, NULL},
};

/* A tag whose name is the current token. */
static enum status parse_statement(struct jinja_parser *p, struct jinja_node **out)
{
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        if (!jinja_parse_is_name(&p->token, statements[i].name)) continue;
        if (!statements[i].parse) return jinja_parse_fail(p, E_UNSUPPORTED, "{%% %s %%}", statements[i].name);
        *out = jinja_parse_node(p, statements[i].kind, p->token.line);
        if (!*out) return p->c->status;
        TRY(jinja_parse_advance(p));
        return statements[i].parse(p, *out);
    }
    return jinja_parse_fail(p, E_INPUT, "unknown tag '%.*s'", (int)p->token.text.n, p->token.text.s);
}

/* Whether a token is one of these names. */
static bool is_one_of(const struct jinja_token *k, const char *const *names)
{
    for (; names && *names; names++)
        if (jinja_parse_is_name(k, *names)) return true;
    return false;
}

/* One statement or text. *ended: a tag whose name is in `ends` was begun, and its name is the current token. */
static enum status parser_item(struct jinja_parser *p, const char *const *ends, struct jinja_node **out, bool *ended)
{
    if (p->token.kind == TOKEN_TEXT) {
        *out = jinja_parse_node(p, NODE_TEXT, p->token.line);
        if (!*out) return p->c->status;
        (*out)->constant = jinja_value_string(p->token.text);
        return jinja_parse_advance(p);
    }
    bool print = p->token.kind == TOKEN_PRINT;
    TRY(jinja_parse_advance(p));
    if (print) {
        *out = jinja_parse_node(p, NODE_OUTPUT, p->token.line);
        if (!*out) return p->c->status;
        TRY(jinja_parse_tuple(p, true, &(*out)->a));
        return expect_close(p);
    }
    if (p->token.kind != TOKEN_NAME) return jinja_parse_fail(p, E_INPUT, "the name of a tag is missing");
    *ended = is_one_of(&p->token, ends);
    return *ended ? OK : parse_statement(p, out);
}

/* Statements up to a tag named in `ends` (NULL: the end of the source). */
static enum status parse_body(struct jinja_parser *p, const char *const *ends, struct jinja_node **out)
{
    if (p->depth == JINJA_PARSE_DEPTH_MAX) return jinja_parse_fail(p, E_UNSUPPORTED, "blocks nested so deeply");
    p->depth++;
    for (bool ended = false; !ended;) {
        if (p->token.kind == TOKEN_END && !ends) break;
        if (p->token.kind == TOKEN_END) {
            while (ends[1]) ends++; /* the last one is what the block cannot do without: elif, else, endif */
            return jinja_parse_fail(p, E_INPUT, "{%% %s %%} is missing", ends[0]);
        }
        *out = NULL;
        TRY(parser_item(p, ends, out, &ended));
        while (*out) out = &(*out)->next;
    }
    p->depth--;
    return OK;
}

/* ---- templates ---- */

/* A whole template. */
static enum status parse_template(struct jinja_template *t, const char *source, size_t n)
{
    struct jinja_parser p = {.c = t->c, .t = t};
    if (n > JINJA_SOURCE_MAX_BYTES)
        return ctx_fail(t->c, E_UNSUPPORTED, "%s: %zu bytes are too long for a chat template", t->name, n);
    size_t bad = utf8_check(source, n);
    if (bad < n) return ctx_fail(t->c, E_INPUT, "%s: invalid UTF-8 at byte %zu", t->name, bad);
    t->loop = jinja_symbol(t, jinja_value_text("loop").u.s);
    t->caller = jinja_symbol(t, jinja_value_text("caller").u.s);
    TRY(t->c->status);
    TRY(jinja_lexer_start(&p.lexer, t, source, n));
    TRY(jinja_lexer_next(&p.lexer, &p.ahead));
    TRY(jinja_parse_advance(&p));
    return parse_body(&p, NULL, &t->body);
}

struct jinja_template *jinja_open(struct ctx *c, const char *name, const char *source, size_t n)
{
    struct jinja_template *t = mem_alloc(c, 1, sizeof *t);
    if (!t) return NULL;
    t->c = c;
    jinja_arena_init(&t->arena, c, TEMPLATE_MAX_BYTES);
    t->name = mem_strdup(c, name);
    if (t->name && parse_template(t, source, n) == OK && ctx_ok(c)) return t;
    jinja_free(t);
    return NULL;
}

void jinja_free(struct jinja_template *t)
{
    if (!t) return;
    struct ctx *c = t->c;
    jinja_arena_release(&t->arena);
    mem_free(c, t->name);
    mem_free(c, t);
}

bool jinja_marks_generation(const struct jinja_template *t)
{
    return t->marks_generation;
}

bool jinja_reads_clock(const struct jinja_template *t)
{
    return t->reads_clock;
}

bool jinja_mentions(const struct jinja_template *t, const char *name)
{
    return jinja_symbol_find(t, (struct jinja_string){name, NULL, strlen(name)}) >= 0;
}
