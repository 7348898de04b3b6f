/* options: one typed table of options for each command. The same rows drive parsing, --help and the config file of a run
 * (JSON), so that a default or a range is written down once. Example of a row, for an option --rank of 1 to 1,024:
 *
 *   I64_ROW(struct train_values, rank, "rank", 'r', "16", 1, 1024, "Adapter", "rank of the adapters")
 *
 * A row says where its value lies in the command's own values struct (offset), so commands read plain C members and never
 * look anything up by name. Defaults are text, read by the same parser as the user's: a default outside its own range is a
 * bug that the first test finds. Rejected: getopt_long (no types, no ranges, no help), a hash of strings (no types). */
#ifndef YA_BASE_OPTIONS_H
#define YA_BASE_OPTIONS_H

#include "base/buf.h"
#include "base/ctx.h"

enum option_type {
    OPTION_FLAG,   /* bool; --name and --no-name */
    OPTION_I64,    /* int64_t in [min, max] */
    OPTION_F64,    /* double in [min, max], finite */
    OPTION_STRING, /* const char * into argv (or the parsed config); NULL when absent and without default */
    OPTION_CHOICE, /* int: index into `choices` */
    OPTION_LIST    /* struct option_list: may be given several times */
};

enum { OPTION_LIST_MAX = 64 };
struct option_list {
    const char *items[OPTION_LIST_MAX];
    size_t n;
};

struct option_spec {
    const char *name; /* without dashes */
    char short_name;  /* 0: none */
    enum option_type type;
    size_t offset;            /* of the value in the values struct */
    const char *default_text; /* as a user would write it ("true"/"false" for flags); NULL: no default */
    bool required;
    double min, max;        /* I64 and F64 */
    const char *choices;    /* "a|b|c" for CHOICE */
    const char *value_name; /* "N", "FILE": for help */
    const char *group;      /* heading in --help; rows of a group stand together */
    const char *help;       /* one line, no full stop; no default in it: that is added */
};

/* Rows. S is the values struct, M its member. */
#define FLAG_ROW(S, M, NAME, SHORT, DEFAULT, GROUP, HELP)                                                                   \
    {                                                                                                                       \
        NAME, SHORT, OPTION_FLAG, offsetof(S, M), DEFAULT, false, 0, 0, NULL, NULL, GROUP, HELP                             \
    }
#define I64_ROW(S, M, NAME, SHORT, DEFAULT, MIN, MAX, GROUP, HELP)                                                          \
    {                                                                                                                       \
        NAME, SHORT, OPTION_I64, offsetof(S, M), DEFAULT, false, MIN, MAX, NULL, "N", GROUP, HELP                           \
    }
#define F64_ROW(S, M, NAME, SHORT, DEFAULT, MIN, MAX, GROUP, HELP)                                                          \
    {                                                                                                                       \
        NAME, SHORT, OPTION_F64, offsetof(S, M), DEFAULT, false, MIN, MAX, NULL, "X", GROUP, HELP                           \
    }
#define STRING_ROW(S, M, NAME, SHORT, DEFAULT, VALUE, GROUP, HELP)                                                          \
    {                                                                                                                       \
        NAME, SHORT, OPTION_STRING, offsetof(S, M), DEFAULT, false, 0, 0, NULL, VALUE, GROUP, HELP                          \
    }
#define REQUIRED_ROW(S, M, NAME, SHORT, VALUE, GROUP, HELP)                                                                 \
    {                                                                                                                       \
        NAME, SHORT, OPTION_STRING, offsetof(S, M), NULL, true, 0, 0, NULL, VALUE, GROUP, HELP                              \
    }
#define CHOICE_ROW(S, M, NAME, SHORT, DEFAULT, CHOICES, GROUP, HELP)                                                        \
    {                                                                                                                       \
        NAME, SHORT, OPTION_CHOICE, offsetof(S, M), DEFAULT, false, 0, 0, CHOICES, NULL, GROUP, HELP                        \
    }
#define LIST_ROW(S, M, NAME, SHORT, REQUIRED, VALUE, GROUP, HELP)                                                           \
    {                                                                                                                       \
        NAME, SHORT, OPTION_LIST, offsetof(S, M), NULL, REQUIRED, 0, 0, NULL, VALUE, GROUP, HELP                            \
    }

struct option_table {
    const struct option_spec *specs;
    size_t n_specs;
};

enum { OPTION_MAX_SPECS = 128, OPTION_MAX_OPERANDS = 64, OPTION_HINT_BYTES = 320 };

/* What a command line held beside the values. `operands` are the words that are no options, in order. given[i]: row i was
 * written by the user (and not left at its default). help: --help or -h was there; nothing else was checked then. */
struct option_parse {
    const char *operands[OPTION_MAX_OPERANDS];
    size_t n_operands;
    bool given[OPTION_MAX_SPECS];
    bool help;
};

/* Sets every value to its default. `values` is the command's struct, zeroed by the caller. */
enum status options_default(struct ctx *c, const struct option_table *table, void *values);

/* Defaults, then the words of the command line (argv[0] is the first word after the command). "--" ends the options.
 * E_INPUT: an unknown option (the nearest name is told), a missing value, a wrong type, outside the range (which is told),
 * a required option that is absent, one given twice (unless a list). Strings point into argv. */
enum status options_parse(struct ctx *c, const struct option_table *table, int argc, const char *const *argv, void *values,
                          struct option_parse *parse);

/* The same without the check that required options are there: for a caller that takes further values from elsewhere, such as
 * a configuration file, and calls options_check_required itself. */
enum status options_parse_words(struct ctx *c, const struct option_table *table, int argc, const char *const *argv,
                                void *values, struct option_parse *parse);

/* Appends the option part of a help page: groups with their rows, defaults and ranges. */
void options_help(const struct option_table *table, struct buf *out);

/* Why an option of another program is not the same here, or where it went: the rows of option_names.def. */
struct option_name {
    const char *foreign; /* "batch-size", with hyphens */
    const char *ours;    /* an option's name; NULL: there is none, the note says why */
    const char *note;    /* what to know beside the name, or NULL */
};
/* All rows; *n becomes how many there are. */
const struct option_name *option_names(size_t *n);

/* What to say behind "unknown option X" about a name that is no option of the table: " did you mean --batch? ...". First by
 * the table of names that mlx-lm, TRL, Axolotl and llama.cpp use ("_" counts as "-"), then by edit distance. `dashes`: what
 * names are written with, "--" or "". Writes an empty string when nothing is near. Returns out. */
const char *options_hint(const struct option_table *table, const char *name, const char *dashes, char *out,
                         size_t out_bytes);

/* The option whose name is nearest to `name` (edit distance at most 2, or a third of its length), or NULL. */
const char *options_nearest(const struct option_table *table, const char *name);

/* Edit distance (insert, delete, replace, swap of neighbours) of two words of at most 63 bytes; longer ones: a large
 * number. Also used to suggest commands. */
size_t options_distance(const char *a, const char *b);

/* The text of choice `index` of row `spec` into `out`, which it returns. */
const char *options_choice(const struct option_spec *spec, int index, char *out, size_t out_bytes);

/* Row of a long name without dashes; -1: none. */
long options_find(const struct option_table *table, const char *name);

/* Sets the option `name` (without dashes) from text, as --name=text would, and marks it in given[]; for a host program
 * that has names and values but no command line. Flags take "true" or "false". E_INPUT: an unknown name (the message
 * suggests the nearest), a value that its row refuses, one given twice unless it is a list. Strings are borrowed: they
 * must outlive `values`. */
enum status options_give(struct ctx *c, const struct option_table *table, const char *name, const char *text, void *values,
                         bool given[OPTION_MAX_SPECS]);

/* E_INPUT naming the first required option that is not in given[]. */
enum status options_check_required(struct ctx *c, const struct option_table *table, const bool given[OPTION_MAX_SPECS]);

/* Sets one value from text, as the command line does. `origin` names the option in messages ("--rank"). */
enum status options_set(struct ctx *c, const struct option_spec *spec, const char *origin, const char *text, void *values);

#endif
