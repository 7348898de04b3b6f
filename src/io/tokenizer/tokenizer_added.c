/* tokenizer_added: added tokens are looked for in text as Hugging Face does (an Aho-Corasick automaton with leftmost-longest
 * matches): at
 * each place the longest token that starts there. A trie tried at every place gives the same matches; it is linear because
 * the length of an added token is capped.
 */
#include <string.h>

#include "base/mem.h"
#include "io/tokenizer/tokenizer_internal.h"
#include "io/tokenizer/unicode.h"

enum { ADDED_MAX_BYTES = 1024 };

enum status tokenizer_added_reserve(struct ctx *c, struct tokenizer *t, size_t n)
{
    t->added = mem_alloc(c, n, sizeof *t->added);
    return t->added ? OK : c->status;
}

void tokenizer_added_add(struct tokenizer *t, const struct added *a, bool special)
{
    t->added[t->n_added++] = *a;
    t->tokens[a->id].flags |= (uint8_t)(TOKEN_ADDED | (special ? TOKEN_SPECIAL : 0));
}

/* Index of a fresh node, or 0 with the failure in the ctx. */
static uint32_t added_node_new(struct ctx *c, struct trie *trie, uint8_t byte)
{
    if (trie->n + 1 >= trie->room) {
        size_t room = trie->room * 2 + 64;
        struct trie_node *nodes = mem_resize(c, trie->nodes, trie->room, room, sizeof *nodes);
        if (!nodes) return 0;
        trie->nodes = nodes;
        trie->room = room;
    }
    uint32_t at = (uint32_t)++trie->n;
    trie->nodes[at] = (struct trie_node){.added = -1, .byte = byte};
    return at;
}

/* The node for `byte` among a node's children, which are a list; 0: none. */
static uint32_t find_child(const struct trie *trie, uint32_t node, uint8_t byte)
{
    uint32_t at = trie->nodes[node].child;
    while (at != 0 && trie->nodes[at].byte != byte) at = trie->nodes[at].sibling;
    return at;
}

/* Enters a text; its last node names the added token. */
static enum status trie_add(struct ctx *c, struct trie *trie, const char *text, size_t n, int32_t added)
{
    uint32_t node = trie->root[(uint8_t)text[0]];
    if (node == 0) {
        node = added_node_new(c, trie, (uint8_t)text[0]);
        if (node == 0) return c->status;
        trie->root[(uint8_t)text[0]] = node;
    }
    for (size_t i = 1; i < n; i++) {
        uint32_t next = find_child(trie, node, (uint8_t)text[i]);
        if (next == 0) {
            next = added_node_new(c, trie, (uint8_t)text[i]);
            if (next == 0) return c->status;
            trie->nodes[next].sibling = trie->nodes[node].child;
            trie->nodes[node].child = next;
        }
        node = next;
    }
    if (trie->nodes[node].added < 0)
        trie->nodes[node].added = added; /* two spellings may have one normal form: first wins */
    return OK;
}

/* Adds a token to the trie of the text in which it is looked for. */
static enum status added_index(struct ctx *c, struct tokenizer *t, int32_t i)
{
    const struct added *a = &t->added[i];
    const struct token *k = &t->tokens[a->id];
    if (k->n_text == 0) return OK; /* the reference ignores empty ones */
    if (k->n_text > ADDED_MAX_BYTES)
        return ctx_fail(c, E_INPUT, "%s: added token %d has %u bytes; the limit is %d", t->name, a->id, k->n_text,
                        ADDED_MAX_BYTES);
    if (!a->normalized) return trie_add(c, &t->raw, k->text, k->n_text, i);
    struct rewriter_work work;
    rewriter_work_init(&work, c, rewriter_cap(k->n_text), false);
    enum status st = rewriter_run(c, &t->normal, &work, k->text, k->n_text, true);
    if (st == OK && work.n > 0) st = trie_add(c, &t->normalized, work.text, work.n, i);
    rewriter_work_release(c, &work);
    return st;
}

enum status tokenizer_added_finish(struct ctx *c, struct tokenizer *t)
{
    for (size_t i = 0; i < t->n_added; i++) TRY(added_index(c, t, (int32_t)i));
    return OK;
}

bool tokenizer_added_find(const struct tokenizer *t, const struct trie *trie, const char *text, size_t n, size_t from,
                          struct added_match *out)
{
    for (size_t start = from; start < n; start++) {
        uint32_t node = trie->root[(uint8_t)text[start]];
        int32_t found = -1;
        for (size_t at = start + 1; node != 0; at++) {
            if (trie->nodes[node].added >= 0) {
                found = trie->nodes[node].added;
                out->end = at;
            }
            if (at == n) break;
            node = find_child(trie, node, (uint8_t)text[at]);
        }
        if (found >= 0) {
            out->added = &t->added[found];
            out->start = start;
            return true;
        }
    }
    return false;
}
