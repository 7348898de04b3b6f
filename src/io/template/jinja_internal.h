/* jinja_internal: what the files of the interpreter share: memory, values, the tree of a template, and the state of one run.
 *
 * A template goes through three stages:
 *
 *   jinja_lexer.c                            source to tokens, with the rules for white space around tags
 *   jinja_parser.c, jinja_expression.c       tokens to a tree of nodes, once, when the template is opened
 *   jinja_statement.c, jinja_loop.c          a run walks over the statements of the tree and writes text;
 *   jinja_eval.c, jinja_lookup.c,            expressions become values,
 *   jinja_call.c, jinja_method.c,            which calls, methods,
 *   jinja_filter*.c, jinja_test.c            filters and tests work on
 *
 * Nothing is freed one by one: a template and a run each have an arena that is given back whole. All work is counted
 * (jinja_step), and nesting too (jinja_enter), so a hostile template ends in an error and not in an endless loop or a deep
 * stack. */
#ifndef YA_IO_JINJA_INTERNAL_H
#define YA_IO_JINJA_INTERNAL_H

#include "base/ctx.h"
#include "io/template/jinja.h"

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

/* Everything that a template or a run needs lies in blocks which are given back together. */
struct jinja_block;
struct jinja_arena {
    struct ctx *c;
    struct jinja_block *blocks, *texts; /* newest first; `texts` hold strings: bytes, and behind them where they came from */
    size_t left;                        /* bytes that may still be taken from the system */
};

/* An empty arena that may take cap_bytes from the system; release frees everything that was allocated in it. */
void jinja_arena_init(struct jinja_arena *a, struct ctx *c, size_t cap_bytes);
void jinja_arena_release(struct jinja_arena *a);
/* count * size zeroed bytes, or NULL with E_INPUT past the cap. */
void *jinja_arena_alloc(struct jinja_arena *a, size_t count, size_t size);

/* n bytes of UTF-8, not NUL-terminated; `outside` says of each byte whether it came from the row, NULL: none does. Strings
 * are immutable, and parts of a string are views into it. */
struct jinja_string {
    const char *s;
    const uint8_t *outside;
    size_t n;
};

/* A string that grows at its end. */
struct jinja_builder {
    struct jinja_arena *a;
    char *s;
    uint8_t *outside;
    size_t n, room;
};

/* Append a string with where its bytes came from, n bytes that all came from the row (`outside`) or from the template, or a
 * text of our own. A failure stays in the ctx. jinja_builder_string is a view of what is there so far. */
void jinja_builder_append(struct jinja_builder *b, struct jinja_string s);
void jinja_builder_bytes(struct jinja_builder *b, const char *s, size_t n, bool outside);
void jinja_builder_str(struct jinja_builder *b, const char *s);
struct jinja_string jinja_builder_string(const struct jinja_builder *b);
/* a followed by b. Cheap when `a` is the newest string of the arena: it is then continued in its place. */
struct jinja_string jinja_arena_concat(struct jinja_arena *arena, struct jinja_string a, struct jinja_string b);

/* Bytes [from, to) of a string, as a view. */
static inline struct jinja_string jinja_part(struct jinja_string s, size_t from, size_t to)
{
    return (struct jinja_string){s.s + from, s.outside ? s.outside + from : NULL, to - from};
}

/* ---- values ---------------------------------------------------------------------------------------------------------- */

enum jinja_kind {
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_FLOAT,
    JINJA_STRING,
    JINJA_LIST,
    JINJA_DICT,
    JINJA_NAMESPACE,
    JINJA_MACRO,
    JINJA_METHOD,
    JINJA_FUNCTION,
    JINJA_LOOP, /* u.loop NULL: a variable of a loop that has ended, as a macro sees it */
};

/* Forms of lists (how Python would print and ask them), and of undefined values (what their message says). */
enum { LIST_PLAIN, LIST_TUPLE, LIST_VIEW, LIST_RANGE, LIST_GENERATOR };
enum { UNDEFINED_NAME, UNDEFINED_MEMBER, UNDEFINED_ELEMENT, UNDEFINED_HINT, UNDEFINED_UNSAFE };
/* A string that `safe` marked: what it meets in an addition is escaped for HTML, as markupsafe does. */
enum { STRING_PLAIN, STRING_SAFE };

struct jinja_value {
    uint8_t kind; /* enum jinja_kind */
    uint8_t form;
    uint8_t of; /* undefined members: the kind of what lacks them */
    union {
        bool b;
        int64_t i; /* JINJA_INT; JINJA_FUNCTION: which */
        double f;
        struct jinja_string s; /* JINJA_STRING; JINJA_UNDEFINED: the name */
        struct jinja_list *list;
        struct jinja_dict *dict; /* JINJA_DICT, JINJA_NAMESPACE */
        struct jinja_macro *macro;
        struct jinja_method *method;
        struct jinja_loop *loop;
    } u;
};

struct jinja_list {
    struct jinja_value *items;
    size_t n, room;
    size_t at; /* LIST_GENERATOR: how many were taken */
};

struct jinja_pair {
    struct jinja_value key, value;
};

struct jinja_dict {
    struct jinja_pair *pairs; /* in the order of insertion */
    size_t n, room;
};

struct jinja_method {
    struct jinja_value self;
    struct jinja_string name;
};

/* ---- the tree -------------------------------------------------------------------------------------------------------- */

enum jinja_node_kind {
    /* expressions; `next` chains the members of a list */
    NODE_CONSTANT,  /* constant */
    NODE_NAME,      /* symbol */
    NODE_LIST,      /* a: items; op 1: a tuple */
    NODE_DICT,      /* a: key, value, key, value, ... */
    NODE_MEMBER,    /* a.constant */
    NODE_ITEM,      /* a[b] */
    NODE_SLICE,     /* a[b:c:d], each of them or NULL */
    NODE_CALL,      /* a(b...) */
    NODE_KEYWORD,   /* constant=a, among arguments */
    NODE_FILTER,    /* a | constant(b...); a NULL: what a filter block or a block set captured */
    NODE_TEST,      /* a is constant(b...) */
    NODE_UNARY,     /* op: '-', '+', '!' */
    NODE_BINARY,    /* op: + - * / % 'd' (//) 'p' (**) 'a' (and) 'o' (or) */
    NODE_CONCAT,    /* a ~ ... */
    NODE_COMPARE,   /* a, then b: operands, each NODE_OPERAND */
    NODE_OPERAND,   /* op: '=' '!' '<' 'l' (<=) '>' 'g' (>=) 'i' (in) 'n' (not in); a */
    NODE_CONDITION, /* b if a else c */
    /* statements */
    NODE_TEXT,       /* constant */
    NODE_OUTPUT,     /* a */
    NODE_IF,         /* a: condition, b: body, c: what elif and else hold */
    NODE_FOR,        /* d: target, a: over what, c: condition, b: body, e: else */
    NODE_SET,        /* d: target, a: value */
    NODE_SET_BLOCK,  /* d: target, b: body, a: filters */
    NODE_MACRO,      /* symbol, d: parameters (NODE_NAME with a default in a), b: body */
    NODE_CALL_BLOCK, /* a: call, d: parameters of the caller, b: body */
    NODE_FILTER_BLOCK,
    NODE_GENERATION, /* b */
    NODE_BREAK,
    NODE_CONTINUE,
    /* targets */
    NODE_TARGET_NAME,   /* symbol */
    NODE_TARGET_MEMBER, /* symbol, constant: of a namespace */
    NODE_TARGET_TUPLE,  /* a: targets */
};

struct jinja_node {
    uint8_t kind; /* enum jinja_node_kind */
    uint8_t op;
    int32_t line, symbol;
    struct jinja_node *a, *b, *c, *d, *e, *next;
    struct jinja_value constant;
};

struct jinja_symbols {
    struct jinja_string *names;
    int32_t n, room;
    int32_t *table; /* hash to number + 1; a power of two of rows */
    uint32_t rows;
};

struct jinja_template {
    struct ctx *c;
    char *name;
    struct jinja_arena arena;
    struct jinja_symbols symbols;
    struct jinja_node *body;
    bool marks_generation, reads_clock;
    int32_t loop, caller; /* symbols */
};

/* The number of a name, made when it is new; -1 with E_INPUT or E_MEMORY. */
int32_t jinja_symbol(struct jinja_template *t, struct jinja_string name);
/* The number of a name that occurs in the template, or -1. */
int32_t jinja_symbol_find(const struct jinja_template *t, struct jinja_string name);

/* ---- a run ----------------------------------------------------------------------------------------------------------- */

struct jinja_variable {
    int32_t symbol;
    struct jinja_value value;
};

/* Names of one block; those of the blocks around it are seen too. */
struct jinja_scope {
    struct jinja_scope *parent;
    struct jinja_variable *variables;
    size_t n, room;
};

struct jinja_macro {
    const struct jinja_node *node; /* NODE_MACRO, or NODE_CALL_BLOCK for a caller */
    struct jinja_scope *scope;
    struct jinja_string name;
};

struct jinja_run {
    struct ctx *c;
    const struct jinja_template *t;
    const struct jinja_input *in;
    struct jinja_arena arena;
    struct jinja_scope *scope;
    struct jinja_builder *out; /* where output goes now: the text, or what a block captures */
    struct jinja_range *marks;
    size_t n_marks, room_marks;
    bool marks_lost;
    size_t captured; /* blocks that capture: a mark is counted from the start of the text only outside of them */
    uint64_t steps, max_steps;
    int depth;
    int32_t line;
    enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } flow;
};

enum { JINJA_DEPTH_MAX = 1000, JINJA_LIST_MAX = 100000 };

/* Failures with the line that is being run: of the template or its data, and of what is not supported here. */
enum status jinja_fail(struct jinja_run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum status jinja_refuse(struct jinja_run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Counts work; the cost of bytes is one step for 16. */
enum status jinja_step(struct jinja_run *r, size_t cost);
/* Counts nesting; each jinja_enter that gave OK needs a jinja_leave. */
enum status jinja_enter(struct jinja_run *r);
static inline void jinja_leave(struct jinja_run *r)
{
    r->depth--;
}

/* jinja_value.c */
struct jinja_value jinja_value_text(const char *s); /* a constant of ours */
struct jinja_value jinja_value_string(struct jinja_string s);
struct jinja_value jinja_value_int(int64_t i);
struct jinja_value jinja_value_bool(bool b);
struct jinja_value jinja_value_undefined(int form, struct jinja_string name);
enum status jinja_value_list(struct jinja_run *r, int form, struct jinja_value *out);
enum status jinja_value_push(struct jinja_run *r, struct jinja_value *list, struct jinja_value item);
enum status jinja_value_dict(struct jinja_run *r, struct jinja_value *out);
/* Sets a member; an equal key keeps its place. */
enum status jinja_value_put(struct jinja_run *r, struct jinja_dict *d, struct jinja_value key, struct jinja_value value);
/* The value of a key, in the dict's own memory. NULL when it is absent and also on a failure, which only the ctx tells. */
const struct jinja_value *jinja_value_get(struct jinja_run *r, const struct jinja_dict *d, struct jinja_value key);
const struct jinja_value *jinja_value_member(struct jinja_run *r, const struct jinja_dict *d, const char *key);
/* Python's bool(v); whether v is of a kind; the number that it is, false for none. */
bool jinja_value_true(const struct jinja_value *v);
bool jinja_value_is(const struct jinja_value *v, enum jinja_kind kind);
bool jinja_value_number(const struct jinja_value *v, double *out);   /* ints, floats and bools */
bool jinja_value_integer(const struct jinja_value *v, int64_t *out); /* ints and bools */
enum status jinja_value_equal(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, bool *out);
/* -1, 0 or 1, as Python's < orders values; fails where it would. `op` is for the message. */
enum status jinja_value_order(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, const char *op,
                              int *out);
enum status jinja_value_contains(struct jinja_run *r, const struct jinja_value *in, const struct jinja_value *v, bool *out);
/* All that iterating gives, as a list that is not the value's own; generators are used up. */
enum status jinja_value_items(struct jinja_run *r, const struct jinja_value *v, struct jinja_value *list);
enum status jinja_value_length(struct jinja_run *r, const struct jinja_value *v, int64_t *out);
/* Python's name of the type ("str"), and an undefined value's own failure ("'x' is undefined"). */
const char *jinja_value_type(const struct jinja_value *v);
enum status jinja_value_fail_undefined(struct jinja_run *r, const struct jinja_value *v);
/* A copy of a JSON value; `outside`: its strings count as text of the row. */
enum status jinja_value_read(struct jinja_run *r, const json_t *v, bool outside, struct jinja_value *out);

/* jinja_text.c: strings as Python sees them, in code points. */
bool jinja_text_equal(struct jinja_string a, const char *b);
size_t jinja_text_length(struct jinja_string s);
size_t jinja_text_next(struct jinja_string s, size_t at);   /* bytes of the character at `at` */
size_t jinja_text_offset(struct jinja_string s, size_t at); /* byte of character number `at`; n past the end */
/* The first place of `part` from byte `from` on, or SIZE_MAX. */
size_t jinja_text_find(struct jinja_string s, struct jinja_string part, size_t from);
size_t jinja_text_find_last(struct jinja_string s, struct jinja_string part);
enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };
/* Without `chars`, white space goes. */
struct jinja_string jinja_text_strip(struct jinja_string s, const struct jinja_string *chars, int sides);
enum status jinja_text_replace(struct jinja_run *r, struct jinja_string s, struct jinja_string from, struct jinja_string to,
                               int64_t most, struct jinja_string *out);
enum status jinja_text_split(struct jinja_run *r, struct jinja_string s, const struct jinja_string *by, int64_t most,
                             bool from_right, struct jinja_value *out);
enum status jinja_text_lines(struct jinja_run *r, struct jinja_string s, bool keep_ends, struct jinja_value *out);
/* Characters whose upper case is several. */
struct jinja_upper {
    uint32_t cp;
    const char *upper;
};
extern const struct jinja_upper jinja_upper_table[];
extern const size_t jinja_upper_rows;
enum { CASE_LOWER, CASE_UPPER, CASE_TITLE, CASE_CAPITAL };
enum status jinja_text_case(struct jinja_run *r, struct jinja_string s, int which, struct jinja_string *out);
bool jinja_text_is_space(uint32_t cp); /* for str.strip and str.split */

/* jinja_print.c */
/* str(v): what output, ~ and `string` write. */
enum status jinja_print(struct jinja_run *r, const struct jinja_value *v, struct jinja_builder *b);
enum status jinja_print_string(struct jinja_run *r, const struct jinja_value *v, struct jinja_string *out);
void jinja_print_float(char text[40], double f);
enum status jinja_print_repr(struct jinja_run *r, const struct jinja_value *v, struct jinja_builder *b);

/* jinja_json.c: json.dumps. `item` and `key` are the separators. */
struct jinja_json_style {
    bool ascii, sorted, indented;
    struct jinja_string indent, item, key;
};
enum status jinja_json_write(struct jinja_run *r, const struct jinja_value *v, const struct jinja_json_style *style,
                             struct jinja_builder *b);

/* jinja_eval.c */
enum status jinja_eval(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out);
enum status jinja_eval_add(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b,
                           struct jinja_value *out);

/* jinja_lookup.c: a.name and a[key]. */
enum status jinja_lookup_member(struct jinja_run *r, const struct jinja_value *of, struct jinja_string name,
                                struct jinja_value *out);
enum status jinja_lookup_item(struct jinja_run *r, const struct jinja_value *of, const struct jinja_value *key,
                              struct jinja_value *out);
enum status jinja_lookup_slice(struct jinja_run *r, const struct jinja_value *of, const struct jinja_value bounds[3],
                               struct jinja_value *out);
/* A path as filters take them: an int, or names and numbers joined by dots. `otherwise`, unless NULL, none or undefined,
 * stands in for each member that is missing on the way. */
enum status jinja_lookup_path(struct jinja_run *r, const struct jinja_value *of, const struct jinja_value *path,
                              const struct jinja_value *otherwise, struct jinja_value *out);

/* jinja_call.c */
enum { JINJA_ARGUMENTS_MAX = 64 };
struct jinja_arguments {
    struct jinja_value *values; /* positional ones first */
    struct jinja_string *names; /* (n): of the keyword ones; those of the positional ones are empty */
    size_t n, n_positional;
};
enum status jinja_call_read(struct jinja_run *r, const struct jinja_node *list, struct jinja_arguments *a);
enum status jinja_call(struct jinja_run *r, const struct jinja_value *f, const struct jinja_arguments *a,
                       struct jinja_value *out);
/* Spreads the arguments over named parameters ("width=", "first=": a name without "=" is required), n of them, into values
 * (n). Missing ones are left undefined. Fails as Python does, with `what` as the function's name. */
enum status jinja_call_bind(struct jinja_run *r, const char *what, const struct jinja_arguments *a,
                            const char *const *parameters, size_t n, struct jinja_value *values);
enum jinja_function { FUNCTION_RANGE, FUNCTION_NAMESPACE, FUNCTION_DICT, FUNCTION_RAISE, FUNCTION_DATE };
bool jinja_call_global(struct jinja_string name, struct jinja_value *out);
/* Runs a macro's or caller's body with its parameters bound. */
enum status jinja_call_macro(struct jinja_run *r, const struct jinja_macro *m, const struct jinja_arguments *a,
                             const struct jinja_value *caller, struct jinja_value *out);

/* jinja_date.c: strftime in the C locale. */
enum status jinja_date_write(struct jinja_run *r, const struct tm *t, struct jinja_string format, struct jinja_string *out);

/* jinja_method.c, jinja_filter.c, jinja_test.c: a name that jinja2 has and this interpreter has not is E_UNSUPPORTED, one
 * that jinja2 does not have either is E_INPUT with its message. */
enum status jinja_method_call(struct jinja_run *r, const struct jinja_method *m, const struct jinja_arguments *a,
                              struct jinja_value *out);
enum { MEMBER_NONE, MEMBER_METHOD, MEMBER_CHANGES, MEMBER_UNSUPPORTED };
/* What Python's type of this kind has under a name. */
int jinja_method_find(enum jinja_kind kind, struct jinja_string name);
/* str.format with the fields {}, {0} and {name}. */
enum status jinja_format(struct jinja_run *r, struct jinja_string format, const struct jinja_arguments *a,
                         struct jinja_string *out);
enum { NAME_KNOWN, NAME_UNSUPPORTED, NAME_UNKNOWN };
int jinja_filter_find(struct jinja_string name);
enum status jinja_filter_apply(struct jinja_run *r, struct jinja_string name, const struct jinja_value *v,
                               const struct jinja_arguments *a, struct jinja_value *out);
int jinja_test_find(struct jinja_string name);
enum status jinja_test_apply(struct jinja_run *r, struct jinja_string name, const struct jinja_value *v,
                             const struct jinja_arguments *a, bool *out);

/* jinja_statement.c */
enum status jinja_run_body(struct jinja_run *r, const struct jinja_node *first);
/* The same in a scope of its own, captured as a string. */
enum status jinja_run_captured(struct jinja_run *r, const struct jinja_node *body, struct jinja_scope *scope,
                               struct jinja_string *out);
enum status jinja_scope_set(struct jinja_run *r, struct jinja_scope *s, int32_t symbol, struct jinja_value value);
struct jinja_scope *jinja_scope_new(struct jinja_run *r, struct jinja_scope *parent);
enum status jinja_scope_get(struct jinja_run *r, int32_t symbol, struct jinja_value *out);
/* jinja_loop.c: the members of `loop`. */
enum status jinja_loop_member(struct jinja_run *r, struct jinja_loop *loop, struct jinja_string name,
                              struct jinja_value *out);
enum status jinja_loop_run(struct jinja_run *r, const struct jinja_node *n);
enum status jinja_assign(struct jinja_run *r, const struct jinja_node *target, const struct jinja_value *v);

#endif
