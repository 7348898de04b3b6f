/* split: rows for training and rows for validation, so that no copy of a validation row is trained on: whole copy groups go
 * to one side. Which groups, follows from the seed and the texts alone, not from their order: a group's place is the
 * smallest hash of its texts under the seed. */
#ifndef YA_PREPARE_SPLIT_H
#define YA_PREPARE_SPLIT_H

#include "prepare/table_groups.h"

struct split_sizes {
    double valid; /* below 1: a share of the rows; from 1 on: rows */
    double train; /* the same; 0: all others */
    uint64_t seed;
};

struct split_result {
    int64_t rows, faulty, groups;       /* groups: copy groups of two rows and more */
    int64_t train, valid, left;         /* rows written, and rows that belong to neither (train was given a size) */
    int64_t wanted_train, wanted_valid; /* the sizes in rows: a group that does not fit whole is not taken */
};

enum { SPLIT_NEITHER, SPLIT_TRAIN, SPLIT_VALID };

/* Fills to (t->n_rows) with SPLIT_NEITHER, SPLIT_TRAIN or SPLIT_VALID: one of the latter two only for rows whose take[i] is
 * set (NULL: all that are not faulty). group is as copy_groups_find gives it. E_INPUT when a side is empty, or the sizes ask
 * for more rows than there are. */
enum status split_choose(const struct row_table *t, const uint32_t *group, const uint8_t *take,
                         const struct split_sizes *sizes, uint8_t *to, struct split_result *result);

/* The rows in the order of their hash under the seed: order (t->n_rows) is filled with their indices. For choosing some of
 * many. E_MEMORY. */
enum status split_order(const struct row_table *t, uint64_t seed, uint32_t *order);

/* Reads the files, splits their rows and writes both sides, in the order of the input. The errors of row_table_read,
 * split_choose and table_write_rows. */
enum status split_run(struct ctx *c, const struct group_options *groups, const struct split_sizes *sizes, bool skip_faulty,
                      const char *const *paths, size_t n_paths, const char *train, const char *valid,
                      struct split_result *result);

#endif
