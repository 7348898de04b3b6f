/* chart: one plot as SVG text, to stand inside an HTML page: points with intervals, lines, axes with round ticks, a legend.
 * No script, no file beside it; colours come from the page's style (page.h), so a dark page has a dark chart. */
#ifndef YA_REPORT_CHART_H
#define YA_REPORT_CHART_H

#include "base/buf.h"

enum { CHART_SERIES_MAX = 16 };

struct chart_series {
    const char *name;
    const double *x, *y;      /* (n); a point with a value that is not finite is left out */
    const double *low, *high; /* (n) interval of y, or NULL */
    size_t n;
    bool line; /* points are joined in their order */
};

struct chart {
    const char *title, *x_label, *y_label;
    bool diagonal; /* the line y = x, "as predicted" */
    const struct chart_series *series;
    size_t n_series; /* at most CHART_SERIES_MAX */
};

/* Appends <svg>...</svg>. Texts are escaped. A chart without a point says so. */
void chart_write(const struct chart *c, struct buf *out);

/* Ticks of an axis: the round numbers (1, 2 or 5 times a power of ten) of [low, high] that number at most 8; returns how
 * many and sets the first and the step. */
int chart_ticks(double low, double high, double *first, double *step);

#endif
