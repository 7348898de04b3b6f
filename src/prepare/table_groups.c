/* table_groups: reads files into a table of rows and hands the rows' digests and signatures to copy_groups.h. */
#include "prepare/table_groups.h"

#include "base/mem.h"
#include "prepare/table_again.h"

enum { GROUPS_SEED = 1 }; /* of the signatures: fixed, so that groups depend on the texts and options only */

/* The sets of shingles of rows that meet, while the files are read again. */
struct sets_reader {
    struct copy_sets *sets;
    const struct minhash *m;
};

/* For table_again_look. */
static enum status add_set(void *user, struct ctx *c, size_t row, const char *text, size_t n)
{
    struct sets_reader *r = user;
    return copy_sets_add(r->sets, c, r->m, row, text, n);
}

/* Finds the rows that may be near copies and reads their sets; where there are none, near copies need not be looked for.
 * Owner of the sets and of texts->meets: the caller. */
static enum status table_groups_read_sets(struct row_table *t, const struct minhash *m, double threshold,
                                          struct copy_texts *texts, uint8_t *meets, struct sets_reader *r)
{
    bool any = false;
    if (!texts->signatures) return OK;
    TRY(copy_groups_meet(t->c, m, threshold, texts, meets));
    for (size_t i = 0; i < texts->n; i++) any |= meets[i];
    if (!any) texts->signatures = NULL;
    if (!any) return OK;
    r->sets = copy_sets_new(t->c, &t->budget, texts->n);
    if (!r->sets) return t->c->status;
    TRY(table_again_look(t, meets, add_set, r));
    texts->meets = meets;
    texts->sets = r->sets;
    return OK;
}

/* The groups of a table's rows. Faulty rows take no part and are groups of their own. */
static enum status find_groups(struct row_table *t, const struct minhash *m, double threshold, uint32_t *group,
                               struct copy_counts *counts)
{
    struct sets_reader r = {.m = m};
    uint64_t(*digest)[2] = mem_alloc(t->c, t->n_rows, sizeof *digest);
    bool *left_out = mem_alloc(t->c, t->n_rows, sizeof *left_out);
    uint8_t *meets = mem_alloc(t->c, t->n_rows, sizeof *meets);
    if (digest && left_out && meets) {
        for (size_t i = 0; i < t->n_rows; i++) {
            digest[i][0] = t->rows[i].digest[0];
            digest[i][1] = t->rows[i].digest[1];
            left_out[i] = t->rows[i].faulty;
        }
        struct copy_texts texts = {
            .n = t->n_rows, .digest = (const uint64_t(*)[2])digest, .signatures = t->signatures, .left_out = left_out};
        if (table_groups_read_sets(t, m, threshold, &texts, meets, &r) == OK)
            copy_groups_find(t->c, m, threshold, &texts, group, counts);
    }
    copy_sets_free(r.sets);
    mem_free(t->c, digest);
    mem_free(t->c, left_out);
    mem_free(t->c, meets);
    return t->c->status;
}

enum status table_groups_read(struct row_table *t, struct minhash *m, struct ctx *c, const struct group_options *o,
                              struct table_options table, const char *const *paths, size_t n_paths, uint32_t **group,
                              struct copy_counts *counts)
{
    *group = NULL;
    TRY(minhash_init(m, c, (int)o->permutations, (int)o->shingle, GROUPS_SEED));
    table.minhash = o->near ? m : NULL;
    table.memory_bytes = (size_t)o->memory << 20;
    TRY(row_table_read(t, c, paths, n_paths, table));
    *group = mem_alloc(c, t->n_rows, sizeof **group);
    if (*group) find_groups(t, m, o->threshold, *group, counts);
    spill_free(t->signatures_in); /* the largest part of what is known of a row, and not needed any more */
    t->signatures_in = NULL;
    t->signatures = NULL;
    return c->status;
}
