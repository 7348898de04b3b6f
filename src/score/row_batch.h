/* row_batch: the rows of a file of JSON Lines, or of one JSON array, some megabytes at a time and not looked into.
 *
 * A batch holds the bytes of whole rows and where each one lies, so that threads can take rows without searching for them.
 * Memory follows the batch and the longest row, not the file. A row longer than ROW_BATCH_ROW_MAX bytes is passed over
 * without being held and marked; what a row means is not this file's business. */
#ifndef YA_SCORE_ROW_BATCH_H
#define YA_SCORE_ROW_BATCH_H

#include "base/ctx.h"

enum { ROW_BATCH_BYTES = 8 << 20, ROW_BATCH_ROW_MAX = 64 << 20 };

struct row_span {
    size_t at, n;  /* bytes of the row in the batch, without its line end */
    int64_t row;   /* number of the line, or of the array's item, from 1 */
    bool too_long; /* the bytes are not there */
};

struct row_batch {
    char *bytes; /* owned, as is spans */
    size_t n, room;
    struct row_span *spans;
    size_t n_spans, spans_room;
};

struct row_source; /* opaque: an open file */

/* Opens a file, or standard input for "-"; gzip and zstd are expanded on the way (io/packed_file.h). The path is borrowed.
 * NULL with the errors of file_open. */
struct row_source *row_source_open(struct ctx *c, const char *path);
void row_source_close(struct row_source *s); /* accepts NULL */
const char *row_source_name(const struct row_source *s);
/* Bytes of the file, 0 for a pipe or a packed file; and how many (expanded) have been read so far. */
uint64_t row_source_size(const struct row_source *s);
uint64_t row_source_read(const struct row_source *s);
/* Takes the next bytes that were read into the file's SHA-256; to be called once after each fill, from one thread. */
void row_source_hash(struct row_source *s);
/* Hex digest and size of the whole file as it stands, after the last fill was hashed. */
void row_source_digest(struct row_source *s, char hex[65], uint64_t *bytes);

/* Fills the batch with the next rows; none are left when it comes back without rows. Blank lines are counted and left out.
 * Errors: E_IO, E_MEMORY, E_INPUT "FILE: ..." for an array that is not one and for files
 * that are known to be something else (io/foreign_file.h). */
enum status row_source_fill(struct row_source *s, struct row_batch *b);
void row_batch_release(struct ctx *c, struct row_batch *b);

#endif
