/* packed_file: the bytes of a file, or of standard input, from first to last; gzip and zstd are known by their first bytes,
 * whatever the file is called, and expanded on the way. Memory is bounded: a block of each side and what the two libraries
 * hold (zlib 48 KiB, zstd its window, at most 2^PACKED_FILE_WINDOW_LOG bytes).
 *
 * A few bytes of gzip or zstd can stand for terabytes. What comes out may be at most PACKED_FILE_RATIO times what went in
 * so far, beyond the first PACKED_FILE_FREE_BYTES. Texts shrink to a third or a tenth; a file of one row repeated may reach
 * some hundreds. */
#ifndef YA_IO_PACKED_FILE_H
#define YA_IO_PACKED_FILE_H

#include "base/ctx.h"

enum { PACKED_FILE_RATIO = 1000, PACKED_FILE_FREE_BYTES = 64 << 20, PACKED_FILE_WINDOW_LOG = 27 };

struct packed_file; /* opaque */

/* `path` "-" is standard input; the string is borrowed until packed_file_close. Owner of the result: the caller. NULL with
 * E_INPUT for a named pipe, which could not be read a second time, E_MEMORY, and the errors of file_open. */
struct packed_file *packed_file_open(struct ctx *c, const char *path);
/* Closes the file, but not standard input. Accepts NULL. */
void packed_file_close(struct packed_file *f);

/* At most n (>= 1) of the expanded bytes: how many, 0 at the end, -1 on failure. E_INPUT for data that is corrupt, cut
 * short, followed by something else, or expands beyond the limit; E_IO, E_MEMORY. */
int64_t packed_file_read(struct packed_file *f, void *to, size_t n);

/* The same, but where the bytes are the file's own and went straight to `to`, they are not in the digest yet: *fresh says
 * how many of them (all or none). packed_file_hash takes them in, in the order of the reads, and may do so on another thread
 * while nothing else is done with f: SHA-256 takes longer than finding rows does. */
int64_t packed_file_read_unhashed(struct packed_file *f, void *to, size_t n, size_t *fresh);
void packed_file_hash(struct packed_file *f, const void *bytes, size_t n);

/* Size of the file as it stands (packed), 0 where it is not known (standard input); and how many of these bytes have been
 * read. */
uint64_t packed_file_size(const struct packed_file *f);
uint64_t packed_file_taken(const struct packed_file *f);

/* Whether the file's bytes are those that are read: not standard input, and not packed; once something has been read. */
bool packed_file_is_plain(const struct packed_file *f);

/* What messages call it: the path, or "standard input". */
const char *packed_file_name(const struct packed_file *f);
/* Size and SHA-256 (hex) of the file as it stands, not expanded; once packed_file_read has returned 0 and
 * all bytes were hashed. */
void packed_file_digest(const struct packed_file *f, uint64_t *bytes, char hex[65]);

#endif
