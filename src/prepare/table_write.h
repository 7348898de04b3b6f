/* table_write: the rows of a table (row_table.h) that were chosen, read again and written as they are, in order, with what
 * the table knows of them and they do not say. */
#ifndef YA_PREPARE_TABLE_WRITE_H
#define YA_PREPARE_TABLE_WRITE_H

#include "base/file.h"
#include "prepare/row_table.h"

enum { TABLE_OUTPUTS_MAX = 4 };

/* A set of outputs: rows with destination k (from 1) go to paths[k - 1]. They take their names together at the end, the
 * first one last of all: where it stands under its name, the others do, and all are whole (file_writers_commit). */
struct table_outputs {
    const char *const *paths;   /* distinct; none is an input */
    size_t n;                   /* at most TABLE_OUTPUTS_MAX */
    struct file_writer *beside; /* written by the caller, published with them and before them; NULL: none. Taken over. */
};

/* Writes the rows whose to[i] is not 0, in order; to (t->n_rows). E_IO, E_MEMORY, and E_INPUT for a file that changed since
 * it was read, an output that is an input, and two outputs of one name. */
enum status table_write_rows(struct row_table *t, const uint8_t *to, const struct table_outputs *outputs);

#endif
