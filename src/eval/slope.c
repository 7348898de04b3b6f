/* slope: estimates and their bootstrap intervals. A line needs only n and the sums of x, y, x^2 and xy of its points, so
 * each fact keeps these five numbers: a resample draws n_facts facts with replacement and adds their sums up, however
 * many points a fact has. The interval lies between the 2.5th and the 97.5th percentile of the estimates of all
 * resamples; those that do not exist (one x only) are left out. Resamples are drawn from a fixed seed, so a result can be
 * repeated. */
#include "eval/slope.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

enum { RESAMPLES = 2000, SEED = 20261128 };

void slope_add(struct slope_sums *s, double x, double y)
{
    if (!isfinite(x) || !isfinite(y)) return;
    s->n += 1;
    s->x += x;
    s->y += y;
    s->xx += x * x;
    s->xy += x * y;
}

static void slope_join(struct slope_sums *to, const struct slope_sums *s)
{
    to->n += s->n;
    to->x += s->x;
    to->y += s->y;
    to->xx += s->xx;
    to->xy += s->xy;
}

/* The estimate from sums. A line needs at least two different x. With one x only the variance is 0 but for rounding, which
 * leaves up to about 1e-16 of xx for each point; below 1e-9 of it there is no slope. */
static double estimate(enum slope_kind kind, const struct slope_sums *s, double *intercept)
{
    *intercept = 0;
    if (s->n == 0) return (double)NAN;
    if (kind == SLOPE_MEAN) return s->y / s->n;
    if (kind == SLOPE_ORIGIN) return s->xx > 1e-12 ? s->xy / s->xx : (double)NAN;
    double variance = s->xx - s->x * s->x / s->n;
    if (variance <= 1e-9 * s->xx || variance <= 0) return (double)NAN;
    double slope = (s->xy - s->x * s->y / s->n) / variance;
    *intercept = (s->y - slope * s->x) / s->n;
    return slope;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The 2.5th and the 97.5th percentile of the values that exist. */
static void set_interval(double *values, size_t n, struct slope *out)
{
    qsort(values, n, sizeof(*values), compare_doubles);
    out->low = n ? values[(size_t)(0.025 * (double)(n - 1) + 0.5)] : (double)NAN;
    out->high = n ? values[(size_t)(0.975 * (double)(n - 1) + 0.5)] : (double)NAN;
}

/* One estimate from facts drawn with replacement (r) or from all of them (NULL); `below` may be NULL. */
static double resample(enum slope_kind kind, const struct slope_sums *above, const struct slope_sums *below, size_t n_facts,
                       struct rng *r, struct slope *out)
{
    struct slope_sums a = {0}, b = {0};
    double intercept, unused;
    for (size_t i = 0; i < n_facts; i++) {
        size_t fact = r ? rng_below(r, n_facts) : i;
        slope_join(&a, &above[fact]);
        if (below) slope_join(&b, &below[fact]);
    }
    double value = estimate(kind, &a, &intercept);
    if (below) value /= estimate(kind, &b, &unused);
    if (out) *out = (struct slope){.slope = value, .intercept = below ? 0 : intercept, .points = a.n};
    return value;
}

static enum status fit_both(struct ctx *c, enum slope_kind kind, const struct slope_sums *above,
                            const struct slope_sums *below, size_t n_facts, struct slope *out)
{
    double *values = mem_alloc(c, RESAMPLES, sizeof(*values));
    if (!values) return c->status;
    struct rng r;
    size_t n = 0;
    rng_init(&r, SEED, RNG_SAMPLE, 0);
    resample(kind, above, below, n_facts, NULL, out);
    for (int i = 0; i < RESAMPLES; i++) {
        double value = resample(kind, above, below, n_facts, &r, NULL);
        if (isfinite(value)) values[n++] = value;
    }
    set_interval(values, n, out);
    mem_free(c, values);
    return OK;
}

enum status slope_fit(struct ctx *c, enum slope_kind kind, const struct slope_sums *s, size_t n_facts, struct slope *out)
{
    return fit_both(c, kind, s, NULL, n_facts, out);
}

enum status slope_ratio(struct ctx *c, enum slope_kind kind, const struct slope_sums *above, const struct slope_sums *below,
                        size_t n_facts, struct slope *out)
{
    return fit_both(c, kind, above, below, n_facts, out);
}
