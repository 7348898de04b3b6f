/* jinja_loop: loops. Items are taken one by one, and the condition of a loop is asked when an item is taken: the body may
 * change what it depends on. */
#include <string.h>

#include "io/template/jinja_internal.h"

/* A loop while it runs; what the template sees of it is `loop`, whose members may look one item ahead. */
struct jinja_loop {
    struct jinja_run *r;
    const struct jinja_node *node;
    struct jinja_scope *outer;
    struct jinja_value items; /* all of them, before the condition */
    size_t at;
    int64_t index0;
    bool peeked, after_is, has_length;
    struct jinja_value after, current, before;
    int64_t length;
    size_t n_own; /* variables of the scope that are `loop` and the targets: they come first */
};

/* The next item for which the condition holds; *is false when there is none. */
static enum status loop_pull(struct jinja_loop *l, struct jinja_value *item, bool *is)
{
    struct jinja_run *r = l->r;
    const struct jinja_list *all = l->items.u.list;
    for (*is = false; l->at < all->n && !*is;) {
        TRY(jinja_step(r, 1));
        *item = all->items[l->at++];
        *is = true;
        if (!l->node->c) break;
        struct jinja_scope *scope = jinja_scope_new(r, l->outer), *around = r->scope;
        struct jinja_value yes = jinja_value_bool(false);
        if (!scope) return r->c->status;
        r->scope = scope;
        enum status status = jinja_assign(r, l->node->d, item);
        if (status == OK) status = jinja_eval(r, l->node->c, &yes);
        r->scope = around;
        TRY(status);
        *is = jinja_value_true(&yes);
    }
    return OK;
}

/* Takes the next item in advance, for loop.last and loop.nextitem. */
static enum status loop_peek(struct jinja_loop *l)
{
    if (l->peeked) return OK;
    l->peeked = true;
    return loop_pull(l, &l->after, &l->after_is);
}

/* The next item that the loop's condition lets through. */
static enum status loop_next(struct jinja_loop *l, bool *is)
{
    struct jinja_value item;
    if (l->peeked) {
        *is = l->after_is;
        item = l->after;
        l->peeked = false;
    } else {
        TRY(loop_pull(l, &item, is));
    }
    if (!*is) return OK;
    l->before = l->current;
    l->current = item;
    l->index0++;
    return OK;
}

/* With a condition the rest is taken to be counted, as the reference does. */
static enum status loop_length(struct jinja_loop *l)
{
    if (l->has_length) return OK;
    l->has_length = true;
    if (!l->node->c) {
        l->length = (int64_t)l->items.u.list->n;
        return OK;
    }
    struct jinja_value rest, item;
    bool is;
    TRY(jinja_value_list(l->r, LIST_PLAIN, &rest));
    for (;;) {
        TRY(loop_pull(l, &item, &is));
        if (!is) break;
        TRY(jinja_value_push(l->r, &rest, item));
    }
    l->length = (int64_t)rest.u.list->n + l->index0 + 1 + (l->peeked && l->after_is);
    l->items = rest;
    l->at = 0;
    /* what remains was chosen already */
    struct jinja_node *plain = jinja_arena_alloc(&l->r->arena, 1, sizeof *plain);
    if (!plain) return l->r->c->status;
    /* The same loop without its condition. */
    *plain = *l->node;
    plain->c = NULL;
    l->node = plain;
    return OK;
}

/* loop.previtem and loop.nextitem. */
static enum status loop_neighbour(struct jinja_loop *l, bool next, struct jinja_value *out)
{
    if (next) TRY(loop_peek(l));
    bool is = next ? l->after_is : l->index0 > 0;
    if (is)
        *out = next ? l->after : l->before;
    else
        *out = jinja_value_undefined(UNDEFINED_HINT,
                                     jinja_value_text(next ? "there is no next item" : "there is no previous item").u.s);
    return OK;
}

enum status jinja_loop_member(struct jinja_run *r, struct jinja_loop *l, struct jinja_string name, struct jinja_value *out)
{
    int64_t i = l->index0;
    bool from_end = jinja_text_equal(name, "revindex") || jinja_text_equal(name, "revindex0");
    if (from_end || jinja_text_equal(name, "length")) {
        TRY(loop_length(l));
        *out = jinja_value_int(!from_end ? l->length : l->length - i - (name.s[name.n - 1] == '0'));
    } else if (jinja_text_equal(name, "index0") || jinja_text_equal(name, "index")) {
        *out = jinja_value_int(name.s[name.n - 1] == '0' ? i : i + 1);
    } else if (jinja_text_equal(name, "first")) {
        *out = jinja_value_bool(i == 0);
    } else if (jinja_text_equal(name, "last")) {
        TRY(loop_peek(l));
        *out = jinja_value_bool(!l->after_is);
    } else if (jinja_text_equal(name, "previtem") || jinja_text_equal(name, "nextitem")) {
        return loop_neighbour(l, name.s[0] == 'n', out);
    } else if (jinja_text_equal(name, "depth") || jinja_text_equal(name, "depth0")) {
        *out = jinja_value_int(name.s[name.n - 1] == '0' ? 0 : 1);
    } else {
        return jinja_refuse(r, "loop.%.*s", (int)name.n, name.s);
    }
    return OK;
}

/* One pass of the body. All passes share a scope, whose variables are new in each: a macro that was made in one sees those
 * of the pass that runs when it is called, as the reference's closures do. */
static enum status loop_body(struct jinja_loop *l, struct jinja_scope **scope, const struct jinja_node *n)
{
    struct jinja_run *r = l->r;
    struct jinja_value self = {.kind = JINJA_LOOP, .u.loop = l};
    if (!*scope) *scope = jinja_scope_new(r, l->outer);
    if (!*scope) return r->c->status;
    (*scope)->n = 0;
    r->scope = *scope;
    TRY(jinja_scope_set(r, *scope, r->t->loop, self));
    TRY(jinja_assign(r, n->d, &l->current));
    l->n_own = (*scope)->n;
    return jinja_run_body(r, n->b);
}

/* What macros that outlive the loop see of it: `loop` and the targets are the reference's `missing`, which prints its name
 * and has no members, and what was set in the body is undefined. */
static void loop_forget(const struct jinja_loop *l, struct jinja_scope *scope)
{
    for (size_t i = 0; scope && i < scope->n; i++) {
        struct jinja_variable *v = &scope->variables[i];
        if (i < l->n_own)
            v->value = (struct jinja_value){.kind = JINJA_LOOP, .u.loop = NULL};
        else
            v->value = jinja_value_undefined(UNDEFINED_NAME, l->r->t->symbols.names[v->symbol]);
    }
}

/* Passes of the body, up to the end or a break. */
static enum status loop_all(struct jinja_loop *l, const struct jinja_node *n)
{
    struct jinja_run *r = l->r;
    struct jinja_scope *scope = NULL;
    bool is = true, stop = false;
    while (!stop) {
        TRY(loop_next(l, &is));
        if (!is) break;
        enum status status = loop_body(l, &scope, n);
        r->scope = l->outer;
        TRY(status);
        stop = r->flow == FLOW_BREAK;
        r->flow = FLOW_ON;
    }
    loop_forget(l, scope);
    return OK;
}

enum status jinja_loop_run(struct jinja_run *r, const struct jinja_node *n)
{
    struct jinja_value over;
    struct jinja_loop *l = jinja_arena_alloc(&r->arena, 1, sizeof *l);
    if (!l) return r->c->status;
    *l = (struct jinja_loop){.r = r, .node = n, .outer = r->scope, .index0 = -1};
    TRY(jinja_eval(r, n->a, &over));
    r->line = n->line;
    TRY(jinja_value_items(r, &over, &l->items));
    TRY(loop_all(l, n));
    /* The else branch of a loop runs when no item came. */
    if (l->index0 >= 0 || !n->e) return OK;
    struct jinja_scope *scope = jinja_scope_new(r, l->outer);
    if (!scope) return r->c->status;
    r->scope = scope;
    enum status status = jinja_run_body(r, n->e);
    r->scope = l->outer;
    return status;
}
