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
    double left, top, right, bottom;
    assert_int_equal(sscanf(strstr(svg, "data-frame="), "data-frame=\"%lf %lf %lf %lf\"", &left, &top, &right, &bottom), 4);
    assert_true(ax > left && dx < right && dy > top && ay < bottom && ay > dy);
    assert_non_null(strstr(svg, "a&lt;b"));
    assert_non_null(strstr(svg, "T&amp;&quot;"));
    assert_null(strstr(svg, "nan"));
    assert_non_null(strstr(svg, "class=\"guide\""));
    buf_release(&out);
}

/* The values of a series, from its pixels and what the picture says of its axes; returns how many. */
static size_t read_back(const char *svg, const char *name, const char *element, double *x, double *y)
{
    double frame[4], ax[2], ay[2];
    size_t n = 0;
    char start[64];
    assert_int_equal(
        sscanf(strstr(svg, "data-frame="), "data-frame=\"%lf %lf %lf %lf\"", &frame[0], &frame[1], &frame[2], &frame[3]), 4);
    assert_int_equal(sscanf(strstr(svg, " data-x="), " data-x=\"%lf %lf\"", &ax[0], &ax[1]), 2);
    assert_int_equal(sscanf(strstr(svg, " data-y="), " data-y=\"%lf %lf\"", &ay[0], &ay[1]), 2);
    snprintf(start, sizeof start, "data-name=\"%s\"", name);
    const char *p = strstr(svg, start);
    assert_non_null(p);
    p = strstr(p, element);
    assert_non_null(p);
    p += strlen(element);
    for (int used; sscanf(p, "%lf,%lf %n", &x[n], &y[n], &used) == 2; n++, p += used) {
        x[n] = ax[0] + (x[n] - frame[0]) / (frame[2] - frame[0]) * (ax[1] - ax[0]);
        y[n] = ay[0] + (frame[3] - y[n]) / (frame[3] - frame[1]) * (ay[1] - ay[0]);
    }
    return n;
}

/* Ten thousand points become at most two a column, and the one that is far from the others is among them. */
static void long_curves(void **state)
{
    (void)state;
    static double x[10000], y[10000], rx[10000], ry[10000];
    for (int i = 0; i < 10000; i++) {
        x[i] = i + 1;
        y[i] = 3 + sin(i / 500.0) + 0.1 * ((i * 7919) % 13 - 6) / 6;
    }
    y[7777] = 9;
    y[20] = NAN;
    const struct chart_series s[] = {{.name = "raw", .x = x, .y = y, .n = 10000, .kind = CHART_FAINT},
                                     {.name = "short", .x = x, .y = y, .n = 30, .kind = CHART_CURVE}};
    const struct chart chart = {.title = "T", .x_label = "x", .y_label = "y", .series = s, .n_series = 2};
    struct buf out;
    const char *svg = draw(&chart, &out);
    assert_true(out.len < 20000);
    size_t n = read_back(svg, "raw", "class=\"f\" points=\"", rx, ry), spikes = 0;
    assert_true(n > 700 && n <= 2 * 444 + 2);
    for (size_t i = 0; i < n; i++) {
        size_t at =
            rx[i] < 1 ? 0 : (size_t)lround(rx[i]) - 1; /* a pixel is some 25 steps: the value must be near one of theirs */
        double nearest = INFINITY;
        for (size_t k = at > 30 ? at - 30 : 0; k < at + 30 && k < 10000; k++) nearest = fmin(nearest, fabs(y[k] - ry[i]));
        if (!(nearest < 0.03)) fail_msg("%g at %g is no value of the curve", ry[i], rx[i]);
        spikes += fabs(ry[i] - 9) < 0.02;
    }
    assert_int_equal(spikes, 1);
    n = read_back(svg, "short", "class=\"l\" points=\"", rx, ry);
    assert_int_equal(n, 29);
    assert_null(strstr(strstr(svg, "class=\"key\""), "raw"));
    buf_release(&out);
}

static void logarithms_and_bars(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3, 4}, y[] = {1e-3, 0, 10, 1e4};
    double rx[8], ry[8];
    struct chart_series s = {.name = "norm", .x = x, .y = y, .n = 4, .kind = CHART_CURVE};
    struct chart chart = {.title = "T", .x_label = "x", .y_label = "y", .series = &s, .n_series = 1, .log_y = true};
    struct buf out;
    const char *svg = draw(&chart, &out);
    assert_int_equal(read_back(svg, "norm", "class=\"l\" points=\"", rx, ry), 3); /* 0 has no logarithm */
    assert_true(fabs(ry[0] + 3) < 0.05 && fabs(ry[1] - 1) < 0.05 && fabs(ry[2] - 4) < 0.05);
    assert_non_null(strstr(svg, ">100<"));
    buf_release(&out);

    const double low[] = {0.1, 1}, high[] = {1, 10}, middle[] = {0.3, 3}, count[] = {5, 10};
    s = (struct chart_series){.name = "bars", .x = middle, .y = count, .low = low, .high = high, .n = 2, .kind = CHART_BARS};
    chart.log_y = false;
    chart.log_x = true;
    svg = draw(&chart, &out);
    double at, top, width, height, at2, top2, width2, height2;
    const char *p = strstr(svg, "<rect class=\"p\"");
    static const char form[] = "<rect class=\"p\" x=\"%lf\" y=\"%lf\" width=\"%lf\" height=\"%lf\"/>";
    assert_int_equal(sscanf(p, form, &at, &top, &width, &height), 4);
    assert_int_equal(sscanf(strstr(p + 1, "<rect"), form, &at2, &top2, &width2, &height2), 4);
    assert_true(fabs(width - width2) < 0.3 && fabs(2 * height - height2) < 0.3 && fabs(at + width + 1 - at2) < 0.3);
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
    assert_null(strstr(buf_str(&out), "http:"));
    assert_null(strstr(buf_str(&out), "https"));
    buf_release(&out);
}

/* Text of others never becomes markup, in an element or in an attribute, and never bytes that are not UTF-8. */
static void hostile_text(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, c, 1 << 16);
    page_text(&out, "</title><script>alert('1')</script>\" onload=\"x & \xff\xc3\x01\x1b[2J\xc3\xa9\n");
    assert_string_equal(buf_str(&out),
                        "&lt;/title&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot; onload=&quot;x &amp; "
                        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd[2J\xc3\xa9\n");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks),       cmocka_unit_test(points),      cmocka_unit_test(empty_and_single),
        cmocka_unit_test(pages),       cmocka_unit_test(long_curves), cmocka_unit_test(logarithms_and_bars),
        cmocka_unit_test(hostile_text)};
    c = ctx_new(NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ctx_free(c);
    return failed;
}
