/* expression_build: from the tree of a pattern to the tables that expression.c walks by. */
#ifndef YA_IO_EXPRESSION_BUILD_H
#define YA_IO_EXPRESSION_BUILD_H

#include "io/tokenizer/expression_internal.h"

/* Fills in the automaton of *p. E_UNSUPPORTED when it would be too large. */
enum status expression_build(struct ctx *c, struct expression *p, const struct expression_tree *t, const char *name);

#endif
