/* parquet: the rows of a Parquet file, each as the JSON object that a JSON Lines file of the same table would hold: groups
 * are objects, lists are arrays, nulls are null. So whatever reads rows as JSON reads them.
 *
 * Read are data pages of both versions; plain, dictionary, RLE, delta and byte-stream-split encodings; pages packed by
 * snappy, gzip or zstd, or not. Text that is not UTF-8 is handed on as it is, for the reader of rows to refuse; bytes that
 * are not declared as text and are none become {"binary": LENGTH}; numbers of 96 bits and fixed bytes become hex digits;
 * floats that are no numbers become null.
 *
 * The file is mapped. Memory: a page of each column, its dictionary, and 64 bytes a column and row group. */
#ifndef YA_IO_PARQUET_H
#define YA_IO_PARQUET_H

#include "base/buf.h"

struct parquet; /* opaque */

/* `path` is borrowed. NULL with E_INPUT (not a whole Parquet file, corrupt), E_UNSUPPORTED (encrypted), E_IO, E_MEMORY. */
struct parquet *parquet_open(struct ctx *c, const char *path);
void parquet_close(struct parquet *p); /* accepts NULL */

/* Appends the next row to *row, whose cap must be above `max_bytes`; *too_long when it has more than that, and then only
 * part of it is there. False at the end and on failure: E_INPUT naming the column, E_UNSUPPORTED (a codec, an encoding). */
bool parquet_next(struct parquet *p, struct buf *row, size_t max_bytes, bool *too_long);

#endif
