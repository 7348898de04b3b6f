/* expression_build: from the tree of a pattern to a deterministic automaton.
 *
 * The tree becomes nodes that read one character or ask something without reading. A loop always reads, so the edges that
 * read nothing form no circle, and whether a node is alive at a place (a match can be completed from there) follows from the
 * nodes alive one character further right: that is a deterministic automaton that reads the text backwards, and expression.c
 * runs it once over a text. All its states are made here, so that a pattern is immutable and a pattern with too many is
 * refused when it is read. */
#include "io/tokenizer/expression_build.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "io/tokenizer/unicode.h"

enum { STATES_MAX = 4000, TABLE_MAX = 1 << 21, WORK_MAX = 1 << 25 };

/* The making of one expression. */
struct build {
    struct ctx *c;
    struct expression *p;
    const struct expression_tree *t;
    const char *name;
    int room;
    int *order;   /* owned: the nodes, each behind those that its being alive at a place depends on at that place */
    bool *member; /* owned: [set][class] */
    struct map *states;
};

/* A pattern whose automaton would need too much memory or time is refused when it is read, not while a text is cut. */
static enum status too_large(struct build *b)
{
    return ctx_fail(b->c, E_UNSUPPORTED, "%s: a pattern is too complex (%d states of %d nodes)", b->name, b->p->n_states,
                    b->p->n_nodes);
}

/* ---- nodes ---- */

/* Appends a node; -1 with the failure in the ctx, as all functions here that make nodes. */
static int node_add(struct build *b, struct expression_node node)
{
    struct expression *p = b->p;
    if (p->n_nodes == EXPRESSION_NODES_MAX) {
        too_large(b);
        return -1;
    }
    if (p->n_nodes == b->room) {
        int room = b->room * 2 + 32;
        struct expression_node *nodes = mem_resize(b->c, p->nodes, (size_t)b->room, (size_t)room, sizeof *nodes);
        if (!nodes) return -1;
        p->nodes = nodes;
        b->room = room;
    }
    p->nodes[p->n_nodes] = node;
    return p->n_nodes++;
}

/* A choice: `first` is tried first. */
static int node_split(struct build *b, int first, int second)
{
    return first < 0 || second < 0
               ? -1
               : node_add(b, (struct expression_node){.kind = NODE_SPLIT, .next = first, .other = second});
}

static int expression_build_compile(struct build *b, int tree, int next);

/* A negative look-ahead for one character of a set, then `next`. */
static int compile_unless(struct build *b, int set, int next)
{
    int match = node_add(b, (struct expression_node){.kind = NODE_MATCH});
    int one = match < 0 ? -1 : node_add(b, (struct expression_node){.kind = NODE_SET, .set = set, .next = match});
    return one < 0 ? -1
                   : node_add(b, (struct expression_node){.kind = NODE_AHEAD, .other = one, .next = next, .negative = true});
}

/* X* or X+: a choice between X, which leads back to it, and what follows. */
static int compile_loop(struct build *b, const struct tree *t, int next)
{
    int loop = node_split(b, next, next);
    int body = loop < 0 ? -1 : expression_build_compile(b, t->a, loop);
    if (body < 0) return -1;
    *(t->lazy ? &b->p->nodes[loop].other : &b->p->nodes[loop].next) = body;
    return t->min > 0 ? body : loop;
}

/* X{min,max}: min times X, and the rest one inside the other, so that each may end the repetition. A possessive repetition
 * of a class ends where no member follows, or where the count is full. */
static int compile_repeat(struct build *b, const struct tree *t, int next)
{
    int at = next, copies = t->min, leave = next;
    if (t->possessive) leave = compile_unless(b, b->t->nodes[t->a].set, next);
    if (leave < 0) return -1;
    if (t->max < 0) {
        at = compile_loop(b, t, leave);
        copies = t->min > 0 ? t->min - 1 : 0;
    }
    for (int i = t->min; i < t->max && at >= 0; i++) {
        int body = expression_build_compile(b, t->a, at);
        at = t->lazy ? node_split(b, leave, body) : node_split(b, body, leave);
    }
    for (int i = 0; i < copies && at >= 0; i++) at = expression_build_compile(b, t->a, at);
    return at;
}

/* The look-ahead's own automaton ends in a MATCH of its own. */
static int compile_ahead(struct build *b, const struct tree *t, int next)
{
    int match = node_add(b, (struct expression_node){.kind = NODE_MATCH});
    int inner = match < 0 ? -1 : expression_build_compile(b, t->a, match);
    return inner < 0 ? -1
                     : node_add(b, (struct expression_node){
                                       .kind = NODE_AHEAD, .other = inner, .next = next, .negative = t->negative});
}

/* The left spines of sequences and alternatives are walked, not recursed into: depth is that of the parentheses. */
static int compile_alternatives(struct build *b, const struct tree *t, int next)
{
    int at = expression_build_compile(b, t->b, next);
    const struct tree *left = &b->t->nodes[t->a];
    int left_id = t->a;
    while (at >= 0 && left->kind == TREE_ALT) {
        at = node_split(b, expression_build_compile(b, left->b, next), at);
        left_id = left->a;
        left = &b->t->nodes[left_id];
    }
    return at < 0 ? -1 : node_split(b, expression_build_compile(b, left_id, next), at);
}

/* The node where the tree begins, when `next` is the node behind it; -1 with the failure in the ctx. */
static int expression_build_compile(struct build *b, int tree, int next)
{
    const struct tree *t = &b->t->nodes[tree];
    while (t->kind == TREE_CAT) {
        next = expression_build_compile(b, t->b, next);
        if (next < 0) return -1;
        tree = t->a;
        t = &b->t->nodes[tree];
    }
    switch (t->kind) {
    case TREE_EMPTY:
        return next;
    case TREE_SET:
        return node_add(b, (struct expression_node){.kind = NODE_SET, .set = t->set, .next = next});
    case TREE_ALT:
        return compile_alternatives(b, t, next);
    case TREE_REPEAT:
        return compile_repeat(b, t, next);
    case TREE_AHEAD:
        return compile_ahead(b, t, next);
    case TREE_BEHIND:
        return node_add(b,
                        (struct expression_node){.kind = NODE_BEHIND, .set = t->set, .next = next, .at_start = t->at_start});
    case TREE_END:
        return node_add(b, (struct expression_node){.kind = NODE_END, .next = next});
    case TREE_CAT:
        break;
    }
    BUG_ON(b->c, true, "tree node %d", (int)t->kind);
}

/* The nodes that the life of node v at a place depends on at the same place; returns their number. */
static int dependencies(const struct expression_node *v, int out[2])
{
    out[0] = v->next;
    out[1] = v->other;
    if (v->kind == NODE_SPLIT || v->kind == NODE_AHEAD) return 2;
    return v->kind == NODE_BEHIND || v->kind == NODE_END ? 1 : 0;
}

/* Puts the nodes in order, by a search in depth with a stack of its own: the chain may be as long as the pattern. */
static enum status sort_nodes(struct build *b)
{
    int n = b->p->n_nodes, done = 0, depth = 0, found[2];
    int *stack = mem_alloc(b->c, (size_t)n + 1, sizeof *stack);
    uint8_t *tried = mem_alloc(b->c, (size_t)n, 1); /* 1 + dependencies looked at; 0: not seen */
    b->order = mem_alloc(b->c, (size_t)n, sizeof *b->order);
    for (int root = 0; root < n && stack && tried && b->order; root++) {
        if (!tried[root]) stack[depth++] = root;
        while (depth > 0) {
            int v = stack[depth - 1];
            if (!tried[v]) tried[v] = 1;
            int count = dependencies(&b->p->nodes[v], found), i = tried[v] - 1;
            if (i < count) {
                tried[v]++;
                if (!tried[found[i]]) stack[depth++] = found[i];
            } else {
                b->order[done++] = v;
                depth--;
            }
        }
    }
    mem_free(b->c, stack);
    mem_free(b->c, tried);
    return b->c->status;
}

/* ---- classes of characters ---- */

/* The next place at which some set changes, after `from`; UINT32_MAX: none. cursors: per set, bounds passed so far. */
static uint32_t next_break(const struct build *b, const size_t *cursors)
{
    uint32_t least = UINT32_MAX;
    for (int i = 0; i < b->t->n_sets; i++) {
        const struct set *s = &b->t->sets[i];
        if (cursors[i] < s->n && s->bounds[cursors[i]] < least) least = s->bounds[cursors[i]];
    }
    return least;
}

/* Class of the characters that are members of just these sets, made when it is new; -1 when there are too many. */
static int class_for(struct build *b, const size_t *cursors)
{
    int n_sets = b->t->n_sets, k;
    for (k = 0; k < b->p->n_classes; k++) {
        int i = 0;
        while (i < n_sets && b->member[i * EXPRESSION_CLASSES_MAX + k] == cursors[i] % 2) i++;
        if (i == n_sets) return k;
    }
    if (k == EXPRESSION_CLASSES_MAX) {
        too_large(b);
        return -1;
    }
    for (int i = 0; i < n_sets; i++) b->member[i * EXPRESSION_CLASSES_MAX + k] = cursors[i] % 2;
    b->p->n_classes++;
    return k;
}

/* Characters that are members of the same sets are one class: the automaton's tables have a column a class, not a
 * character. */
static enum status make_classes(struct build *b)
{
    struct expression *p = b->p;
    size_t most = 1;
    for (int i = 0; i < b->t->n_sets; i++) most += b->t->sets[i].n;
    size_t *cursors = mem_alloc(b->c, (size_t)b->t->n_sets, sizeof *cursors);
    p->breaks = mem_alloc(b->c, most, sizeof *p->breaks);
    p->class_of = mem_alloc(b->c, most, 1);
    b->member = mem_alloc(b->c, (size_t)b->t->n_sets * EXPRESSION_CLASSES_MAX, sizeof *b->member);
    uint32_t at = 0;
    while (cursors && p->breaks && p->class_of && b->member && at != UINT32_MAX) {
        for (int i = 0; i < b->t->n_sets; i++)
            if (cursors[i] < b->t->sets[i].n && b->t->sets[i].bounds[cursors[i]] == at) cursors[i]++;
        int k = class_for(b, cursors);
        if (k < 0) break;
        p->breaks[p->n_breaks] = at;
        p->class_of[p->n_breaks++] = (uint8_t)k;
        at = next_break(b, cursors);
    }
    mem_free(b->c, cursors);
    if (!ctx_ok(b->c)) return b->c->status;
    for (size_t i = 0; i < p->n_breaks; i++)
        for (uint32_t cp = p->breaks[i]; cp < 128 && (i + 1 == p->n_breaks || cp < p->breaks[i + 1]); cp++)
            p->ascii[cp] = p->class_of[i];
    return OK;
}

/* ---- states ---- */

/* Whether node i is in the set. */
static bool bit_at(const uint64_t *bits, int i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

/* Whether node v is alive at a place: class of the character right of it (-1: the end of the text), context left of it,
 * `here` with the nodes it depends on settled, `after` the state one character further right (not read at the end). */
static bool expression_build_is_alive(const struct build *b, const struct expression_node *v, int class, int context,
                                      const uint64_t *here, const uint64_t *after)
{
    const bool *member = b->member + v->set * EXPRESSION_CLASSES_MAX;
    switch (v->kind) {
    case NODE_MATCH:
        return true;
    case NODE_SET:
        return class >= 0 && member[class] && bit_at(after, v->next);
    case NODE_SPLIT:
        return bit_at(here, v->next) || bit_at(here, v->other);
    case NODE_AHEAD:
        return bit_at(here, v->other) != v->negative && bit_at(here, v->next);
    case NODE_BEHIND:
        return (context == b->p->n_classes ? v->at_start : member[context]) && bit_at(here, v->next);
    case NODE_END:
        return class < 0 && bit_at(here, v->next);
    }
    return false;
}

/* Index of a state, made when it is new; -1 with the failure in the ctx. */
static int state_for(struct build *b, int class, int context, const uint64_t *after)
{
    struct expression *p = b->p;
    uint64_t found;
    if (p->n_states == STATES_MAX) {
        too_large(b);
        return -1;
    }
    uint64_t *here = p->alive + (size_t)p->n_states * p->words;
    memset(here, 0, p->words * sizeof *here);
    for (int i = 0; i < p->n_nodes; i++) {
        int v = b->order[i];
        if (expression_build_is_alive(b, &p->nodes[v], class, context, here, after)) here[v / 64] |= (uint64_t)1 << (v % 64);
    }
    if (map_get(b->states, here, p->words * sizeof *here, &found)) return (int)found;
    if (map_put(b->states, here, p->words * sizeof *here, (uint64_t)p->n_states, NULL) != OK) return -1;
    p->accepts[p->n_states] = bit_at(here, p->start);
    return p->n_states++;
}

/* Makes the states that can come before state `s`. */
static enum status extend_state(struct build *b, int s, size_t *work)
{
    struct expression *p = b->p;
    for (int class = 0; class < p->n_classes; class ++)
        for (int context = 0; context < p->n_contexts; context++) {
            size_t at = ((size_t)s * (size_t)p->n_classes + (size_t) class) * (size_t)p->n_contexts + (size_t)context;
            *work += (size_t)p->n_nodes;
            if (at >= TABLE_MAX || *work > WORK_MAX) return too_large(b);
            int before = state_for(b, class, context, p->alive + (size_t)s * p->words);
            if (before < 0) return b->c->status;
            p->before[at] = (uint16_t)before;
        }
    return OK;
}

/* Gives back what the tables took beyond what they need. */
static enum status trim(struct build *b, size_t row)
{
    struct expression *p = b->p;
    size_t n = (size_t)p->n_states;
    uint64_t *alive = mem_resize(b->c, p->alive, STATES_MAX * p->words, n * p->words, sizeof *alive);
    if (alive) p->alive = alive;
    uint16_t *before = mem_resize(b->c, p->before, TABLE_MAX, n * row, sizeof *before);
    if (before) p->before = before;
    return b->c->status;
}

/* All states that some text can lead to, from those at the end of a text leftwards. */
static enum status make_states(struct build *b)
{
    struct expression *p = b->p;
    bool behind = false;
    for (int i = 0; i < p->n_nodes; i++) behind |= p->nodes[i].kind == NODE_BEHIND;
    p->n_contexts = behind ? p->n_classes + 1 : 1;
    p->words = ((size_t)p->n_nodes + 63) / 64;
    p->alive = mem_alloc(b->c, STATES_MAX * p->words, sizeof *p->alive);
    p->accepts = mem_alloc(b->c, STATES_MAX, 1);
    p->last = mem_alloc(b->c, (size_t)p->n_contexts, sizeof *p->last);
    p->before = mem_alloc(b->c, TABLE_MAX, sizeof *p->before);
    b->states = map_new(b->c, 64);
    if (!p->alive || !p->accepts || !p->last || !p->before || !b->states) return b->c->status;
    for (int context = 0; context < p->n_contexts; context++) {
        int s = state_for(b, -1, context, NULL);
        if (s < 0) return b->c->status;
        p->last[context] = (uint16_t)s;
    }
    size_t work = 0;
    for (int s = 0; s < p->n_states; s++) TRY(extend_state(b, s, &work));
    return trim(b, (size_t)p->n_classes * (size_t)p->n_contexts);
}

enum status expression_build(struct ctx *c, struct expression *p, const struct expression_tree *t, const char *name)
{
    struct build b = {.c = c, .p = p, .t = t, .name = name};
    int match = node_add(&b, (struct expression_node){.kind = NODE_MATCH});
    p->start = match < 0 ? -1 : expression_build_compile(&b, t->root, match);
    if (p->start >= 0 && sort_nodes(&b) == OK && make_classes(&b) == OK) make_states(&b);
    mem_free(c, b.order);
    mem_free(c, b.member);
    map_free(b.states);
    return c->status;
}
