/* row_file: a file of rows, one row after the other, as the bytes of a JSON object (or as a whole text). What the bytes mean
 * is the caller's business: a reader of training rows, a scorer that copies rows.
 *
 *   JSON Lines      an object a line; blank lines are skipped, several objects on a line are several rows
 *   JSON objects    one or more objects that take several lines each, when the first one does ("{" ends its first line)
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

/* What messages call it: the path, or "standard input". */
const char *row_file_name(const struct row_file *f);
/* Size and SHA-256 (hex) of the file as it stands, not expanded; once row_file_next has returned false without failure. */
void row_file_digest(const struct row_file *f, uint64_t *bytes, char hex[65]);

#endif
