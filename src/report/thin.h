/* thin: a curve of many points for a picture of few columns of pixels, without hiding anything: of the points in a column
 * the least and the largest stay, in their order, so every spike is drawn as high as it is. */
#ifndef YA_REPORT_THIN_H
#define YA_REPORT_THIN_H

#include <stddef.h>

/* x (n), ascending; y (n). A point that is not finite is left out. Writes the indices that stay, ascending, to keep (which
 * has room for n and for at most 2 * columns + 2 of them) and returns their number. All points stay where there are at most
 * two for each of the columns into which x0 .. x1 is divided; otherwise the first and the last one stay too. */
size_t thin_points(const double *x, const double *y, size_t n, double x0, double x1, int columns, size_t *keep);

#endif
