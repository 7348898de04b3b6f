/* Charts: ticks are round and inside, points stand where their values say, what is not finite is left out, texts are
 * escaped, and a chart without points or of one point is a chart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report/chart.h"
#include "report/page.h"

static struct ctx *c;

static void ticks(void **state)
{
    (void)state;
    double first, step;
    assert_int_equal(chart_ticks(0, 1, &first, &step), 6);
    assert_true(first == 0 && fabs(step - 0.2) < 1e-12);
    assert_int_equal(chart_ticks(-3.3, 2.6, &first, &step), 6);
    assert_true(first == -3 && step == 1);
    for (double low = -1000; low < 1000; low += 37.3)
        for (double span = 1e-3; span < 1e6; span *= 3) {
            int n = chart_ticks(low, low + span, &first, &step);
            if (n < 2 || n > 8 || first < low - 1e-9 || first + (n - 1) * step > low + span + 1e-6 * span)
                fail_msg("%g + %g: %d ticks from %g by %g", low, span, n, first, step);
        }
}

/* The k-th point's place. */
static void place(const char *svg, int k, double *x, double *y)
{
    const char *p = svg;
    for (int i = 0; i <= k; i++) {
        p = strstr(p + 1, "<circle class=\"p\" cx=\"");
        assert_non_null(p);
    }
    assert_int_equal(sscanf(p, "<circle class=\"p\" cx=\"%lf\" cy=\"%lf\"", x, y), 2);
}

static const char *draw(const struct chart *chart, struct buf *out)
{
    buf_init(out, c, 1 << 20);
    chart_write(chart, out);
    assert_true(buf_ok(out));
    return buf_str(out);
}

static void points(void **state)
{
    (void)state;
    const double x[] = {0, 1, NAN, 2}, y[] = {0, 1, 5, 4};
    const struct chart_series s = {.name = "a<b", .x = x, .y = y, .n = 4, .line = true};
    const struct chart chart = {
        .title = "T&\"", .x_label = "x", .y_label = "y", .series = &s, .n_series = 1, .diagonal = true};
    struct buf out;
    const char *svg = draw(&chart, &out);
    double ax, ay, bx, by, dx, dy;
    place(svg, 0, &ax, &ay);
    place(svg, 1, &bx, &by);
    place(svg, 2, &dx, &dy); /* the third value is left out */
    assert_true(fabs((dx - ax) - 2 * (bx - ax)) < 0.3 && fabs((ay - dy) - 4 * (ay - by)) < 0.5);
    assert_true(ax > 60 && dx < 490 && dy > 34 && ay < 352 && ay > dy);
    assert_non_null(strstr(svg, "a&lt;b"));
    assert_non_null(strstr(svg, "T&amp;&quot;"));
    assert_null(strstr(svg, "nan"));
    assert_non_null(strstr(svg, "class=\"guide\""));
    buf_release(&out);
}

static void empty_and_single(void **state)
{
    (void)state;
    const double one[] = {3}, none[] = {NAN};
    struct chart_series s = {.name = "s", .x = none, .y = one, .n = 1};
    const struct chart chart = {.title = "T", .x_label = "x", .y_label = "y", .series = &s, .n_series = 1};
    struct buf out;
    assert_non_null(strstr(draw(&chart, &out), "no points"));
    buf_release(&out);
    s.x = one;
    const char *svg = draw(&chart, &out);
    assert_null(strstr(svg, "no points"));
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, "inf"));
    buf_release(&out);
}

static void pages(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, c, 1 << 16);
    page_begin(&out, "<a>");
    page_end(&out);
    assert_non_null(strstr(buf_str(&out), "<title>&lt;a&gt;</title>"));
    assert_null(strstr(buf_str(&out), "http"));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ticks), cmocka_unit_test(points), cmocka_unit_test(empty_and_single),
                                       cmocka_unit_test(pages)};
    c = ctx_new(NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ctx_free(c);
    return failed;
}
