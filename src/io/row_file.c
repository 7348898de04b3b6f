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
#include "io/row_line.h"

enum { ROW_FILE_CHUNK_BYTES = 1 << 16, LOOK_BYTES = 512 };

enum row_file_form { FORM_UNKNOWN, FORM_LINES, FORM_OBJECTS, FORM_ARRAY, FORM_TEXT, FORM_TABLE };

/* The first row while it seems to take several lines. It may be a broken line of JSON Lines that happens to end in a comma:
 * then rows follow, and a whole object on a line of its own is followed by what cannot follow it inside of a row. */
struct first_row {
    bool unsure;      /* looked at */
    bool line_begins; /* nothing but white space yet on this line */
    bool opens;       /* the line begins with "{", at this depth: */
    bool whole;       /* the line before was a whole object */
    int depth;
    char last; /* byte that is not white space */
};

struct row_file {
    struct ctx *c;
    const char *path;
    struct packed_file *in;
    struct parquet *table; /* FORM_TABLE */
    enum row_file_form form;
    bool decided;     /* whether objects end with their line (FORM_LINES) is known */
    bool ended;       /* the array is closed */
    const char *data; /* where bytes are read from: the chunk, or what was put back */
    size_t at, n;     /* unread part of it */
    struct buf back;
    char chunk[ROW_FILE_CHUNK_BYTES];
    int64_t first_line; /* where the first row begins */
    int64_t line, item; /* of the next byte, from 1; items of the array begun so far */

    struct buf row;
    int depth; /* brackets open in the row */
    bool in_string, escaped;
    bool inside;   /* the row has not ended: it was too long, and its rest is passed over */
    bool too_long; /* it is not gathered any more */
    struct first_row first;

    /* batches of lines */
    char *rest; /* owned: the beginning of a line whose end was not there (rest_room) */
    size_t n_rest, rest_room;
    bool skipping; /* inside a line that is too long */
    const struct row_batch *fresh_in;
    size_t fresh_at, n_fresh; /* bytes of fresh_in that are not in the digest yet */
    bool undigested;          /* nobody will ask for the digest */
};

static bool is_text_name(const char *path)
{
    static const char *const endings[] = {".txt", ".txt.gz", ".txt.zst", ".TXT", ".TXT.gz", ".TXT.zst"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (str_has_suffix(path, endings[i])) return true;
    return false;
}

struct row_file *row_file_open(struct ctx *c, const char *path)
{
    struct row_file *f = mem_alloc(c, 1, sizeof *f);
    if (!f) return NULL;
    f->c = c;
    f->path = path;
    f->form = is_text_name(path) ? FORM_TEXT : FORM_UNKNOWN;
    f->line = 1;
    f->data = f->chunk;
    buf_init(&f->back, c, (size_t)ROW_FILE_MAX_BYTES + ROW_FILE_CHUNK_BYTES + 1);
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
    mem_free(f->c, f->rest);
    buf_release(&f->back);
    parquet_close(f->table);
    packed_file_close(f->in);
    mem_free(f->c, f);
}

const char *row_file_name(const struct row_file *f)
{
    return packed_file_name(f->in);
}

uint64_t row_file_size(const struct row_file *f)
{
    return packed_file_size(f->in);
}

uint64_t row_file_taken(const struct row_file *f)
{
    return packed_file_taken(f->in);
}

void row_file_digest(const struct row_file *f, uint64_t *bytes, char hex[65])
{
    packed_file_digest(f->in, bytes, hex);
}

/* ---- bytes ---- */

static bool row_file_refill(struct row_file *f)
{
    if (f->at < f->n) return true;
    buf_release(&f->back);
    int64_t got = packed_file_read(f->in, f->chunk, sizeof f->chunk);
    f->data = f->chunk;
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

/* strchr alone would find the NUL, too. */
static bool row_file_is_one_of(char ch, const char *of)
{
    return ch && strchr(of, ch);
}

/* Passes over white space. False at the end of the file and on failure. */
static bool skip_space(struct row_file *f)
{
    while (row_file_refill(f)) {
        char ch = f->data[f->at];
        if (!row_line_is_space(ch)) return true;
        f->line += ch == '\n';
        f->at++;
    }
    return false;
}

/* ---- forms ---- */

/* Fills the first chunk far enough to see what the file is, and takes a byte order mark away. */
static bool row_file_look(struct row_file *f)
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

/* Finds the form by the first bytes; whether "{" begins a line or one object over several is `decided` at the line's end. */
static bool recognise(struct row_file *f)
{
    if (!row_file_look(f)) return false;
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
    while (n > 0 && row_line_is_space(f->row.data[n - 1])) n--;
    if (!f->in_string && n > 0 && row_file_is_one_of(f->row.data[n - 1], "{[,:")) f->form = FORM_OBJECTS;
    f->first = (struct first_row){.unsure = f->form == FORM_OBJECTS, .line_begins = true};
    return f->form == FORM_OBJECTS;
}

/* Whether the line so far is a whole object. */
static bool is_whole_line(const struct row_file *f)
{
    return f->first.opens && f->depth == f->first.depth && f->first.last == '}';
}

/* Looks at a byte of the first row outside of strings, before it counts. True when the row cannot go on with it. */
static bool contradicts(struct row_file *f, char ch)
{
    struct first_row *r = &f->first;
    if (ch == '\n') {
        r->whole |= is_whole_line(f);
        r->line_begins = true;
        r->opens = false;
    }
    if (row_line_is_space(ch)) return false;
    if (r->whole && !row_file_is_one_of(ch, ",]}")) return true;
    r->whole = false;
    if (r->line_begins) *r = (struct first_row){.unsure = true, .opens = ch == '{', .depth = f->depth};
    r->last = ch;
    return false;
}

/* The first row was its first line after all: what was gathered behind that is put back. */
static void put_back(struct row_file *f)
{
    const char *end = memchr(f->row.data, '\n', f->row.len);
    size_t line = (size_t)(end - f->row.data);
    buf_append(&f->back, end, f->row.len - line);
    buf_append(&f->back, f->data + f->at, f->n - f->at);
    if (!buf_ok(&f->back)) return;
    f->data = f->back.data;
    f->at = 0;
    f->n = f->back.len;
    f->row.len = line;
    f->line = f->first_line;
    f->form = FORM_LINES;
    f->first.unsure = false;
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
    if ((ch == '}' || ch == ']') && f->depth > 0 && --f->depth == 0) {
        f->first.unsure = false;
        return f->decided = true;
    }
    return false;
}

/* Reads to the end of the row, or as far as it may be held. False on failure. */
static bool take_row(struct row_file *f)
{
    while (row_file_refill(f)) {
        bool take = true, ends = false, broken = false;
        size_t from = f->at;
        while (f->at < f->n && !ends) {
            broken = f->first.unsure && !f->in_string && contradicts(f, f->data[f->at]);
            if (broken) break;
            /* the bracket that decides where rows end must see what stands before it */
            if (f->data[f->at] == '\n' && !f->decided) {
                row_file_gather(f, f->data + from, f->at - from);
                from = f->at;
            }
            ends = row_ends(f, f->data[f->at], &take);
            if (take) f->at++;
        }
        row_file_gather(f, f->data + from, f->at - from);
        if (f->too_long) f->first.unsure = broken = false;
        if (broken) put_back(f);
        if (ends || broken) f->inside = false;
        if (ends || broken || f->too_long || !ctx_ok(f->c)) return ctx_ok(f->c);
    }
    if (f->first.unsure && (f->first.whole || is_whole_line(f))) put_back(f);
    f->inside = false; /* the end of the file ends the row, too */
    return ctx_ok(f->c);
}

static void row_file_begin(struct row_file *f)
{
    f->depth = 0;
    if (f->item == 0) f->first_line = f->line;
    f->in_string = f->escaped = f->too_long = false;
    f->inside = true;
    buf_clear(&f->row);
}

/* A too long row of which the caller was told is passed over. */
static bool row_file_finish(struct row_file *f)
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
    char ch = f->data[f->at];
    if (ch == ',' && f->item > 0) {
        f->at++;
        more = skip_space(f);
        if (!more && ctx_ok(f->c)) return fail_array(f, "the array is not closed: the file may be cut short");
        if (more && row_file_is_one_of(f->data[f->at], ",]")) return fail_array(f, "an item is missing behind a comma");
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
    if (f->ended || !row_file_look(f)) return false;
    const char *name = row_file_name(f), *start = f->chunk + f->at;
    bool blank = true;
    if (foreign_file_refuse_text(f->c, name, start, f->n - f->at)) return false;
    if (foreign_file_holds_rows(start, f->n - f->at))
        ctx_log(f->c, LOG_WARN,
                "%s: is read as one text for its name, and looks like JSON rows: to read those, call it *.jsonl", name);
    f->ended = true;
    row_file_begin(f);
    while (row_file_refill(f)) {
        for (size_t i = f->at; i < f->n && blank; i++) blank = row_line_is_space(f->data[i]);
        row_file_gather(f, f->data + f->at, f->n - f->at);
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
    if (!row_file_finish(f)) return false;
    if (f->form == FORM_ARRAY ? !find_item(f) : !skip_space(f)) return false;
    row_file_begin(f);
    f->item++;
    int64_t row = f->form == FORM_ARRAY ? f->item : f->line;
    if (!take_row(f)) return false;
    *out = (struct row_bytes){f->too_long ? NULL : buf_str(&f->row), f->row.len, row, false, f->too_long};
    return true;
}

/* ---- batches: lines are found by their ends alone, everything else goes through row_file_next ---- */

void row_batch_release(struct ctx *c, struct row_batch *b)
{
    mem_free(c, b->bytes);
    mem_free(c, b->spans);
    *b = (struct row_batch){0};
}

static enum status row_batch_reserve(struct ctx *c, struct row_batch *b, size_t room)
{
    if (room <= b->room) return OK;
    char *moved = mem_alloc_aligned(c, room);
    if (!moved) return c->status;
    if (b->n > 0) memcpy(moved, b->bytes, b->n);
    mem_free(c, b->bytes);
    b->bytes = moved;
    b->room = room;
    return OK;
}

static enum status row_batch_add(struct ctx *c, struct row_batch *b, struct row_span span)
{
    if (b->n_spans == b->spans_room) {
        size_t wider = b->spans_room ? 2 * b->spans_room : 4096;
        struct row_span *moved = mem_resize(c, b->spans, b->spans_room, wider, sizeof *moved);
        if (!moved) return c->status;
        b->spans = moved;
        b->spans_room = wider;
    }
    b->spans[b->n_spans++] = span;
    return OK;
}

void row_file_leave_digest(struct row_file *f)
{
    f->undigested = true;
}

void row_file_hash(struct row_file *f)
{
    if (f->n_fresh > 0 && !f->undigested) packed_file_hash(f->in, f->fresh_in->bytes + f->fresh_at, f->n_fresh);
    f->n_fresh = 0;
}

/* One row by row_file_next, copied. False at the end and on failure. */
static bool fill_row(struct row_file *f, struct row_batch *b)
{
    struct row_bytes row;
    if (!row_file_next(f, &row)) return false;
    size_t n = row.too_long ? 0 : row.n, twice = 2 * b->room;
    if (b->n + n > b->room && row_batch_reserve(f->c, b, b->n + n > twice ? b->n + n : twice) != OK) return false;
    if (n > 0) memcpy(b->bytes + b->n, row.bytes, n);
    struct row_span span = {.at = b->n, .n = n, .row = row.row, .is_text = row.is_text, .too_long = row.too_long};
    b->n += n;
    return row_batch_add(f->c, b, span) == OK;
}

/* Whether from here on every line is taken as it is. */
static bool is_at_lines(const struct row_file *f)
{
    return f->form == FORM_LINES && f->decided && !f->inside;
}

/* Adds the complete lines from *at on as spans, without white space at their ends and without blank lines, which count. */
static enum status split_lines(struct row_file *f, struct row_batch *b, size_t *at, bool ended)
{
    while (*at < b->n) {
        const char *end = memchr(b->bytes + *at, '\n', b->n - *at);
        if (!end && !ended) return OK;
        size_t from = *at, to = end ? (size_t)(end - b->bytes) : b->n;
        *at = end ? to + 1 : to;
        struct row_span span = {.row = f->line++, .is_line = true};
        span.too_long = f->skipping;
        f->skipping = false;
        while (!span.too_long && to > from && row_line_is_space(b->bytes[to - 1])) to--;
        while (!span.too_long && from < to && row_line_is_space(b->bytes[from])) from++;
        if (from == to && !span.too_long) continue;
        span.too_long |= to - from > ROW_FILE_MAX_BYTES;
        span.at = from;
        span.n = span.too_long ? 0 : to - from;
        TRY(row_batch_add(f->c, b, span));
    }
    if (!ended || !f->skipping) return OK;
    f->skipping = false;
    return row_batch_add(f->c, b, (struct row_span){.row = f->line++, .is_line = true, .too_long = true});
}

/* Reads until the batch holds `full` bytes; *ended at the file's end. */
static enum status row_file_read_lines(struct row_file *f, struct row_batch *b, size_t full, bool *ended)
{
    while (b->n < full) {
        size_t fresh;
        int64_t got = packed_file_read_unhashed(f->in, b->bytes + b->n, full - b->n, &fresh);
        if (got < 0) return f->c->status;
        if (fresh > 0 && f->n_fresh == 0) f->fresh_at = b->n;
        f->n_fresh += fresh;
        b->n += (size_t)got;
        *ended = got == 0;
        if (*ended) break;
    }
    return OK;
}

/* What begins the batch: the bytes behind its rows that were read before. */
static void take_rest(struct row_file *f, struct row_batch *b)
{
    if (f->n_rest > 0) memcpy(b->bytes + b->n, f->rest, f->n_rest);
    b->n += f->n_rest;
    memcpy(b->bytes + b->n, f->data + f->at, f->n - f->at);
    b->n += f->n - f->at;
    f->n_rest = f->at = f->n = 0;
}

/* The bytes from `at` on are kept for the next batch. */
static enum status keep_rest(struct row_file *f, const struct row_batch *b, size_t at)
{
    size_t n = b->n - at;
    if (n > f->rest_room) {
        mem_free(f->c, f->rest);
        f->rest_room = 0;
        f->rest = mem_alloc_aligned(f->c, n);
        if (!f->rest) return f->c->status;
        f->rest_room = n;
    }
    if (n > 0) memcpy(f->rest, b->bytes + at, n);
    f->n_rest = n;
    return OK;
}

/* No whole line is there: a wider batch, or at the limit the line is given up. */
static enum status row_file_widen(struct row_file *f, struct row_batch *b, size_t at, size_t *full)
{
    if (!f->skipping && b->n - at <= ROW_FILE_MAX_BYTES) {
        *full += *full > ROW_FILE_MAX_BYTES ? ROW_FILE_MAX_BYTES : *full;
        return row_batch_reserve(f->c, b, *full);
    }
    row_file_hash(f);
    f->skipping = true;
    b->n = at;
    return OK;
}

/* Bytes that a batch should read: a small file, or the end of one, needs no more than itself, and one byte to find its end.
 */
static size_t batch_bytes(const struct row_file *f)
{
    uint64_t size = row_file_size(f), taken = row_file_taken(f);
    bool all = packed_file_is_plain(f->in) && size >= taken && size - taken < ROW_BATCH_BYTES;
    return all ? (size_t)(size - taken) + 1 : ROW_BATCH_BYTES;
}

static enum status fill_lines(struct row_file *f, struct row_batch *b)
{
    size_t at = b->n, full = b->n + f->n_rest + (f->n - f->at) + batch_bytes(f);
    bool ended = false;
    f->fresh_in = b;
    TRY(row_batch_reserve(f->c, b, full));
    take_rest(f, b);
    for (;;) {
        TRY(row_file_read_lines(f, b, full, &ended));
        TRY(split_lines(f, b, &at, ended));
        if (ended) return OK;
        if (b->n_spans > 0) return keep_rest(f, b, at);
        if (b->n == at) { /* blank lines only */
            row_file_hash(f);
            b->n = at = 0;
        }
        if (b->n >= full) TRY(row_file_widen(f, b, at, &full));
    }
}

enum status row_file_fill(struct row_file *f, struct row_batch *b)
{
    if (!ctx_ok(f->c)) return f->c->status;
    row_file_hash(f);
    b->n = b->n_spans = 0;
    while (!is_at_lines(f) && b->n < ROW_BATCH_BYTES)
        if (!fill_row(f, b)) return f->c->status;
    return is_at_lines(f) ? fill_lines(f, b) : OK;
}

enum status row_file_refuse_empty(struct ctx *c, const char *const *paths, size_t n, int64_t faulty)
{
    const char *name = strcmp(paths[0], "-") == 0 ? "standard input" : paths[0];
    if (n == 1) return ctx_fail(c, E_INPUT, "%s: no rows: it %s", name, faulty ? "has faulty rows only" : "is empty");
    return ctx_fail(c, E_INPUT, "no rows: %zu files, of which %s is the first, with nothing%s in them", n, name,
                    faulty ? " but faulty rows" : "");
}
