/* csv_file: rows of comma-separated values (RFC 4180), which benchmarks are published in. Fields may be quoted; in quotes a
 * doubled quote stands for one, and line ends are part of the field. A row is a line that is not empty. */
#ifndef YA_IO_CSV_FILE_H
#define YA_IO_CSV_FILE_H

#include "base/ctx.h"

enum { CSV_FILE_CAP_BYTES = 1 << 28, CSV_FIELDS_MAX = 256 };

struct csv_file; /* opaque */

/* Reads the file whole. Owner of the result: the caller. E_INPUT: larger than CSV_FILE_CAP_BYTES, or not UTF-8. */
struct csv_file *csv_file_open(struct ctx *c, const char *path);
void csv_file_close(struct csv_file *f); /* accepts NULL */

/* One row; the strings are valid until the file is closed. */
struct csv_row {
    char *fields[CSV_FIELDS_MAX];
    size_t n;
    int64_t line; /* where it begins, from 1 */
};

/* False at the end, and with E_INPUT naming the line for a quote that is not closed, text behind a closing quote, too many
 * fields, or a NUL byte. */
bool csv_file_next(struct csv_file *f, struct csv_row *out);

#endif
