/* records: see records.h. Lines are gathered from fixed-size reads rather than from a mapping: the resident size then
 * follows the longest line and not the file, and a file that shrinks meanwhile is just a shorter file. A faulty row is an
 * ordinary failure in the ctx with the reason beside it; when bad rows are skipped, records_next counts it and clears the
 * failure. */
#include "data/records.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/str.h"
#include "base/utf8.h"
#include "data/record_form.h"
#include "io/json.h"

enum { CHUNK_BYTES = 1 << 16, ROWS_LOGGED = 10 };

struct digest {
    uint64_t bytes;
    char hex[65];
};

struct records {
    struct ctx *c;
    const char *const *paths;
    size_t n_paths;
    bool skip_bad_rows;
    struct digest *digests; /* (n_paths) */

    /* the file being read */
    size_t file;
    int fd; /* -1: not open yet */
    bool whole_file;
    struct sha256 sha;
    size_t at, n; /* unread part of the chunk */
    uint8_t chunk[CHUNK_BYTES];

    /* the row being read */
    int64_t row;
    bool too_long;
    struct buf line;
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

struct records *records_open(struct ctx *c, const char *const *paths, size_t n_paths, bool skip_bad_rows)
{
    struct records *r = mem_alloc(c, 1, sizeof *r);
    if (!r) return NULL;
    r->c = c;
    r->paths = paths;
    r->n_paths = n_paths;
    r->skip_bad_rows = skip_bad_rows;
    r->fd = -1;
    buf_init(&r->line, c, RECORDS_LINE_MAX_BYTES);
    record_form_init(&r->form, c);
    r->digests = mem_alloc(c, n_paths, sizeof *r->digests);
    if (r->digests) return r;
    records_close(r);
    return NULL;
}

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
    buf_release(&r->line);
    if (r->fd >= 0) close(r->fd);
    mem_free(r->c, r->digests);
    mem_free(r->c, r);
}

/* ---- lines ---- */

static bool open_file(struct records *r)
{
    uint64_t expected;
    r->fd = file_open(r->c, r->paths[r->file], &expected);
    if (r->fd < 0) return false;
    r->whole_file = str_has_suffix(r->paths[r->file], ".txt");
    r->row = 0;
    r->at = r->n = 0;
    sha256_init(&r->sha);
    return true;
}

static void finish_file(struct records *r)
{
    uint8_t digest[32];
    struct digest *d = &r->digests[r->file];
    d->bytes = r->sha.bytes;
    sha256_final(&r->sha, digest);
    sha256_hex(digest, d->hex);
    close(r->fd);
    r->fd = -1;
    r->file++;
}

/* Refills the chunk. False at the end of the file and on failure. */
static bool refill(struct records *r)
{
    int64_t got = file_read_some(r->c, r->fd, r->paths[r->file], r->chunk, sizeof r->chunk);
    if (got <= 0) return false;
    r->at = 0;
    r->n = (size_t)got;
    sha256_update(&r->sha, r->chunk, r->n);
    return true;
}

/* Takes bytes into the line; past the cap the line is given up, its memory with it, and only its end is looked for. */
static void gather(struct records *r, const uint8_t *bytes, size_t n)
{
    if (r->too_long) return;
    if (n > RECORDS_LINE_MAX_BYTES - r->line.len) {
        r->too_long = true;
        buf_release(&r->line);
        return;
    }
    buf_append(&r->line, bytes, n);
}

/* Reads up to and without the next newline (a .txt file: up to its end). False when nothing is left, and on failure. */
static bool next_line(struct records *r)
{
    bool any = false;
    buf_clear(&r->line);
    r->too_long = false;
    for (;;) {
        if (r->at == r->n && !refill(r)) break;
        any = true;
        const uint8_t *from = r->chunk + r->at;
        const uint8_t *end = r->whole_file ? NULL : memchr(from, '\n', r->n - r->at);
        size_t n = end ? (size_t)(end - from) : r->n - r->at;
        gather(r, from, n);
        r->at += end ? n + 1 : n;
        if (end || !ctx_ok(r->c) || (r->too_long && !r->skip_bad_rows)) break;
    }
    if (any) r->row++;
    return any && ctx_ok(r->c);
}

static bool is_blank(const struct buf *line)
{
    for (size_t i = 0; i < line->len; i++) {
        char ch = line->data[i];
        if (ch != ' ' && ch != '\t' && ch != '\r' && ch != '\n') return false;
    }
    return true;
}

/* Moves on to the next line that is not blank, over the ends of files. */
static bool next_row(struct records *r)
{
    while (ctx_ok(r->c) && r->file < r->n_paths) {
        if (r->fd < 0 && !open_file(r)) return false;
        if (!next_line(r)) {
            if (ctx_ok(r->c)) finish_file(r);
        } else if (r->too_long || !is_blank(&r->line)) {
            r->rows++;
            return true;
        }
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
            return ctx_fail(c, E_INPUT, "%s: both loss_weight and weight", what), false;
        weight = "weight";
    }
    return json_member_f64(c, what, r->doc, "auth_weight", false, 0, 0.99, &out->auth_weight) &&
           json_member_f64(c, what, r->doc, "prov_entropy", false, 0, DBL_MAX, &out->prov_entropy) &&
           json_member_f64(c, what, r->doc, weight, false, 0, RECORDS_LOSS_WEIGHT_MAX, &out->loss_weight) &&
           json_member_string(c, what, r->doc, "source_type", false, &out->source_type);
}

/* The line from byte `at` on as a JSON row. */
static bool read_json(struct records *r, size_t at, struct record *out, enum record_fault *why)
{
    *why = FAULT_JSON;
    r->doc = json_parse(r->c, r->what, r->line.data + at, r->line.len - at);
    if (!r->doc) return false;
    *why = FAULT_FORM;
    if (!json_is_object(r->doc)) return ctx_fail(r->c, E_INPUT, "%s: a row must be a JSON object", r->what), false;
    if (!record_form_read(&r->form, r->what, r->doc, out)) return false;
    *why = FAULT_SCORE;
    return read_scores(r, out);
}

/* The line as a record. False with the failure in the ctx and its reason in *why. */
static bool read_row(struct records *r, struct record *out, enum record_fault *why)
{
    *why = FAULT_LONG_LINE;
    if (r->too_long) {
        ctx_fail(r->c, E_INPUT, "%s: longer than %d bytes", r->what, RECORDS_LINE_MAX_BYTES);
        return false;
    }
    *why = FAULT_UTF8;
    size_t bad = utf8_check(r->line.data, r->line.len);
    if (bad < r->line.len) return ctx_fail(r->c, E_INPUT, "%s: invalid UTF-8 at byte %zu", r->what, bad), false;

    /* a byte order mark at the start of a file is no part of its text */
    size_t mark = r->row == 1 && r->line.len >= 3 && memcmp(r->line.data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    *out = (struct record){.file = (int)r->file, .row = r->row};
    if (!r->whole_file) return read_json(r, mark, out, why);
    out->kind = RECORD_TEXT;
    out->text = r->line.data + mark;
    out->text_bytes = r->line.len - mark;
    out->auth_weight = out->prov_entropy = NAN;
    out->loss_weight = 1;
    return true;
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
        r->what = mem_printf(r->c, "%s:%lld", r->paths[r->file], (long long)r->row);
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

void records_digest(const struct records *r, size_t file, uint64_t *bytes, char hex[65])
{
    BUG_ON(r->c, file >= r->file, "file %zu has not been read to its end", file);
    *bytes = r->digests[file].bytes;
    memcpy(hex, r->digests[file].hex, 65);
}
