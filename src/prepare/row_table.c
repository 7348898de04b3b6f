/* row_table: see row_table.h. A batch of rows is shared by threads in blocks of BLOCK_ROWS; each thread has a ctx and
 * scratch of its own and writes to the places of its rows, so the table is the same for any number of threads. Lines that
 * are no JSON document are looked at again afterwards, in order: they may hold several rows, or the fault that ends the
 * reading. */
#include "prepare/row_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/threads.h"
#include "io/row_line.h"
#include "prepare/table_worker.h"

enum { BLOCK_ROWS = 32, FAULTS_SHOWN = 10 };

struct table_reader {
    struct row_table *t;
    struct row_file *in;
    struct row_batch batch;
    struct table_worker *workers;
    size_t n_workers, at;  /* at: the table's row of the batch's first span */
    const char *file_kind; /* by the file's name; NULL: none */
    struct spill *kinds_in;
    uint64_t *kind_of; /* (rows_capacity) hash of each row's kind, 0: none */
};

/* ---- one row, on any thread ---- */

void table_digest(const char *text, size_t n, uint64_t out[2])
{
    struct sha256 sha;
    uint8_t digest[32];
    sha256_init(&sha);
    sha256_update(&sha, text, n);
    sha256_final(&sha, digest);
    memcpy(out, digest, 16);
}

/* The hash of a source_type, whose name the worker remembers; 0 for a row that names none, which is why a hash is odd. */
static uint64_t worker_kind(struct table_worker *w, const struct score_value *v)
{
    uint64_t digest[2];
    if (v->kind != VALUE_STRING) return 0;
    table_digest(v->text, v->n, digest);
    uint64_t hash = digest[0] | 1;
    for (size_t i = 0; i < w->n_kinds; i++)
        if (w->kinds[i].hash == hash) return hash;
    if (w->n_kinds == TABLE_KINDS_MAX)
        return ctx_fail(w->c, E_UNSUPPORTED, "more than %d different values of source_type; is it really one?",
                        TABLE_KINDS_MAX),
               0;
    char *name = mem_strndup(w->c, v->text, v->n);
    if (name) w->kinds[w->n_kinds++] = (struct table_kind){hash, name};
    return hash;
}

/* Gives the row what it does not say: the kind of its file, and scores. */
static bool complete_row(struct table_reader *r, struct table_worker *w, struct table_row *row, const char *what,
                         const char *bytes, size_t n)
{
    struct score_input *in = &w->row.input;
    struct score_value *kind = &in->field[FIELD_SOURCE_TYPE];
    static const char key[] = "\"source_type\"";
    row->text_chars = table_worker_chars(in->text, in->n);
    if (kind->kind == VALUE_ABSENT && r->file_kind && !memmem(bytes, n, key, sizeof key - 1)) {
        *kind = (struct score_value){.kind = VALUE_STRING, .text = r->file_kind, .n = strlen(r->file_kind)};
        row->adds_kind = true;
    }
    bool scored = row->auth >= 0 && row->auth <= 0.99 && row->entropy >= 0;
    if (scored) return true;
    if (w->row.has_members)
        return ctx_fail(w->c, E_INPUT, "%s: auth_weight in [0, 0.99] and prov_entropy from 0: give both or neither", what),
               false;
    in->prior = *kind;
    score_document(r->t->rules, w->row.counts, in, &w->row.result);
    row->auth = w->row.result.auth_weight;
    row->entropy = w->row.result.prov_entropy;
    row->adds_scores = true;
    return true;
}

/* Reads one row's bytes into the table's row i. False with the worker's ctx saying why. */
static bool read_row(struct table_reader *r, struct table_worker *w, size_t i, const char *what, const char *bytes, size_t n,
                     bool is_text)
{
    struct row_table *t = r->t;
    struct table_row *row = &t->rows[i];
    row->text_field = 0;
    row->adds_kind = row->adds_scores = false;
    row->flags = 0;
    const struct sources *sources = t->options.sources;
    if (!table_worker_read(w, sources, what, &bytes, &n, is_text, &row->text_field)) return false;
    const struct score_input *in = &w->row.input;
    table_digest(in->text, in->n, row->digest);
    row->text_bytes = in->n;
    row->auth = w->row.given_auth;
    row->entropy = w->row.given_entropy;
    if (sources && !complete_row(r, w, row, what, bytes, n)) return false;
    r->kind_of[i] = worker_kind(w, &in->field[FIELD_SOURCE_TYPE]);
    if (t->options.minhash)
        minhash_sign(t->options.minhash, in->text, in->n, t->signatures + i * (size_t)t->options.minhash->permutations);
    if (t->options.look && ctx_ok(w->c))
        t->options.look(t->options.user, &w->row, bytes, n, row, t->extra + i * t->options.extra_bytes);
    return ctx_ok(w->c);
}

/* Work item `block` of threads_run: BLOCK_ROWS spans of the batch, each into its row of the table. A fault of a row is only
 * marked here; refuse_row says it later, in order. Any other failure stops the worker. */
static void read_block(void *arg, int64_t block, int worker)
{
    struct table_reader *r = arg;
    struct table_worker *w = &r->workers[worker];
    size_t first = (size_t)block * BLOCK_ROWS, end = first + BLOCK_ROWS;
    if (end > r->batch.n_spans) end = r->batch.n_spans;
    for (size_t i = first; i < end && w->status == OK; i++) {
        const struct row_span *span = &r->batch.spans[i];
        struct table_row *row = &r->t->rows[r->at + i];
        row->row = span->row;
        row->pieces = 1;
        row->faulty = span->too_long || !read_row(r, w, r->at + i, "", r->batch.bytes + span->at, span->n, span->is_text);
        if (!ctx_ok(w->c) && w->c->status != E_INPUT) w->status = w->c->status;
        if (w->status == OK) ctx_clear(w->c);
    }
}

/* ---- after the threads: faults and lines of several rows, in order ---- */

/* Space for n rows in all arrays that have one entry a row. They grow together: rows_capacity only changes when all of them
 * did, and an array that grew before another failed is simply longer than that says. */
static enum status table_reserve(struct table_reader *r, size_t n)
{
    struct row_table *t = r->t;
    if (n <= t->rows_capacity) return OK;
    size_t capacity = 2 * t->rows_capacity > n ? 2 * t->rows_capacity : n, k = 0;
    if (t->options.minhash) k = (size_t)t->options.minhash->permutations;
    struct table_row *rows = spill_resize(t->rows_in, capacity, sizeof *rows);
    if (rows) t->rows = rows;
    uint64_t *kinds = rows ? spill_resize(r->kinds_in, capacity, sizeof *kinds) : NULL;
    if (kinds) r->kind_of = kinds;
    if (kinds && k) {
        int32_t *signatures = spill_resize(t->signatures_in, capacity, k * sizeof *signatures);
        if (signatures) t->signatures = signatures;
    }
    if (ctx_ok(t->c) && t->options.extra_bytes > 0) {
        char *extra = spill_resize(t->extra_in, capacity, t->options.extra_bytes);
        if (extra) t->extra = extra;
    }
    if (ctx_ok(t->c)) t->rows_capacity = capacity;
    return t->c->status;
}

/* A row that is faulty: said with its name, which is the end, or counted. */
static enum status refuse_row(struct table_reader *r, size_t i, const char *bytes, size_t n, const struct row_span *span)
{
    struct row_table *t = r->t;
    struct table_worker *w = &r->workers[0];
    char *what = mem_printf(t->c, "%s:%lld", row_file_name(r->in), (long long)span->row);
    if (!what) return t->c->status;
    ctx_clear(w->c);
    if (span->too_long)
        ctx_fail(w->c, E_INPUT, "%s: the row is longer than %d bytes", what, ROW_FILE_MAX_BYTES);
    else
        read_row(r, w, i, what, bytes, n, span->is_text);
    mem_free(t->c, what);
    t->rows[i].faulty = true;
    t->rows[i].no_text = !span->too_long && w->row.no_text;
    t->faulty++;
    if (!t->options.skip_faulty) return ctx_fail(t->c, w->c->status, "%s", w->c->message);
    if (!t->options.quiet && t->faulty <= FAULTS_SHOWN) ctx_log(t->c, LOG_WARN, "left out: %s", w->c->message);
    if (!t->options.quiet && t->faulty == FAULTS_SHOWN + 1) ctx_log(t->c, LOG_WARN, "further faulty rows are only counted");
    ctx_clear(w->c);
    return OK;
}

/* Rows of a line behind the table's end, which move it. */
static enum status add_pieces(struct table_reader *r, const struct row_span *span, uint32_t pieces)
{
    struct row_table *t = r->t;
    const char *line = r->batch.bytes + span->at;
    size_t at = 0, row_at, n;
    for (uint32_t k = 0; k < pieces && row_line_next(line, span->n, &at, &row_at, &n); k++) {
        size_t i = t->n_rows;
        TRY(table_reserve(r, i + 1));
        t->rows[i] = (struct table_row){.row = span->row, .pieces = k ? 0 : pieces, .file = (uint32_t)t->n_files};
        t->n_rows++;
        if (!read_row(r, &r->workers[0], i, "", line + row_at, n, false)) TRY(refuse_row(r, i, line + row_at, n, span));
    }
    return OK;
}

/* How many rows stand on a line, 0 for what is no line. */
static uint32_t count_pieces(const char *line, const struct row_span *span)
{
    size_t at = 0, row_at, n;
    uint32_t pieces = 0;
    while (span->is_line && !span->too_long && row_line_next(line, span->n, &at, &row_at, &n)) pieces++;
    return pieces;
}

/* One span at the table's end. */
static enum status add_span(struct table_reader *r, const struct row_span *span)
{
    struct row_table *t = r->t;
    const char *bytes = r->batch.bytes + span->at;
    uint32_t pieces = count_pieces(bytes, span);
    if (pieces > 1) return add_pieces(r, span, pieces);
    size_t i = t->n_rows;
    TRY(table_reserve(r, i + 1));
    t->rows[i] = (struct table_row){.row = span->row, .pieces = 1, .file = (uint32_t)t->n_files};
    t->n_rows++;
    if (!span->too_long && read_row(r, &r->workers[0], i, "", bytes, span->n, span->is_text)) return OK;
    return refuse_row(r, i, bytes, span->n, span);
}

/* Rows of the batch lie from r->at on. A batch with lines of several rows, which is rare, is gone through again in order. */
static enum status settle_batch(struct table_reader *r)
{
    struct row_table *t = r->t;
    size_t n = r->batch.n_spans;
    bool several = false;
    for (size_t i = 0; i < n; i++) {
        const struct row_span *span = &r->batch.spans[i];
        t->rows[r->at + i].file = (uint32_t)t->n_files;
        several |= t->rows[r->at + i].faulty && count_pieces(r->batch.bytes + span->at, span) > 1;
    }
    if (!several) t->n_rows = r->at + n;
    for (size_t i = 0; i < n; i++) {
        const struct row_span *span = &r->batch.spans[i];
        if (several)
            TRY(add_span(r, span));
        else if (t->rows[r->at + i].faulty)
            TRY(refuse_row(r, r->at + i, r->batch.bytes + span->at, span->n, span));
    }
    return OK;
}

/* All rows of the batch by all threads, then what has to be done in order. */
static enum status read_batch(struct table_reader *r)
{
    struct row_table *t = r->t;
    r->at = t->n_rows;
    TRY(table_reserve(r, t->n_rows + r->batch.n_spans));
    threads_run(t->c, ((int64_t)r->batch.n_spans + BLOCK_ROWS - 1) / BLOCK_ROWS, read_block, r);
    for (size_t i = 0; i < r->n_workers; i++)
        if (r->workers[i].status != OK) return ctx_fail(t->c, r->workers[i].status, "%s", r->workers[i].c->message);
    return settle_batch(r);
}

/* The first reading of a file, batch by batch. */
static enum status read_file(struct table_reader *r, const char *path)
{
    struct row_table *t = r->t;
    struct table_file *f = &t->files[t->n_files];
    size_t before = t->n_rows;
    int64_t faulty = t->faulty;
    if (strcmp(path, "-") == 0) return ctx_fail(t->c, E_INPUT, "standard input cannot be read twice: save it to a file");
    r->in = row_file_open(t->c, path);
    if (!r->in) return t->c->status;
    *f = (struct table_file){.path = path, .name = path};
    r->file_kind = t->options.sources ? sources_kind(t->options.sources, path) : NULL;
    do {
        if (row_file_fill(r->in, &r->batch) == OK) read_batch(r);
    } while (ctx_ok(t->c) && r->batch.n_spans > 0);
    if (ctx_ok(t->c)) row_file_digest(r->in, &f->bytes, f->sha256);
    f->faulty = t->faulty - faulty;
    f->rows = (int64_t)(t->n_rows - before) - f->faulty;
    t->n_files++;
    row_file_close(r->in);
    r->in = NULL;
    return t->c->status;
}

/* ---- kinds ---- */

/* For qsort. */
static int by_name(const void *a, const void *b)
{
    const struct table_kind *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Gathers the names of all threads, sorted, and turns each row's hash into its index. */
static enum status settle_kinds(struct table_reader *r)
{
    struct row_table *t = r->t;
    size_t all = 0, n = 0;
    for (size_t i = 0; i < r->n_workers; i++) all += r->workers[i].n_kinds;
    struct table_kind *kinds = mem_alloc(t->c, all, sizeof *kinds);
    t->kinds = mem_alloc(t->c, all, sizeof *t->kinds);
    if (!kinds || !t->kinds) return mem_free(t->c, kinds), t->c->status;
    for (size_t i = 0; i < r->n_workers; i++) {
        memcpy(kinds + n, r->workers[i].kinds, r->workers[i].n_kinds * sizeof *kinds);
        n += r->workers[i].n_kinds;
    }
    qsort(kinds, n, sizeof *kinds, by_name);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || kinds[i].hash != kinds[kept - 1].hash) kinds[kept++] = kinds[i];
    struct map64 *index = map64_new(t->c, kept);
    for (; index && t->n_kinds < kept && ctx_ok(t->c); t->n_kinds++) {
        t->kinds[t->n_kinds] = mem_strdup(t->c, kinds[t->n_kinds].name);
        map64_put(index, kinds[t->n_kinds].hash, t->n_kinds, NULL);
    }
    for (size_t i = 0; index && i < t->n_rows; i++) {
        uint64_t kind;
        t->rows[i].kind = map64_get(index, r->kind_of[i], &kind) ? (int32_t)kind : TABLE_NO_KIND;
    }
    map64_free(index);
    mem_free(t->c, kinds);
    return t->c->status;
}

/* ---- the whole ---- */

enum status row_table_read(struct row_table *t, struct ctx *c, const char *const *paths, size_t n_paths,
                           struct table_options options)
{
    *t = (struct row_table){.c = c, .options = options, .budget.left = options.memory_bytes};
    struct table_reader r = {.t = t};
    t->rows_in = spill_new(c, &t->budget);
    t->signatures_in = spill_new(c, &t->budget);
    t->extra_in = spill_new(c, &t->budget);
    r.kinds_in = spill_new(c, &t->budget);
    t->rules = rules_open(c, NULL, false, SCORER_CITATION);
    t->files = mem_alloc(c, n_paths, sizeof *t->files);
    if (ctx_ok(c)) r.workers = table_workers_new(c, t->rules, &r.n_workers);
    for (size_t i = 0; i < n_paths && ctx_ok(c); i++) read_file(&r, paths[i]);
    if (ctx_ok(c) && t->n_rows == (size_t)t->faulty) row_file_refuse_empty(c, paths, n_paths, t->faulty);
    if (ctx_ok(c)) settle_kinds(&r);
    table_workers_free(c, r.workers, r.n_workers);
    row_file_close(r.in);
    row_batch_release(c, &r.batch);
    spill_free(r.kinds_in);
    return c->status;
}

void row_table_release(struct row_table *t)
{
    for (size_t i = 0; i < t->n_kinds; i++) mem_free(t->c, t->kinds[i]);
    mem_free(t->c, t->kinds);
    spill_free(t->rows_in);
    spill_free(t->signatures_in);
    spill_free(t->extra_in);
    mem_free(t->c, t->files);
    rules_free(t->c, t->rules);
    *t = (struct row_table){.c = t->c};
}

double table_row_signed(const struct table_row *r)
{
    return log(1 - r->auth + 1e-8) + r->entropy;
}
