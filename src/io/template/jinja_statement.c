/* jinja_statement: runs statements. A scope maps symbols (numbers of names) to values and has a parent: a for loop, a macro
 * and a captured block get a scope of their own, an if does not, and only a namespace can be written to from inside one, as
 * in jinja2. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/template/jinja_internal.h"

/* What a run may use; both grow with what it is given to render. */
enum { STEPS_MIN = 4 << 20, STEPS_PER_BYTE = 256, MEMORY_MIN = 32 << 20, MEMORY_PER_BYTE = 96 };

/* ---- limits and failures ---- */

/* A failure with the template's name and the line that is being run. */
static enum status fail_at_line(struct jinja_run *r, enum status status, const char *format, va_list args, const char *end)
{
    char what[900];
    vsnprintf(what, sizeof what, format, args);
    return ctx_fail(r->c, status, "%s: line %d: %s%s", r->t->name, (int)r->line, what, end);
}

enum status jinja_fail(struct jinja_run *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum status status = fail_at_line(r, E_INPUT, format, args, "");
    va_end(args);
    return status;
}

enum status jinja_refuse(struct jinja_run *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum status status = fail_at_line(r, E_UNSUPPORTED, format, args, ", which is not supported");
    va_end(args);
    return status;
}

enum status jinja_step(struct jinja_run *r, size_t cost)
{
    r->steps += cost;
    if (r->steps <= r->max_steps) return OK;
    return jinja_fail(r, "the template does not end within %llu steps", (unsigned long long)r->max_steps);
}

enum status jinja_enter(struct jinja_run *r)
{
    if (r->depth == JINJA_DEPTH_MAX) return jinja_fail(r, "nested more than %d deep", JINJA_DEPTH_MAX);
    r->depth++;
    return OK;
}

/* ---- scopes ---- */

struct jinja_scope *jinja_scope_new(struct jinja_run *r, struct jinja_scope *parent)
{
    struct jinja_scope *s = jinja_arena_alloc(&r->arena, 1, sizeof *s);
    if (s) s->parent = parent;
    return s;
}

/* A scope has few names, so it is a list that is searched; the cost of long ones is counted. */
enum status jinja_scope_set(struct jinja_run *r, struct jinja_scope *s, int32_t symbol, struct jinja_value value)
{
    TRY(jinja_step(r, 1 + s->n / 16));
    for (size_t i = 0; i < s->n; i++)
        if (s->variables[i].symbol == symbol) {
            s->variables[i].value = value;
            return OK;
        }
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 4;
        struct jinja_variable *variables = jinja_arena_alloc(&r->arena, room, sizeof *variables);
        if (!variables) return r->c->status;
        if (s->n > 0) memcpy(variables, s->variables, s->n * sizeof *variables);
        s->variables = variables;
        s->room = room;
    }
    s->variables[s->n++] = (struct jinja_variable){symbol, value};
    return OK;
}

/* The innermost variable of the name, else a global function. A name that jinja2 would know is refused, so that it does not
 * silently read as undefined. */
enum status jinja_scope_get(struct jinja_run *r, int32_t symbol, struct jinja_value *out)
{
    for (const struct jinja_scope *s = r->scope; s; s = s->parent) {
        TRY(jinja_step(r, 1 + s->n / 16));
        for (size_t i = 0; i < s->n; i++)
            if (s->variables[i].symbol == symbol) {
                *out = s->variables[i].value;
                return OK;
            }
    }
    static const char *const others[] = {"lipsum", "cycler", "joiner"}, *const hidden[] = {"varargs", "kwargs", "self"};
    struct jinja_string name = r->t->symbols.names[symbol];
    if (jinja_call_global(name, out)) return OK;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (jinja_text_equal(name, others[i])) return jinja_refuse(r, "the function %s", others[i]);
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (jinja_text_equal(name, hidden[i])) return jinja_refuse(r, "the variable %s", hidden[i]);
    *out = jinja_value_undefined(UNDEFINED_NAME, name);
    return OK;
}

/* a, b = value. */
static enum status assign_tuple(struct jinja_run *r, const struct jinja_node *target, const struct jinja_value *v)
{
    struct jinja_value all;
    size_t n = 0;
    TRY(jinja_value_items(r, v, &all));
    for (const struct jinja_node *i = target->a; i; i = i->next, n++) {
        if (n == all.u.list->n) return jinja_fail(r, "not enough values to unpack (expected more, got %zu)", n);
        TRY(jinja_assign(r, i, &all.u.list->items[n]));
    }
    return n == all.u.list->n ? OK : jinja_fail(r, "too many values to unpack (expected %zu)", n);
}

enum status jinja_assign(struct jinja_run *r, const struct jinja_node *target, const struct jinja_value *v)
{
    if (target->kind == NODE_TARGET_NAME) return jinja_scope_set(r, r->scope, target->symbol, *v);
    if (target->kind == NODE_TARGET_TUPLE) return assign_tuple(r, target, v);
    struct jinja_value of;
    TRY(jinja_scope_get(r, target->symbol, &of));
    if (of.kind != JINJA_NAMESPACE) return jinja_fail(r, "cannot assign attribute on non-namespace object");
    if (target->constant.u.s.s[0] == '_') return jinja_refuse(r, "a member of a namespace that begins with an underscore");
    return jinja_value_put(r, of.u.dict, target->constant, *v);
}

/* ---- statements ---- */

enum status jinja_run_captured(struct jinja_run *r, const struct jinja_node *body, struct jinja_scope *scope,
                               struct jinja_string *out)
{
    struct jinja_builder text = {.a = &r->arena}, *around = r->out;
    struct jinja_scope *outer = r->scope;
    r->out = &text;
    r->scope = scope;
    r->captured++;
    enum status status = jinja_run_body(r, body);
    r->captured--;
    r->scope = outer;
    r->out = around;
    *out = jinja_builder_string(&text);
    return status != OK ? status : r->c->status;
}

/* What a body writes, as a string. */
static enum status capture_block(struct jinja_run *r, const struct jinja_node *body, struct jinja_value *out)
{
    struct jinja_scope *scope = jinja_scope_new(r, r->scope);
    struct jinja_string text;
    if (!scope) return r->c->status;
    TRY(jinja_run_captured(r, body, scope, &text));
    *out = jinja_value_string(text);
    return OK;
}

/* Filters on captured text: the innermost has no operand of its own. */
static enum status filter_captured(struct jinja_run *r, const struct jinja_node *filter, struct jinja_value *v)
{
    struct jinja_arguments a;
    struct jinja_value of;
    if (filter->a) TRY(filter_captured(r, filter->a, v));
    TRY(jinja_call_read(r, filter->b, &a));
    of = *v;
    return jinja_filter_apply(r, filter->constant.u.s, &of, &a, v);
}

/* set name, a body, endset. */
static enum status run_set_block(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_value v;
    TRY(capture_block(r, n->b, &v));
    if (n->a) TRY(filter_captured(r, n->a, &v));
    return jinja_assign(r, n->d, &v);
}

/* filter name, a body, endfilter. */
static enum status run_filter_block(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_value v;
    TRY(capture_block(r, n->b, &v));
    TRY(filter_captured(r, n->a, &v));
    return jinja_print(r, &v, r->out);
}

/* A macro as a value, which remembers the scope that it was made in. */
static enum status make_macro(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
    *out = (struct jinja_value){.kind = JINJA_MACRO};
    out->u.macro = jinja_arena_alloc(&r->arena, 1, sizeof *out->u.macro);
    if (!out->u.macro) return r->c->status;
    *out->u.macro = (struct jinja_macro){n, r->scope, n->constant.u.s};
    return OK;
}

/* Binds a macro to its name. */
static enum status run_macro(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_value macro;
    TRY(make_macro(r, n, &macro));
    return jinja_scope_set(r, r->scope, n->symbol, macro);
}

/* Calls a macro with the body as its `caller`. */
static enum status run_call_block(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_value caller, f, out;
    struct jinja_arguments a;
    TRY(make_macro(r, n, &caller));
    TRY(jinja_eval(r, n->a->a, &f));
    TRY(jinja_call_read(r, n->a->b, &a));
    if (f.kind != JINJA_MACRO) return jinja_refuse(r, "{%% call %%} of a %s", jinja_value_type(&f));
    TRY(jinja_call_macro(r, f.u.macro, &a, &caller, &out));
    return jinja_print(r, &out, r->out);
}

/* Notes where a generation block stands in the output. */
static enum status push_mark(struct jinja_run *r, size_t start, size_t end)
{
    if (r->n_marks == r->room_marks) {
        size_t room = r->room_marks ? 2 * r->room_marks : 16;
        struct jinja_range *marks = jinja_arena_alloc(&r->arena, room, sizeof *marks);
        if (!marks) return r->c->status;
        if (r->n_marks > 0) memcpy(marks, r->marks, r->n_marks * sizeof *marks);
        r->marks = marks;
        r->room_marks = room;
    }
    r->marks[r->n_marks++] = (struct jinja_range){start, end};
    return OK;
}

/* A mark inside of something captured would be counted from a place that nobody knows yet. */
static enum status run_generation(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_value v;
    size_t start = r->out->n;
    TRY(capture_block(r, n->b, &v));
    TRY(jinja_print(r, &v, r->out));
    r->marks_lost = r->marks_lost || r->captured > 0;
    return r->captured > 0 ? OK : push_mark(r, start, r->out->n);
}

/* The first branch whose condition holds. */
static enum status run_if(struct jinja_run *r, const struct jinja_node *n)
{
    for (;;) {
        struct jinja_value v;
        TRY(jinja_eval(r, n->a, &v));
        if (jinja_value_true(&v)) return jinja_run_body(r, n->b);
        if (!n->c || n->c->kind != NODE_IF || n->c->next) return jinja_run_body(r, n->c);
        n = n->c; /* elif, or an if alone in the else: the same */
    }
}

/* Any statement. */
static enum status run_statement(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_value v;
    switch ((enum jinja_node_kind)n->kind) {
    case NODE_TEXT:
        jinja_builder_append(r->out, n->constant.u.s);
        return jinja_step(r, n->constant.u.s.n / 16);
    case NODE_OUTPUT:
        TRY(jinja_eval(r, n->a, &v));
        return jinja_print(r, &v, r->out);
    case NODE_IF:
        return run_if(r, n);
    case NODE_FOR:
        return jinja_loop_run(r, n);
    case NODE_SET:
        TRY(jinja_eval(r, n->a, &v));
        return jinja_assign(r, n->d, &v);
    case NODE_SET_BLOCK:
        return run_set_block(r, n);
    case NODE_MACRO:
        return run_macro(r, n);
    case NODE_CALL_BLOCK:
        return run_call_block(r, n);
    case NODE_FILTER_BLOCK:
        return run_filter_block(r, n);
    case NODE_GENERATION:
        return run_generation(r, n);
    case NODE_BREAK:
        r->flow = FLOW_BREAK;
        return OK;
    case NODE_CONTINUE:
        r->flow = FLOW_CONTINUE;
        return OK;
    default:
        BUG_ON(r->c, true, "node %d is no statement", n->kind);
        return r->c->status;
    }
}

enum status jinja_run_body(struct jinja_run *r, const struct jinja_node *first)
{
    TRY(jinja_enter(r));
    enum status status = OK;
    for (const struct jinja_node *n = first; n && status == OK && r->flow == FLOW_ON; n = n->next) {
        r->line = n->line;
        status = jinja_step(r, 1);
        if (status == OK) status = run_statement(r, n);
        if (status == OK) status = r->c->status; /* of a builder */
    }
    jinja_leave(r);
    return status;
}

/* ---- the whole ---- */

/* About how many bytes a variable has, for the limit of the run's memory. */
static size_t json_bytes(const json_t *v)
{
    size_t n = 32;
    const char *key;
    json_t *member;
    if (json_is_string(v)) return n + json_string_length(v);
    for (size_t i = 0; i < json_array_size(v); i++) n += json_bytes(json_array_get(v, i));
    json_object_foreach((json_t *)v, key, member) n += strlen(key) + json_bytes(member);
    return n;
}

/* The members of an object as variables. */
static enum status set_variables(struct jinja_run *r, const json_t *o, bool outside)
{
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)o, key, member)
    {
        struct jinja_value v;
        int32_t symbol = jinja_symbol_find(r->t, (struct jinja_string){key, NULL, strlen(key)});
        if (symbol < 0) continue; /* the template does not ask for it */
        TRY(jinja_value_read(r, member, outside, &v));
        TRY(jinja_scope_set(r, r->scope, symbol, v));
    }
    return OK;
}

/* Copies text and marks out of the arena. */
static enum status take_output(struct jinja_run *r, struct jinja_output *out)
{
    struct jinja_builder *b = r->out;
    out->n = b->n;
    out->text = mem_strndup(r->c, b->s ? b->s : "", b->n);
    out->outside = mem_alloc(r->c, b->n + 1, 1);
    out->marks = mem_alloc(r->c, r->n_marks, sizeof *out->marks);
    if (!out->text || !out->outside || !out->marks) return r->c->status;
    if (b->n > 0) memcpy(out->outside, b->outside, b->n);
    if (r->n_marks > 0) memcpy(out->marks, r->marks, r->n_marks * sizeof *out->marks);
    out->n_marks = r->n_marks;
    out->marks_lost = r->marks_lost;
    return OK;
}

void jinja_output_release(struct ctx *c, struct jinja_output *out)
{
    mem_free(c, out->text);
    mem_free(c, out->outside);
    mem_free(c, out->marks);
    *out = (struct jinja_output){0};
}

/* `fixed` is set before `row`, which therefore hides it: both go into the same scope. */
enum status jinja_render(struct ctx *c, const struct jinja_template *t, const struct jinja_input *in,
                         struct jinja_output *out)
{
    struct jinja_run r = {.c = c, .t = t, .in = in};
    BUG_ON(c, out->text || out->outside || out->marks, "a template is rendered into a text that is there");
    struct jinja_builder text = {.a = &r.arena};
    size_t bytes = json_bytes(in->row);
    if (bytes > SIZE_MAX / (4 * STEPS_PER_BYTE)) return ctx_fail(c, E_INPUT, "%s: the row is too long", t->name);
    r.max_steps = STEPS_MIN + STEPS_PER_BYTE * (uint64_t)bytes;
    jinja_arena_init(&r.arena, c, MEMORY_MIN + MEMORY_PER_BYTE * bytes);
    r.out = &text;
    r.scope = jinja_scope_new(&r, NULL);
    enum status status = r.scope ? set_variables(&r, in->fixed, false) : c->status;
    if (status == OK) status = set_variables(&r, in->row, true);
    if (status == OK) status = jinja_run_body(&r, t->body);
    if (status == OK) status = take_output(&r, out);
    jinja_arena_release(&r.arena);
    if (status != OK) jinja_output_release(c, out);
    return status;
}
