/* split: whole copy groups are put in an order that the seed and the texts give, and dealt out in that order: to validation
 * while they fit, then to training. split_run reads the table and its groups, calls split_choose (order_groups, then
 * deal_groups) and writes both sides. */
#include "prepare/split.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "prepare/table_write.h"

struct split_group {
    uint64_t place; /* the groups' order */
    uint32_t group; /* its first row */
    uint32_t rows;  /* of it that are taken */
};

/* For qsort: by place, and by the first row where two are equal. */
static int split_by_place(const void *a, const void *b)
{
    const struct split_group *x = a, *y = b;
    if (x->place != y->place) return x->place < y->place ? -1 : 1;
    return (x->group > y->group) - (x->group < y->group);
}

/* The place of a text: Philox of its digest, keyed by the seed. */
static uint64_t split_place_of(const struct table_row *r, uint64_t seed)
{
    uint32_t ctr[4] = {(uint32_t)r->digest[0], (uint32_t)(r->digest[0] >> 32), (uint32_t)r->digest[1],
                       (uint32_t)(r->digest[1] >> 32)};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, out[4];
    rng_philox(ctr, key, out);
    return (uint64_t)out[1] << 32 | out[0];
}

/* Whether row i takes part in the split. */
static bool is_taken(const struct row_table *t, const uint8_t *take, size_t i)
{
    return !t->rows[i].faulty && (!take || take[i]);
}

/* The groups in the order in which they are dealt out. A group's place is the smallest of its rows': the same whichever of
 * them comes first. index (n_rows): where a group's entry is, by its first row, while they are gathered. */
static size_t order_groups(const struct row_table *t, const uint32_t *group, const uint8_t *take, uint64_t seed,
                           struct split_group *groups, uint32_t *index, struct split_result *result)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_rows; i++) index[i] = UINT32_MAX;
    for (size_t i = 0; i < t->n_rows; i++) {
        if (!is_taken(t, take, i)) continue;
        uint64_t place = split_place_of(&t->rows[i], seed);
        uint32_t *at = &index[group[i]];
        if (*at == UINT32_MAX) {
            *at = (uint32_t)n;
            groups[n++] = (struct split_group){place, group[i], 0};
        }
        struct split_group *g = &groups[*at];
        if (place < g->place) g->place = place;
        result->groups += ++g->rows == 2;
        result->rows++;
    }
    qsort(groups, n, sizeof *groups, split_by_place);
    return n;
}

enum status split_order(const struct row_table *t, uint64_t seed, uint32_t *order)
{
    struct split_group *rows = mem_alloc(t->c, t->n_rows, sizeof *rows);
    if (!rows) return t->c->status;
    for (size_t i = 0; i < t->n_rows; i++) rows[i] = (struct split_group){split_place_of(&t->rows[i], seed), (uint32_t)i, 1};
    qsort(rows, t->n_rows, sizeof *rows, split_by_place);
    for (size_t i = 0; i < t->n_rows; i++) order[i] = rows[i].group;
    mem_free(t->c, rows);
    return OK;
}

/* A size in rows: below 1 it is a share, rounded to the nearest row. */
static int64_t rows_wanted(double size, int64_t rows)
{
    return (int64_t)(size < 1 ? floor(size * (double)rows + 0.5) : size);
}

/* E_INPUT when a side would be empty or both together are too large. */
static enum status check_sizes(struct ctx *c, const struct split_result *r)
{
    if (r->rows == 0) return ctx_fail(c, E_INPUT, "no rows to split");
    if (r->wanted_valid < 1 || r->wanted_train < 1 || r->wanted_valid + r->wanted_train > r->rows)
        return ctx_fail(c, E_INPUT,
                        "%lld rows for validation and %lld for training of %lld rows: both need at least one, and together "
                        "they are no more than there are",
                        (long long)r->wanted_valid, (long long)r->wanted_train, (long long)r->rows);
    return OK;
}

/* Deals the groups out: to validation those that fit whole, then to training those that fit. Where both sizes together are
 * all rows, training takes every other group, also one that is too large for what it still wants, so that no row is left. */
static void deal_groups(const struct split_group *groups, size_t n, const struct row_table *t, const uint32_t *group,
                        const uint8_t *take, uint8_t *to, struct split_result *r)
{
    for (size_t i = 0; i < n; i++) {
        const struct split_group *g = &groups[i];
        uint8_t side = SPLIT_NEITHER;
        if (r->valid + g->rows <= r->wanted_valid)
            side = SPLIT_VALID;
        else if (r->train + g->rows <= r->wanted_train || r->wanted_train + r->wanted_valid == r->rows)
            side = SPLIT_TRAIN;
        to[g->group] = side;
        *(side == SPLIT_VALID ? &r->valid : side == SPLIT_TRAIN ? &r->train : &r->left) += g->rows;
    }
    for (size_t i = t->n_rows; i-- > 0;) /* a group's side stands at its first row, which is group[i] of all its rows */
        if (group[i] != i) to[i] = to[group[i]];
    for (size_t i = 0; i < t->n_rows; i++)
        if (!is_taken(t, take, i)) to[i] = SPLIT_NEITHER;
}

enum status split_choose(const struct row_table *t, const uint32_t *group, const uint8_t *take,
                         const struct split_sizes *sizes, uint8_t *to, struct split_result *r)
{
    struct ctx *c = t->c;
    *r = (struct split_result){.faulty = t->faulty};
    struct split_group *groups = mem_alloc(c, t->n_rows, sizeof *groups);
    uint32_t *index = mem_alloc(c, t->n_rows, sizeof *index);
    if (groups && index) {
        size_t n = order_groups(t, group, take, sizes->seed, groups, index, r);
        r->wanted_valid = rows_wanted(sizes->valid, r->rows);
        r->wanted_train = sizes->train > 0 ? rows_wanted(sizes->train, r->rows) : r->rows - r->wanted_valid;
        if (check_sizes(c, r) == OK) deal_groups(groups, n, t, group, take, to, r);
        if (ctx_ok(c) && (r->valid == 0 || r->train == 0))
            ctx_fail(c, E_INPUT, "no row is left for %s: every copy group is larger than what is asked for; see data dedup",
                     r->valid ? "training" : "validation");
    }
    mem_free(c, groups);
    mem_free(c, index);
    return c->status;
}

enum status split_run(struct ctx *c, const struct group_options *options, const struct split_sizes *sizes, bool skip_faulty,
                      const char *const *paths, size_t n_paths, const char *train, const char *valid,
                      struct split_result *result)
{
    struct row_table t = {.c = c};
    struct minhash m = {0};
    struct copy_counts counts = {0};
    uint32_t *group = NULL;
    uint8_t *to = NULL;
    struct table_options table = {.skip_faulty = skip_faulty};
    if (table_groups_read(&t, &m, c, options, table, paths, n_paths, &group, &counts) == OK)
        to = mem_alloc(c, t.n_rows, sizeof *to);
    const char *outputs[] = {train, valid};
    if (to && split_choose(&t, group, NULL, sizes, to, result) == OK)
        table_write_rows(&t, to, &(struct table_outputs){.paths = outputs, .n = 2});
    mem_free(c, to);
    mem_free(c, group);
    row_table_release(&t);
    minhash_release(&m, c);
    return c->status;
}
