/* chart: one plot as SVG text with its title and legend, to stand inside an HTML page: points with intervals, lines, curves
 * of any length, bars, axes with round ticks. No script, no file beside it; colours come from the page's style (page.h), so
 * a dark page has a dark chart.
 *
 * What is drawn can be read back: the element <svg> has data-frame ("left top right bottom" in its pixels), data-x and
 * data-y (the values at these edges; of a logarithmic axis their logarithms to base 10), and each series is a group <g> with
 * its name in data-name. test_chart and tests/runs/read_page.py do that. */
#ifndef YA_REPORT_CHART_H
#define YA_REPORT_CHART_H

#include "base/buf.h"

enum { CHART_SERIES_MAX = 32 };

enum chart_kind {
    CHART_POINTS, /* a circle at each point, with its interval; `line` joins them */
    CHART_CURVE,  /* a line without circles, thinned to the columns of the picture (thin.h) */
    CHART_FAINT,  /* the same, thin and pale, and without a name in the legend: what a curve beside it smooths */
    CHART_BARS    /* a bar from low to high on the x axis, from 0 to y */
};

struct chart_series {
    const char *name;
    const double *x, *y;      /* (n) x ascending for curves; a point with a value that is not finite is left out */
    const double *low, *high; /* (n) interval of y, of bars of x; or NULL */
    size_t n;
    bool line; /* points are joined in their order */
    enum chart_kind kind;
    int colour; /* 1 to 8: this one; 0: by the place among the series */
};

struct chart {
    const char *title, *x_label, *y_label;
    bool diagonal;     /* the line y = x, "as predicted" */
    bool log_x, log_y; /* logarithmic; values that are not above 0 are left out */
    const struct chart_series *series;
    size_t n_series; /* at most CHART_SERIES_MAX */
};

/* Appends <figure>...</figure>. Texts are escaped. A chart without a point says so. Series without memory for their thinning
 * are left out, with the error in the ctx of the buffer. */
void chart_write(const struct chart *c, struct buf *out);

/* Ticks of an axis: the round numbers (1, 2 or 5 times a power of ten) of [low, high] that number at most 8; returns how
 * many and sets the first and the step. */
int chart_ticks(double low, double high, double *first, double *step);

#endif
