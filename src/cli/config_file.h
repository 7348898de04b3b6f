/* config_file: options from a YAML file.
 *
 *   model: models/llama-3.1-8b        # the options' own names
 *   data: [wiki.jsonl, papers.jsonl]  # options that may be repeated take a list
 *   adapter:                          # sections are the headings of --help; they are there for order only
 *     rank: 8
 *   training.lr: 1e-4                 # the same with a dot
 *
 * JSON is YAML, so config.json of a run is such a file too. A file is read by these rules and no others: one document; no
 * anchors, aliases and tags, so that a small file cannot become a large one and nothing is ever constructed from it; two
 * levels at most; every value is text that the option's own parser reads, so "off" stays the word off. A plain null, ~ or
 * nothing is an option that is not given. A key that is no option, or that comes twice, is refused with file, line and
 * column. Rejected: TOML (no one has it), merging of several files (an option would be set where nobody looks). */
#ifndef YA_CLI_CONFIG_FILE_H
#define YA_CLI_CONFIG_FILE_H

#include "base/options.h"

enum { CONFIG_FILE_BYTES = 1 << 20, CONFIG_WHERE_BYTES = 512 };

/* One value of the file. */
struct config_entry {
    size_t row;          /* of the table */
    char *text;          /* owned by the file */
    size_t line, column; /* from 1 */
};

struct config_file {
    struct ctx *c;
    char *name; /* for messages; owned */
    struct config_entry *entries;
    size_t n, capacity;
};

/* Reads the file `path`, or config.json in the folder `path` (a run). E_INPUT naming the place for what is refused, E_IO,
 * E_MEMORY. Release with config_file_release, also after a failure. */
enum status config_file_read(struct config_file *f, struct ctx *c, const struct option_table *table, const char *path);
/* The same from n bytes; `name` stands for the file in messages. */
enum status config_file_parse(struct config_file *f, struct ctx *c, const struct option_table *table, const char *name,
                              const char *bytes, size_t n);

/* Sets every option of the file that is not in given[], and marks it there. E_INPUT for a value that its option refuses.
 * Strings of *values then point into *f. */
enum status config_file_apply(const struct config_file *f, const struct option_table *table, void *values,
                              bool given[OPTION_MAX_SPECS]);

void config_file_release(struct config_file *f);

/* Row of the option that a key names: "rank", or with its section, "adapter.rank" (lora.rank and training.lr too). E_INPUT
 * with `where` in front: unknown (with a hint), or of another section. */
enum status config_file_find(struct ctx *c, const struct option_table *table, const char *where, const char *key,
                             size_t *row);

/* The section that an option stands in: the first word of its heading in --help, in lower case. Returns out. */
const char *config_file_section(const struct option_spec *spec, char *out, size_t out_bytes);

/* Appends all options as such a file, in sections. Options that were not given carry the comment "default". */
void config_file_print(const struct option_table *table, const void *values, const bool given[OPTION_MAX_SPECS],
                       struct buf *out);

#endif
