/* cmd_completion: what shells need to complete commands, options and their choices, from the same tables as the parser:
 *
 *   bash: source <(your_ai completion bash)          in ~/.bashrc
 *   zsh:  source <(your_ai completion zsh)           in ~/.zshrc, behind compinit
 *   fish: your_ai completion fish | source           in config.fish */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command_options.h"

enum { SCRIPT_CAP_BYTES = 1 << 22 };

static const struct option_table table = {NULL, 0};

/* Calls `each` for every command with its options. */
static enum status each_command(struct ctx *c, struct buf *out,
                                void (*each)(struct buf *out, const struct command *cmd, const struct option_table *options))
{
    size_t n;
    const struct command *const *all = command_all(&n);
    struct command_options *o = mem_alloc(c, 1, sizeof *o);
    for (size_t i = 0; o && i < n; i++) {
        command_options_make(c, all[i], o);
        each(out, all[i], &o->table);
    }
    mem_free(c, o);
    return c->status;
}

/* "f32|int8" with another character between the words. */
static void append_choices(struct buf *out, const char *choices)
{
    for (; *choices; choices++) buf_append_char(out, *choices == '|' ? ' ' : *choices);
}

/* The first words of all commands, each once. With `family` the second words of those that begin with it. */
static void append_names(struct buf *out, const char *family)
{
    size_t n, k = family ? strlen(family) : 0;
    const struct command *const *all = command_all(&n);
    const char *last = "";
    for (size_t i = 0; i < n; i++) {
        const char *name = all[i]->name;
        size_t first = strcspn(name, " ");
        if (family && (first != k || strncmp(name, family, k) != 0 || name[k] == '\0')) continue;
        if (!family && strncmp(name, last, first) == 0 && (last[first] == ' ' || last[first] == '\0')) continue;
        last = name;
        if (family)
            buf_printf(out, " %s", name + k + 1);
        else
            buf_printf(out, " %.*s", (int)first, name);
    }
}

/* A text between single quotes, for all three shells. */
static void completion_append_quoted(struct buf *out, const char *text)
{
    buf_append_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_append_str(out, "'\\''");
        else
            buf_append_char(out, *text);
    }
    buf_append_char(out, '\'');
}

/* ---- bash ------------------------------------------------------------------------------------------------------------ */

static void bash_options(struct buf *out, const struct command *cmd, const struct option_table *options)
{
    buf_append_str(out, "    ");
    completion_append_quoted(out, cmd->name);
    buf_append_str(out, ") options='");
    for (size_t i = 0; i < options->n_specs; i++) buf_printf(out, "--%s ", options->specs[i].name);
    buf_append_str(out, "--help' ;;\n");
}

static void bash_choices(struct buf *out, const struct command *cmd, const struct option_table *options)
{
    for (size_t i = 0; i < options->n_specs; i++) {
        if (options->specs[i].type != OPTION_CHOICE) continue;
        buf_append_str(out, "    ");
        completion_append_quoted(out, cmd->name);
        buf_printf(out, "' --%s') words='", options->specs[i].name);
        append_choices(out, options->specs[i].choices);
        buf_append_str(out, "' ;;\n");
    }
}

static enum status bash_script(struct ctx *c, struct buf *out)
{
    buf_append_str(out, "_your_ai() {\n"
                        "    local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} "
                        "options='' words=''\n"
                        "    if [ $COMP_CWORD = 1 ]; then\n        COMPREPLY=($(compgen -W '");
    append_names(out, NULL);
    buf_append_str(out, " help' -- \"$word\"))\n        return\n    fi\n    if [ \"$command\" = data ]; then\n"
                        "        if [ $COMP_CWORD = 2 ]; then\n            COMPREPLY=($(compgen -W '");
    append_names(out, "data");
    buf_append_str(out,
                   "' -- \"$word\"))\n            return\n        fi\n        command=\"data ${COMP_WORDS[2]}\"\n    fi\n"
                   "    case $command in\n");
    TRY(each_command(c, out, bash_options));
    buf_append_str(out, "    esac\n    case \"$command $last\" in\n");
    TRY(each_command(c, out, bash_choices));
    buf_append_str(
        out, "    esac\n"
             "    if [ -n \"$words\" ]; then\n        COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
             "    elif [ \"${word:0:1}\" = - ]; then\n        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
             "    else\n        compopt -o filenames 2>/dev/null\n        COMPREPLY=($(compgen -f -- \"$word\"))\n    fi\n"
             "}\ncomplete -F _your_ai your_ai\n");
    return c->status;
}

/* ---- zsh ------------------------------------------------------------------------------------------------------------- */

/* "name:text", in which a colon of the text is no separator. */
static void zsh_item(struct buf *out, const char *dashes, const char *name, const char *text)
{
    struct buf item;
    buf_init(&item, out->c, SCRIPT_CAP_BYTES);
    buf_printf(&item, "%s%s:%s", dashes, name, text);
    buf_append_char(out, ' ');
    completion_append_quoted(out, buf_str(&item));
    buf_release(&item);
}

static void zsh_command(struct buf *out, const struct command *cmd, const struct option_table *options)
{
    buf_append_str(out, "    ");
    completion_append_quoted(out, cmd->name);
    buf_append_str(out, ")\n        options=(");
    for (size_t i = 0; i < options->n_specs; i++) zsh_item(out, "--", options->specs[i].name, options->specs[i].help);
    buf_append_str(out, ")\n        case $words[CURRENT-1] in\n");
    for (size_t i = 0; i < options->n_specs; i++) {
        if (options->specs[i].type != OPTION_CHOICE) continue;
        buf_printf(out, "        --%s) choices=(", options->specs[i].name);
        append_choices(out, options->specs[i].choices);
        buf_append_str(out, ") ;;\n");
    }
    buf_append_str(out, "        esac ;;\n");
}

static enum status zsh_script(struct ctx *c, struct buf *out)
{
    buf_append_str(out, "#compdef your_ai\n_your_ai() {\n    local command=$words[2]\n    local -a options choices\n"
                        "    if (( CURRENT == 2 )); then\n        compadd --");
    append_names(out, NULL);
    buf_append_str(out, " help\n        return\n    fi\n    if [[ $command == data ]]; then\n"
                        "        if (( CURRENT == 3 )); then\n            compadd --");
    append_names(out, "data");
    buf_append_str(out,
                   "\n            return\n        fi\n        command=\"data $words[3]\"\n    fi\n    case $command in\n");
    TRY(each_command(c, out, zsh_command));
    buf_append_str(
        out, "    esac\n    if (( $#choices )); then\n        compadd -a choices\n"
             "    elif [[ $words[CURRENT] == -* ]]; then\n        _describe -o option options\n    else\n        _files\n"
             "    fi\n}\ncompdef _your_ai your_ai\n");
    return c->status;
}

/* ---- fish ------------------------------------------------------------------------------------------------------------ */

static void fish_command(struct buf *out, const struct command *cmd, const struct option_table *options)
{
    for (size_t i = 0; i < options->n_specs; i++) {
        const struct option_spec *s = &options->specs[i];
        buf_printf(out, "complete -c your_ai -n '__your_ai_is %s' -l %s", cmd->name, s->name);
        if (s->short_name) buf_printf(out, " -s %c", s->short_name);
        if (s->type != OPTION_FLAG) buf_append_str(out, " -r");
        if (s->type == OPTION_CHOICE) {
            buf_append_str(out, " -f -a '");
            append_choices(out, s->choices);
            buf_append_char(out, '\'');
        }
        buf_append_str(out, " -d \"");
        for (const char *p = s->help; *p; p++) buf_printf(out, *p == '"' || *p == '\\' || *p == '$' ? "\\%c" : "%c", *p);
        buf_append_str(out, "\"\n");
    }
}

static enum status fish_script(struct ctx *c, struct buf *out)
{
    buf_append_str(out,
                   "function __your_ai_is\n    set -l words (commandline -opc)\n    set -l last (math (count $argv) + 1)\n"
                   "    test (count $words) -ge $last; and test \"$words[2..$last]\" = \"$argv\"\nend\n"
                   "complete -c your_ai -n '__fish_is_first_arg' -f -a '");
    append_names(out, NULL);
    buf_append_str(
        out, " help'\ncomplete -c your_ai -n '__fish_seen_subcommand_from data; and test (count (commandline -opc)) -eq 2' "
             "-f -a '");
    append_names(out, "data");
    buf_append_str(out, "'\n");
    return each_command(c, out, fish_command);
}

static enum status cmd_completion_run(const struct command_call *call)
{
    const char *shell = call->parse->operands[0];
    struct ctx *c = call->c;
    struct buf out;
    buf_init(&out, c, SCRIPT_CAP_BYTES);
    if (strcmp(shell, "bash") == 0)
        bash_script(c, &out);
    else if (strcmp(shell, "zsh") == 0)
        zsh_script(c, &out);
    else if (strcmp(shell, "fish") == 0)
        fish_script(c, &out);
    else
        ctx_fail(c, E_INPUT, "'%s' is none of bash, zsh and fish", shell);
    if (ctx_ok(c)) fputs(buf_str(&out), stdout);
    buf_release(&out);
    return c->status;
}

const struct command command_completion = {
    .name = "completion",
    .summary = "prints what bash, zsh or fish need to complete commands and options",
    .usage = "bash|zsh|fish",
    .about = "For this shell and all that follow:\n"
             "  bash    source <(your_ai completion bash)      in ~/.bashrc\n"
             "  zsh     source <(your_ai completion zsh)       in ~/.zshrc, behind compinit\n"
             "  fish    your_ai completion fish | source       in ~/.config/fish/config.fish",
    .table = &table,
    .values_bytes = 1,
    .min_operands = 1,
    .max_operands = 1,
    .run = cmd_completion_run,
};
