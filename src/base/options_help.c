/* options_help: the option part of a help page, made from the table. */
#include <stdio.h>
#include <string.h>

#include "base/options.h"

enum { HELP_COLUMN = 32 };

/* "-r, --rank N" or "    --[no-]packing". */
static void head_of(const struct option_spec *s, struct buf *out)
{
    if (s->short_name)
        buf_printf(out, "  -%c, ", s->short_name);
    else
        buf_append_str(out, "      ");
    bool both_ways = s->type == OPTION_FLAG && s->default_text && strcmp(s->default_text, "true") == 0;
    buf_printf(out, both_ways ? "--[no-]%s" : "--%s", s->name);
    if (s->type == OPTION_CHOICE)
        buf_append_str(out, " WORD");
    else if (s->type != OPTION_FLAG)
        buf_printf(out, " %s", s->value_name);
}

/* "(default 16; 1 to 1024)": what the table knows beside the sentence. */
static void tail_of(const struct option_spec *s, struct buf *out)
{
    bool number = s->type == OPTION_I64 || s->type == OPTION_F64;
    if (s->type == OPTION_CHOICE) buf_printf(out, ": %s", s->choices);
    if (s->required) {
        buf_append_str(out, " (needed)");
    } else if (s->type == OPTION_FLAG) {
        buf_printf(out, " (default %s)", s->default_text && strcmp(s->default_text, "true") == 0 ? "on" : "off");
    } else if (number) {
        buf_printf(out, " (default %s; %.9g to %.9g)", s->default_text ? s->default_text : "0", s->min, s->max);
    } else if (s->default_text) {
        buf_printf(out, " (default %s)", s->default_text);
    }
    if (s->type == OPTION_LIST) buf_append_str(out, "; may be repeated");
}

void options_help(const struct option_table *table, struct buf *out)
{
    const char *group = NULL;
    for (size_t i = 0; i < table->n_specs; i++) {
        const struct option_spec *s = &table->specs[i];
        if (!group || strcmp(group, s->group) != 0) buf_printf(out, "\n%s\n", s->group);
        group = s->group;
        size_t start = out->len;
        head_of(s, out);
        size_t width = out->len - start;
        if (width + 2 > HELP_COLUMN) {
            buf_append_char(out, '\n');
            width = 0;
        }
        buf_printf(out, "%*s%s", HELP_COLUMN - (int)width, "", s->help);
        tail_of(s, out);
        buf_append_char(out, '\n');
    }
    buf_append_str(out, "  -h, --help                    this page\n");
}
