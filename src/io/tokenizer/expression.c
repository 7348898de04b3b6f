/* expression: matching in linear time, without backtracking.
 *
 * A text is read twice: from its end to its beginning by the deterministic automaton of expression_build.c, which leaves at
 * every place the set of nodes from which a match can be completed, and then forwards: a match starts where the first node
 * is alive, and at every choice the alternative that comes first and is alive is the one that backtracking would end up
 * with. So nothing is tried in vain, look-ahead is answered before it is asked, and no pattern makes a text expensive.
 *
 * Example: \s+(?!\S) on "a  b". Read from the right, `b` makes (?!\S) false right before it and true one place further left
 * (what follows there is white space), so at place 2 no match can be completed and at place 1 one can: the match is the
 * first space only, which is what a search that takes both spaces first and gives one back would find. */
#include "io/tokenizer/expression.h"

#include <string.h>

#include "base/mem.h"
#include "io/tokenizer/expression_build.h"
#include "io/tokenizer/unicode.h"

struct expression *expression_new(struct ctx *c, const char *name, const char *source, size_t n)
{
    struct expression_tree tree = {0};
    struct expression *p = mem_alloc(c, 1, sizeof *p);
    if (!p) return NULL;
    p->c = c;
    if (expression_parse(c, &tree, name, source, n) == OK) expression_build(c, p, &tree, name);
    expression_tree_release(c, &tree);
    if (ctx_ok(c)) return p;
    expression_free(p);
    return NULL;
}

void expression_free(struct expression *p)
{
    if (!p) return;
    struct ctx *c = p->c;
    mem_free(c, p->nodes);
    mem_free(c, p->breaks);
    mem_free(c, p->class_of);
    mem_free(c, p->alive);
    mem_free(c, p->accepts);
    mem_free(c, p->before);
    mem_free(c, p->last);
    mem_free(c, p);
}

void expression_work_release(struct ctx *c, struct expression_work *w)
{
    mem_free(c, w->classes);
    mem_free(c, w->states);
    *w = (struct expression_work){0};
}

/* Memory for a text of n bytes, and for the state at its end. */
static enum status expression_reserve(struct ctx *c, struct expression_work *w, size_t n)
{
    if (n < w->room) return OK;
    size_t room = n + n / 2 + 64;
    uint8_t *classes = mem_resize(c, w->classes, w->room, room, 1);
    if (!classes) return c->status;
    w->classes = classes;
    uint16_t *states = mem_resize(c, w->states, w->room, room, sizeof *states);
    if (!states) return c->status;
    w->states = states;
    w->room = room;
    return OK;
}

/* The class of a character: characters that no part of the pattern distinguishes share one. */
static uint8_t expression_class_of(const struct expression *p, uint32_t cp)
{
    if (cp < 128) return p->ascii[cp];
    size_t low = 0, high = p->n_breaks; /* the range is in [low, high) */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (p->breaks[mid] <= cp)
            low = mid;
        else
            high = mid;
    }
    return p->class_of[low];
}

/* Classes from left to right, then states from right to left. A state is found in a table by the state to its right, the
 * class of the character and, where a look-behind asks, the class of the character before. */
enum status expression_read(struct ctx *c, const struct expression *p, struct expression_work *w, const char *text, size_t n)
{
    TRY(expression_reserve(c, w, n));
    w->n = n;
    for (size_t at = 0; at < n;) {
        struct unicode_unit u = unicode_next(text + at, n - at);
        w->classes[at++] = expression_class_of(p, u.cp);
        for (size_t k = 1; k < u.bytes; k++) w->classes[at++] = EXPRESSION_INSIDE;
    }
    size_t contexts = (size_t)p->n_contexts, classes = (size_t)p->n_classes, state = 0, at = n;
    for (bool end = true;; end = false) {
        /* `at` is the start of a character or the end; `left` the start of the one before it. */
        size_t left = at;
        while (left > 0 && w->classes[--left] == EXPRESSION_INSIDE) {
        }
        size_t context = contexts == 1 ? 0 : at == 0 ? classes : w->classes[left];
        state = end ? p->last[context] : p->before[(state * classes + w->classes[at]) * contexts + context];
        w->states[at] = (uint16_t)state;
        if (at == 0) return OK;
        at = left;
    }
}

size_t expression_step(const struct expression_work *w, size_t at)
{
    at++;
    while (at < w->n && w->classes[at] == EXPRESSION_INSIDE) at++;
    return at;
}

/* Whether a match can be completed from `node` at place `at`. */
static bool expression_is_alive(const struct expression *p, const struct expression_work *w, size_t at, int node)
{
    return p->alive[w->states[at] * p->words + (size_t)node / 64] >> (node % 64) & 1;
}

/* The next match from `from` on: the first place where one starts, and from there along the first alternative that is
 * alive. */
bool expression_find(const struct expression *p, const struct expression_work *w, size_t from, size_t *start, size_t *end)
{
    size_t at = from;
    while (at < w->n && !p->accepts[w->states[at]]) at = expression_step(w, at);
    if (!p->accepts[w->states[at]]) return false;
    *start = at;
    for (int node = p->start; p->nodes[node].kind != NODE_MATCH;) {
        const struct expression_node *v = &p->nodes[node];
        if (v->kind == NODE_SET) at = expression_step(w, at);
        node = v->kind == NODE_SPLIT && !expression_is_alive(p, w, at, v->next) ? v->other : v->next;
    }
    *end = at;
    return true;
}

void expression_cut_start(struct expression_cut *cut, const struct expression *p, const struct expression_work *w)
{
    *cut = (struct expression_cut){.p = p, .w = w};
}

/* Finds the next match that counts. */
static bool cut_find(struct expression_cut *cut)
{
    while (cut->from <= cut->w->n && expression_find(cut->p, cut->w, cut->from, &cut->match_start, &cut->match_end)) {
        bool empty = cut->match_start == cut->match_end;
        cut->from = cut->match_end;
        if (!empty || !cut->matched || cut->last_end != cut->match_end) {
            cut->last_end = cut->match_end;
            cut->matched = true;
            return true;
        }
        if (cut->from == cut->w->n) return false;
        cut->from = expression_step(cut->w, cut->from);
    }
    return false;
}

bool expression_cut_next(struct expression_cut *cut, struct expression_segment *out)
{
    if (!cut->have_match && cut->from <= cut->w->n) {
        cut->have_match = cut_find(cut);
        if (!cut->have_match) cut->from = SIZE_MAX;
    }
    size_t border = cut->have_match ? cut->match_start : cut->w->n;
    if (cut->done < border) {
        *out = (struct expression_segment){cut->done, border, false};
    } else if (cut->have_match) {
        *out = (struct expression_segment){cut->match_start, cut->match_end, true};
        cut->have_match = false;
    } else {
        return false;
    }
    cut->done = out->end;
    return true;
}
