/* row_file: see row_file.h. Where a row ends is found by counting brackets outside of strings, without parsing: a row that
 * is broken inside is the caller's to refuse, and does not hide the rows behind it. In JSON Lines the end of a line always
 * ends a row, so that a broken one costs its line only. */
#include "io/row_file.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/foreign_file.h"
#include "io/packed_file.h"
#include "io/parquet/parquet.h"

enum { ROW_FILE_CHUNK_BYTES = 1 << 16, LOOK_BYTES = 512 };

enum row_file_form { FORM_UNKNOWN, FORM_LINES, FORM_OBJECTS, FORM_ARRAY, FORM_TEXT, FORM_TABLE };

struct row_file {
    struct ctx *c;
    const char *path;
    struct packed_file *in;
    struct parquet *table; /* FORM_TABLE */
    enum row_file_form form;
    bool decided; /* whether objects end with their line (FORM_LINES) is known */
    bool ended;   /* the array is closed */
    size_t at, n; /* unread part of the chunk */
    char chunk[ROW_FILE_CHUNK_BYTES];
    int64_t line, item; /* of the next byte, from 1; items of the array begun so far */

    struct buf row;
    int depth; /* brackets open in the row */
    bool in_string, escaped;
    bool inside;   /* the row has not ended: it was too long, and its rest is passed over */
    bool too_long; /* it is not gathered any more */
};

static bool is_text_name(const char *path)
{
    return str_has_suffix(path, ".txt") || str_has_suffix(path, ".txt.gz") || str_has_suffix(path, ".txt.zst");
}

struct row_file *row_file_open(struct ctx *c, const char *path)
{
    struct row_file *f = mem_alloc(c, 1, sizeof *f);
    if (!f) return NULL;
    f->c = c;
    f->path = path;
    f->form = is_text_name(path) ? FORM_TEXT : FORM_UNKNOWN;
    f->line = 1;
    buf_init(&f->row, c, (size_t)ROW_FILE_MAX_BYTES + 1);
    f->in = packed_file_open(c, path);
    if (f->in) return f;
    row_file_close(f);
    return NULL;
}

void row_file_close(struct row_file *f)
{
    if (!f) return;
    buf_release(&f->row);
    parquet_close(f->table);
    packed_file_close(f->in);
    mem_free(f->c, f);
}

const char *row_file_name(const struct row_file *f)
{
    return packed_file_name(f->in);
}

void row_file_digest(const struct row_file *f, uint64_t *bytes, char hex[65])
{
    packed_file_digest(f->in, bytes, hex);
}

/* ---- bytes ---- */

static bool row_file_refill(struct row_file *f)
{
    if (f->at < f->n) return true;
    int64_t got = packed_file_read(f->in, f->chunk, sizeof f->chunk);
    f->at = 0;
    f->n = got > 0 ? (size_t)got : 0;
    return got > 0;
}

/* Takes bytes into the row; past the cap the row is given up, its memory with it, and only its end is looked for. */
static void row_file_gather(struct row_file *f, const char *bytes, size_t n)
{
    if (f->too_long) return;
    if (n > ROW_FILE_MAX_BYTES - f->row.len) {
        f->too_long = true;
        buf_release(&f->row);
        return;
    }
    buf_append(&f->row, bytes, n);
}

static bool row_file_is_space(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

/* strchr alone would find the NUL, too. */
static bool row_file_is_one_of(char ch, const char *of)
{
    return ch && strchr(of, ch);
}

/* Passes over white space. False at the end of the file and on failure. */
static bool skip_space(struct row_file *f)
{
    while (row_file_refill(f)) {
        char ch = f->chunk[f->at];
        if (!row_file_is_space(ch)) return true;
        f->line += ch == '\n';
        f->at++;
    }
    return false;
}

/* ---- forms ---- */

/* Fills the first chunk far enough to see what the file is, and takes a byte order mark away. */
static bool look(struct row_file *f)
{
    while (f->n < LOOK_BYTES) {
        int64_t got = packed_file_read(f->in, f->chunk + f->n, sizeof f->chunk - f->n);
        if (got < 0) return false;
        if (got == 0) break;
        f->n += (size_t)got;
    }
    if (f->n >= 3 && memcmp(f->chunk, "\xEF\xBB\xBF", 3) == 0) f->at = 3;
    return true;
}

static bool open_table(struct row_file *f)
{
    f->form = FORM_TABLE;
    if (packed_file_is_plain(f->in)) {
        f->table = parquet_open(f->c, f->path);
        return f->table != NULL;
    }
    ctx_fail(f->c, E_INPUT,
             "%s: is a Parquet file, which is read by its place on the disk: give it as a file, and not packed (it is "
             "packed inside)",
             row_file_name(f));
    return false;
}

static bool recognise(struct row_file *f)
{
    if (!look(f)) return false;
    if (f->n >= 4 && memcmp(f->chunk, "PAR1", 4) == 0) return open_table(f);
    if (foreign_file_refuse(f->c, row_file_name(f), f->chunk + f->at, f->n - f->at)) return false;
    if (!skip_space(f)) return false;
    f->form = FORM_LINES;
    f->decided = f->chunk[f->at] != '{';
    if (f->chunk[f->at] != '[') return true;
    f->form = FORM_ARRAY;
    f->at++;
    return true;
}

/* At the end of the first line: an object that is open there, behind something that asks for more, takes several lines. */
static bool continues(struct row_file *f)
{
    if (f->decided) return f->form != FORM_LINES;
    f->decided = true;
    size_t n = f->row.len;
    while (n > 0 && row_file_is_space(f->row.data[n - 1])) n--;
    if (!f->in_string && n > 0 && row_file_is_one_of(f->row.data[n - 1], "{[,:")) f->form = FORM_OBJECTS;
    return f->form == FORM_OBJECTS;
}

/* ---- one row ---- */

/* Looks at one byte of a row. True when the row ends; *take says whether the byte belongs to it. */
static bool row_ends(struct row_file *f, char ch, bool *take)
{
    *take = true;
    if (ch == '\n') {
        if (f->form == FORM_LINES && !continues(f)) return *take = false, true;
        f->line++;
    }
    if (f->in_string) {
        if (f->escaped)
            f->escaped = false;
        else if (ch == '\\')
            f->escaped = true;
        else if (ch == '"')
            f->in_string = false;
        return false;
    }
    if (ch == '"') f->in_string = true;
    if (ch == '{' || ch == '[') f->depth++;
    if (f->depth == 0 && f->form == FORM_ARRAY && (ch == ',' || ch == ']')) return *take = false, true;
    if ((ch == '}' || ch == ']') && f->depth > 0 && --f->depth == 0) return f->decided = true;
    return false;
}

/* Reads to the end of the row, or as far as it may be held. False on failure. */
static bool take_row(struct row_file *f)
{
    while (row_file_refill(f)) {
        bool take = true, ends = false;
        size_t from = f->at;
        while (f->at < f->n && !ends) {
            /* the bracket that decides where rows end must see what stands before it */
            if (f->chunk[f->at] == '\n' && !f->decided) {
                row_file_gather(f, f->chunk + from, f->at - from);
                from = f->at;
            }
            ends = row_ends(f, f->chunk[f->at], &take);
            if (take) f->at++;
        }
        row_file_gather(f, f->chunk + from, f->at - from);
        if (ends) f->inside = false;
        if (ends || f->too_long || !ctx_ok(f->c)) return ctx_ok(f->c);
    }
    f->inside = false; /* the end of the file ends the row, too */
    return ctx_ok(f->c);
}

static void begin_row(struct row_file *f)
{
    f->depth = 0;
    f->in_string = f->escaped = f->too_long = false;
    f->inside = true;
    buf_clear(&f->row);
}

/* A too long row of which the caller was told is passed over. */
static bool finish_row(struct row_file *f)
{
    while (f->inside && take_row(f)) continue;
    return ctx_ok(f->c);
}

static bool fail_array(struct row_file *f, const char *what)
{
    ctx_fail(f->c, E_INPUT, "%s: line %lld: %s (the file begins with \"[\", so it is read as one JSON array)",
             row_file_name(f), (long long)f->line, what);
    return false;
}

/* Moves to the next item of the array: past a comma, or past its end. False when there is none, and on failure. */
static bool find_item(struct row_file *f)
{
    bool more = skip_space(f);
    if (!more && ctx_ok(f->c) && !f->ended) return fail_array(f, "the array is not closed: the file may be cut short");
    if (!more) return false;
    if (f->ended) return fail_array(f, "something follows the end of the array");
    char ch = f->chunk[f->at];
    if (ch == ',' && f->item > 0) {
        f->at++;
        more = skip_space(f);
        if (!more && ctx_ok(f->c)) return fail_array(f, "the array is not closed: the file may be cut short");
        if (more && row_file_is_one_of(f->chunk[f->at], ",]")) return fail_array(f, "an item is missing behind a comma");
        return more;
    }
    if (ch == ']') {
        f->at++;
        f->ended = true;
        return find_item(f);
    }
    return f->item == 0 && ch != ',' ? true : fail_array(f, "a comma is missing between two items");
}

static bool next_text(struct row_file *f, struct row_bytes *out)
{
    if (f->ended || !look(f)) return false;
    bool blank = true;
    f->ended = true;
    begin_row(f);
    while (row_file_refill(f)) {
        for (size_t i = f->at; i < f->n && blank; i++) blank = row_file_is_space(f->chunk[i]);
        row_file_gather(f, f->chunk + f->at, f->n - f->at);
        f->at = f->n;
    }
    f->inside = false;
    *out = (struct row_bytes){f->too_long ? NULL : buf_str(&f->row), f->row.len, 1, true, f->too_long};
    return !blank && ctx_ok(f->c);
}

/* At the end the file is read once more, for its digest. */
static bool next_of_table(struct row_file *f, struct row_bytes *out)
{
    buf_clear(&f->row);
    if (parquet_next(f->table, &f->row, ROW_FILE_MAX_BYTES, &f->too_long)) {
        *out = (struct row_bytes){f->too_long ? NULL : buf_str(&f->row), f->row.len, ++f->item, false, f->too_long};
        return true;
    }
    while (ctx_ok(f->c) && packed_file_read(f->in, f->chunk, sizeof f->chunk) > 0) continue;
    return false;
}

bool row_file_next(struct row_file *f, struct row_bytes *out)
{
    if (!ctx_ok(f->c)) return false;
    if (f->form == FORM_TEXT) return next_text(f, out);
    if (f->form == FORM_UNKNOWN && !recognise(f)) return false;
    if (f->form == FORM_TABLE) return next_of_table(f, out);
    if (!finish_row(f)) return false;
    if (f->form == FORM_ARRAY ? !find_item(f) : !skip_space(f)) return false;
    begin_row(f);
    f->item++;
    int64_t row = f->form == FORM_ARRAY ? f->item : f->line;
    if (!take_row(f)) return false;
    *out = (struct row_bytes){f->too_long ? NULL : buf_str(&f->row), f->row.len, row, false, f->too_long};
    return true;
}
