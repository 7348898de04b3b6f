/* table_groups: reads files into a table of rows and hands the rows' digests and signatures to copy_groups.h. */
#include "prepare/table_groups.h"

#include "base/mem.h"

enum { GROUPS_SEED = 1 }; /* of the signatures: fixed, so that groups depend on the texts and options only */

/* The groups of a table's rows. Faulty rows take no part and are groups of their own. */
static enum status find_groups(struct row_table *t, const struct minhash *m, double threshold, uint32_t *group,
                               struct copy_counts *counts)
{
    uint64_t(*digest)[2] = mem_alloc(t->c, t->n_rows, sizeof *digest);
    bool *left_out = mem_alloc(t->c, t->n_rows, sizeof *left_out);
    if (digest && left_out) {
        for (size_t i = 0; i < t->n_rows; i++) {
            digest[i][0] = t->rows[i].digest[0];
            digest[i][1] = t->rows[i].digest[1];
            left_out[i] = t->rows[i].faulty;
        }
        struct copy_texts texts = {t->n_rows, (const uint64_t(*)[2])digest, t->signatures, left_out};
        copy_groups_find(t->c, m, threshold, &texts, group, counts);
    }
    mem_free(t->c, digest);
    mem_free(t->c, left_out);
    return t->c->status;
}

enum status table_groups_read(struct row_table *t, struct minhash *m, struct ctx *c, const struct group_options *o,
                              struct table_options table, const char *const *paths, size_t n_paths, uint32_t **group,
                              struct copy_counts *counts)
{
    *group = NULL;
    TRY(minhash_init(m, c, (int)o->permutations, (int)o->shingle, GROUPS_SEED));
    table.minhash = o->near ? m : NULL;
    TRY(row_table_read(t, c, paths, n_paths, table));
    *group = mem_alloc(c, t->n_rows, sizeof **group);
    return *group ? find_groups(t, m, o->threshold, *group, counts) : c->status;
}
