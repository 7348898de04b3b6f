/* slope: how measured values follow predicted ones: a least-squares line with an interval from a bootstrap over facts (Efron
 * 1979). All points of a fact (its cells) go together, because they share its words; resampling points would make the
 * interval too narrow. */
#ifndef YA_EVAL_SLOPE_H
#define YA_EVAL_SLOPE_H

#include "base/ctx.h"

/* Sums of the points of one fact. */
struct slope_sums {
    double n, x, y, xx, xy;
};
/* Adds a point; does nothing when one of the values is no number. */
void slope_add(struct slope_sums *s, double x, double y);

enum slope_kind {
    SLOPE_LINE,   /* y = intercept + slope x */
    SLOPE_ORIGIN, /* y = slope x: changes against changes */
    SLOPE_MEAN    /* y's mean; `slope` is the mean */
};

/* An estimate and its 95 % interval (percentiles of 2,000 resamples). NaN where it does not exist: no points, one x only. */
struct slope {
    double slope, low, high, intercept;
    double points;
};

/* n_facts sums; the same input gives the same interval. E_MEMORY. */
enum status slope_fit(struct ctx *c, enum slope_kind kind, const struct slope_sums *s, size_t n_facts, struct slope *out);
/* The slope of `above` over the slope of `below`, resampled together. */
enum status slope_ratio(struct ctx *c, enum slope_kind kind, const struct slope_sums *above, const struct slope_sums *below,
                        size_t n_facts, struct slope *out);

#endif
