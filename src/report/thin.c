/* thin: see the header. */
#include "report/thin.h"

#include <math.h>
#include <stdbool.h>

static bool is_finite_point(const double *x, const double *y, size_t i)
{
    return isfinite(x[i]) && isfinite(y[i]);
}

/* The column of a value of x. */
static int column_of(double x, double x0, double x1, int columns)
{
    int k = x1 > x0 ? (int)((x - x0) / (x1 - x0) * columns) : 0;
    return k < 0 ? 0 : k >= columns ? columns - 1 : k;
}

/* The column that is being collected. */
struct thin_column {
    size_t least, largest;
    bool any;
};

/* Puts out the one or two points of a column. */
static size_t thin_put(const struct thin_column *k, size_t *keep, size_t n)
{
    if (!k->any) return n;
    size_t first = k->least < k->largest ? k->least : k->largest, last = k->least < k->largest ? k->largest : k->least;
    if (n == 0 || keep[n - 1] != first) keep[n++] = first;
    if (last != first) keep[n++] = last;
    return n;
}

size_t thin_points(const double *x, const double *y, size_t n, double x0, double x1, int columns, size_t *keep)
{
    struct thin_column k = {0};
    size_t kept = 0, good = 0, last = 0;
    int column = -1;
    for (size_t i = 0; i < n; i++) {
        if (!is_finite_point(x, y, i)) continue;
        last = i;
        good++;
    }
    if (good <= 2 * (size_t)columns) {
        for (size_t i = 0; i < n; i++)
            if (is_finite_point(x, y, i)) keep[kept++] = i;
        return kept;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_finite_point(x, y, i)) continue;
        int at = column_of(x[i], x0, x1, columns);
        if (column < 0) keep[kept++] = i;
        if (at != column) {
            kept = thin_put(&k, keep, kept);
            k = (struct thin_column){i, i, true};
            column = at;
        }
        if (y[i] < y[k.least]) k.least = i;
        if (y[i] > y[k.largest]) k.largest = i;
    }
    kept = thin_put(&k, keep, kept);
    if (keep[kept - 1] != last) keep[kept++] = last;
    return kept;
}
