/* table_write: one reading of the files on the calling thread, which writes rows as they come; all outputs are temporary
 * files until the last row of the last file has been written and every file had the digest of the first reading. */
#include "prepare/table_write.h"

#include <string.h>

#include "io/json.h"
#include "prepare/table_again.h"
#include "prepare/table_worker.h"

struct table_writer {
    struct row_table *t;
    const uint8_t *to;
    const struct table_outputs *outputs;
    struct file_writer *files[TABLE_OUTPUTS_MAX];
    struct buf line, text;
};

/* What the row does not say, behind its own members. */
static void table_write_add_members(struct table_writer *w, size_t i, const char *bytes, size_t n)
{
    const struct row_table *t = w->t;
    const struct table_row *r = &t->rows[i];
    if (r->text_field) {
        json_t *doc = json_parse(t->c, "", bytes, n);
        const json_t *v = json_object_get(doc, t->options.sources->fields[r->text_field - 1]);
        buf_append_str(&w->line, ",\"text\":");
        json_append_string(&w->line, json_string_value(v) ? json_string_value(v) : "", json_string_length(v));
        json_decref(doc);
    }
    if (r->adds_kind) {
        buf_append_str(&w->line, ",\"source_type\":");
        json_append_string(&w->line, t->kinds[r->kind], strlen(t->kinds[r->kind]));
    }
    if (r->adds_scores) buf_printf(&w->line, ",\"auth_weight\":%.6g,\"prov_entropy\":%.6g", r->auth, r->entropy);
}

/* For table_again_rows: writes the row with the members that it did not have: its closing brace is taken off, they are
 * added, and it is put on again. */
static bool table_write_row(void *user, size_t i, const char *bytes, size_t n, bool is_text)
{
    struct table_writer *w = user;
    if (!w->to[i] || w->t->rows[i].faulty) return true;
    bytes = table_worker_json(&w->text, bytes, &n, is_text);
    buf_clear(&w->line);
    while (n > 0 && bytes[n - 1] != '}') n--;
    score_row_line(bytes, n, &w->line);
    if (w->line.len > 0) w->line.len--;
    table_write_add_members(w, i, bytes, n);
    buf_append_char(&w->line, '}');
    buf_append_char(&w->line, '\n');
    if (buf_ok(&w->line)) file_writer_write(w->files[w->to[i] - 1], buf_str(&w->line), w->line.len);
    return ctx_ok(w->t->c);
}

/* For table_again_read. */
static enum status write_batch(void *user, struct table_again *a)
{
    struct table_writer *w = user;
    for (size_t i = 0; ctx_ok(w->t->c) && i < a->batch.n_spans; i++) table_again_rows(a, i, table_write_row, w);
    return w->t->c->status;
}

/* E_INPUT when an output is an input, or two outputs are the same. */
static enum status check_paths(struct row_table *t, const struct table_outputs *outputs)
{
    for (size_t i = 0; i < outputs->n; i++) {
        for (size_t k = 0; k < t->n_files; k++)
            if (strcmp(outputs->paths[i], t->files[k].path) == 0)
                return ctx_fail(t->c, E_INPUT, "%s is an input; choose another output", outputs->paths[i]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(outputs->paths[i], outputs->paths[k]) == 0)
                return ctx_fail(t->c, E_INPUT, "%s is given for two outputs", outputs->paths[i]);
    }
    return OK;
}

/* The outputs take their names, the first one last. */
static enum status table_write_publish(struct table_writer *w)
{
    const struct table_outputs *o = w->outputs;
    struct file_writer *all[TABLE_OUTPUTS_MAX + 1];
    size_t n = 0;
    if (o->beside) all[n++] = o->beside;
    for (size_t i = o->n; i-- > 0; w->files[i] = NULL) all[n++] = w->files[i];
    return file_writers_commit(w->t->c, all, n);
}

enum status table_write_rows(struct row_table *t, const uint8_t *to, const struct table_outputs *outputs)
{
    struct ctx *c = t->c;
    struct table_writer w = {.t = t, .to = to, .outputs = outputs};
    buf_init(&w.line, c, 8 * (size_t)ROW_FILE_MAX_BYTES);
    buf_init(&w.text, c, 8 * (size_t)ROW_FILE_MAX_BYTES);
    BUG_ON(c, outputs->n > TABLE_OUTPUTS_MAX, "%zu outputs", outputs->n);
    check_paths(t, outputs);
    for (size_t i = 0; i < outputs->n && ctx_ok(c); i++) w.files[i] = file_writer_open(c, outputs->paths[i]);
    if (ctx_ok(c) && table_again_read(t, write_batch, &w) == OK)
        table_write_publish(&w);
    else
        file_writer_abort(outputs->beside);
    for (size_t i = 0; i < outputs->n; i++) file_writer_abort(w.files[i]);
    buf_release(&w.line);
    buf_release(&w.text);
    return c->status;
}
