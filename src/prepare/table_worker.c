/* table_worker: the score_row of each thread finds a row's text among the members that every command knows; only where it
 * finds none is the row parsed as a whole, for the members that sources.json names. */
#include "prepare/table_worker.h"

#include <string.h>

#include "base/mem.h"
#include "base/threads.h"
#include "io/json.h"
#include "io/row_file.h"

enum { FIELD_CHARS = 50 };

const char *table_worker_json(struct buf *text, const char *bytes, size_t *n, bool is_text)
{
    if (!is_text) return bytes;
    buf_clear(text);
    buf_append_str(text, "{\"text\":");
    json_append_string(text, bytes, *n);
    buf_append_char(text, '}');
    *n = text->len;
    return buf_str(text);
}

uint64_t table_worker_chars(const char *text, size_t n)
{
    uint64_t chars = 0;
    for (size_t i = 0; i < n; i++) chars += (text[i] & 0xc0) != 0x80; /* bytes that do not continue a character */
    return chars;
}

/* Takes for the row's text the first of the sources' members that is a string of more than FIELD_CHARS characters. */
static bool find_text(const struct sources *s, struct table_worker *w, const char *bytes, size_t n, uint8_t *field)
{
    if (w->c->status != E_INPUT || !w->row.no_text) return false;
    char message[CTX_MESSAGE_BYTES];
    memcpy(message, w->c->message, sizeof message);
    ctx_clear(w->c);
    json_t *doc = json_parse(w->c, "", bytes, n);
    for (size_t i = 0; doc && i < s->n_fields && !*field; i++) {
        const json_t *v = json_object_get(doc, s->fields[i]);
        const char *text = json_string_value(v);
        if (!text || table_worker_chars(text, json_string_length(v)) <= FIELD_CHARS) continue;
        buf_clear(&w->field);
        buf_append(&w->field, text, json_string_length(v));
        w->row.input.text = buf_str(&w->field);
        w->row.input.n = w->field.len;
        *field = (uint8_t)(i + 1);
    }
    json_decref(doc);
    if (!*field && ctx_ok(w->c)) ctx_fail(w->c, E_INPUT, "%s", message);
    return *field && ctx_ok(w->c);
}

bool table_worker_read(struct table_worker *w, const struct sources *sources, const char *what, const char **bytes,
                       size_t *n, bool is_text, uint8_t *field)
{
    *field = 0;
    *bytes = table_worker_json(&w->text, *bytes, n, is_text);
    return score_row_read(&w->row, what, *bytes, *n) == OK || (sources && find_text(sources, w, *bytes, *n, field));
}

struct table_worker *table_workers_new(struct ctx *c, const struct rules *rules, size_t *n)
{
    *n = (size_t)threads_count(c);
    struct table_worker *workers = mem_alloc(c, *n, sizeof *workers);
    for (size_t i = 0; workers && i < *n && ctx_ok(c); i++) {
        struct table_worker *w = &workers[i];
        w->c = ctx_new(&c->hooks);
        if (!w->c) {
            ctx_fail(c, E_MEMORY, "out of memory");
            break;
        }
        buf_init(&w->text, w->c, 8 * (size_t)ROW_FILE_MAX_BYTES);
        buf_init(&w->field, w->c, ROW_FILE_MAX_BYTES);
        struct score_row_options options = {.existing = EXISTING_KEEP, .read_scores = true};
        if (score_row_init(&w->row, w->c, rules, options) != OK) ctx_fail(c, w->c->status, "%s", w->c->message);
    }
    return workers;
}

void table_workers_free(struct ctx *c, struct table_worker *workers, size_t n)
{
    for (size_t i = 0; workers && i < n && workers[i].c; i++) {
        struct table_worker *w = &workers[i];
        for (size_t k = 0; k < w->n_kinds; k++) mem_free(w->c, w->kinds[k].name);
        buf_release(&w->text);
        buf_release(&w->field);
        score_row_release(&w->row);
        ctx_clear(w->c);
        ctx_free(w->c);
    }
    mem_free(c, workers);
}
