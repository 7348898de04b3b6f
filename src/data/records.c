/* records: see records.h. The files are taken apart into rows by row_file; here a row's bytes become a record. A faulty row
 * is an ordinary failure in the ctx with the reason beside it; when bad rows are skipped, records_next counts it and clears
 * the failure. */
#include "data/records.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "data/record_form.h"
#include "data/row_path.h"
#include "io/foreign_file.h"
#include "io/json.h"

enum { ROWS_LOGGED = 10 };

/* An input file: its name with the weight taken off, and its size and digest once it has been read. */
struct source {
    struct row_path path;
    const char *name; /* what messages call it */
    uint64_t bytes;
    char hex[65];
};

struct records {
    struct ctx *c;
    bool skip_bad_rows;
    struct source *sources; /* (n_paths) */
    size_t n_paths;

    size_t file;         /* the one being read */
    struct row_file *in; /* NULL: not open yet */
    int64_t file_rows;   /* seen in it */

    /* the row being read */
    struct row_bytes bytes;
    char *what; /* "FILE:ROW" */
    json_t *doc;
    struct record_form form;

    int64_t rows, skipped[FAULT_COUNT], n_skipped;
};

const char *record_fault_name(enum record_fault fault)
{
    static const char *const names[FAULT_COUNT] = {
        [FAULT_LONG_LINE] = "line too long",
        [FAULT_UTF8] = "invalid UTF-8",
        [FAULT_JSON] = "malformed JSON",
        [FAULT_FORM] = "no usable text",
        [FAULT_SCORE] = "score or weight out of range",
        [FAULT_UNTRAINED] = "no trained token",
        [FAULT_BOS] = "doubled BOS",
    };
    return (unsigned)fault < FAULT_COUNT ? names[fault] : "unknown";
}

/* Takes the weights off the names. Standard input may stand among them once. */
static enum status parse_paths(struct records *r, const char *const *paths)
{
    bool seen_stdin = false;
    for (size_t i = 0; i < r->n_paths; i++) {
        struct source *s = &r->sources[i];
        TRY(row_path_parse(r->c, paths[i], &s->path));
        bool is_stdin = row_path_is_stdin(&s->path);
        if (is_stdin && seen_stdin) return ctx_fail(r->c, E_INPUT, "standard input (-) can be read once only");
        seen_stdin |= is_stdin;
        s->name = is_stdin ? "standard input" : s->path.path;
    }
    return OK;
}

struct records *records_open(struct ctx *c, const char *const *paths, size_t n_paths, bool skip_bad_rows, enum row_form form)
{
    struct records *r = mem_alloc(c, 1, sizeof *r);
    if (!r) return NULL;
    r->c = c;
    r->n_paths = n_paths;
    r->skip_bad_rows = skip_bad_rows;
    record_form_init(&r->form, c, form);
    r->sources = mem_alloc(c, n_paths, sizeof *r->sources);
    if (r->sources && parse_paths(r, paths) == OK) return r;
    records_close(r);
    return NULL;
}

/* Frees the row that was given last. */
static void release_row(struct records *r)
{
    json_decref(r->doc);
    r->doc = NULL;
    mem_free(r->c, r->what);
    r->what = NULL;
}

void records_close(struct records *r)
{
    if (!r) return;
    release_row(r);
    record_form_release(&r->form);
    row_file_close(r->in);
    for (size_t i = 0; r->sources && i < r->n_paths; i++) row_path_release(r->c, &r->sources[i].path);
    mem_free(r->c, r->sources);
    mem_free(r->c, r);
}

/* ---- files ---- */

/* The end of an input file: its digest is known now. */
static void finish_file(struct records *r)
{
    struct source *s = &r->sources[r->file++];
    row_file_digest(r->in, &s->bytes, s->hex);
    row_file_close(r->in);
    r->in = NULL;
    if (r->file_rows == 0) ctx_log(r->c, LOG_WARN, "%s: holds no rows (%llu bytes)", s->name, (unsigned long long)s->bytes);
    if (r->file == r->n_paths) record_form_report(&r->form);
}

/* Moves on to the next row, over the ends of files. */
static bool next_row(struct records *r)
{
    while (ctx_ok(r->c) && r->file < r->n_paths) {
        if (!r->in) {
            r->in = row_file_open(r->c, r->sources[r->file].path.path);
            r->file_rows = 0;
            if (!r->in) return false;
        }
        if (row_file_next(r->in, &r->bytes)) {
            r->rows++;
            r->file_rows++;
            return true;
        }
        if (ctx_ok(r->c)) finish_file(r);
    }
    return false;
}

/* ---- rows ---- */

/* Scores and weights into *out. */
static bool read_scores(struct records *r, struct record *out)
{
    struct ctx *c = r->c;
    const char *what = r->what, *weight = "loss_weight";
    out->auth_weight = out->prov_entropy = NAN;
    out->loss_weight = 1;
    const json_t *long_name = json_object_get(r->doc, weight), *short_name = json_object_get(r->doc, "weight");
    if (short_name && !json_is_null(short_name)) {
        if (long_name && !json_is_null(long_name))
            return ctx_fail(c, E_INPUT, "%s: both loss_weight and weight, which mean the same: keep one of them", what),
                   false;
        weight = "weight";
    }
    return json_member_f64(c, what, r->doc, "auth_weight", false, 0, 0.99, &out->auth_weight) &&
           json_member_f64(c, what, r->doc, "prov_entropy", false, 0, DBL_MAX, &out->prov_entropy) &&
           json_member_f64(c, what, r->doc, weight, false, 0, RECORDS_LOSS_WEIGHT_MAX, &out->loss_weight) &&
           json_member_string(c, what, r->doc, "source_type", false, &out->source_type);
}

/* The weight of the row times that of its file. */
static bool weigh(struct records *r, struct record *out)
{
    out->loss_weight *= r->sources[r->file].path.weight;
    if (out->loss_weight <= RECORDS_LOSS_WEIGHT_MAX) return true;
    ctx_fail(r->c, E_INPUT, "%s: its weight times that of its file is %g, more than %d", r->what, out->loss_weight,
             RECORDS_LOSS_WEIGHT_MAX);
    return false;
}

/* The bytes as a JSON row. */
static bool records_read_json(struct records *r, struct record *out, enum record_fault *why)
{
    *why = FAULT_JSON;
    r->doc = json_parse(r->c, r->what, r->bytes.bytes, r->bytes.n);
    if (!r->doc) return foreign_row_explain(r->c, r->what, r->bytes.bytes, r->bytes.n), false;
    *why = FAULT_FORM;
    if (!json_is_object(r->doc)) {
        ctx_fail(r->c, E_INPUT, "%s: a row must be a JSON object", r->what);
        return foreign_row_explain(r->c, r->what, r->bytes.bytes, r->bytes.n), false;
    }
    if (!record_form_read(&r->form, r->what, r->doc, out)) return false;
    *why = FAULT_SCORE;
    return read_scores(r, out) && weigh(r, out);
}

/* The row as a record. False with the failure in the ctx and its reason in *why. */
static bool read_row(struct records *r, struct record *out, enum record_fault *why)
{
    const struct row_bytes *b = &r->bytes;
    *why = FAULT_LONG_LINE;
    if (b->too_long) {
        ctx_fail(r->c, E_INPUT, "%s: longer than %d bytes", r->what, RECORDS_LINE_MAX_BYTES);
        return false;
    }
    *why = FAULT_UTF8;
    size_t bad = utf8_check(b->bytes, b->n);
    if (bad < b->n) {
        ctx_fail(r->c, E_INPUT, "%s: invalid UTF-8 at byte %zu (of an older encoding? iconv -f WINDOWS-1252 -t UTF-8)",
                 r->what, bad);
        return false;
    }
    *out = (struct record){.file = (int)r->file, .row = b->row};
    if (!b->is_text) return records_read_json(r, out, why);
    out->kind = RECORD_TEXT;
    out->text = b->bytes;
    out->text_bytes = b->n;
    out->auth_weight = out->prov_entropy = NAN;
    out->loss_weight = 1;
    *why = FAULT_SCORE;
    return weigh(r, out);
}

/* After a failure: true when it was the row's and bad rows are skipped; it is then counted, logged and forgotten. */
static bool skipped(struct records *r, enum record_fault why)
{
    if (r->c->status != E_INPUT || !r->skip_bad_rows) return false;
    r->skipped[why]++;
    if (r->n_skipped++ < ROWS_LOGGED) {
        char message[CTX_MESSAGE_BYTES];
        memcpy(message, r->c->message, sizeof message);
        ctx_log(r->c, LOG_WARN, "skipped: %s", message);
        if (r->n_skipped == ROWS_LOGGED) ctx_log(r->c, LOG_WARN, "further skipped rows are only counted");
    }
    ctx_clear(r->c);
    return true;
}

bool records_next(struct records *r, struct record *out)
{
    enum record_fault why;
    do {
        release_row(r);
        if (!next_row(r)) return false;
        r->what = mem_printf(r->c, "%s:%lld", r->sources[r->file].name, (long long)r->bytes.row);
        if (!r->what) return false;
        if (read_row(r, out, &why)) return true;
    } while (skipped(r, why));
    return false;
}

enum status records_reject(struct records *r, enum record_fault fault, const char *format, ...)
{
    BUG_ON(r->c, !r->what, "no row to reject");
    va_list args;
    va_start(args, format);
    ctx_vfail(r->c, E_INPUT, format, args);
    va_end(args);
    ctx_prefix(r->c, "%s", r->what);
    return skipped(r, fault) ? OK : r->c->status;
}

int64_t records_rows(const struct records *r)
{
    return r->rows;
}

int64_t records_faults(const struct records *r, enum record_fault why)
{
    return r->skipped[why];
}

const char *records_name(const struct records *r, size_t file)
{
    BUG_ON(r->c, file >= r->n_paths, "file %zu", file);
    return r->sources[file].name;
}

void records_digest(const struct records *r, size_t file, uint64_t *bytes, char hex[65])
{
    BUG_ON(r->c, file >= r->file, "file %zu has not been read to its end", file);
    *bytes = r->sources[file].bytes;
    memcpy(hex, r->sources[file].hex, 65);
}
