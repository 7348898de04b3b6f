/* expression_internal: what the files expression*.c share: the tree of a pattern and the tables that it becomes.
 *
 *   expression_parse.c   pattern to tree
 *   expression_build.c   tree to automaton, and the automaton to a table of states
 *   expression.c         a text read from its end to its start by that table, then matches found from left to right
 *
 * Reading from the end answers for each place of the text which nodes of the automaton can be completed from there, so the
 * search from the left takes at each node the first alternative that is alive and never has to come back. */
#ifndef YA_IO_EXPRESSION_INTERNAL_H
#define YA_IO_EXPRESSION_INTERNAL_H

#include "io/tokenizer/expression.h"
#include "io/tokenizer/expression_set.h"

enum {
    EXPRESSION_BYTES_MAX = 16384, /* of the source; each \W inside [...] costs a union of more than a thousand ranges */
    EXPRESSION_NODES_MAX = 2000,  /* of the tree, and of the automaton */
    EXPRESSION_SETS_MAX = 200,    /* different classes of characters */
    EXPRESSION_DEPTH_MAX = 50,    /* of groups and classes in each other */
    EXPRESSION_REPEAT_MAX = 1000, /* n and m of {n,m} */
    EXPRESSION_CLASSES_MAX = 254,
    EXPRESSION_INSIDE = 255 /* in expression_work.classes: not the first byte of a character */
};

/* The tree. CAT and ALT lean to the left: a is everything before, b the last part. */
enum tree_kind { TREE_EMPTY, TREE_SET, TREE_CAT, TREE_ALT, TREE_REPEAT, TREE_AHEAD, TREE_BEHIND, TREE_END };
struct tree {
    enum tree_kind kind;
    int a, b;         /* children */
    int set;          /* SET, BEHIND */
    int min, max;     /* REPEAT; max -1: no limit */
    bool lazy;        /* REPEAT */
    bool possessive;  /* REPEAT of a SET */
    bool negative;    /* AHEAD */
    bool at_start;    /* BEHIND: whether it holds at the start of the text */
    bool nullable;    /* may match nothing */
    char fold_letter; /* SET: the ASCII letter that it is in any case; 0: none */
};

struct expression_tree {
    struct tree *nodes; /* owned */
    int n, room, root;
    struct set *sets; /* owned, all different */
    int n_sets;
};
/* Parses a pattern of n bytes into *t: E_INPUT or E_UNSUPPORTED "NAME: ..." with what is not understood and where it stands.
 * expression_tree_release frees it in any case. */
void expression_tree_release(struct ctx *c, struct expression_tree *t);
enum status expression_parse(struct ctx *c, struct expression_tree *t, const char *name, const char *source, size_t n);

/* The automaton. A node is alive at a place of the text when a match can be completed from there. */
enum node_kind { NODE_MATCH, NODE_SET, NODE_SPLIT, NODE_AHEAD, NODE_BEHIND, NODE_END };
struct expression_node {
    enum node_kind kind;
    int next, other; /* SPLIT: next is tried first; AHEAD: other is where the look-ahead begins */
    int set;
    bool negative, at_start;
};

struct expression {
    struct ctx *c;
    struct expression_node *nodes; /* owned */
    int n_nodes, start;
    uint32_t *breaks;  /* owned: first code point of each range of one class of characters */
    uint8_t *class_of; /* owned: (n_breaks) the class of each range */
    size_t n_breaks;
    int n_classes;      /* characters that no set of the pattern tells apart are of one class */
    uint8_t ascii[128]; /* the classes of ASCII, without a search */
    int n_contexts; /* 1, or n_classes + 1 when a look-behind asks what stands before; the last is the start of the text */
    size_t words;   /* uint64 of a state */
    int n_states;
    uint64_t *alive;  /* owned: [state][words], a bit a node */
    uint8_t *accepts; /* owned: [state], whether a match starts here */
    uint16_t *before; /* owned: [state][class][context], the state one character further left */
    uint16_t *last;   /* owned: [context], the state at the end of the text */
};

#endif
