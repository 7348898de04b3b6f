/* command_options: what every command's options have in common: where their values come from.
 *
 *   --config FILE        a YAML file, or the folder of a run, whose own configuration is read (config_file.h)
 *   --set NAME=VALUE     one option by its name in such a file: --set adapter.rank=8
 *   --print-config       print all options with their values as such a file, and do nothing else
 *
 * Commands with the options of a training have one more: --preset NAME takes what is still open from a preset (presets.h).
 *
 * The command line comes first, --set being a part of it; then the file; then the preset; then the defaults. */
#ifndef YA_CLI_COMMAND_OPTIONS_H
#define YA_CLI_COMMAND_OPTIONS_H

#include "cli/command.h"
#include "cli/config_file.h"

/* The options' values, which lie behind the command's own. */
struct command_common {
    const char *config, *preset;
    struct option_list set;
    bool print;
};

/* What --config and --preset hold, the strings of the values among it. */
struct command_files {
    struct config_file config, preset;
};
void command_files_release(struct command_files *f);

/* A command's options and those, as one table for parsing and help. */
struct command_options {
    struct option_spec specs[OPTION_MAX_SPECS];
    struct option_table table;
    size_t common_at; /* offset of struct command_common in the values */
    size_t bytes;     /* of the values with it */
};

/* Fills *o for a command. */
void command_options_make(struct ctx *c, const struct command *cmd, struct command_options *o);

/* Puts the options that the command names as its first ones to the beginning of o->specs, under a heading of their own: for
 * a page of help. Indices are then no more those of the command's table. */
void command_options_order(const struct command *cmd, struct command_options *o);

/* Parses the words into values (o->bytes, zeroed) and parse, and takes what they leave open from --config and --preset.
 * `files` holds the strings; release it with command_files_release, also after a failure. *print becomes true when
 * --print-config was there: the configuration is printed then, and the command is not to run. Otherwise required options are
 * checked. */
enum status command_options_parse(struct ctx *c, const struct command *cmd, const struct command_options *o, int argc,
                                  const char *const *argv, void *values, struct option_parse *parse,
                                  struct command_files *files, bool *print);

#endif
