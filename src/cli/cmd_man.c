/* cmd_man: manual pages from the option tables, in the mdoc language, so that a page is never older than the program:
 *
 *   your_ai man train | man -l -
 *   your_ai man > your_ai.1 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/options_help.h"
#include "cli/command_options.h"

enum { MAN_CAP_BYTES = 1 << 20, MAN_WIDTH = 78 };

static const struct option_table table = {NULL, 0};

/* Appends text as mdoc reads it literally: backslashes, hyphens as they are typed, and no control character first in a line.
 */
static void append_text(struct buf *out, const char *text)
{
    bool first = true;
    for (; *text; text++) {
        if (first && (*text == '.' || *text == '\'')) buf_append_str(out, "\\&");
        if (*text == '\\')
            buf_append_str(out, "\\e");
        else if (*text == '-')
            buf_append_str(out, "\\-");
        else
            buf_append_char(out, *text);
        first = *text == '\n';
    }
}

static void append_line(struct buf *out, const char *before, const char *text)
{
    buf_append_str(out, before);
    append_text(out, text);
    buf_append_char(out, '\n');
}

/* Lines as they stand, with a blank line between paragraphs. */
static void append_literal(struct buf *out, const char *text)
{
    struct buf filled;
    buf_init(&filled, out->c, MAN_CAP_BYTES);
    options_help_fill(text, MAN_WIDTH, &filled);
    buf_append_str(out, ".Bd -literal\n");
    append_text(out, buf_str(&filled));
    buf_append_str(out, ".Ed\n");
    buf_release(&filled);
}

static void append_option(struct buf *out, const struct option_spec *s)
{
    struct buf text;
    buf_append_str(out, ".It ");
    if (s->short_name) buf_printf(out, "Fl %c , ", s->short_name);
    buf_append_str(out, "Fl \\-");
    append_text(out, s->name);
    if (s->type == OPTION_CHOICE) buf_append_str(out, " Ar WORD");
    if (s->type != OPTION_CHOICE && s->type != OPTION_FLAG) {
        buf_append_str(out, " Ar ");
        append_text(out, s->value_name);
    }
    buf_append_char(out, '\n');
    buf_init(&text, out->c, MAN_CAP_BYTES);
    options_help_fill(s->help, MAN_WIDTH, &text);
    if (text.len) text.data[--text.len] = '\0'; /* its last line continues */
    options_help_tail(s, &text);
    append_line(out, "", buf_str(&text));
    buf_release(&text);
}

/* `words` are what is typed, "your_ai data score". The page is called by them with hyphens, as its file is and as apropos
 * looks for it. */
static void append_head(struct buf *out, const char *words, const char *summary)
{
    buf_append_str(out, ".Dd November 28, 2026\n.Dt ");
    for (const char *p = words; *p; p++)
        buf_append_char(out, *p == ' ' ? '-' : *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p);
    buf_append_str(out, " 1\n.Os your_ai\n.Sh NAME\n.Nm ");
    for (const char *p = words; *p; p++) buf_append_char(out, *p == ' ' ? '-' : *p);
    append_line(out, "\n.Nd ", summary);
    append_line(out, ".Sh SYNOPSIS\n.Nm ", words);
}

static void append_exit_status(struct buf *out)
{
    buf_append_str(out,
                   ".Sh EXIT STATUS\n0 done, 1 failed, 2 bad input or usage, 3 would not fit in memory, 130 interrupted.\n");
}

/* The page of one command. */
static enum status append_command(struct ctx *c, const struct command *cmd, struct buf *out)
{
    const char *group = NULL;
    char words[64];
    struct command_options *o = mem_alloc(c, 1, sizeof *o);
    if (!o) return c->status;
    command_options_make(c, cmd, o);
    snprintf(words, sizeof words, "your_ai %s", cmd->name);
    append_head(out, words, cmd->summary);
    append_line(out, "", cmd->usage);
    buf_append_str(out, ".Sh DESCRIPTION\n");
    append_literal(out, cmd->about);
    for (size_t i = 0; i < o->table.n_specs; i++) {
        const struct option_spec *s = &o->specs[i];
        if (!group || strcmp(group, s->group) != 0) {
            if (group) buf_append_str(out, ".El\n");
            append_line(out, ".Ss ", s->group);
            buf_append_str(out, ".Bl -tag -width Ds\n");
        }
        group = s->group;
        append_option(out, s);
    }
    buf_append_str(out, ".El\n");
    append_exit_status(out);
    mem_free(c, o);
    return c->status;
}

/* The page of the program: its commands. */
static void append_program(struct buf *out)
{
    size_t n;
    const struct command *const *all = command_all(&n);
    append_head(out, "your_ai", "fine-tunes language models and weighs documents by their provenance");
    buf_append_str(out, ".Ar COMMAND\n.Op Ar options\n.Sh DESCRIPTION\n");
    append_text(out, "your_ai man COMMAND prints the page of a command, your_ai COMMAND --help its options.\n");
    buf_append_str(out, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < n; i++) {
        append_line(out, ".It Cm ", all[i]->name);
        append_line(out, "", all[i]->summary);
    }
    buf_append_str(out, ".El\n");
    append_exit_status(out);
}

static enum status cmd_man_run(const struct command_call *call)
{
    struct ctx *c = call->c;
    const struct option_parse *p = call->parse;
    const struct command *cmd = NULL;
    char name[128];
    size_t n;
    const struct command *const *all = command_all(&n);
    struct buf out;
    snprintf(name, sizeof name, "%s%s%s", p->n_operands ? p->operands[0] : "", p->n_operands > 1 ? " " : "",
             p->n_operands > 1 ? p->operands[1] : "");
    for (size_t i = 0; i < n; i++)
        if (strcmp(all[i]->name, name) == 0) cmd = all[i];
    if (*name && !cmd) return ctx_fail(c, E_INPUT, "there is no command '%s' (your_ai --help lists all)", name);
    buf_init(&out, c, MAN_CAP_BYTES);
    if (cmd)
        append_command(c, cmd, &out);
    else
        append_program(&out);
    if (buf_ok(&out)) fputs(buf_str(&out), stdout);
    buf_release(&out);
    return c->status;
}

const struct command command_man = {
    .name = "man",
    .summary = "prints the manual page of a command",
    .usage = "[COMMAND]",
    .about = "Prints a manual page in the mdoc language, made from the program's own tables: your_ai man train | man -l -",
    .table = &table,
    .values_bytes = 1,
    .max_operands = 2,
    .run = cmd_man_run,
};
