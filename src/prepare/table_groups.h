/* table_groups: the copy groups of a table's rows, and the options that say what counts as a copy and how much memory may be
 * taken to find out. */
#ifndef YA_PREPARE_TABLE_GROUPS_H
#define YA_PREPARE_TABLE_GROUPS_H

#include "base/options.h"
#include "prepare/copy_groups.h"
#include "prepare/row_table.h"

struct group_options {
    bool near;        /* also texts that are alike */
    double threshold; /* ... in this share of their shingles */
    int64_t permutations, shingle;
    int64_t memory; /* MiB of arrays with entries for each row: beyond, they are temporary files (base/spill.h) */
};

/* S the values struct, M its member of type struct group_options. */
#define GROUP_ROWS(S, M, GROUP)                                                                                             \
    FLAG_ROW(S, M.near, "near", 0, "true", GROUP, "also texts that are alike, not only equal ones"),                        \
        F64_ROW(S, M.threshold, "threshold", 0, "0.8", 0.05, 1, GROUP,                                                      \
                "share of shingles that near copies have in common"),                                                       \
        I64_ROW(S, M.permutations, "permutations", 0, "128", MINHASH_LANES, MINHASH_PERMUTATIONS_MAX, GROUP,                \
                "positions of a signature, a multiple of 16: more estimate better and cost more"),                          \
        I64_ROW(S, M.shingle, "shingle", 0, "5", 1, MINHASH_SHINGLE_MAX, GROUP, "words of a shingle"),                      \
        I64_ROW(S, M.memory, "memory", 0, "1024", 0, 1 << 24, GROUP,                                                        \
                "MiB of what is known of rows that are held in memory; more lies in temporary files in TMPDIR")

/* Reads the files into a table with what the options need, and finds the groups of its rows (t->n_rows, owner the caller:
 * mem_free). Where rows may be near copies the files are read again, for the sets of shingles of those rows. `m` is prepared
 * here and released by the caller, as is the table, also after a failure. Errors: as row_table_read and minhash_init. */
enum status table_groups_read(struct row_table *t, struct minhash *m, struct ctx *c, const struct group_options *o,
                              struct table_options table, const char *const *paths, size_t n_paths, uint32_t **group,
                              struct copy_counts *counts);

#endif
