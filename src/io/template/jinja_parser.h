/* jinja_parser: tokens to the tree. jinja_parser.c has statements, jinja_expression.c expressions; both by recursive descent
 * whose depth is limited. */
#ifndef YA_IO_JINJA_PARSER_H
#define YA_IO_JINJA_PARSER_H

#include "io/template/jinja_lexer.h"

struct jinja_parser {
    struct ctx *c;
    struct jinja_template *t;
    struct jinja_lexer lexer;
    struct jinja_token token, ahead;
    bool has_ahead;
    int depth;
    bool soft;     /* inside an if: a name of a filter that does not exist matters only when it is reached */
    int loops;     /* around this place, within the same macro */
    int32_t nodes; /* made so far */
};

enum { JINJA_PARSE_DEPTH_MAX = 150, JINJA_NODES_MAX = 1 << 18 };

/* The next token becomes p->token. A failure with the line of the token. A new node, NULL with E_MEMORY or past
 * JINJA_NODES_MAX. Whether a token is this name, or this operator. */
enum status jinja_parse_advance(struct jinja_parser *p);
enum status jinja_parse_fail(struct jinja_parser *p, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct jinja_node *jinja_parse_node(struct jinja_parser *p, int kind, int32_t line);
bool jinja_parse_is_name(const struct jinja_token *k, const char *name);
bool jinja_parse_is_op(const struct jinja_token *k, char op);
/* Steps over a token of this sort; *was says whether it stood there. */
enum status jinja_parse_skip_name(struct jinja_parser *p, const char *name, bool *was);
enum status jinja_parse_skip_op(struct jinja_parser *p, char op, bool *was);
enum status jinja_parse_expect_op(struct jinja_parser *p, char op);

/* A whole expression; with `condition` false without "x if y". */
enum status jinja_parse_expression(struct jinja_parser *p, bool condition, struct jinja_node **out);
/* Expressions joined by commas: a tuple, unless it is one without a comma. */
enum status jinja_parse_tuple(struct jinja_parser *p, bool condition, struct jinja_node **out);
/* "name(args) | name ..." behind a filter or set tag; `first`: the first name stands without a bar. */
enum status jinja_parse_filters(struct jinja_parser *p, bool first, struct jinja_node **out);
enum status jinja_parse_postfix(struct jinja_parser *p, struct jinja_node **node);

#endif
