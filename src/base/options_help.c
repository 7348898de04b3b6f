/* options_help: the option part of a help page, made from the table, so that a default or a range on the page is the one
 * that the parser holds to. A line is
 *
 *   -r, --rank N                  rank of the adapter's matrices A and B (default 16; 1 to 1024)
 *
 * with the text in the right column wrapped into further lines where it is longer. */
#include <stdio.h>
#include <string.h>

#include "base/options_help.h"

/* Where the texts begin, and where lines end; from BOUNDLESS on the upper end of a range is not worth printing. */
enum { HELP_COLUMN = 32, HELP_COLUMN_NARROW = 10, HELP_NARROW = 72, BOUNDLESS = 1000000000 };

/* The page that is being written. On narrow terminals the texts stand below the names. */
struct help_page {
    struct buf *out;
    size_t column, width;
};

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
void options_help_tail(const struct option_spec *s, struct buf *out)
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

/* Prints words from `column` on, where the line stands already, and breaks lines at spaces. */
static void append_wrapped(struct buf *out, const char *text, size_t start, size_t width)
{
    size_t column = start;
    while (*text) {
        size_t n = strcspn(text, " ");
        if (column > start && column + 1 + n > width) {
            buf_printf(out, "\n%*s", (int)start, "");
            column = start;
        } else if (column > start) {
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
static void append_row(const struct help_page *page, const struct option_spec *s, struct buf *text)
{
    size_t start = page->out->len;
    head_of(s, page->out);
    size_t width = page->out->len - start;
    if (width + 2 > page->column) {
        buf_append_char(page->out, '\n');
        width = 0;
    }
    buf_printf(page->out, "%*s", (int)(page->column - width), "");
    buf_clear(text);
    buf_append_str(text, s->help);
    options_help_tail(s, text);
    append_wrapped(page->out, buf_str(text), page->column, page->width);
}

static size_t settle_width(size_t width)
{
    return width < HELP_WIDTH_MIN ? HELP_WIDTH_MIN : width > HELP_WIDTH_MAX ? HELP_WIDTH_MAX : width;
}

void options_help_fill(const char *text, size_t width, struct buf *out)
{
    struct buf paragraph;
    buf_init(&paragraph, out->c, 1 << 16);
    width = settle_width(width);
    while (*text) {
        size_t n = strcspn(text, "\n");
        bool keep = n == 0 || *text == ' ';
        if (!keep) {
            if (paragraph.len) buf_append_char(&paragraph, ' ');
            buf_append(&paragraph, text, n);
        }
        text += n + (text[n] == '\n');
        bool ends = *text == '\0' || *text == '\n' || *text == ' ';
        if (paragraph.len && (keep || ends)) {
            append_wrapped(out, buf_str(&paragraph), 0, width);
            buf_clear(&paragraph);
        }
        if (keep) {
            buf_append(out, text - n - 1, n);
            buf_append_char(out, '\n');
        }
    }
    buf_release(&paragraph);
}

void options_help_wide(const struct option_table *table, size_t width, struct buf *out)
{
    const char *group = NULL;
    struct buf text;
    struct help_page page = {out, HELP_COLUMN, settle_width(width)};
    if (page.width < HELP_NARROW) page.column = HELP_COLUMN_NARROW;
    buf_init(&text, out->c, 1 << 16);
    for (size_t i = 0; i < table->n_specs; i++) {
        const struct option_spec *s = &table->specs[i];
        if (!group || strcmp(group, s->group) != 0) buf_printf(out, "\n%s\n", s->group);
        group = s->group;
        append_row(&page, s, &text);
    }
    static const struct option_spec help = {
        .name = "help", .short_name = 'h', .type = OPTION_FLAG, .help = "print this page"};
    size_t start = out->len;
    head_of(&help, out);
    buf_printf(out, "%*s%s\n", page.column > out->len - start ? (int)(page.column - (out->len - start)) : 2, "", help.help);
    buf_release(&text);
}

void options_help(const struct option_table *table, struct buf *out)
{
    options_help_wide(table, HELP_WIDTH_MAX, out);
}
