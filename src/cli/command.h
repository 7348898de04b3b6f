/* command: what a command of the program is. One file cmd_<name>.c defines `const struct command command_<name>`, and one
 * row in commands.def lists it; docs/cli.md shows the whole in 20 lines. */
#ifndef YA_CLI_COMMAND_H
#define YA_CLI_COMMAND_H

#include "base/options.h"

/* One call of a command. `values` is its own struct, filled by the option table; parse holds the operands. */
struct command_call {
    struct ctx *c;
    const void *values;
    const struct option_parse *parse;
    int argc; /* all words of the command line, the program's name first */
    char *const *argv;
};

struct command {
    const char *name;    /* "train" */
    const char *summary; /* one line for the overall help */
    const char *usage;   /* what follows the name: "-m MODEL -d FILE -o RUN [options]" */
    const char *about;   /* a paragraph for its own help */
    const struct option_table *table;
    size_t values_bytes; /* sizeof its values struct */
    size_t min_operands, max_operands;
    const char *first;  /* options that stand first in --help, separated by spaces; NULL: as in the table */
    bool presets;       /* it has the options of a training, so it takes --preset */
    const char *spared; /* an option that the table requires and this command can do without; NULL: none */
    /* Returns the status it ends with; the message is in the ctx. Prints results to stdout itself, never errors. */
    enum status (*run)(const struct command_call *call);
};

/* All commands, in the order of the overall help; *n becomes how many. */
const struct command *const *command_all(size_t *n);

/* Names of commands in other programs (command_names.def); `ours` is a command, or the first word of some. */
const struct option_name *command_known_names(size_t *n);

/* The ten options of a training that matter first. */
#define COMMAND_TRAIN_FIRST "model data valid output rank epochs lr batch max-length distrust"

/* Columns that a page may have: those of the terminal on stdout, else 110. */
size_t command_columns(void);

/* The program: argv as main got it. Returns the exit code: 0 done, 1 failed, 2 bad input or usage, 3 would not fit,
 * 130 interrupted and saved. */
int command_main(int argc, char **argv);

/* What every command that computes does first: starts the threads (0: one for each usable core), opens the backend of the
 * device (backend_open) and makes the array environment. The program undoes all of it at its end. */
enum status command_compute(struct ctx *c, const char *device, int64_t threads);

/* True when the stream is a terminal and NO_COLOR is not set. */
bool command_color(int fd);

#endif
