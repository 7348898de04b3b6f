/* braille: a curve drawn with braille characters, each of which is 2 x 4 dots, for terminals and logs. */
#ifndef YA_REPORT_BRAILLE_H
#define YA_REPORT_BRAILLE_H

#include "base/buf.h"

enum { BRAILLE_COLUMNS_MAX = 400, BRAILLE_ROWS_MAX = 60, BRAILLE_LABEL_COLUMNS = 9 };

struct braille_plot {
    const double *x, *y; /* (n), x ascending; a point that is not finite is left out */
    size_t n;
    int columns, rows; /* of the whole picture, labels included; held to 20 .. 400 and 3 .. 60 */
};

/* Appends `rows` lines of curve, each behind a label of the y axis (on the first and the last one), and a line with the
 * range of x: rows + 1 lines, each ended. Every column of dots has a stroke from the least to the largest y in it, so no
 * spike is lost however many points there are. Without a point: the same number of empty lines. */
void braille_write(const struct braille_plot *p, struct buf *out);

#endif
