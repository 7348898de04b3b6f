/* chart: writes a plot as SVG. The range of both axes is found first from all points and intervals (range_of), then axes
 * with their grid, then each series with its entry in the legend on the right. place_x and place_y turn values into pixels
 * of a picture of WIDTH x HEIGHT; y grows downwards in SVG. Colours are classes s0 to s7, which page.c's style defines. */
#include "report/chart.h"

#include <math.h>
#include <stdio.h>

#include "report/page.h"

enum { WIDTH = 640, HEIGHT = 400, LEFT = 60, RIGHT = 150, TOP = 34, BOTTOM = 48, COLOURS = 8, TICKS_MOST = 8 };

/* What is shown: the range of both axes. */
struct chart_range {
    double x0, x1, y0, y1;
    bool any;
};

static void widen(double v, double *low, double *high)
{
    if (v < *low) *low = v;
    if (v > *high) *high = v;
}

static bool is_point(const struct chart_series *s, size_t i)
{
    return isfinite(s->x[i]) && isfinite(s->y[i]);
}

/* Leaves 6 % of the range free on each side, so that no point lies on the frame; around a single value, one unit. */
static void pad(double *low, double *high)
{
    double margin = (*high - *low) * 0.06;
    if (margin == 0) margin = 1;
    *low -= margin;
    *high += margin;
}

static struct chart_range range_of(const struct chart *c)
{
    struct chart_range r = {INFINITY, -INFINITY, INFINITY, -INFINITY, false};
    for (size_t k = 0; k < c->n_series; k++) {
        const struct chart_series *s = &c->series[k];
        for (size_t i = 0; i < s->n; i++) {
            if (!is_point(s, i)) continue;
            r.any = true;
            widen(s->x[i], &r.x0, &r.x1);
            widen(s->y[i], &r.y0, &r.y1);
            if (s->low && isfinite(s->low[i])) widen(s->low[i], &r.y0, &r.y1);
            if (s->high && isfinite(s->high[i])) widen(s->high[i], &r.y0, &r.y1);
        }
    }
    if (!r.any) r = (struct chart_range){0, 1, 0, 1, false};
    pad(&r.x0, &r.x1);
    pad(&r.y0, &r.y1);
    return r;
}

/* The smallest of the steps 1, 2, 5, 10 times a power of ten with at most TICKS_MOST ticks. 1e-9 keeps a tick at `high`
 * itself that rounding put a little beyond it. */
int chart_ticks(double low, double high, double *first, double *step)
{
    double size = pow(10, floor(log10((high - low) / TICKS_MOST)));
    static const double factors[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++) {
        *step = size * factors[i];
        *first = ceil(low / *step) * *step;
        int n = (int)floor((high - *first) / *step + 1e-9) + 1;
        if (n <= TICKS_MOST) return n;
    }
    return 0;
}

static double place_x(const struct chart_range *r, double x)
{
    return LEFT + (x - r->x0) / (r->x1 - r->x0) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const struct chart_range *r, double y)
{
    return HEIGHT - BOTTOM - (y - r->y0) / (r->y1 - r->y0) * (HEIGHT - TOP - BOTTOM);
}

static void write_line(struct buf *out, const char *class, double x1, double y1, double x2, double y2)
{
    buf_printf(out, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", class, x1, y1, x2, y2);
}

static void write_label(struct buf *out, double x, double y, const char *attributes, const char *text)
{
    buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    page_text(out, text);
    buf_append_str(out, "</text>");
}

static void write_axes(const struct chart *c, const struct chart_range *r, struct buf *out)
{
    double first, step;
    char text[32];
    int n = chart_ticks(r->x0, r->x1, &first, &step);
    for (int i = 0; i < n; i++) {
        double x = place_x(r, first + i * step);
        write_line(out, "grid", x, TOP, x, HEIGHT - BOTTOM);
        snprintf(text, sizeof(text), "%g", fabs(first + i * step) < step / 2 ? 0 : first + i * step);
        write_label(out, x, HEIGHT - BOTTOM + 16, "text-anchor=\"middle\"", text);
    }
    n = chart_ticks(r->y0, r->y1, &first, &step);
    for (int i = 0; i < n; i++) {
        double y = place_y(r, first + i * step);
        write_line(out, "grid", LEFT, y, WIDTH - RIGHT, y);
        snprintf(text, sizeof(text), "%g", fabs(first + i * step) < step / 2 ? 0 : first + i * step);
        write_label(out, LEFT - 6, y + 4, "text-anchor=\"end\"", text);
    }
    write_line(out, "axis", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM);
    write_line(out, "axis", LEFT, TOP, LEFT, HEIGHT - BOTTOM);
    write_label(out, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 10, "text-anchor=\"middle\"", c->x_label);
    write_label(out, 0, 0, "text-anchor=\"middle\" transform=\"translate(14,200) rotate(-90)\"", c->y_label);
    write_label(out, LEFT, 18, "font-weight=\"600\"", c->title);
}

/* The part of y = x that is inside both ranges. */
static void write_diagonal(const struct chart_range *r, struct buf *out)
{
    double low = fmax(r->x0, r->y0), high = fmin(r->x1, r->y1);
    if (low < high) write_line(out, "guide", place_x(r, low), place_y(r, low), place_x(r, high), place_y(r, high));
}

static void write_series(const struct chart_series *s, size_t k, const struct chart_range *r, struct buf *out)
{
    buf_printf(out, "<g class=\"s%zu\">", k % COLOURS);
    if (s->line && s->n > 0) {
        buf_append_str(out, "<polyline class=\"l\" points=\"");
        for (size_t i = 0; i < s->n; i++)
            if (is_point(s, i)) buf_printf(out, "%.1f,%.1f ", place_x(r, s->x[i]), place_y(r, s->y[i]));
        buf_append_str(out, "\"/>");
    }
    for (size_t i = 0; i < s->n; i++) {
        if (!is_point(s, i)) continue;
        double x = place_x(r, s->x[i]);
        if (s->low && s->high && isfinite(s->low[i]) && isfinite(s->high[i]))
            write_line(out, "l", x, place_y(r, s->low[i]), x, place_y(r, s->high[i]));
        buf_printf(out, "<circle class=\"p\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>", x, place_y(r, s->y[i]));
    }
    double y = TOP + 8 + 18.0 * (double)k;
    buf_printf(out, "<circle class=\"p\" cx=\"%d\" cy=\"%.1f\" r=\"4\"/>", WIDTH - RIGHT + 16, y);
    write_label(out, WIDTH - RIGHT + 26, y + 4, "", s->name);
    buf_append_str(out, "</g>");
}

void chart_write(const struct chart *c, struct buf *out)
{
    struct chart_range r = range_of(c);
    buf_printf(out, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT, WIDTH);
    page_text(out, c->title);
    buf_append_str(out, "\">");
    write_axes(c, &r, out);
    if (c->diagonal) write_diagonal(&r, out);
    for (size_t k = 0; k < c->n_series && k < CHART_SERIES_MAX; k++) write_series(&c->series[k], k, &r, out);
    if (!r.any) write_label(out, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT / 2.0, "text-anchor=\"middle\"", "no points");
    buf_append_str(out, "</svg>\n");
}
