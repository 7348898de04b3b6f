/* command_options: see command_options.h. The options are rows appended to the command's table, so they are parsed and
 * explained like any other, and the indices of the command's own rows stay as they are. */
#include "cli/command_options.h"

#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include "cli/presets.h"

#define V struct command_common

enum { TEXT_CAP_BYTES = 1 << 20 };

static const struct option_spec common[] = {
    STRING_ROW(
        V, config, "config", 0, NULL, "FILE", "Configuration",
        "take what the command line leaves open from a YAML file, or from RUN/config.json where FILE is the folder of "
        "a run"),
    LIST_ROW(V, set, "set", 0, false, "NAME=VALUE", "Configuration",
             "one option as in such a file, such as --set adapter.rank=8"),
    FLAG_ROW(V, print, "print-config", 0, "false", "Configuration",
             "print all options with their values as such a file, and do nothing else"),
};
static const struct option_spec preset_row =
    STRING_ROW(V, preset, "preset", 0, NULL, "NAME", "Configuration",
               "take what is still open from a preset; `your_ai help presets` lists them");
enum { N_COMMON = sizeof common / sizeof common[0] };

void command_files_release(struct command_files *f)
{
    config_file_release(&f->config);
    config_file_release(&f->preset);
}

void command_options_make(struct ctx *c, const struct command *cmd, struct command_options *o)
{
    size_t n = cmd->table->n_specs, unit = alignof(max_align_t);
    BUG_ON(c, n + N_COMMON + 1 > OPTION_MAX_SPECS, "%zu options of %s: raise OPTION_MAX_SPECS", n, cmd->name);
    o->common_at = (cmd->values_bytes + unit - 1) / unit * unit;
    o->bytes = o->common_at + sizeof(struct command_common);
    if (n > 0) memcpy(o->specs, cmd->table->specs, n * sizeof o->specs[0]);
    memcpy(o->specs + n, common, sizeof common);
    size_t all = n + N_COMMON;
    if (cmd->presets) o->specs[all++] = preset_row;
    for (size_t i = n; i < all; i++) o->specs[i].offset += o->common_at;
    o->table = (struct option_table){o->specs, all};
    for (size_t i = 0; cmd->spared && i < n; i++)
        if (strcmp(o->specs[i].name, cmd->spared) == 0) o->specs[i].required = false;
}

void command_options_order(const struct command *cmd, struct command_options *o)
{
    size_t to = 0;
    for (const char *word = cmd->first; word && *word; word += strspn(word, " ")) {
        char name[64];
        size_t n = strcspn(word, " ");
        snprintf(name, sizeof name, "%.*s", (int)n, word);
        word += n;
        long at = options_find(&o->table, name);
        if (at < (long)to) continue;
        struct option_spec moved = o->specs[at];
        memmove(&o->specs[to + 1], &o->specs[to], ((size_t)at - to) * sizeof moved);
        moved.group = "Most used";
        o->specs[to++] = moved;
    }
}

/* "adapter.rank=8" as if it were --rank 8. The value is a part of the word, so nothing is copied. */
static enum status set_one(struct ctx *c, const struct command *cmd, const char *word, void *values, bool *given)
{
    char key[128], origin[sizeof key + 8];
    const char *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : 0, row;
    if (n == 0 || n >= sizeof key) return ctx_fail(c, E_INPUT, "--set %s: expected NAME=VALUE, such as --set rank=8", word);
    memcpy(key, word, n);
    key[n] = '\0';
    TRY(config_file_find(c, cmd->table, "--set", key, &row));
    const struct option_spec *s = &cmd->table->specs[row];
    if (given[row] && s->type != OPTION_LIST) return ctx_fail(c, E_INPUT, "--set %s: %s is given twice", word, s->name);
    snprintf(origin, sizeof origin, "--set %s", key);
    TRY(options_set(c, s, origin, equals + 1, values));
    given[row] = true;
    return OK;
}

static enum status print_config(struct ctx *c, const struct command *cmd, const void *values, const bool *given)
{
    struct buf out;
    buf_init(&out, c, TEXT_CAP_BYTES);
    buf_printf(&out, "# your_ai %s --config FILE\n", cmd->name);
    config_file_print(cmd->table, values, given, &out);
    if (buf_ok(&out)) fputs(buf_str(&out), stdout);
    buf_release(&out);
    return c->status;
}

enum status command_options_parse(struct ctx *c, const struct command *cmd, const struct command_options *o, int argc,
                                  const char *const *argv, void *values, struct option_parse *parse,
                                  struct command_files *files, bool *print)
{
    const struct command_common *mine = (const struct command_common *)((const char *)values + o->common_at);
    *print = false;
    TRY(options_parse_words(c, &o->table, argc, argv, values, parse));
    if (parse->help) return OK;
    for (size_t i = 0; i < mine->set.n; i++) TRY(set_one(c, cmd, mine->set.items[i], values, parse->given));
    if (mine->config) {
        TRY(config_file_read(&files->config, c, cmd->table, mine->config));
        TRY(config_file_apply(&files->config, cmd->table, values, parse->given));
    }
    if (mine->preset) {
        TRY(preset_read(&files->preset, c, cmd->table, mine->preset));
        TRY(config_file_apply(&files->preset, cmd->table, values, parse->given));
    }
    *print = mine->print;
    return mine->print ? print_config(c, cmd, values, parse->given) : options_check_required(c, &o->table, parse->given);
}
