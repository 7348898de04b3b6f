/* experiment_fit: fits and groups from the points of all trials. A point is one fact of one trial, asked in one way: x
 * what is predicted, y what was measured. For every length of training, arm and way to ask, points are added to the sums
 * of their fact (struct slope_sums), and slope.h fits a line to those sums; a fit that does not exist is left out.
 *
 * For a change, a trial is paired with the one of plain fine-tuning that has the same repeat, epochs and seed. If that
 * one is predicted -1.10 and measured -0.9, and the weighted one is predicted +1.20 and measured +0.8, the point is
 * (2.30, 1.7). */
#include "eval/experiment_fit.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { EPOCHS_MAX = 64 };

const char *const fit_kind_name[] = {"level", "change", "generalisation"};

/* Sums of all facts of an experiment, of the fit that is being made and of the one it is compared with. */
struct fit_work {
    struct ctx *c;
    const struct experiment *e;
    struct experiment_fits *out;
    size_t n_facts, capacity; /* capacity: of out->fits */
    struct slope_sums *sums, *trained;
};

static const double *odds_of(const struct trial *t, enum belief kind)
{
    return t->odds + (size_t)kind * t->n_facts;
}

/* Trained statements are predicted phrasing by phrasing, because each has documents of its own; for all other ways to ask
 * there are none with the same words, so all documents of the fact count together. */
static const double *predicted_of(const struct trial *t, enum belief kind)
{
    return kind == BELIEF_TRAINED || kind == BELIEF_TAG_PRIMARY || kind == BELIEF_TAG_CONSENSUS ? t->phrased : t->pooled;
}

/* The trial of plain fine-tuning that another one is compared with, or NULL. */
static const struct trial *plain_of(const struct experiment *e, const struct cell *cell)
{
    for (size_t i = 0; i < e->n; i++) {
        const struct cell *k = &e->trials[i].cell;
        if (k->arm == ARM_OFF && k->repeat == cell->repeat && k->epochs == cell->epochs && k->seed == cell->seed)
            return &e->trials[i];
    }
    return NULL;
}

/* Adds the points of one trial. */
static void add_trial(const struct fit_work *w, enum fit_kind kind, const struct trial *t, enum belief belief,
                      struct slope_sums *sums)
{
    const double *x = predicted_of(t, belief), *y = odds_of(t, belief);
    const struct trial *plain = kind == FIT_LEVEL ? NULL : plain_of(w->e, &t->cell);
    if (kind != FIT_LEVEL && !plain) return;
    for (size_t i = 0; i < w->n_facts; i++) {
        double x0 = plain ? predicted_of(plain, belief)[i] : 0, y0 = plain ? odds_of(plain, belief)[i] : 0;
        slope_add(&sums[i], x[i] - x0, y[i] - y0);
    }
}

static void add_arm(const struct fit_work *w, enum fit_kind kind, enum arm arm, int64_t epochs, enum belief belief,
                    struct slope_sums *sums)
{
    memset(sums, 0, w->n_facts * sizeof(*sums));
    for (size_t i = 0; i < w->e->n; i++) {
        const struct trial *t = &w->e->trials[i];
        bool wanted = arm == ARM_BASE ? t->cell.arm == ARM_OFF || t->cell.arm == ARM_MONOTONE : t->cell.arm == arm;
        if (wanted && t->cell.epochs == epochs) add_trial(w, kind, t, belief, sums);
    }
}

/* Appends a fit if there is something to fit. */
static enum status add_fit(struct fit_work *w, enum fit_kind kind, enum arm arm, int64_t epochs, enum belief belief)
{
    struct experiment_fits *out = w->out;
    struct fit fit = {.kind = kind, .arm = arm, .epochs = epochs, .belief = belief};
    enum slope_kind through = kind == FIT_LEVEL ? SLOPE_LINE : SLOPE_ORIGIN;
    add_arm(w, kind, arm, epochs, belief, w->sums);
    if (kind == FIT_GENERALISATION) {
        add_arm(w, kind, arm, epochs, BELIEF_TRAINED, w->trained);
        TRY(slope_ratio(w->c, through, w->sums, w->trained, w->n_facts, &fit.slope));
    } else {
        TRY(slope_fit(w->c, through, w->sums, w->n_facts, &fit.slope));
    }
    if (!isfinite(fit.slope.slope)) return OK;
    if (out->n == w->capacity) {
        struct fit *grown = mem_resize(w->c, out->fits, w->capacity, 2 * w->capacity + 64, sizeof(*grown));
        if (!grown) return w->c->status;
        out->fits = grown;
        w->capacity = 2 * w->capacity + 64;
    }
    out->fits[out->n++] = fit;
    return OK;
}

static enum status fit_arm(struct fit_work *w, enum arm arm, int64_t epochs)
{
    for (int b = 0; b < BELIEFS; b++) {
        TRY(add_fit(w, FIT_LEVEL, arm, epochs, (enum belief)b));
        if (arm == ARM_BASE || arm == ARM_OFF) continue;
        TRY(add_fit(w, FIT_CHANGE, arm, epochs, (enum belief)b));
        if (b != BELIEF_TRAINED) TRY(add_fit(w, FIT_GENERALISATION, arm, epochs, (enum belief)b));
    }
    return OK;
}

/* All epochs that occur, each once. */
static size_t list_epochs(const struct experiment *e, int64_t *epochs)
{
    size_t n = 0;
    for (size_t i = 0; i < e->n; i++) {
        size_t k = 0;
        while (k < n && epochs[k] != e->trials[i].cell.epochs) k++;
        if (k == n && n < EPOCHS_MAX && e->trials[i].cell.arm != ARM_BASE) epochs[n++] = e->trials[i].cell.epochs;
    }
    return n;
}

/* ---- groups ----------------------------------------------------------------------------------------------------------- */

static bool is_group(const struct cell *a, const struct cell *b)
{
    return a->arm == b->arm && a->repeat == b->repeat && a->ratio == b->ratio && a->epochs == b->epochs;
}

static double mean_without_nan(const double *values, size_t n)
{
    double sum = 0, count = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(values[i])) continue;
        sum += values[i];
        count += 1;
    }
    return count > 0 ? sum / count : (double)NAN;
}

/* The part of a group that is one way to ask. */
static enum status fill_belief(struct fit_work *w, struct fit_group *g, enum belief b)
{
    double preferred = 0, n = 0;
    memset(w->sums, 0, w->n_facts * sizeof(*w->sums));
    for (size_t i = 0; i < w->e->n; i++) {
        const struct trial *t = &w->e->trials[i];
        const double *odds = odds_of(t, b);
        for (size_t k = 0; k < w->n_facts && is_group(&t->cell, &g->cell); k++) {
            slope_add(&w->sums[k], 0, odds[k]);
            preferred += odds[k] > 0;
            n += !isnan(odds[k]);
        }
    }
    g->preferred[b] = preferred / n; /* NaN when the arm is not asked this way */
    return slope_fit(w->c, SLOPE_MEAN, w->sums, w->n_facts, &g->mean[b]);
}

static enum status experiment_fit_fill_group(struct fit_work *w, struct fit_group *g, const struct cell *cell)
{
    *g = (struct fit_group){.cell = *cell};
    double predicted = 0, perplexity = 0; /* the second: sum of logarithms, since the mean over seeds is the geometric one */
    int64_t n = 0;
    for (size_t i = 0; i < w->e->n; i++) {
        const struct trial *t = &w->e->trials[i];
        if (!is_group(&t->cell, cell)) continue;
        n++;
        predicted += mean_without_nan(t->phrased, t->n_facts);
        perplexity += log(t->perplexity);
        for (int k = 0; k < BELIEF_SAID; k++) {
            g->said[k].primary += t->said[k].primary;
            g->said[k].consensus += t->said[k].consensus;
            g->said[k].neither += t->said[k].neither;
        }
    }
    g->cell.seed = n;
    g->predicted = predicted / (double)n;
    g->perplexity = exp(perplexity / (double)n);
    for (int b = 0; b < BELIEFS; b++) TRY(fill_belief(w, g, (enum belief)b));
    return OK;
}

static enum status fill_groups(struct fit_work *w)
{
    struct experiment_fits *out = w->out;
    out->groups = mem_alloc(w->c, w->e->n, sizeof(*out->groups));
    if (!out->groups) return w->c->status;
    for (size_t i = 0; i < w->e->n; i++) {
        size_t k = 0;
        while (k < out->n_groups && !is_group(&out->groups[k].cell, &w->e->trials[i].cell)) k++;
        if (k == out->n_groups) TRY(experiment_fit_fill_group(w, &out->groups[out->n_groups++], &w->e->trials[i].cell));
    }
    return OK;
}

/* ---- all -------------------------------------------------------------------------------------------------------------- */

static enum status fit_all(struct fit_work *w)
{
    int64_t epochs[EPOCHS_MAX];
    size_t n_epochs = list_epochs(w->e, epochs);
    if (!w->sums || !w->trained) return w->c->status;
    for (size_t k = 0; k < n_epochs; k++)
        for (int arm = ARM_BASE; arm < ARMS; arm++) TRY(fit_arm(w, (enum arm)arm, epochs[k]));
    return fill_groups(w);
}

enum status experiment_fit(const struct experiment *e, struct experiment_fits *out)
{
    struct ctx *c = e->c;
    *out = (struct experiment_fits){.c = c};
    if (e->n == 0) return OK;
    size_t n = e->trials[0].n_facts;
    struct fit_work w = {.c = c, .e = e, .out = out, .n_facts = n};
    w.sums = mem_alloc(c, n, sizeof(*w.sums));
    w.trained = mem_alloc(c, n, sizeof(*w.trained));
    enum status status = fit_all(&w);
    mem_free(c, w.sums);
    mem_free(c, w.trained);
    return status;
}

void experiment_fits_release(struct experiment_fits *f)
{
    mem_free(f->c, f->fits);
    mem_free(f->c, f->groups);
    *f = (struct experiment_fits){.c = f->c};
}

const struct fit *experiment_find_fit(const struct experiment_fits *f, enum fit_kind kind, enum arm arm, int64_t epochs,
                                      enum belief belief)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct fit *k = &f->fits[i];
        if (k->kind == kind && k->arm == arm && k->epochs == epochs && k->belief == belief) return k;
    }
    return NULL;
}
