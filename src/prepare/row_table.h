/* row_table: what has to be known of every row of some files before it is decided what becomes of them. Rows themselves are
 * not held: they are read again (table_again.h), and those that were chosen are written then (table_write.h). A row costs
 * sizeof(struct table_row) bytes, and 4 bytes a permutation where near copies are looked for.
 *
 * Files are read twice, so standard input is refused, and a file that is not the same bytes the second time is an error. */
#ifndef YA_PREPARE_ROW_TABLE_H
#define YA_PREPARE_ROW_TABLE_H

#include "base/spill.h"
#include "io/row_file.h"
#include "prepare/minhash.h"
#include "prepare/sources.h"
#include "score/score_row.h"

enum { TABLE_NO_KIND = -1 };

struct table_row {
    uint64_t digest[2];   /* of the text: the first 128 bits of its SHA-256 */
    int64_t row;          /* number in its file */
    uint64_t text_bytes;  /* of its text (score_row.h says what that is) */
    uint64_t text_chars;  /* where sources are given */
    double auth, entropy; /* scores that the row has; NaN without */
    uint32_t file;
    int32_t kind;       /* index into kinds; TABLE_NO_KIND: the row names none */
    uint32_t pieces;    /* rows on its line, for the first of them; 0 for the others */
    uint8_t text_field; /* index + 1 into the sources' fields where the text was found there; 0: it is the row's own */
    bool adds_kind, adds_scores; /* what the table knows of it and the row does not say */
    uint8_t flags;               /* what `look` found */
    double estimate;             /* ... and measured */
    bool faulty;                 /* no row, or one without text: never written */
    bool no_text;                /* ... for want of a text */
};

struct table_file {
    const char *path, *name; /* name: for messages */
    uint64_t bytes;
    char sha256[65];
    int64_t rows, faulty;
};

struct table_options {
    const struct minhash *minhash; /* NULL: no signatures */
    /* Rows as they come from elsewhere: those without a source_type get that of their file, those without a text the first
     * of the sources' members that is one, and those without scores are scored. NULL: rows are taken as they are. */
    const struct sources *sources;
    bool skip_faulty; /* faulty rows are counted and logged; else the first one is an error */
    bool quiet;       /* ... counted only */
    /* Looks at a row that was read, on any thread: row->input holds its text and members, out is its entry. NULL: not. */
    void (*look)(void *user, struct score_row *row, const char *bytes, size_t n, struct table_row *out, void *extra);
    void *user;
    size_t extra_bytes;  /* of memory for each row that `look` fills; 0: none */
    size_t memory_bytes; /* of the table's arrays; beyond, they lie in temporary files (base/spill.h). 0: all of them do */
};

struct row_table {
    struct ctx *c;
    struct table_options options;
    struct spill_budget budget; /* what is left of memory_bytes; for others whose arrays follow the rows, too */
    struct spill *rows_in, *signatures_in, *extra_in; /* where these arrays are */
    struct rules *rules;                              /* the built-in ones: kinds of source, and what a row's members are */
    struct table_file *files;
    size_t n_files;
    struct table_row *rows; /* (n_rows), in the order of the files */
    size_t n_rows, rows_capacity;
    int32_t *signatures; /* (n_rows, permutations), or NULL */
    char *extra;         /* (n_rows, extra_bytes), or NULL */
    char **kinds;        /* (n_kinds) values of source_type, sorted */
    size_t n_kinds;
    int64_t faulty;
};

/* Reads the files. `paths` must outlive the table. Undone by row_table_release, also after a failure. E_INPUT "FILE:ROW:
 * ..." for a faulty row, and "no rows" where nothing but faulty ones are there. */
enum status row_table_read(struct row_table *t, struct ctx *c, const char *const *paths, size_t n_paths,
                           struct table_options options);
/* Frees all that the table owns; one that is zero but for `c` may be released. */
void row_table_release(struct row_table *t);

/* The first 128 bits of a text's SHA-256. */
void table_digest(const char *text, size_t n, uint64_t out[2]);

/* s = ln(1 - w + 1e-8) + H of a row, NaN where it has no scores. */
double table_row_signed(const struct table_row *r);

#endif
