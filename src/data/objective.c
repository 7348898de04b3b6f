/* objective: the formulas of objective.h, in f64.
 *
 * Fitting sorts one (g, trained tokens) pair a document, 16 bytes each. The sums run in the order of g, then of the tokens,
 * and not of the rows, so q and gbar do not change by a bit when a file is shuffled. A streaming estimate of the percentile
 * was rejected: q is stored with the run and compared by tests, so it has to be exact, and the dataset's own table is larger
 * than this one.
 *
 * NaN never becomes a number here: a document without scores has omega NaN, and `pack` refuses it. */
#include "data/objective.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const double EPSILON = 1e-8;

static const char *const mode_names[DISTRUST_COUNT] = {
    [DISTRUST_OFF] = "off",
    [DISTRUST_MONOTONE] = "monotone",
    [DISTRUST_PUBLISHED] = "published",
    [DISTRUST_ADDITIVE] = "additive",
};

const char *objective_mode_name(enum distrust mode)
{
    return (unsigned)mode < DISTRUST_COUNT ? mode_names[mode] : "unknown";
}

enum status objective_mode_parse(struct ctx *c, const char *name, enum distrust *out)
{
    for (int i = 0; i < DISTRUST_COUNT; i++) {
        if (strcmp(name, mode_names[i]) != 0) continue;
        *out = (enum distrust)i;
        return OK;
    }
    return ctx_fail(c, E_INPUT, "unknown mode '%s': want off, monotone, published or additive", name);
}

struct objective_options objective_options_default(void)
{
    return (struct objective_options){.mode = DISTRUST_MONOTONE, .lambda = 1, .alpha = 2.7, .power = 2, .ratio = 32};
}

/* E_INPUT naming the option that is out of its range, used by the mode or not. */
static enum status objective_check_options(struct ctx *c, const struct objective_options *o)
{
    if ((unsigned)o->mode >= DISTRUST_COUNT) return ctx_fail(c, E_INPUT, "unknown mode %d of the objective", (int)o->mode);
    if (!(o->lambda >= 0 && o->lambda <= 1)) return ctx_fail(c, E_INPUT, "lambda %g: want 0 to 1", o->lambda);
    if (!(o->alpha >= 2.3 && o->alpha <= 3.0)) return ctx_fail(c, E_INPUT, "alpha %g: want 2.3 to 3.0", o->alpha);
    if (!(o->power > 0 && o->power <= 16)) return ctx_fail(c, E_INPUT, "power %g: want more than 0, at most 16", o->power);
    if (!(o->ratio >= 1 && o->ratio <= 1e6)) return ctx_fail(c, E_INPUT, "ratio %g: want 1 to 1e6", o->ratio);
    return OK;
}

bool objective_has_weights(enum distrust mode)
{
    return mode == DISTRUST_MONOTONE || mode == DISTRUST_PUBLISHED;
}

double objective_signed(double auth_weight, double prov_entropy)
{
    return log(1 - auth_weight + EPSILON) + prov_entropy;
}

double objective_published(const struct objective *o, double auth_weight, double prov_entropy)
{
    double s = objective_signed(auth_weight, prov_entropy);
    return o->options.alpha * s * s;
}

/* ln(1 + e^s) without overflow for large s and without loss for very negative s. */
static double softplus(double s)
{
    return s > 0 ? s + log1p(exp(-s)) : log1p(exp(s));
}

double objective_g(const struct objective_options *o, double auth_weight, double prov_entropy)
{
    double s = objective_signed(auth_weight, prov_entropy);
    return o->mode == DISTRUST_PUBLISHED ? s * s : pow(softplus(s), o->power);
}

/* g within [q / ratio, q]; a NaN stays one, where fmin and fmax would hide it. */
static double clamp(const struct objective *o, double g)
{
    double low = o->q / o->options.ratio;
    return g < low ? low : g > o->q ? o->q : g;
}

double objective_omega(const struct objective *o, double auth_weight, double prov_entropy)
{
    double lambda = o->options.lambda;
    if (!objective_has_weights(o->options.mode)) return 1;
    double g = objective_g(&o->options, auth_weight, prov_entropy);
    if (isnan(g)) return NAN;
    double relative = o->gbar > 0 ? clamp(o, g) / o->gbar : 1; /* all g are 0: nothing tells the documents apart */
    return 1 - lambda + lambda * relative;
}

/* Whether a document has both scores. */
static bool is_scored(const struct dataset_document *e)
{
    return !isnan(e->auth_weight) && !isnan(e->prov_entropy);
}

/* E_INPUT naming the first document without scores, if there is one. */
static enum status require_scores(struct ctx *c, const struct dataset *d)
{
    for (int64_t i = 0; i < dataset_n_documents(d); i++) {
        const struct dataset_document *e = dataset_document(d, i);
        if (is_scored(e)) continue;
        return ctx_fail(
            c, E_INPUT,
            "%s:%lld: no %s, but other rows of the training have scores: score every row, give defaults for rows "
            "without (--default-auth-weight, --default-prov-entropy), or --distrust off",
            dataset_file(d, (size_t)e->file).path, (long long)e->row,
            isnan(e->auth_weight) ? "auth_weight" : "prov_entropy");
    }
    return OK;
}

/* Whether any document has a score at all: a data set without a single one is plain fine-tuning. */
static bool any_score(const struct dataset *d)
{
    for (int64_t i = 0; i < dataset_n_documents(d); i++) {
        const struct dataset_document *e = dataset_document(d, i);
        if (!isnan(e->auth_weight) || !isnan(e->prov_entropy)) return true;
    }
    return false;
}

/* A document as the fit sees it: its g and how many tokens of the training it stands for. */
struct objective_weighted {
    double g;
    int64_t tokens;
};

/* For qsort: ascending g, and by tokens where it is equal: sums of floats depend on the order of what is added, so the order
 * may not be that of the rows. */
static int compare_g(const void *a, const void *b)
{
    const struct objective_weighted *x = a, *y = b;
    if (x->g != y->g) return x->g < y->g ? -1 : 1;
    return (x->tokens > y->tokens) - (x->tokens < y->tokens);
}

/* q: the smallest g such that the documents up to it hold 99 % of the trained tokens. gbar: sums run in sorted order, so
 * they do not depend on the order of the rows. Sorts the items. */
static enum status fit_items(struct ctx *c, struct objective_weighted *items, int64_t n, struct objective *o)
{
    int64_t below = 0, last = 0;
    BUG_ON(c, n < 1 || o->tokens < 1, "an objective is fitted to %lld documents of %lld tokens", (long long)n,
           (long long)o->tokens);
    qsort(items, (size_t)n, sizeof *items, compare_g);
    for (int64_t i = 0; i < n; i++) {
        below += items[i].tokens;
        last = i;
        if ((__int128)below * 100 >= (__int128)o->tokens * 99) break;
    }
    o->q = items[last].g;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)items[i].tokens * clamp(o, items[i].g);
    o->gbar = sum / (double)o->tokens;
    if (isfinite(o->q) && isfinite(o->gbar)) return OK;
    return ctx_fail(c, E_INPUT, "the 99th percentile of g is %g: prov_entropy is too large for power %g", o->q,
                    o->options.power);
}

/* Fits q and gbar to the documents of a data set. */
static enum status fit_weights(struct ctx *c, const struct dataset *d, struct objective *o)
{
    int64_t n = dataset_n_documents(d);
    struct objective_weighted *items = mem_alloc(c, (size_t)n, sizeof *items);
    if (!items) return c->status;
    for (int64_t i = 0; i < n; i++) {
        const struct dataset_document *e = dataset_document(d, i);
        items[i] = (struct objective_weighted){objective_g(&o->options, e->auth_weight, e->prov_entropy), e->n_trained};
    }
    enum status status = fit_items(c, items, n, o);
    mem_free(c, items);
    return status;
}

/* ---- statistics ---- */

/* Statistics of an objective under which every weight is 1. */
static void neutral(struct objective *o)
{
    o->omega_min = o->omega_max = 1;
    o->ess = (double)o->tokens;
    o->d_mean = NAN;
    for (int k = 0; k <= OBJECTIVE_BINS; k++) o->edges[k] = 1;
    o->histogram[0] = o->tokens;
}

/* The mean of D over the trained tokens, which is reported beside the loss in every mode. */
static void describe_published(const struct dataset *d, struct objective *o)
{
    double sum = 0; /* NaN as soon as one document has no scores */
    for (int64_t i = 0; i < dataset_n_documents(d); i++) {
        const struct dataset_document *e = dataset_document(d, i);
        sum += (double)e->n_trained * objective_published(o, e->auth_weight, e->prov_entropy);
    }
    o->d_mean = sum / (double)o->tokens;
}

/* The weight of a document of a data set. */
static double omega_of(const struct objective *o, const struct dataset_document *e)
{
    return objective_omega(o, e->auth_weight, e->prov_entropy);
}

/* Least and largest weight, and Kish's effective sample size: with equal weights it is the number of tokens, and the more
 * unequal the weights are, the smaller it gets. */
static void describe_omega(const struct dataset *d, struct objective *o)
{
    double sum = 0, squares = 0;
    o->omega_min = INFINITY;
    o->omega_max = 0;
    for (int64_t i = 0; i < dataset_n_documents(d); i++) {
        const struct dataset_document *e = dataset_document(d, i);
        double omega = omega_of(o, e);
        sum += (double)e->n_trained * omega;
        squares += (double)e->n_trained * omega * omega;
        if (omega < o->omega_min) o->omega_min = omega;
        if (omega > o->omega_max) o->omega_max = omega;
    }
    o->ess = sum * sum / squares;
}

/* Trained tokens in OBJECTIVE_BINS bins of equal width in log omega, because weights differ by factors. */
static void describe_histogram(const struct dataset *d, struct objective *o)
{
    for (int k = 0; k <= OBJECTIVE_BINS; k++)
        o->edges[k] = o->omega_min * pow(o->omega_max / o->omega_min, (double)k / OBJECTIVE_BINS);
    o->edges[OBJECTIVE_BINS] = o->omega_max;
    o->histogram[0] = 0;
    for (int64_t i = 0; i < dataset_n_documents(d); i++) {
        const struct dataset_document *e = dataset_document(d, i);
        int k = OBJECTIVE_BINS - 1;
        while (k > 0 && omega_of(o, e) < o->edges[k]) k--;
        if (o->omega_min == o->omega_max) k = 0;
        o->histogram[k] += e->n_trained;
    }
}

enum status objective_fit(struct ctx *c, const struct objective_options *options, const struct dataset *train,
                          struct objective *out)
{
    TRY(objective_check_options(c, options));
    *out = (struct objective){.options = *options, .tokens = dataset_counts(train)->trained};
    if (options->mode != DISTRUST_OFF && !any_score(train)) {
        out->options.mode = DISTRUST_OFF;
        out->switched_off = true;
    }
    neutral(out);
    if (out->options.mode != DISTRUST_OFF) TRY(require_scores(c, train));
    describe_published(train, out);
    if (!objective_has_weights(out->options.mode)) return OK;
    TRY(fit_weights(c, train, out));
    describe_omega(train, out);
    describe_histogram(train, out);
    return OK;
}

enum status objective_check_score(struct ctx *c, size_t index, double auth_weight, double prov_entropy, int64_t tokens)
{
    if (!(auth_weight >= 0 && auth_weight <= OBJECTIVE_AUTH_MAX))
        return ctx_fail(c, E_INPUT, "document %zu: auth_weight %g: want 0 to %g", index, auth_weight, OBJECTIVE_AUTH_MAX);
    if (!(prov_entropy >= 0 && prov_entropy <= OBJECTIVE_ENTROPY_MAX))
        return ctx_fail(c, E_INPUT, "document %zu: prov_entropy %g: want 0 to %g bits", index, prov_entropy,
                        OBJECTIVE_ENTROPY_MAX);
    if (tokens < 1 || tokens > OBJECTIVE_TOKENS_MAX)
        return ctx_fail(c, E_INPUT, "document %zu: %lld trained tokens: want 1 to %lld", index, (long long)tokens,
                        (long long)OBJECTIVE_TOKENS_MAX);
    return OK;
}

enum status objective_fit_scores(struct ctx *c, const struct objective_options *options, const struct objective_scores *in,
                                 struct objective *out)
{
    TRY(objective_check_options(c, options));
    if (in->n == 0) return ctx_fail(c, E_INPUT, "there is no document to fit the objective to");
    struct objective o = {.options = *options};
    struct objective_weighted *items = mem_alloc(c, in->n, sizeof *items);
    for (size_t i = 0; items && i < in->n; i++) {
        int64_t tokens = in->tokens ? in->tokens[i] : 1;
        if (objective_check_score(c, i, in->auth_weight[i], in->prov_entropy[i], tokens) != OK) break;
        items[i] = (struct objective_weighted){objective_g(options, in->auth_weight[i], in->prov_entropy[i]), tokens};
        o.tokens += tokens;
    }
    if (ctx_ok(c) && objective_has_weights(options->mode)) fit_items(c, items, (int64_t)in->n, &o);
    mem_free(c, items);
    if (!ctx_ok(c)) return c->status;
    neutral(&o);
    *out = o;
    return OK;
}

enum status objective_restore(struct ctx *c, const struct objective_options *options, double q, double gbar,
                              struct objective *out)
{
    TRY(objective_check_options(c, options));
    *out = (struct objective){.options = *options};
    neutral(out);
    if (!objective_has_weights(options->mode)) return OK;
    /* gbar is a mean of values in [q / ratio, q]; the margins are for its rounding */
    if (!(isfinite(q) && q >= 0 && gbar <= q * (1 + 1e-9) && gbar >= q / options->ratio * (1 - 1e-9)))
        return ctx_fail(c, E_INPUT, "q %g and gbar %g cannot belong together", q, gbar);
    out->q = q;
    out->gbar = gbar;
    return OK;
}

enum status objective_check(struct ctx *c, const struct objective *o, const struct dataset *valid)
{
    return objective_has_weights(o->options.mode) ? require_scores(c, valid) : OK;
}
