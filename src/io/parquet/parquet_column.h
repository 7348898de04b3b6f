/* parquet_column: a column chunk read entry by entry: its pages are unpacked one at a time, their levels and values decoded
 * as they are asked for. An entry is a repetition level, a definition level and, where the latter is the leaf's max_def, a
 * value; parquet.c says what levels mean. The order of calls: parquet_column_init, then for each chunk parquet_column_open,
 * and for each entry parquet_column_value where there is one and parquet_column_advance. */
#ifndef YA_IO_PARQUET_COLUMN_H
#define YA_IO_PARQUET_COLUMN_H

#include "io/parquet/parquet_value.h"

/* Most bytes of a page, unpacked; and most that a page may expand to, beyond the first mebibyte, for each of its packed
 * bytes. */
enum { PARQUET_PAGE_MAX = 256 << 20, PARQUET_PAGE_RATIO = 1000, PARQUET_DICTIONARY_MAX = 1 << 22 };

/* Memory of unpacked pages that the columns of a file share. */
struct parquet_budget {
    size_t used, most;
};

struct parquet_column {
    struct ctx *c;
    const char *name; /* of the file, for messages */
    const struct parquet_node *leaf;
    int codec;
    const uint8_t *at, *end; /* pages left */
    int64_t left;            /* entries left in the pages that were not read yet */

    struct parquet_budget *budget;
    uint8_t *page; /* unpacked, owned; NULL when the page lies in the file as it is */
    size_t page_bytes;
    int64_t page_left;               /* entries left in the open page */
    struct bit_run rep_run, def_run; /* its levels */
    struct parquet_values values;    /* its values */
    struct parquet_dictionary dictionary;
    struct buf whole; /* of parquet_values, kept from page to page */

    bool have;    /* whether there is a current entry */
    int rep, def; /* its levels */
};

/* Prepares a column; `leaf` and `budget` must stay. No chunk is open. */
void parquet_column_init(struct parquet_column *p, struct ctx *c, const char *name, const struct parquet_node *leaf,
                         struct parquet_budget *budget);
/* Frees the page, the dictionary and the buffer, and gives their bytes back to the budget. */
void parquet_column_release(struct parquet_column *p);

/* Begins a chunk of the file's `bytes`; its first entry is then in have, rep, def. False with E_INPUT (corrupt) or
 * E_UNSUPPORTED (a codec or an encoding that is not known here). */
bool parquet_column_open(struct parquet_column *p, const uint8_t *bytes, const struct parquet_chunk *chunk);
/* The value of the entry, which must have one (def == leaf->max_def); valid until the next call for this column. Once an
 * entry. False with E_INPUT. */
bool parquet_column_value(struct parquet_column *p, struct parquet_value *out);
/* Moves to the next entry. False on failure; at the end of the chunk `have` is false. */
bool parquet_column_advance(struct parquet_column *p);

#endif
