/* options_help: the option part of a help page, made from the table, so that a default or a range on the page is the one
 * that the parser holds to. A line is
 *
 *   -r, --rank N                  rank of the adapter's matrices A and B (default 16; 1 to 1024)
 *
 * with the text in the right column wrapped into further lines where it is longer. */
#include <stdio.h>
#include <string.h>

#include "base/options.h"

/* Where the texts begin, and where lines end; from BOUNDLESS on the upper end of a range is not worth printing. */
enum { HELP_COLUMN = 32, HELP_WIDTH = 110, BOUNDLESS = 1000000000 };

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

/* " (default 16; 1 to 1024)", " (as-is|nf4|int8; default as-is)": what the table knows beside the sentence. */
static void tail_of(const struct option_spec *s, struct buf *out)
{
    bool number = s->type == OPTION_I64 || s->type == OPTION_F64;
    if (s->required) {
        buf_append_str(out, " (needed)");
    } else if (s->type == OPTION_FLAG) {
        buf_printf(out, " (default %s)", s->default_text && strcmp(s->default_text, "true") == 0 ? "on" : "off");
    } else if (number && s->max >= BOUNDLESS) {
        buf_printf(out, " (default %s; %.9g or more)", s->default_text ? s->default_text : "0", s->min);
    } else if (number) {
        buf_printf(out, " (default %s; %.9g to %.9g)", s->default_text ? s->default_text : "0", s->min, s->max);
    } else if (s->type == OPTION_CHOICE) {
        buf_printf(out, " (%s; default %s)", s->choices, s->default_text);
    } else if (s->default_text) {
        buf_printf(out, " (default %s)", s->default_text);
    }
    if (s->type == OPTION_LIST) buf_append_str(out, "; may be repeated");
}

/* Prints words from HELP_COLUMN on, where the line stands already, and breaks lines at spaces. */
static void append_wrapped(struct buf *out, const char *text)
{
    size_t column = HELP_COLUMN;
    while (*text) {
        size_t n = strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + n > HELP_WIDTH) {
            buf_printf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            buf_append_char(out, ' ');
            column++;
        }
        buf_append(out, text, n);
        column += n;
        text += n + strspn(text + n, " ");
    }
    buf_append_char(out, '\n');
}

/* One row of the page. The text is put together first, because it has to be known whole to be wrapped. */
static void append_row(const struct option_spec *s, struct buf *text, struct buf *out)
{
    size_t start = out->len;
    head_of(s, out);
    size_t width = out->len - start;
    if (width + 2 > HELP_COLUMN) {
        buf_append_char(out, '\n');
        width = 0;
    }
    buf_printf(out, "%*s", HELP_COLUMN - (int)width, "");
    buf_clear(text);
    buf_append_str(text, s->help);
    tail_of(s, text);
    append_wrapped(out, buf_str(text));
}

void options_help(const struct option_table *table, struct buf *out)
{
    const char *group = NULL;
    struct buf text;
    buf_init(&text, out->c, 1 << 16);
    for (size_t i = 0; i < table->n_specs; i++) {
        const struct option_spec *s = &table->specs[i];
        if (!group || strcmp(group, s->group) != 0) buf_printf(out, "\n%s\n", s->group);
        group = s->group;
        append_row(s, &text, out);
    }
    buf_append_str(out, "  -h, --help                    print this page\n");
    buf_release(&text);
}
