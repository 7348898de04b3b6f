/* dedup: of each group of copies (copy_groups.h) one row is kept, and the others are left out of the output. */
#ifndef YA_PREPARE_DEDUP_H
#define YA_PREPARE_DEDUP_H

#include "prepare/table_groups.h"

/* Which row of a group stays: the first in the order of the input; the longest text; the one with the largest
 * s = ln(1 - auth_weight) + prov_entropy, the strongest provenance (rows without scores come last). The first of equals. */
enum dedup_keep { DEDUP_FIRST, DEDUP_LONGEST, DEDUP_PROVENANCE };

struct dedup_options {
    struct group_options groups;
    enum dedup_keep keep;
    bool skip_faulty;
    const char *groups_path; /* where the groups are written, a JSON object a line; NULL: nowhere */
};

struct dedup_result {
    int64_t rows, kept, exact, near_copies, groups, faulty; /* rows: good ones; kept = rows - exact - near_copies */
    int64_t largest;                                        /* rows of the largest group */
};

/* Writes the rows that stay to `out`, as they are and in order. Errors: as row_table_read and table_write_rows, and E_IO for
 * the file of groups. */
enum status dedup_run(struct ctx *c, const struct dedup_options *o, const char *const *paths, size_t n_paths,
                      const char *out, struct dedup_result *result);

/* Fills stays (t->n_rows): 1 for the row of each group that stays, 0 for the others and for faulty rows. group (t->n_rows)
 * is as copy_groups_find gives it. E_MEMORY in t->c. */
void dedup_choose(const struct row_table *t, const uint32_t *group, enum dedup_keep keep, uint8_t *stays);

#endif
