/* table_worker: one thread's scratch for reading rows of a table (row_table.h), and how the text of a row is found. */
#ifndef YA_PREPARE_TABLE_WORKER_H
#define YA_PREPARE_TABLE_WORKER_H

#include "prepare/sources.h"
#include "score/score_row.h"

enum { TABLE_KINDS_MAX = 4096 };

struct table_worker {
    struct ctx *c; /* its own: threads share none */
    struct score_row row;
    struct buf text, field; /* a text as JSON; a text that a member other than "text" holds */
    struct table_kind {     /* values of source_type that it met: known by their hash until all names are known */
        uint64_t hash;
        char *name;
    } kinds[TABLE_KINDS_MAX];
    size_t n_kinds;
    enum status status; /* not OK: of a failure that ends the reading */
};

/* One for each thread of the ctx; *n their number. The failure to make one is E_MEMORY in `c`; what was made is still to be
 * freed (table_workers_free, which accepts NULL). */
struct table_worker *table_workers_new(struct ctx *c, const struct rules *rules, size_t *n);
void table_workers_free(struct ctx *c, struct table_worker *workers, size_t n);

/* Reads a row's bytes into w->row, whose input then holds its text. *bytes and *n become those of the JSON row that a text
 * is (is_text), valid until the next call. `sources`: a row without a text gets the first of their members that is one,
 * whose index + 1 is *field; NULL: such a row is faulty. False with w->c saying why, `what` in front. */
bool table_worker_read(struct table_worker *w, const struct sources *sources, const char *what, const char **bytes,
                       size_t *n, bool is_text, uint8_t *field);

/* A text as the JSON row that it would be, in `text`; other rows as they are. *n becomes its length. */
const char *table_worker_json(struct buf *text, const char *bytes, size_t *n, bool is_text);

/* Code points of a text. */
uint64_t table_worker_chars(const char *text, size_t n);

#endif
