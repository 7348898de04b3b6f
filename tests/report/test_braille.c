/* The terminal's plot: dots stand where values say, every spike is drawn, and a plot without points or with one is a plot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report/braille.h"

static struct ctx *c;

enum { ROWS = 4, COLUMNS = 29, CELLS = COLUMNS - BRAILLE_LABEL_COLUMNS };

/* The cells of a drawn plot, 0 where a line is shorter. */
static void draw(const double *x, const double *y, size_t n, unsigned cells[ROWS][CELLS], char *labels)
{
    struct buf out;
    buf_init(&out, c, 1 << 16);
    braille_write(&(struct braille_plot){x, y, n, COLUMNS, ROWS}, &out);
    assert_true(buf_ok(&out));
    memset(cells, 0, sizeof(unsigned) * ROWS * CELLS);
    const char *p = buf_str(&out);
    for (int row = 0; row < ROWS; row++) {
        p += BRAILLE_LABEL_COLUMNS;
        for (int i = 0; *p != '\n'; i++, p += 3) {
            assert_true(i < CELLS && (unsigned char)p[0] == 0xe2);
            cells[row][i] = ((unsigned char)p[1] & 3u) << 6 | ((unsigned char)p[2] & 0x3fu);
        }
        p++;
    }
    snprintf(labels, 128, "%s", p);
    assert_int_equal(p[strlen(p) - 1], '\n');
    buf_release(&out);
}

static void a_falling_line(void **state)
{
    (void)state;
    double x[1000], y[1000];
    unsigned cells[ROWS][CELLS];
    char labels[128];
    for (int i = 0; i < 1000; i++) {
        x[i] = i + 1;
        y[i] = 1000 - i;
    }
    draw(x, y, 1000, cells, labels);
    assert_true(cells[0][0] & 0x01);                /* the upper left dot */
    assert_true(cells[ROWS - 1][CELLS - 1] & 0x80); /* the lower right one */
    assert_int_equal(cells[ROWS - 1][0], 0);
    assert_int_equal(cells[0][CELLS - 1], 0);
    assert_non_null(strstr(labels, "1 "));
    assert_non_null(strstr(labels, " 1000\n"));
}

/* One value in ten thousand. */
static void a_spike_is_not_lost(void **state)
{
    (void)state;
    static double x[10000], y[10000];
    unsigned cells[ROWS][CELLS];
    char labels[128];
    for (int i = 0; i < 10000; i++) {
        x[i] = i;
        y[i] = i == 5000 ? 50 : 1;
    }
    y[7] = NAN;
    draw(x, y, 10000, cells, labels);
    int spikes = 0;
    for (int i = 0; i < CELLS; i++) spikes += cells[0][i] != 0;
    assert_int_equal(spikes, 1);
    assert_true(cells[0][CELLS / 2] || cells[0][CELLS / 2 - 1]);
}

static void nothing_and_one(void **state)
{
    (void)state;
    unsigned cells[ROWS][CELLS];
    char labels[128];
    const double one = 3, none = INFINITY;
    draw(&one, &none, 1, cells, labels);
    for (int i = 0; i < CELLS; i++) assert_int_equal(cells[0][i], 0);
    draw(&one, &one, 1, cells, labels);
    assert_true(cells[1][0] || cells[2][0]);
    draw(NULL, NULL, 0, cells, labels);
}

static int setup(void **state)
{
    (void)state;
    c = ctx_new(NULL);
    return c ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    ctx_free(c);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_falling_line), cmocka_unit_test(a_spike_is_not_lost),
                                       cmocka_unit_test(nothing_and_one)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
