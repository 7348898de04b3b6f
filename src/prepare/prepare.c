/* prepare: the steps of prepare.h, one after the other over the table of rows (`choose`): copies and short texts, caps of
 * kinds, balance of bands, split. `take` says which rows are still in. Where rows are left out to keep a share, those stay
 * that come first in the order of the split's hash, so the choice follows from the seed and the texts. */
#include "prepare/prepare.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "prepare/dedup.h"
#include "prepare/table_write.h"

/* One call of prepare_run. */
struct prepare_work {
    struct ctx *c;
    const struct prepare_options *o;
    struct row_table t;
    struct minhash m;
    struct sources sources;
    uint32_t *group, *order; /* (n_rows); order: rows by their place, the best first */
    uint8_t *take, *to;      /* (n_rows) */
    struct prepare_result *r;
};

/* The band of an authority. */
static int band_of(double auth)
{
    return auth < 0.3 ? BAND_LOW : auth <= 0.7 ? BAND_MIDDLE : BAND_HIGH;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void prepare_balance(const int64_t have[BANDS], int64_t keep[BANDS])
{
    int64_t low = have[BAND_LOW], all = low + have[BAND_MIDDLE] + have[BAND_HIGH];
    for (int b = 0; b < BANDS; b++) keep[b] = have[b];
    if (low == 0 || 5 * low >= all) return;
    int64_t total = 4 * low; /* the rows of which all low ones are 25 % */
    keep[BAND_HIGH] = smaller(have[BAND_HIGH], total * 35 / 100);
    keep[BAND_MIDDLE] = smaller(have[BAND_MIDDLE], total - low - keep[BAND_HIGH]);
}

/* The counts of row i's kind; the last ones for a row without a kind. */
static struct prepare_counts *counts_of(struct prepare_work *w, size_t i)
{
    int32_t kind = w->t.rows[i].kind;
    return &w->r->kinds[kind == TABLE_NO_KIND ? w->r->n_kinds : (size_t)kind];
}

/* The first step: fills `take`, and counts every row that is not faulty under its kind. */
static void drop_copies_and_short_ones(struct prepare_work *w)
{
    for (size_t i = 0; i < w->t.n_rows; i++) w->take[i] = 1;
    if (w->o->dedup) dedup_choose(&w->t, w->group, DEDUP_FIRST, w->take);
    for (size_t i = 0; i < w->t.n_rows; i++) {
        const struct table_row *row = &w->t.rows[i];
        if (row->faulty) {
            w->take[i] = 0;
            continue;
        }
        struct prepare_counts *k = counts_of(w, i);
        k->rows++;
        w->r->scored += row->adds_scores;
        w->r->typed += row->adds_kind;
        if (!w->take[i]) {
            k->copies++;
        } else if (row->text_chars < (uint64_t)w->o->min_chars) {
            w->take[i] = 0;
            k->too_short++;
        }
    }
}

/* Leaves each kind of source at most its share of the rows. Which share follows from the band of the kind's mean
 * auth_weight. Shares are of the rows that there are before any is left out here, or of those that are asked for, where
 * sizes are. Every kind keeps at least one row; which rows stay, w->order says. */
static enum status cap_kinds(struct prepare_work *w)
{
    size_t n = w->r->n_kinds + 1;
    double *auth = mem_alloc(w->c, n, sizeof *auth), rows = 0;
    int64_t *have = mem_alloc(w->c, n, sizeof *have); /* rows of each kind; then how many of them may still stay */
    if (!auth || !have) return mem_free(w->c, auth), mem_free(w->c, have), w->c->status;
    for (size_t i = 0; i < w->t.n_rows; i++) {
        if (!w->take[i]) continue;
        size_t k = (size_t)(counts_of(w, i) - w->r->kinds);
        have[k]++;
        auth[k] += w->t.rows[i].auth;
        rows++;
    }
    if (w->o->sizes.train >= 1 && w->o->sizes.valid >= 1) rows = fmin(rows, w->o->sizes.train + w->o->sizes.valid);
    for (size_t k = 0; k < n; k++)
        if (have[k] > 0) have[k] = (int64_t)fmax(1, w->o->caps[band_of(auth[k] / (double)have[k])] * rows);
    for (size_t i = 0; i < w->t.n_rows; i++) {
        uint32_t row = w->order[i];
        if (!w->take[row]) continue;
        struct prepare_counts *k = counts_of(w, row);
        if (have[k - w->r->kinds]-- > 0) continue;
        w->take[row] = 0;
        k->capped++;
    }
    mem_free(w->c, auth);
    mem_free(w->c, have);
    return OK;
}

/* Leaves out rows of the bands that have more than their part (prepare_balance), and counts the bands before and after. */
static void balance(struct prepare_work *w)
{
    struct prepare_result *r = w->r;
    for (size_t i = 0; i < w->t.n_rows; i++)
        if (w->take[i]) r->band[band_of(w->t.rows[i].auth)]++;
    for (int b = 0; b < BANDS; b++) r->band_after[b] = r->band[b];
    r->unbalanced = r->band[BAND_LOW] == 0;
    if (!w->o->balance) return;
    int64_t keep[BANDS];
    prepare_balance(r->band, keep);
    for (int b = 0; b < BANDS; b++) r->band_after[b] = keep[b];
    for (size_t i = 0; i < w->t.n_rows; i++) {
        uint32_t row = w->order[i];
        if (!w->take[row] || keep[band_of(w->t.rows[row].auth)]-- > 0) continue;
        w->take[row] = 0;
        counts_of(w, row)->balanced++;
    }
}

/* Counts where the rows went, and adds the counts of all kinds up. */
static void count_sides(struct prepare_work *w)
{
    struct prepare_counts *all = &w->r->all;
    for (size_t i = 0; i < w->t.n_rows; i++) {
        if (!w->take[i]) continue;
        struct prepare_counts *k = counts_of(w, i);
        *(w->to[i] == SPLIT_TRAIN ? &k->train : w->to[i] == SPLIT_VALID ? &k->valid : &k->left) += 1;
    }
    for (size_t i = 0; i <= w->r->n_kinds; i++) {
        const struct prepare_counts *k = &w->r->kinds[i];
        all->rows += k->rows;
        all->copies += k->copies;
        all->too_short += k->too_short;
        all->capped += k->capped;
        all->balanced += k->balanced;
        all->train += k->train;
        all->valid += k->valid;
        all->left += k->left;
    }
}

/* Decides about every row: all steps in their order, on a table that has been read. Fills w->to. */
static enum status prepare_choose(struct prepare_work *w)
{
    struct prepare_result *r = w->r;
    size_t n = w->t.n_rows;
    r->n_kinds = w->t.n_kinds;
    r->faulty = w->t.faulty;
    r->kinds = mem_alloc(w->c, r->n_kinds + 1, sizeof *r->kinds);
    r->names = mem_alloc(w->c, r->n_kinds, sizeof *r->names);
    w->take = mem_alloc(w->c, n, sizeof *w->take);
    w->to = mem_alloc(w->c, n, sizeof *w->to);
    w->order = mem_alloc(w->c, n, sizeof *w->order);
    for (size_t i = 0; ctx_ok(w->c) && i < r->n_kinds; i++) r->names[i] = mem_strdup(w->c, w->t.kinds[i]);
    TRY(w->c->status);
    drop_copies_and_short_ones(w);
    TRY(split_order(&w->t, w->o->sizes.seed, w->order));
    TRY(cap_kinds(w));
    balance(w);
    TRY(split_choose(&w->t, w->group, w->take, &w->o->sizes, w->to, &r->split));
    count_sides(w);
    return OK;
}

enum status prepare_run(struct ctx *c, const struct prepare_options *o, const char *const *paths, size_t n_paths,
                        const char *train, const char *valid, struct prepare_result *result)
{
    struct prepare_work w = {.c = c, .o = o, .t = {.c = c}, .r = result};
    struct copy_counts counts;
    const char *outputs[] = {train, valid};
    *result = (struct prepare_result){0};
    if (sources_open(&w.sources, c, o->sources) == OK) {
        struct table_options table = {.sources = &w.sources, .skip_faulty = o->skip_faulty};
        table_groups_read(&w.t, &w.m, c, &o->groups, table, paths, n_paths, &w.group, &counts);
    }
    if (ctx_ok(c) && prepare_choose(&w) == OK)
        table_write_rows(&w.t, w.to, &(struct table_outputs){.paths = outputs, .n = 2});
    mem_free(c, w.take);
    mem_free(c, w.to);
    mem_free(c, w.order);
    mem_free(c, w.group);
    row_table_release(&w.t);
    minhash_release(&w.m, c);
    sources_release(&w.sources);
    return c->status;
}

void prepare_result_release(struct ctx *c, struct prepare_result *r)
{
    for (size_t i = 0; r->names && i < r->n_kinds; i++) mem_free(c, r->names[i]);
    mem_free(c, r->names);
    mem_free(c, r->kinds);
    r->names = NULL;
    r->kinds = NULL;
}
