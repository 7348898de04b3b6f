/* table_again: the later readings of a table's files (row_table.h), which know of each row already what the first one found:
 * how many rows stand on a line, and which of them are faulty. A file that is not the same any more is an error. */
#ifndef YA_PREPARE_TABLE_AGAIN_H
#define YA_PREPARE_TABLE_AGAIN_H

#include "prepare/row_table.h"

/* A batch of rows that was read again: span i begins at the table's row first[i]. */
struct table_again {
    struct row_table *t;
    struct row_file *in;
    struct row_batch batch;
    size_t *first; /* (first_capacity) */
    size_t first_capacity, row;
    bool compares; /* the files' digests with those of the first reading */
};

/* Reads all files again. `see` gets one batch after the other, on the calling thread; what it returns ends the reading when
 * it is not OK. E_INPUT for a file that has changed; that is known at its end at the latest, when its rows have been seen.
 */
enum status table_again_read(struct row_table *t, enum status (*see)(void *user, struct table_again *a), void *user);

/* Calls `see` for each row of a batch's span, also for faulty ones, with its number in the table and its bytes, until it
 * returns false. Any thread. */
void table_again_rows(const struct table_again *a, size_t span,
                      bool (*see)(void *user, size_t row, const char *bytes, size_t n, bool is_text), void *user);

/* Looks again at the texts of those rows whose wanted[i] is set (t->n_rows), on all threads, in any order; `look` returns OK
 * or a failure that is in `c`, which is the ctx of its thread. Other rows cost no more than finding the ends of their lines.
 * Digests are not compared, which would cost as much again: E_INPUT for a file that has other numbers of rows now, or where
 * the text of such a row has another length. Another text of the same length is taken as it is. */
enum status table_again_look(struct row_table *t, const uint8_t *wanted,
                             enum status (*look)(void *user, struct ctx *c, size_t row, const char *text, size_t n),
                             void *user);

#endif
