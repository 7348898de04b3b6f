/* table_again: see table_again.h. Which row of the table each span of a batch begins with is counted first, in order, from
 * what the first reading found; after that the spans are independent, and threads may share them. */
#include "prepare/table_again.h"

#include <string.h>

#include "base/mem.h"
#include "base/threads.h"
#include "io/row_line.h"
#include "prepare/table_worker.h"

enum { LOOK_SPANS = 32 };

/* E_INPUT for a file that is not what the first reading read. */
static enum status again_changed(struct table_again *a)
{
    return ctx_fail(a->t->c, E_INPUT, "%s has changed while it was read", row_file_name(a->in));
}

/* Fills a->first for the batch. */
static enum status number_spans(struct table_again *a)
{
    size_t n = a->batch.n_spans;
    if (n > a->first_capacity) {
        size_t capacity = 2 * a->first_capacity > n ? 2 * a->first_capacity : n;
        size_t *first = mem_resize(a->t->c, a->first, a->first_capacity, capacity, sizeof *first);
        if (!first) return a->t->c->status;
        a->first = first;
        a->first_capacity = capacity;
    }
    for (size_t i = 0; i < n; i++) {
        if (a->row >= a->t->n_rows) return again_changed(a);
        uint32_t pieces = a->t->rows[a->row].pieces;
        a->first[i] = a->row;
        a->row += pieces > 1 ? pieces : 1;
        if (a->row > a->t->n_rows) return again_changed(a);
    }
    return OK;
}

/* One file. That it is the same bytes, or has as many rows, is known only at its end. */
static enum status again_file(struct table_again *a, const struct table_file *f,
                              enum status (*see)(void *user, struct table_again *a), void *user)
{
    struct ctx *c = a->t->c;
    size_t end = a->row + (size_t)(f->rows + f->faulty);
    a->in = row_file_open(c, f->path);
    if (!a->in) return c->status;
    if (!a->compares) row_file_leave_digest(a->in);
    do {
        row_file_fill(a->in, &a->batch);
        if (ctx_ok(c) && number_spans(a) == OK) see(user, a);
    } while (ctx_ok(c) && a->batch.n_spans > 0);
    char sha256[65];
    uint64_t bytes;
    if (ctx_ok(c) && a->row != end) again_changed(a);
    if (ctx_ok(c) && a->compares) row_file_digest(a->in, &bytes, sha256);
    if (ctx_ok(c) && a->compares && strcmp(sha256, f->sha256) != 0) again_changed(a);
    row_file_close(a->in);
    a->in = NULL;
    return c->status;
}

/* All files. */
static enum status again_files(struct row_table *t, bool compares, enum status (*see)(void *user, struct table_again *a),
                               void *user)
{
    struct table_again a = {.t = t, .compares = compares};
    for (size_t i = 0; i < t->n_files && ctx_ok(t->c); i++) again_file(&a, &t->files[i], see, user);
    mem_free(t->c, a.first);
    row_batch_release(t->c, &a.batch);
    return t->c->status;
}

enum status table_again_read(struct row_table *t, enum status (*see)(void *user, struct table_again *a), void *user)
{
    return again_files(t, true, see, user);
}

void table_again_rows(const struct table_again *a, size_t span,
                      bool (*see)(void *user, size_t row, const char *bytes, size_t n, bool is_text), void *user)
{
    const struct row_span *s = &a->batch.spans[span];
    const char *bytes = a->batch.bytes + s->at;
    size_t row = a->first[span], at = 0, row_at, n;
    uint32_t pieces = a->t->rows[row].pieces;
    if (pieces <= 1) {
        see(user, row, bytes, s->n, s->is_text);
        return;
    }
    for (uint32_t k = 0; k < pieces && row_line_next(bytes, s->n, &at, &row_at, &n); k++)
        if (!see(user, row + k, bytes + row_at, n, false)) return;
}

/* ---- a look at some rows, on all threads ---- */

struct again_looker {
    struct row_table *t;
    const uint8_t *wanted;
    enum status (*look)(void *user, struct ctx *c, size_t row, const char *text, size_t n);
    void *user;
    struct table_worker *workers;
    size_t n_workers;
    struct table_again *again; /* the batch */
};

/* One thread's place in the work. */
struct again_turn {
    struct again_looker *l;
    struct table_worker *w;
};

/* For table_again_rows: hands the text of a wanted row on. */
static bool table_again_look_at_row(void *user, size_t row, const char *bytes, size_t n, bool is_text)
{
    struct again_turn *turn = user;
    struct again_looker *l = turn->l;
    struct table_worker *w = turn->w;
    uint8_t field;
    if (!l->wanted[row] || l->t->rows[row].faulty) return true;
    if (!table_worker_read(w, l->t->options.sources, "", &bytes, &n, is_text, &field)) {
        w->status = w->c->status;
        return false;
    }
    if (w->row.input.n != l->t->rows[row].text_bytes) {
        w->status = E_INPUT;
        return false;
    }
    w->status = l->look(l->user, w->c, row, w->row.input.text, w->row.input.n);
    return w->status == OK;
}

/* Work item `block` of threads_run: LOOK_SPANS spans of the batch. */
static void look_at_block(void *arg, int64_t block, int worker)
{
    struct again_looker *l = arg;
    struct again_turn turn = {l, &l->workers[worker]};
    size_t first = (size_t)block * LOOK_SPANS, end = first + LOOK_SPANS;
    if (end > l->again->batch.n_spans) end = l->again->batch.n_spans;
    for (size_t i = first; i < end && turn.w->status == OK; i++)
        table_again_rows(l->again, i, table_again_look_at_row, &turn);
}

/* A row that was sound and is not any more, or has another length, is of a file that has changed. */
static enum status look_at_batch(void *user, struct table_again *a)
{
    struct again_looker *l = user;
    struct ctx *c = l->t->c;
    l->again = a;
    threads_run(c, ((int64_t)a->batch.n_spans + LOOK_SPANS - 1) / LOOK_SPANS, look_at_block, l);
    for (size_t i = 0; i < l->n_workers; i++) {
        const struct table_worker *w = &l->workers[i];
        if (w->status == E_INPUT) return again_changed(a);
        if (w->status != OK) return ctx_fail(c, w->status, "%s", w->c->message);
    }
    return OK;
}

enum status table_again_look(struct row_table *t, const uint8_t *wanted,
                             enum status (*look)(void *user, struct ctx *c, size_t row, const char *text, size_t n),
                             void *user)
{
    struct again_looker l = {.t = t, .wanted = wanted, .look = look, .user = user};
    l.workers = table_workers_new(t->c, t->rules, &l.n_workers);
    if (ctx_ok(t->c)) again_files(t, false, look_at_batch, &l);
    table_workers_free(t->c, l.workers, l.n_workers);
    return t->c->status;
}
