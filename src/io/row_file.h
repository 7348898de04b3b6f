/* row_file: a file of rows, one row after the other, as the bytes of a JSON object (or as a whole text). What the bytes mean
 * is the caller's business: a reader of training rows, a scorer that copies rows.
 *
 *   JSON Lines      an object a line; blank lines are skipped, several objects on a line are several rows
 *   JSON objects    one or more objects that take several lines each, when the first one does: its first line ends in one of
 *                   {[,: and no line of it is an object on its own with something else behind it than , ] }. A file of
 *                   JSON Lines whose first line is broken there loses that line only
 *   JSON array      its items, in one line or many
 *   Parquet         its rows as the JSON objects that they would be (parquet/parquet.h); not packed, not from standard input
 *   text            a file called *.txt (or *.txt.gz, *.txt.zst) is one row: its whole text
 *
 * Each of them may be packed by gzip or zstd (packed_file.h) and may come from standard input ("-"), where it has no name
 * and is JSON. A byte order mark at the start is no part of the rows. Anything else (UTF-16, CSV, an archive, a web page) is
 * refused by name, with what to do.
 *
 * A row's number is that of the line where it begins, or in an array or a Parquet file that of the item or row, from 1. */
#ifndef YA_IO_ROW_FILE_H
#define YA_IO_ROW_FILE_H

#include "base/ctx.h"

enum { ROW_FILE_MAX_BYTES = 64 << 20 }; /* of a row */

struct row_file; /* opaque */

/* One row. The bytes are valid until the next call; they are not NUL-terminated, and nothing is promised about them but
 * their number: not that they are UTF-8, nor JSON. */
struct row_bytes {
    const char *bytes;
    size_t n;
    int64_t row;   /* number, see above */
    bool is_text;  /* the row is this text, not JSON */
    bool too_long; /* over ROW_FILE_MAX_BYTES: bytes is NULL, and the rest of the row is passed over without being held */
};

/* `path` is borrowed. Owner of the result: the caller. NULL with the errors of packed_file_open. */
struct row_file *row_file_open(struct ctx *c, const char *path);
void row_file_close(struct row_file *f); /* accepts NULL */

/* Reads the next row. False at the end of the file and on failure: E_INPUT when the file as a whole is not one of rows, when
 * something stands between the items of an array, and as packed_file_read
 * and parquet_next. */
bool row_file_next(struct row_file *f, struct row_bytes *out);

/* The same rows some megabytes at a time, for threads that share the work on them. A batch holds the bytes of whole rows and
 * where each one lies; memory follows the batch and the longest row, not the file. */
enum { ROW_BATCH_BYTES = 8 << 20 };

struct row_span {
    size_t at, n; /* bytes of the row in the batch */
    int64_t row;  /* number, as above */
    bool is_text, too_long;
    /* A line of JSON Lines into which nobody has looked: one row, unless several objects stand on it. Whoever parses it sees
     * when it is not one JSON document, and then takes it apart by row_line_next (row_line.h). */
    bool is_line;
};

struct row_batch {
    char *bytes; /* owned, as is spans: row_batch_release */
    size_t n, room;
    struct row_span *spans;
    size_t n_spans, spans_room;
};

/* Fills the batch with the next rows; none are left when it comes back without any. A file is read by this function or by
 * row_file_next, not by both. Errors: as row_file_next. */
enum status row_file_fill(struct row_file *f, struct row_batch *b);
/* Takes what the last fill read into the file's SHA-256, from any one thread; the next fill does it where nobody has. */
void row_file_hash(struct row_file *f);
/* Says before the first fill that row_file_digest will not be called, which saves the time for it. */
void row_file_leave_digest(struct row_file *f);
void row_batch_release(struct ctx *c, struct row_batch *b);

/* Size of the file as it stands, 0 where it is not known; and how many of these bytes have been read. */
uint64_t row_file_size(const struct row_file *f);
uint64_t row_file_taken(const struct row_file *f);

/* What messages call it: the path, or "standard input". */
const char *row_file_name(const struct row_file *f);
/* E_INPUT that there is no row in n files (paths as for row_file_open), or none but faulty ones, which are counted. */
enum status row_file_refuse_empty(struct ctx *c, const char *const *paths, size_t n, int64_t faulty);
/* Size and SHA-256 (hex) of the file as it stands, not expanded; once row_file_next has returned false without failure, or
 * row_file_fill no rows. */
void row_file_digest(const struct row_file *f, uint64_t *bytes, char hex[65]);

#endif
