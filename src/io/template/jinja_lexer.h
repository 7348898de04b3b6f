/* jinja_lexer: the source of a template as tokens, with jinja2's rules for white space: trim_blocks (a line break behind a
 * block tag goes), lstrip_blocks (spaces before a block tag that begins its line go), and the signs at the borders of tags:
 * - takes away all white space on its side, + keeps what the two rules would take.
 *
 * "Hi {{ name }}!" becomes TEXT "Hi ", PRINT, NAME "name", CLOSE, TEXT "!", END. */
#ifndef YA_IO_JINJA_LEXER_H
#define YA_IO_JINJA_LEXER_H

#include "io/template/jinja_internal.h"

enum jinja_token_kind {
    TOKEN_END,
    TOKEN_TEXT,     /* between tags: text */
    TOKEN_PRINT,    /* {{ */
    TOKEN_BLOCK,    /* {% */
    TOKEN_CLOSE,    /* }} or %} */
    TOKEN_NAME,     /* text */
    TOKEN_STRING,   /* text, escapes resolved */
    TOKEN_INTEGER,  /* integer */
    TOKEN_FLOAT,    /* number */
    TOKEN_OPERATOR, /* op: the character; two characters: see jinja_lexer.c */
};

struct jinja_token {
    uint8_t kind; /* enum jinja_token_kind */
    char op;
    int32_t line;
    struct jinja_string text;
    int64_t integer;
    double number;
};

enum { JINJA_BRACKETS_MAX = 250 };

struct jinja_lexer {
    struct jinja_template *t;
    const char *source; /* with \n as the only line break; NUL-terminated */
    size_t n, at;
    int32_t line;
    enum { LEXER_ROOT, LEXER_PRINT, LEXER_BLOCK } state;
    bool opened;                       /* a tag has begun and its first token is yet to come */
    bool line_starting;                /* the text that comes next begins at the start of a line */
    char brackets[JINJA_BRACKETS_MAX]; /* closing ones that are awaited */
    int n_brackets;
    bool raw; /* inside {% raw %} */
};

/* Takes a source; it is copied into the template's memory. E_MEMORY, E_INPUT. */
enum status jinja_lexer_start(struct jinja_lexer *l, struct jinja_template *t, const char *source, size_t n);
/* The next token; at the end TOKEN_END, again and again. E_INPUT with the line for what is no Jinja, E_UNSUPPORTED. */
enum status jinja_lexer_next(struct jinja_lexer *l, struct jinja_token *out);

#endif
