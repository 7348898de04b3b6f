/* command: the program around the commands. It makes the ctx, finds the command that the first words name, fills the
 * command's values from its option table, runs it, and turns the status that it ends with into an exit code.
 *
 * Commands are found by commands.def, which is included twice: once to declare each `command_<name>` and once to list them.
 * This is the only place that prints errors: one line on stderr, "error: ...", from the message in the ctx. */
#include "cli/command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "array/array.h"
#include "backend/backend_open.h"
#include "base/mem.h"
#include "base/options_help.h"
#include "base/threads.h"
#include "cli/command_options.h"
#include "cli/presets.h"
#include "io/hub_cache.h"
#include "your_ai.h"

#define COMMAND(name) extern const struct command command_##name;
#include "cli/commands.def"
#undef COMMAND

static const struct command *const commands[] = {
#define COMMAND(name) &command_##name,
#include "cli/commands.def"
#undef COMMAND
};
enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]), HELP_CAP_BYTES = 1 << 20 };

const struct command *const *command_all(size_t *n)
{
    *n = N_COMMANDS;
    return commands;
}

/* ---- hooks of the ctx ------------------------------------------------------------------------------------------------ */

/* The log of the ctx goes to stderr, where it does not mix with results. */
static void print_log(void *user, enum log_level level, const char *message)
{
    (void)user;
    if (level == LOG_DEBUG) return;
    fprintf(stderr, "%s%s\n", level == LOG_WARN ? "warning: " : "", message);
}

/* A broken invariant of the program. abort leaves a core file for whoever looks for the cause. */
static void print_panic(void *user, const char *message)
{
    (void)user;
    fprintf(stderr, "bug: %s\nThis is a fault of the program, not of your files.\n", message);
    abort();
}

bool command_color(int fd)
{
    const char *no = getenv("NO_COLOR");
    return isatty(fd) && (!no || *no == '\0');
}

enum status command_compute(struct ctx *c, const char *device, int64_t threads)
{
    TRY(ctx_set_threads(c, (int)threads));
    return array_env_new(c, backend_open(c, device));
}

/* ---- help ------------------------------------------------------------------------------------------------------------ */

size_t command_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : HELP_WIDTH_MAX;
}

/* Pages of `your_ai help TOPIC`. */
static const struct {
    const char *name, *text;
} topics[] = {
#define TOPIC(name, text) {name, text},
#include "cli/help_topics.def"
#undef TOPIC
};

/* True when there is a page of that name, which is printed. */
static bool print_topic(struct ctx *c, const char *name)
{
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        struct buf text;
        if (strcmp(topics[i].name, name) != 0) continue;
        buf_init(&text, c, HELP_CAP_BYTES);
        options_help_fill(topics[i].text, command_columns(), &text);
        if (buf_ok(&text)) fputs(buf_str(&text), stdout);
        buf_release(&text);
        return true;
    }
    if (strcmp(name, "presets") != 0) return false;
    presets_print();
    return true;
}

static void print_overview(void)
{
    puts("your_ai fine-tunes language models of the Llama family and weighs documents by their provenance.\n");
    puts("usage: your_ai COMMAND [options]        (your_ai COMMAND --help lists the options of a command)\n");
    for (int i = 0; i < N_COMMANDS; i++) printf("  %-13s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nyour_ai help TOPIC explains:", stdout);
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) printf(" %s", topics[i].name);
    fputs(" presets", stdout);
    puts("\n\n  --version    print the version\n  --help       print this page");
    puts("\nExit codes: 0 done, 1 failed, 2 bad input or usage, 3 would not fit in memory, 130 interrupted.");
}

static enum status print_help(struct ctx *c, const struct command *cmd)
{
    struct buf text;
    buf_init(&text, c, HELP_CAP_BYTES);
    struct command_options *options = mem_alloc(c, 1, sizeof *options);
    if (options) {
        command_options_make(c, cmd, options);
        command_options_order(cmd, options);
        options_help_fill(cmd->about, command_columns(), &text);
        options_help_wide(&options->table, command_columns(), &text);
        if (buf_ok(&text)) printf("usage: your_ai %s %s\n\n%s", cmd->name, cmd->usage, buf_str(&text));
    }
    mem_free(c, options);
    buf_release(&text);
    return c->status;
}

/* Whether the words begin with the command's name, which is one word or two ("data score"); *taken becomes how many it is.
 */
static bool is_called(const struct command *cmd, int n, char **words, int *taken)
{
    const char *space = strchr(cmd->name, ' ');
    size_t first = space ? (size_t)(space - cmd->name) : strlen(cmd->name);
    *taken = space ? 2 : 1;
    if (n < *taken || strncmp(words[0], cmd->name, first) != 0 || words[0][first] != 0) return false;
    return !space || strcmp(words[1], space + 1) == 0;
}

/* The command that the words begin with, or NULL. *taken becomes how many words are its name. */
static const struct command *find_command(int n, char **words, int *taken)
{
    for (int i = 0; i < N_COMMANDS; i++) {
        if (is_called(commands[i], n, words, taken)) return commands[i];
    }
    return NULL;
}

/* The commands whose first word of two this is: how many there are, and optionally their lines of the overview. */
static int family(const char *word, bool print)
{
    int members = 0;
    size_t n = strlen(word);
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strncmp(commands[i]->name, word, n) != 0 || commands[i]->name[n] != ' ') continue;
        if (print) printf("  %-13s %s\n", commands[i]->name, commands[i]->summary);
        members++;
    }
    return members;
}

/* What commands of other programs are called here. */
static const struct option_name command_names[] = {
#define NAME(foreign, ours, note) {foreign, ours, note},
#include "cli/command_names.def"
#undef NAME
};

const struct option_name *command_known_names(size_t *n)
{
    *n = sizeof command_names / sizeof command_names[0];
    return command_names;
}

/* The nearest command's name, at most two edits away, or NULL. */
static const char *nearest_command(const char *name)
{
    const char *near = NULL;
    size_t least = 3;
    for (int i = 0; i < N_COMMANDS; i++) {
        size_t d = options_distance(name, commands[i]->name);
        if (d >= least) continue;
        least = d;
        near = commands[i]->name;
    }
    return near;
}

/* Fails with what the name means in another program, or with the nearest command. */
static enum status unknown_command(struct ctx *c, const char *name)
{
    for (size_t i = 0; i < sizeof command_names / sizeof command_names[0]; i++) {
        const struct option_name *k = &command_names[i];
        if (strcmp(name, k->foreign) != 0) continue;
        if (!k->ours) return ctx_fail(c, E_INPUT, "unknown command '%s': %s", name, k->note);
        return ctx_fail(c, E_INPUT, "unknown command '%s'; did you mean %s?%s%s", name, k->ours, k->note ? " " : "",
                        k->note ? k->note : "");
    }
    const char *near = nearest_command(name);
    if (near) return ctx_fail(c, E_INPUT, "unknown command '%s'; did you mean %s?", name, near);
    return ctx_fail(c, E_INPUT, "unknown command '%s' (your_ai --help lists all)", name);
}

/* ---- running --------------------------------------------------------------------------------------------------------- */

/* Operands are the words that belong to no option, such as RUN in `your_ai resume RUN`. */
static enum status check_operands(struct ctx *c, const struct command *cmd, const struct option_parse *parse)
{
    if (parse->n_operands > cmd->max_operands)
        return ctx_fail(c, E_INPUT, "'%s' is one word too many; usage: your_ai %s %s", parse->operands[cmd->max_operands],
                        cmd->name, cmd->usage);
    if (parse->n_operands < cmd->min_operands)
        return ctx_fail(c, E_INPUT, "something is missing; usage: your_ai %s %s", cmd->name, cmd->usage);
    return OK;
}

/* Models and adapters that are named as in the Hugging Face cache become paths, wherever a command takes them: options
 * --model and --adapter. `paths` holds what their values then point to. */
static enum status resolve_names(struct ctx *c, const struct option_table *table, void *values, char *paths[2])
{
    static const char *const names[2] = {"model", "adapter"};
    for (int i = 0; i < 2; i++) {
        long row = options_find(table, names[i]);
        if (row < 0 || table->specs[row].type != OPTION_STRING) continue;
        const char **value = (const char **)((char *)values + table->specs[row].offset);
        if (!*value) continue;
        paths[i] = hub_cache_resolve(c, *value);
        if (!paths[i]) return c->status;
        *value = paths[i];
    }
    return OK;
}

/* Parses, and runs the command unless help or the configuration was asked for. */
static enum status parse_and_run(struct ctx *c, const struct command *cmd, const struct command_options *o, int taken,
                                 int argc, char **argv, void *values, struct option_parse *parse)
{
    struct command_files files = {.config = {.c = c}, .preset = {.c = c}};
    char *paths[2] = {NULL, NULL};
    bool printed;
    const char *const *words = (const char *const *)argv + 1 + taken;
    enum status status = command_options_parse(c, cmd, o, argc - 1 - taken, words, values, parse, &files, &printed);
    if (status == OK && parse->help) {
        status = print_help(c, cmd);
    } else if (status == OK && !printed) {
        status = check_operands(c, cmd, parse);
        if (status == OK) status = resolve_names(c, cmd->table, values, paths);
        if (status == OK) status = cmd->run(&(struct command_call){c, values, parse, argc, argv});
    }
    for (int i = 0; i < 2; i++) mem_free(c, paths[i]);
    command_files_release(&files);
    return status;
}

/* From the words behind the command's name, the `taken` first after the program's, to its end. Values and what was parsed
 * live on the heap, because commands differ in the size of their values. */
static enum status run_command(struct ctx *c, const struct command *cmd, int taken, int argc, char **argv)
{
    struct command_options *options = mem_alloc(c, 1, sizeof *options);
    struct option_parse *parse = mem_alloc(c, 1, sizeof(*parse));
    void *values = NULL;
    if (options) command_options_make(c, cmd, options);
    if (options && parse) values = mem_alloc(c, 1, options->bytes);
    enum status status = values ? parse_and_run(c, cmd, options, taken, argc, argv, values, parse) : c->status;
    mem_free(c, values);
    mem_free(c, parse);
    mem_free(c, options);
    return status;
}

/* What the first words ask for: a page of help, the version, or a command. `your_ai data` alone lists the commands of that
 * family. */
static enum status dispatch(struct ctx *c, int argc, char **argv)
{
    if (argc < 2) return ctx_fail(c, E_INPUT, "no command; try: your_ai --help");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        int taken;
        const struct command *cmd = argc > 2 ? find_command(argc - 2, argv + 2, &taken) : NULL;
        if (cmd) return print_help(c, cmd);
        if (argc > 2 && (print_topic(c, argv[2]) || family(argv[2], true))) return OK;
        if (argc > 2 && *argv[2] != '-') return unknown_command(c, argv[2]);
        print_overview();
        return OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("your_ai %s\n", ya_version());
        return OK;
    }
    int taken;
    const struct command *cmd = find_command(argc - 1, argv + 1, &taken);
    if (cmd) return run_command(c, cmd, taken, argc, argv);
    if (!family(argv[1], false)) return unknown_command(c, argv[1]);
    if (argc > 2 && strcmp(argv[2], "--help") != 0 && strcmp(argv[2], "-h") != 0) {
        char name[64];
        snprintf(name, sizeof name, "%s %s", argv[1], argv[2]);
        return unknown_command(c, name);
    }
    family(argv[1], true);
    return OK;
}

/* What to do where an allocation failed, whichever it was. */
#define MORE_MEMORY                                                                                                         \
    "; raise this process's limit (ulimit, the container's), end other programs, or ask for less: your_ai help memory"

/* The one line on stderr. What a check found is printed by the check, and an interrupted command has said so. */
static void print_failure(enum status status, const char *message)
{
    if (status == OK || status == E_INTERRUPTED || status == E_FOUND) return;
    fprintf(stderr, "error: %s%s\n", message, status == E_MEMORY ? MORE_MEMORY : "");
}

int command_main(int argc, char **argv)
{
    struct ctx *c = ctx_new(&(struct ctx_hooks){.log = print_log, .panic = print_panic});
    if (!c) {
        print_failure(E_MEMORY, "out of memory");
        return status_exit_code(E_MEMORY);
    }
    /* A file that reaches its size limit should be a write that fails and is reported, not the end of the process. */
    signal(SIGXFSZ, SIG_IGN);
    enum status status = dispatch(c, argc, argv);
    /* results that did not reach the reader are a failure, not a success with less output */
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == OK)
        status = ctx_fail(c, E_IO, "standard output cannot be written");
    print_failure(status, c->message);
    ctx_clear(c);
    if (c->array_env) array_env_free(c);
    ctx_free(c);
    return status_exit_code(status);
}
