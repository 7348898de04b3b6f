/* braille: dots are set in a grid of 2 x 4 to a character; the characters U+2800 to U+28FF are that grid as bits. */
#include "report/braille.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The bit of a dot in its character, by column and row, as Unicode numbers them. */
static const uint8_t dot_bit[2][4] = {{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}};

struct braille_canvas {
    int columns, rows; /* of characters */
    double x0, x1, y0, y1;
    bool any;
    uint8_t cells[BRAILLE_ROWS_MAX][BRAILLE_COLUMNS_MAX];
};

static bool is_drawn(const struct braille_plot *p, size_t i)
{
    return isfinite(p->x[i]) && isfinite(p->y[i]);
}

static int held(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

static void find_range(const struct braille_plot *p, struct braille_canvas *k)
{
    k->x0 = k->y0 = INFINITY;
    k->x1 = k->y1 = -INFINITY;
    for (size_t i = 0; i < p->n; i++) {
        if (!is_drawn(p, i)) continue;
        k->any = true;
        k->x0 = fmin(k->x0, p->x[i]);
        k->x1 = fmax(k->x1, p->x[i]);
        k->y0 = fmin(k->y0, p->y[i]);
        k->y1 = fmax(k->y1, p->y[i]);
    }
}

/* The column of dots of a value of x, and the row of dots, counted from above, of a value of y. */
static int dot_x(const struct braille_canvas *k, double x)
{
    double share = k->x1 > k->x0 ? (x - k->x0) / (k->x1 - k->x0) : 0;
    return held((int)(share * (2 * k->columns - 1) + 0.5), 0, 2 * k->columns - 1);
}

static int dot_y(const struct braille_canvas *k, double y)
{
    double share = k->y1 > k->y0 ? (y - k->y0) / (k->y1 - k->y0) : 0.5;
    return held((int)((1 - share) * (4 * k->rows - 1) + 0.5), 0, 4 * k->rows - 1);
}

/* Dots from one row to another in a column. */
static void stroke(struct braille_canvas *k, int x, int from, int to)
{
    for (int y = from < to ? from : to; y <= (from < to ? to : from); y++) k->cells[y / 4][x / 2] |= dot_bit[x % 2][y % 4];
}

/* A line between two neighbouring points that lie in different columns. */
static void braille_join(struct braille_canvas *k, int x0, int y0, int x1, int y1)
{
    int before = y0;
    for (int x = x0 + 1; x <= x1; x++) {
        int y = y0 + (int)lround((double)(y1 - y0) * (x - x0) / (x1 - x0));
        stroke(k, x, x == x1 ? y : before, y);
        before = y;
    }
}

static void braille_draw(const struct braille_plot *p, struct braille_canvas *k)
{
    int last_x = -1, last_y = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (!is_drawn(p, i)) continue;
        int x = dot_x(k, p->x[i]), y = dot_y(k, p->y[i]);
        if (last_x < 0)
            stroke(k, x, y, y);
        else if (x == last_x)
            stroke(k, x, last_y, y);
        else
            braille_join(k, last_x, last_y, x, y);
        last_x = x;
        last_y = y;
    }
}

/* One line of the picture: its label, and the characters without the empty ones at the end. */
static void braille_write_row(const struct braille_canvas *k, int row, struct buf *out)
{
    char label[32] = "";
    if (k->any && row == 0) snprintf(label, sizeof label, "%.4g", k->y1);
    if (k->any && row == k->rows - 1) snprintf(label, sizeof label, "%.4g", k->y0);
    buf_printf(out, "%*s ", BRAILLE_LABEL_COLUMNS - 1, label);
    int last = k->columns;
    while (last > 0 && !k->cells[row][last - 1]) last--;
    for (int i = 0; i < last; i++) {
        unsigned cell = k->cells[row][i];
        char utf8[3] = {(char)0xe2, (char)(0xa0 | cell >> 6), (char)(0x80 | (cell & 0x3f))};
        buf_append(out, utf8, 3);
    }
    buf_append_char(out, '\n');
}

void braille_write(const struct braille_plot *p, struct buf *out)
{
    struct braille_canvas k = {.columns = held(p->columns, 20, BRAILLE_COLUMNS_MAX) - BRAILLE_LABEL_COLUMNS,
                               .rows = held(p->rows, 3, BRAILLE_ROWS_MAX)};
    char first[32] = "", last[32] = "";
    find_range(p, &k);
    if (k.any) braille_draw(p, &k);
    for (int row = 0; row < k.rows; row++) braille_write_row(&k, row, out);
    if (k.any) {
        snprintf(first, sizeof first, "%.6g", k.x0);
        snprintf(last, sizeof last, "%.6g", k.x1);
    }
    buf_printf(out, "%*s%s%*s\n", BRAILLE_LABEL_COLUMNS, "", first, k.columns - (int)strlen(first), last);
}
