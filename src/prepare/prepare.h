/* prepare: raw rows of several kinds of source made into training and validation rows: scored where they have no scores,
 * without short texts and copies, no kind of source and no band of authority beyond its share, and split by copy groups. */
#ifndef YA_PREPARE_PREPARE_H
#define YA_PREPARE_PREPARE_H

#include "prepare/split.h"

struct prepare_options {
    struct group_options groups;
    struct split_sizes sizes;
    const char *sources; /* a file in place of the built-in data/prepare/sources.json; NULL */
    int64_t min_chars;   /* texts of fewer characters (code points) are left out */
    bool dedup;          /* one row of each copy group stays; else copies stay, on one side of the split */
    double caps[3];      /* largest share of the rows for one source_type, by the band of its mean auth_weight */
    bool balance;        /* bands of authority are brought to the shares below */
    bool skip_faulty;
};

/* Bands of auth_weight: below 0.3, to 0.7, above. */
enum { BAND_LOW, BAND_MIDDLE, BAND_HIGH, BANDS };

/* Rows of one kind of source, or of all, after each step. */
struct prepare_counts {
    int64_t rows;                                /* read and not faulty */
    int64_t copies, too_short, capped, balanced; /* left out, each row for the first of these reasons that holds */
    int64_t train, valid, left;                  /* written to each side; left over by the sizes of the split */
};

struct prepare_result {
    struct prepare_counts all, *kinds; /* (n_kinds + 1) owned, the last one for rows without a source_type */
    char **names;                      /* (n_kinds) owned */
    size_t n_kinds;
    int64_t band[BANDS], band_after[BANDS]; /* rows before and after balancing */
    int64_t faulty, scored, typed;          /* rows that were scored here, and that got the kind of their file */
    bool unbalanced;                        /* no row of the low band: nothing to balance by */
    struct split_result split;
};

/* How many rows of each band stay: where fewer than 20 % are low, they become 25 %, high ones at most 35 %, and what is
 * between takes the rest, as far as there are rows. With no low row, or enough of them, all stay. */
void prepare_balance(const int64_t have[BANDS], int64_t keep[BANDS]);

/* Reads the files, decides about each row and writes the rows for training to `train`, those for validation to `valid`, in
 * the order of the input. A row is left out as a copy, then as too short, then by the cap of its kind, then by the balance
 * of bands; what is left is split. *result is to be released in any case. Errors: as sources_open, row_table_read,
 * split_choose and table_write_rows. */
enum status prepare_run(struct ctx *c, const struct prepare_options *o, const char *const *paths, size_t n_paths,
                        const char *train, const char *valid, struct prepare_result *result);
/* Frees the names and the counts of kinds. */
void prepare_result_release(struct ctx *c, struct prepare_result *result);

#endif
