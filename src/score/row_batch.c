/* row_batch: see the header. Bytes that do not make a whole row yet stay at the front of the next batch. The two forms are
 * told apart by the first character that is no white space: "[" begins an array. */
#include "score/row_batch.h"

#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "io/foreign_file.h"
#include "io/packed_file.h"

enum { LOOK_BYTES = 512 }; /* of a file's start, for what else it could be */

enum row_form { FORM_UNKNOWN, FORM_LINES, FORM_ARRAY };
/* What an array is expected to go on with. */
enum array_state { ARRAY_FIRST, ARRAY_ITEM, ARRAY_COMMA, ARRAY_DONE };

struct row_source {
    struct ctx *c;
    const char *path;
    struct packed_file *packed; /* of a pipe or a packed file, which takes its own digest; NULL: fd is read as it is */
    int fd;
    uint64_t size, read;
    struct sha256 sha;
    const uint8_t *fresh; /* read by the last fill and not yet hashed */
    size_t n_fresh;
    enum row_form form;
    enum array_state state;
    int64_t row;   /* of the last line or item */
    bool skipping; /* inside a row that is too long */
    bool ended;
    char *rest; /* owned: the beginning of a row whose end was not there; (rest_room) */
    size_t n_rest, rest_room;
};

/* Whether gzip or zstd packed the file (packed_file.h knows more about them; a wrong yes does no harm). */
static bool is_packed(int fd)
{
    uint8_t b[4] = {0};
    return pread(fd, b, sizeof b, 0) == sizeof b && ((b[0] == 0x1f && b[1] == 0x8b) || (b[1] == 0xb5 && b[2] == 0x2f) ||
                                                     (b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18));
}

struct row_source *row_source_open(struct ctx *c, const char *path)
{
    struct row_source *s = mem_alloc(c, 1, sizeof *s);
    if (!s) return NULL;
    s->c = c;
    s->path = path;
    sha256_init(&s->sha);
    bool pipe = strcmp(path, "-") == 0;
    s->fd = pipe ? -1 : file_open(c, path, &s->size);
    if (ctx_ok(c) && (pipe || is_packed(s->fd))) {
        s->packed = packed_file_open(c, path);
        s->size = 0;
    }
    if (ctx_ok(c)) return s;
    row_source_close(s);
    return NULL;
}

void row_source_close(struct row_source *s)
{
    if (!s) return;
    packed_file_close(s->packed);
    if (s->fd >= 0) close(s->fd);
    mem_free(s->c, s->rest);
    mem_free(s->c, s);
}

const char *row_source_name(const struct row_source *s)
{
    return strcmp(s->path, "-") == 0 ? "standard input" : s->path;
}

uint64_t row_source_size(const struct row_source *s)
{
    return s->size;
}

uint64_t row_source_read(const struct row_source *s)
{
    return s->read;
}

void row_source_hash(struct row_source *s)
{
    if (!s->packed) sha256_update(&s->sha, s->fresh, s->n_fresh);
    s->n_fresh = 0;
}

void row_source_digest(struct row_source *s, char hex[65], uint64_t *bytes)
{
    uint8_t digest[32];
    *bytes = s->read;
    if (s->packed) {
        packed_file_digest(s->packed, bytes, hex);
        return;
    }
    sha256_final(&s->sha, digest);
    sha256_hex(digest, hex);
}

void row_batch_release(struct ctx *c, struct row_batch *b)
{
    mem_free(c, b->bytes);
    mem_free(c, b->spans);
    *b = (struct row_batch){0};
}

static enum status batch_reserve(struct ctx *c, struct row_batch *b, size_t room)
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

static enum status add_span(struct ctx *c, struct row_batch *b, struct row_span span)
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

static bool is_blank(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

/* ---- the two forms: each goes on at *at, adds spans and leaves *at behind the last whole row -----------------------------
 */

static enum status split_lines(struct row_source *s, struct row_batch *b, size_t *at)
{
    while (*at < b->n) {
        const char *end = memchr(b->bytes + *at, '\n', b->n - *at);
        if (!end && !s->ended) return OK;
        size_t stop = end ? (size_t)(end - b->bytes) : b->n, from = *at, to = stop;
        *at = end ? stop + 1 : stop;
        s->row++;
        if (s->skipping) {
            s->skipping = false;
            TRY(add_span(s->c, b, (struct row_span){from, 0, s->row, true}));
            continue;
        }
        while (to > from && is_blank(b->bytes[to - 1])) to--;
        while (from < to && is_blank(b->bytes[from])) from++;
        if (to > from) TRY(add_span(s->c, b, (struct row_span){from, to - from, s->row, to - from > ROW_BATCH_ROW_MAX}));
    }
    return OK;
}

/* Where the item that begins at `at` ends: at the comma or bracket behind it. SIZE_MAX: not in these bytes. */
static size_t item_end(const char *p, size_t at, size_t n)
{
    for (int64_t depth = 0; at < n; at++) {
        switch (p[at]) {
        case '"':
            for (at++; at < n && p[at] != '"'; at++)
                if (p[at] == '\\') at++;
            break;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            if (depth == 0) return at;
            depth--;
            break;
        case ',':
            if (depth == 0) return at;
            break;
        default:
            break;
        }
    }
    return SIZE_MAX;
}

static enum status array_fail(const struct row_source *s, const char *expected, char found)
{
    return ctx_fail(s->c, E_INPUT, "%s: expected %s item %lld of the JSON array, found '%c'", row_source_name(s), expected,
                    (long long)s->row, found);
}

/* One item from *at on, which is no white space. False in *whole: its end is not there yet. */
static enum status take_item(struct row_source *s, struct row_batch *b, size_t *at, bool *whole)
{
    char ch = b->bytes[*at];
    if (ch == ']' && s->state == ARRAY_FIRST) {
        s->state = ARRAY_DONE;
        ++*at;
        return OK;
    }
    size_t end = item_end(b->bytes, *at, b->n), to = end;
    *whole = end != SIZE_MAX;
    if (!*whole) return OK;
    if (end == *at) return array_fail(s, "an object behind", ch);
    while (is_blank(b->bytes[to - 1])) to--;
    TRY(add_span(s->c, b, (struct row_span){*at, to - *at, ++s->row, to - *at > ROW_BATCH_ROW_MAX}));
    *at = end;
    s->state = ARRAY_COMMA;
    return OK;
}

static enum status split_array(struct row_source *s, struct row_batch *b, size_t *at)
{
    for (bool whole = true; whole;) {
        while (*at < b->n && is_blank(b->bytes[*at])) ++*at;
        if (*at == b->n) return OK;
        char ch = b->bytes[*at];
        if (s->state == ARRAY_DONE) return array_fail(s, "nothing behind", ch);
        if (s->state != ARRAY_COMMA) {
            TRY(take_item(s, b, at, &whole));
            continue;
        }
        if (ch == '}') return array_fail(s, "',' or ']' behind", ch);
        s->state = ch == ',' ? ARRAY_ITEM : ARRAY_DONE;
        ++*at;
    }
    return OK;
}

/* ---- filling ------------------------------------------------------------------------------------------------------------
 */

/* Tells the form by the start of the file; *at moves over a byte order mark and an array's bracket. */
static enum status detect(struct row_source *s, const struct row_batch *b, size_t *at)
{
    size_t look = b->n < LOOK_BYTES ? b->n : LOOK_BYTES;
    if (foreign_file_refuse(s->c, row_source_name(s), b->bytes, look)) return s->c->status;
    if (b->n >= 4 && memcmp(b->bytes, "PAR1", 4) == 0)
        return ctx_fail(s->c, E_UNSUPPORTED, "%s: is a Parquet file, which is not scored yet: save the table as JSON Lines",
                        row_source_name(s));
    if (b->n >= 3 && memcmp(b->bytes, "\xef\xbb\xbf", 3) == 0) *at = 3;
    size_t first = *at;
    while (first < b->n && is_blank(b->bytes[first])) first++;
    s->form = first < b->n && b->bytes[first] == '[' ? FORM_ARRAY : FORM_LINES;
    if (s->form == FORM_ARRAY) *at = first + 1;
    return OK;
}

/* Reads until the batch holds `full` bytes or the file ends. */
static enum status read_more(struct row_source *s, struct row_batch *b, size_t full)
{
    size_t before = b->n;
    while (!s->ended && b->n < full) {
        int64_t got = s->packed ? packed_file_read(s->packed, b->bytes + b->n, full - b->n)
                                : file_read_some(s->c, s->fd, s->path, b->bytes + b->n, full - b->n);
        if (got < 0) return s->c->status;
        s->ended = got == 0;
        b->n += (size_t)got;
        s->read += (uint64_t)got;
    }
    s->fresh = (const uint8_t *)b->bytes + before;
    s->n_fresh = b->n - before;
    return OK;
}

/* The bytes from `at` on are kept for the next fill. */
static enum status keep_rest(struct row_source *s, const struct row_batch *b, size_t at)
{
    size_t n = b->n - at;
    if (n > s->rest_room) {
        mem_free(s->c, s->rest);
        s->rest_room = 0;
        s->rest = mem_alloc_aligned(s->c, n);
        if (!s->rest) return s->c->status;
        s->rest_room = n;
    }
    if (n > 0) memcpy(s->rest, b->bytes + at, n);
    s->n_rest = n;
    return OK;
}

/* At the end of the file an array must be closed, and a row that was passed over is a row. */
static enum status finish(struct row_source *s, struct row_batch *b, size_t at)
{
    if (s->skipping) TRY(add_span(s->c, b, (struct row_span){0, 0, ++s->row, true}));
    s->skipping = false;
    if (s->form != FORM_ARRAY || (at == b->n && s->state == ARRAY_DONE)) return OK;
    return ctx_fail(s->c, E_INPUT, "%s: the JSON array ends within or behind item %lld; is the file cut off?",
                    row_source_name(s), (long long)s->row + (at < b->n));
}

/* No whole row is in the batch: room for more of it, at the front or by a wider batch. At the limit the row is given up;
 * what comes behind an array's item cannot be found without reading it, so there the file is. */
static enum status make_room(struct row_source *s, struct row_batch *b, size_t *at, size_t *full)
{
    row_source_hash(s); /* the bytes are about to move */
    if (*at > 0 || s->skipping) {
        b->n = s->skipping ? 0 : b->n - *at;
        memmove(b->bytes, b->bytes + *at, b->n);
    } else if (*full <= ROW_BATCH_ROW_MAX) {
        *full *= 2;
    } else if (s->form == FORM_ARRAY) {
        return ctx_fail(s->c, E_INPUT, "%s: item %lld of the JSON array is longer than %d bytes", row_source_name(s),
                        (long long)s->row + 1, ROW_BATCH_ROW_MAX);
    } else {
        s->skipping = true;
        b->n = 0;
    }
    *at = 0;
    return batch_reserve(s->c, b, *full);
}

/* Bytes that the next batch should read: a small file, or the end of one, needs no more than itself, and one byte to find
 * that it has ended. */
static size_t batch_bytes(const struct row_source *s)
{
    bool all = s->size >= s->read && s->size - s->read < ROW_BATCH_BYTES && !s->packed;
    return all ? (size_t)(s->size - s->read) + 1 : ROW_BATCH_BYTES;
}

enum status row_source_fill(struct row_source *s, struct row_batch *b)
{
    size_t at = 0, full = s->n_rest + batch_bytes(s);
    b->n = b->n_spans = 0;
    TRY(batch_reserve(s->c, b, full));
    if (s->n_rest > 0) memcpy(b->bytes, s->rest, s->n_rest);
    b->n = s->n_rest;
    s->n_rest = 0;
    for (;;) {
        TRY(read_more(s, b, full));
        if (s->form == FORM_UNKNOWN) TRY(detect(s, b, &at));
        TRY((s->form == FORM_ARRAY ? split_array : split_lines)(s, b, &at));
        if (s->ended) return finish(s, b, at);
        if (b->n_spans > 0) return keep_rest(s, b, at);
        TRY(make_room(s, b, &at, &full));
    }
}
