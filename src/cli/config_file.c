/* config_file: see config_file.h. libyaml gives the file as a stream of events, so nesting is refused when it is met and
 * no tree is ever built. */
#include "cli/config_file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { SECTION_BYTES = 48, ENTRIES_MAX = 4096 };

/* ---- names ----------------------------------------------------------------------------------------------------------- */

const char *config_file_section(const struct option_spec *spec, char *out, size_t out_bytes)
{
    size_t n = strcspn(spec->group, " ");
    if (n >= out_bytes) n = out_bytes - 1;
    for (size_t i = 0; i < n; i++) out[i] = (char)tolower((unsigned char)spec->group[i]);
    out[n] = '\0';
    return out;
}

/* Whether n bytes at `word` name the section; two of them are better known under another name. */
static bool is_section(const char *section, const char *word, size_t n)
{
    static const char *const other[][2] = {{"lora", "adapter"}, {"training", "optimisation"}};
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        if (strlen(other[i][0]) == n && memcmp(other[i][0], word, n) == 0 && strcmp(section, other[i][1]) == 0) return true;
    return strlen(section) == n && memcmp(section, word, n) == 0;
}

/* Whether any option of the table stands in a section of this name. */
static bool is_any_section(const struct option_table *table, const char *word, size_t n)
{
    char section[SECTION_BYTES];
    for (size_t i = 0; i < table->n_specs; i++)
        if (is_section(config_file_section(&table->specs[i], section, sizeof section), word, n)) return true;
    return false;
}

enum status config_file_find(struct ctx *c, const struct option_table *table, const char *where, const char *key,
                             size_t *row)
{
    char section[SECTION_BYTES], hint[OPTION_HINT_BYTES];
    const char *dot = strchr(key, '.'), *name = dot ? dot + 1 : key;
    long i = options_find(table, name);
    if (dot && !is_any_section(table, key, (size_t)(dot - key)))
        return ctx_fail(c, E_INPUT,
                        "%s: '%.*s' is no section; sections are the first words of the headings in --help, in lower case",
                        where, (int)(dot - key), key);
    if (i < 0)
        return ctx_fail(c, E_INPUT, "%s: unknown option '%s'%s", where, name,
                        options_hint(table, name, "", hint, sizeof hint));
    config_file_section(&table->specs[i], section, sizeof section);
    if (dot && !is_section(section, key, (size_t)(dot - key)))
        return ctx_fail(c, E_INPUT, "%s: %s is an option of the section %s, not of %.*s", where, name, section,
                        (int)(dot - key), key);
    *row = (size_t)i;
    return OK;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

/* One reading of a file. `event` is the last one; it is the parser's until the next is taken. */
struct config_reader {
    struct config_file *file;
    struct ctx *c;
    const struct option_table *table;
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    bool of_run;                    /* config.json, whose "format" is no option */
    char where[CONFIG_WHERE_BYTES]; /* "train.yaml:12:3", the place of the event */
};

static void drop_event(struct config_reader *r)
{
    if (r->has_event) yaml_event_delete(&r->event);
    r->has_event = false;
}

static void set_where(struct config_reader *r, yaml_mark_t mark)
{
    snprintf(r->where, sizeof r->where, "%s:%zu:%zu", r->file->name, mark.line + 1, mark.column + 1);
}

/* Takes the next event. What YAML has beside mappings, lists and plain text is refused here, wherever it stands. */
static enum status next_event(struct config_reader *r)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    drop_event(r);
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        if (r->parser.error == YAML_MEMORY_ERROR) return ctx_fail(r->c, E_MEMORY, "%s: out of memory", r->file->name);
        set_where(r, r->parser.problem_mark);
        return ctx_fail(r->c, E_INPUT, "%s: is not YAML: %s", r->where,
                        r->parser.problem ? r->parser.problem : "it cannot be read");
    }
    r->has_event = true;
    set_where(r, r->event.start_mark);
    if (r->event.type == YAML_ALIAS_EVENT) return ctx_fail(r->c, E_INPUT, "%s: aliases (*name) are not read", r->where);
    if (r->event.type == YAML_SCALAR_EVENT) {
        anchor = r->event.data.scalar.anchor;
        tag = r->event.data.scalar.tag;
    } else if (r->event.type == YAML_SEQUENCE_START_EVENT) {
        anchor = r->event.data.sequence_start.anchor;
        tag = r->event.data.sequence_start.tag;
    } else if (r->event.type == YAML_MAPPING_START_EVENT) {
        anchor = r->event.data.mapping_start.anchor;
        tag = r->event.data.mapping_start.tag;
    }
    if (anchor) return ctx_fail(r->c, E_INPUT, "%s: anchors (&name) are not read", r->where);
    if (tag) return ctx_fail(r->c, E_INPUT, "%s: tags (!name) are not read", r->where);
    return OK;
}

/* The text of the scalar that the event is. E_INPUT for a zero byte in it, which no option can hold. */
static enum status scalar_text(struct config_reader *r, const char **text)
{
    *text = (const char *)r->event.data.scalar.value;
    if (strlen(*text) != r->event.data.scalar.length) return ctx_fail(r->c, E_INPUT, "%s: a zero byte in a text", r->where);
    return OK;
}

static bool is_null(const yaml_event_t *e)
{
    const char *t = (const char *)e->data.scalar.value;
    return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (*t == '\0' || strcmp(t, "~") == 0 || strcmp(t, "null") == 0 || strcmp(t, "Null") == 0 || strcmp(t, "NULL") == 0);
}

/* Keeps the scalar that the event is as a value of the row. */
static enum status config_file_add_entry(struct config_reader *r, size_t row)
{
    struct config_file *f = r->file;
    const char *text;
    TRY(scalar_text(r, &text));
    if (f->n == ENTRIES_MAX) return ctx_fail(r->c, E_INPUT, "%s: more than %d values", r->where, ENTRIES_MAX);
    if (f->n == f->capacity) {
        size_t more = f->capacity ? 2 * f->capacity : 32;
        struct config_entry *grown = mem_resize(r->c, f->entries, f->capacity, more, sizeof *grown);
        if (!grown) return r->c->status;
        f->entries = grown;
        f->capacity = more;
    }
    char *copy = mem_strdup(r->c, text);
    if (!copy) return r->c->status;
    f->entries[f->n++] = (struct config_entry){row, copy, r->event.start_mark.line + 1, r->event.start_mark.column + 1};
    return OK;
}

/* The values of a list; the event is its start. */
static enum status config_file_read_list(struct config_reader *r, size_t row)
{
    const struct option_spec *s = &r->table->specs[row];
    if (s->type != OPTION_LIST) return ctx_fail(r->c, E_INPUT, "%s: %s takes one value, not a list", r->where, s->name);
    for (;;) {
        TRY(next_event(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT) return OK;
        if (r->event.type != YAML_SCALAR_EVENT || is_null(&r->event))
            return ctx_fail(r->c, E_INPUT, "%s: %s is a list of texts", r->where, s->name);
        TRY(config_file_add_entry(r, row));
    }
}

/* E_INPUT when the row has a value already: which of the two counts would depend on who reads the file. */
static enum status check_once(struct config_reader *r, size_t row)
{
    const struct config_file *f = r->file;
    for (size_t i = 0; i < f->n; i++)
        if (f->entries[i].row == row)
            return ctx_fail(r->c, E_INPUT, "%s: %s is given twice, in line %zu too", r->where, r->table->specs[row].name,
                            f->entries[i].line);
    return OK;
}

static enum status read_section(struct config_reader *r, const char *key);

/* One key with its value; the event is the key. section: the one it stands in, or NULL at the top. */
static enum status config_file_read_key(struct config_reader *r, const char *section)
{
    char key[128], where[CONFIG_WHERE_BYTES];
    const char *text;
    size_t row = 0;
    if (r->event.type != YAML_SCALAR_EVENT) return ctx_fail(r->c, E_INPUT, "%s: expected the name of an option", r->where);
    TRY(scalar_text(r, &text));
    int n = snprintf(key, sizeof key, "%s%s%s", section ? section : "", section ? "." : "", text);
    if (n >= (int)sizeof key) return ctx_fail(r->c, E_INPUT, "%s: a key of %d bytes is no option", r->where, n);
    memcpy(where, r->where, sizeof where);
    TRY(next_event(r));
    if (r->event.type == YAML_MAPPING_START_EVENT && !section) return read_section(r, key);
    bool nothing = r->event.type == YAML_SCALAR_EVENT && is_null(&r->event);
    if (r->of_run && !section && strcmp(key, "format") == 0 && r->event.type == YAML_SCALAR_EVENT) return OK;
    if (nothing && !section && options_find(r->table, key) < 0 && is_any_section(r->table, key, strlen(key))) return OK;
    TRY(config_file_find(r->c, r->table, where, key, &row));
    TRY(check_once(r, row));
    if (r->event.type == YAML_SEQUENCE_START_EVENT) return config_file_read_list(r, row);
    if (r->event.type != YAML_SCALAR_EVENT)
        return ctx_fail(r->c, E_INPUT, "%s: %s takes a value, not a mapping", r->where, key);
    return nothing ? OK : config_file_add_entry(r, row);
}

/* The options of a section; the event is the start of its mapping. */
static enum status read_section(struct config_reader *r, const char *key)
{
    if (!is_any_section(r->table, key, strlen(key))) {
        char hint[OPTION_HINT_BYTES];
        if (options_find(r->table, key) >= 0)
            return ctx_fail(r->c, E_INPUT, "%s: %s takes a value, not a mapping", r->where, key);
        return ctx_fail(r->c, E_INPUT, "%s: '%s' is neither an option nor a section%s", r->where, key,
                        options_hint(r->table, key, "", hint, sizeof hint));
    }
    for (;;) {
        TRY(next_event(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) return OK;
        TRY(config_file_read_key(r, key));
    }
}

/* The whole document: nothing, or one mapping. */
static enum status config_file_read_document(struct config_reader *r)
{
    TRY(next_event(r)); /* start of the stream */
    TRY(next_event(r));
    if (r->event.type == YAML_STREAM_END_EVENT) return OK;
    TRY(next_event(r));
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return ctx_fail(r->c, E_INPUT, "%s: expected lines such as \"rank: 8\"", r->where);
    for (;;) {
        TRY(next_event(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) break;
        TRY(config_file_read_key(r, NULL));
    }
    TRY(next_event(r)); /* end of the document */
    TRY(next_event(r));
    if (r->event.type != YAML_STREAM_END_EVENT)
        return ctx_fail(r->c, E_INPUT, "%s: a second document in one file", r->where);
    return OK;
}

enum status config_file_parse(struct config_file *f, struct ctx *c, const struct option_table *table, const char *name,
                              const char *bytes, size_t n)
{
    size_t length = strlen(name), own = strlen("/config.json");
    struct config_reader r = {.file = f, .c = c, .table = table};
    r.of_run = length > own && strcmp(name + length - own, "/config.json") == 0;
    *f = (struct config_file){.c = c, .name = mem_strdup(c, name)};
    if (!f->name) return c->status;
    if (n > CONFIG_FILE_BYTES) return ctx_fail(c, E_INPUT, "%s: %zu bytes are more than a configuration has", name, n);
    if (!yaml_parser_initialize(&r.parser)) return ctx_fail(c, E_MEMORY, "%s: out of memory", name);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)bytes, n);
    enum status status = config_file_read_document(&r);
    drop_event(&r);
    yaml_parser_delete(&r.parser);
    return status;
}

enum status config_file_read(struct config_file *f, struct ctx *c, const struct option_table *table, const char *path)
{
    *f = (struct config_file){.c = c};
    char *file = dir_exists(path) ? path_join(c, path, "config.json") : mem_strdup(c, path);
    size_t n = 0;
    char *text = file ? file_read(c, file, CONFIG_FILE_BYTES, &n) : NULL;
    if (text) config_file_parse(f, c, table, file, text, n);
    mem_free(c, text);
    mem_free(c, file);
    return c->status;
}

void config_file_release(struct config_file *f)
{
    for (size_t i = 0; i < f->n; i++) mem_free(f->c, f->entries[i].text);
    mem_free(f->c, f->entries);
    mem_free(f->c, f->name);
    *f = (struct config_file){.c = f->c};
}

/* ---- use ------------------------------------------------------------------------------------------------------------- */

enum status config_file_apply(const struct config_file *f, const struct option_table *table, void *values,
                              bool given[OPTION_MAX_SPECS])
{
    bool theirs[OPTION_MAX_SPECS]; /* of the command line, which wins whole: its list replaces the file's */
    char origin[CONFIG_WHERE_BYTES];
    memcpy(theirs, given, sizeof theirs);
    for (size_t i = 0; i < f->n; i++) {
        const struct config_entry *e = &f->entries[i];
        const struct option_spec *s = &table->specs[e->row];
        if (theirs[e->row]) continue;
        snprintf(origin, sizeof origin, "%s:%zu:%zu: %s", f->name, e->line, e->column, s->name);
        TRY(options_set(f->c, s, origin, e->text, values));
        given[e->row] = true;
    }
    return OK;
}

/* Whether a double-quoted text may hold the character as it is. YAML folds the line ends of Unicode, and takes a byte order
 * mark, U+FFFE, U+FFFF and most control characters for no text at all. */
static bool config_file_plain(uint32_t cp)
{
    if (cp < 0xA0) return cp >= 0x20 && cp < 0x7F && cp != '"' && cp != '\\';
    return cp != 0x2028 && cp != 0x2029 && cp != 0xFEFF && cp != 0xFFFE && cp != 0xFFFF;
}

/* As a double-quoted text. Bytes that are no UTF-8 stay as they are: YAML cannot say them. */
static void config_file_append_quoted(struct buf *out, const char *text)
{
    buf_append_char(out, '"');
    for (size_t n = strlen(text), i = 0, step; i < n; i += step) {
        const uint8_t *p = (const uint8_t *)text + i;
        step = utf8_length(p, n - i);
        uint32_t cp = step > 1 ? *p & (0xFFu >> (step + 1)) : *p;
        for (size_t k = 1; k < step; k++) cp = cp << 6 | (p[k] & 0x3Fu);
        if (step == 0 || config_file_plain(cp))
            buf_append(out, p, step ? step : 1);
        else if (cp == '"' || cp == '\\')
            buf_printf(out, "\\%c", (int)cp);
        else
            buf_printf(out, cp < 0x100 ? "\\x%02X" : "\\u%04X", cp);
        if (step == 0) step = 1;
    }
    buf_append_char(out, '"');
}

/* In as few digits as read back as the same number. */
static void append_number(struct buf *out, double v)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    buf_append_str(out, text);
}

/* A line of the file; an option without a value is a comment that names it. */
static void print_option(const struct option_spec *s, const void *values, bool is_given, struct buf *out)
{
    const void *at = (const char *)values + s->offset;
    const struct option_list *list = at;
    const char *text = s->type == OPTION_STRING ? *(const char *const *)at : NULL;
    char word[64];
    if ((s->type == OPTION_STRING && !text) || (s->type == OPTION_LIST && list->n == 0)) {
        buf_printf(out, "  # %s: %s\n", s->name, s->required ? "needed" : "not given");
        return;
    }
    buf_printf(out, "  %s:", s->name);
    if (s->type == OPTION_STRING) {
        buf_append_char(out, ' ');
        config_file_append_quoted(out, text);
    } else if (s->type == OPTION_LIST) {
        for (size_t i = 0; i < list->n; i++) {
            buf_append_str(out, "\n    - ");
            config_file_append_quoted(out, list->items[i]);
        }
    } else if (s->type == OPTION_FLAG) {
        buf_append_str(out, *(const bool *)at ? " true" : " false");
    } else if (s->type == OPTION_I64) {
        buf_printf(out, " %lld", (long long)*(const int64_t *)at);
    } else if (s->type == OPTION_F64) {
        buf_append_char(out, ' ');
        append_number(out, *(const double *)at);
    } else {
        buf_printf(out, " %s", options_choice(s, *(const int *)at, word, sizeof word));
    }
    buf_append_str(out, is_given ? "\n" : "  # default\n");
}

void config_file_print(const struct option_table *table, const void *values, const bool given[OPTION_MAX_SPECS],
                       struct buf *out)
{
    const char *group = NULL;
    char section[SECTION_BYTES];
    for (size_t i = 0; i < table->n_specs; i++) {
        const struct option_spec *s = &table->specs[i];
        if (!group || strcmp(group, s->group) != 0)
            buf_printf(out, "%s:\n", config_file_section(s, section, sizeof section));
        group = s->group;
        print_option(s, values, given[i], out);
    }
}
