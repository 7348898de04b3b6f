/* line_edit: one line from the terminal, with the keys that shells have: arrows, Home and End, Ctrl-A E B F K U W, Backspace
 * and Delete, Up and Down through earlier lines. Ctrl-C gives up the line, Ctrl-D on an empty one is the end. Text is UTF-8,
 * a character a column.
 *
 * Of our own and not a library: GNU readline's licence would become the program's, libedit brings terminfo, and the program
 * shall need the C library only; what a conversation needs is this page of code. */
#ifndef YA_CLI_LINE_EDIT_H
#define YA_CLI_LINE_EDIT_H

#include "base/buf.h"

enum { LINE_HISTORY_MAX = 100, LINE_BYTES_MAX = 1 << 20 };

struct line_edit {
    struct ctx *c;
    const char *prompt;
    int in, out;
    bool terminal;   /* both are terminals: edited; otherwise lines are only read */
    struct buf line; /* owned: what was read */
    size_t at;       /* the cursor, in bytes */
    char *history[LINE_HISTORY_MAX];
    size_t n_history, shown; /* shown: the line of the history that is edited; n_history: the new one */
};

enum line_result { LINE_READ, LINE_GIVEN_UP, LINE_END };

/* in, out: descriptors. Release with line_edit_release. */
void line_edit_init(struct line_edit *l, struct ctx *c, const char *prompt, int in, int out);
void line_edit_release(struct line_edit *l);

/* Reads a line into l->line, without its end, and keeps it in the history. The terminal is as before afterwards. LINE_END:
 * the input ended, or an error is in the ctx. */
enum line_result line_edit_read(struct line_edit *l);

/* What a key press does to the line: bytes as the terminal sends them, one key after the other. For line_edit_read, and for
 * tests. `key` has n bytes and is one key. Returns true when the line is finished, *result then says how. */
bool line_edit_key(struct line_edit *l, const char *key, size_t n, enum line_result *result);

#endif
