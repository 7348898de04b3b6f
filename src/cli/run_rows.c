/* run_rows: see run_rows.h. Options are compared and copied by their rows of the table, so that one more costs one word. */
#include "cli/run_rows.h"

#include <string.h>

#include "base/buf.h"
#include "data/data_rows.h"
#include "train/train_options.h"

struct row_values {
    struct dataset_options data;
};
static const struct option_spec specs[] = {DATA_ROWS(struct row_values, data, "2048", "Rows")};
static const struct option_table data_table = {specs, sizeof(specs) / sizeof(specs[0])};

static const char *const taken[] = {"row-form", "raw", "template", "date", "train-on", "mask"};
enum { TAKEN = sizeof(taken) / sizeof(*taken), TEXT_BYTES = 1024 };

static bool row_text_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Makes an option of `to` that of `from`; false when it was that already. */
static bool row_option_copy(const struct option_spec *s, struct dataset_options *to, const struct dataset_options *from)
{
    char *at = (char *)to + s->offset;
    const char *is = (const char *)from + s->offset;
    bool same = s->type == OPTION_STRING
                    ? row_text_same(*(const char *const *)(const void *)at, *(const char *const *)(const void *)is)
                    : memcmp(at, is, s->type == OPTION_FLAG ? sizeof(bool) : sizeof(int)) == 0;
    if (!same)
        memcpy(at, is, s->type == OPTION_STRING ? sizeof(char *) : s->type == OPTION_FLAG ? sizeof(bool) : sizeof(int));
    return !same;
}

/* " --template chatml", " --no-raw". */
static void row_option_append(struct buf *out, const struct option_spec *s, const struct dataset_options *o)
{
    const char *at = (const char *)o + s->offset, *text = NULL;
    char choice[64];
    if (s->type == OPTION_FLAG) {
        buf_printf(out, " --%s%s", *(const bool *)(const void *)at ? "" : "no-", s->name);
        return;
    }
    if (s->type == OPTION_CHOICE) text = options_choice(s, *(const int *)(const void *)at, choice, sizeof choice);
    if (s->type == OPTION_STRING) text = *(const char *const *)(const void *)at;
    if (text)
        buf_printf(out, " --%s %s", s->name, text);
    else
        buf_printf(out, " no --%s", s->name);
}

/* Copies what the user left open from `from`, and appends to `out` what was another value before. */
static void take_open(const struct option_table *table, const bool *given, struct dataset_options *to,
                      const struct dataset_options *from, struct buf *out)
{
    for (size_t i = 0; i < TAKEN; i++) {
        const struct option_spec *s = &specs[options_find(&data_table, taken[i])];
        if (!given[options_find(table, taken[i])] && row_option_copy(s, to, from)) row_option_append(out, s, from);
    }
}

/* One run: the first one's options are taken, of a later one it is said where they differ. */
static enum status take_run(struct ctx *c, const char *name, const struct option_table *table, const bool *given,
                            struct dataset_options *rows, json_t **doc)
{
    struct train_values run = {0};
    json_t *read = NULL;
    struct buf text;
    buf_init(&text, c, TEXT_BYTES);
    bool first = *doc == NULL;
    struct dataset_options other = *rows;
    if (train_options_read(c, name, &run, &read) == OK) {
        take_open(table, given, first ? rows : &other, &run.config.rows, &text);
        if (text.len && first) ctx_log(c, LOG_INFO, "rows are read as %s read its own:%s", name, buf_str(&text));
        if (text.len && !first)
            ctx_log(c, LOG_WARN, "%s read its rows otherwise, with%s: give these options to measure it so", name,
                    buf_str(&text));
        if (first) *doc = json_incref(read);
    } else if (c->status == E_INPUT) {
        ctx_log(c, LOG_WARN, "how %s read its rows is not known: %s", name, c->message);
        ctx_clear(c);
    }
    buf_release(&text);
    json_decref(read);
    return c->status;
}

enum status run_rows_take(const struct candidates *a, const struct option_table *table, const bool *given,
                          struct dataset_options *rows, json_t **doc)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->list[i].run) TRY(take_run(a->c, a->list[i].name, table, given, rows, doc));
    return OK;
}
