/* chart: writes a plot as SVG. The range of both axes is found first from all points and intervals (range_of), then axes
 * with their grid, then each series; title and legend are HTML around the picture, where they can wrap on a narrow screen.
 * place_x and place_y turn values into pixels of a picture of WIDTH x HEIGHT; y grows downwards in SVG. On a logarithmic
 * axis everything but the labels is done with the logarithm (to_axis). Colours are classes s0 to s7, which page.c's style
 * defines.
 */
#include "report/chart.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "report/page.h"
#include "report/thin.h"

enum { WIDTH = 520, HEIGHT = 300, LEFT = 74, RIGHT = 12, TOP = 10, BOTTOM = 44, COLOURS = 8, TICKS_MOST = 8 };

/* What is shown: the range of both axes. */
struct chart_range {
    bool log_x, log_y;
    double x0, x1, y0, y1; /* of logarithms where the axis is logarithmic */
    bool any;
};

/* A value's place on an axis, before it becomes pixels; NaN for one that has none. */
static double to_axis(bool logarithmic, double v)
{
    if (!logarithmic) return v;
    return v > 0 ? log10(v) : (double)NAN;
}

static void chart_widen(double v, double *low, double *high)
{
    if (!isfinite(v)) return;
    if (v < *low) *low = v;
    if (v > *high) *high = v;
}

/* Leaves 6 % of the range free on each side, so that no point lies on the frame; around a single value, up to
 * rounding, a tenth of it. */
static void chart_pad(double *low, double *high)
{
    double margin = (*high - *low) * 0.06;
    if (!(margin > 1e-9 * fabs(*high))) margin = *high == 0 ? 1 : fabs(*high) * 0.1;
    *low -= margin;
    *high += margin;
}

static void widen_by_series(const struct chart_series *s, struct chart_range *r)
{
    for (size_t i = 0; i < s->n; i++) {
        double x = to_axis(r->log_x, s->x[i]), y = to_axis(r->log_y, s->y[i]);
        if (!isfinite(x) || !isfinite(y)) continue;
        r->any = true;
        chart_widen(x, &r->x0, &r->x1);
        chart_widen(y, &r->y0, &r->y1);
        for (int side = 0; side < 2; side++) {
            const double *end = side ? s->high : s->low;
            if (!end) continue;
            if (s->kind == CHART_BARS)
                chart_widen(to_axis(r->log_x, end[i]), &r->x0, &r->x1);
            else
                chart_widen(to_axis(r->log_y, end[i]), &r->y0, &r->y1);
        }
    }
}

static struct chart_range range_of(const struct chart *c)
{
    struct chart_range r = {c->log_x, c->log_y, INFINITY, -INFINITY, INFINITY, -INFINITY, false};
    bool bars = false;
    for (size_t k = 0; k < c->n_series; k++) {
        widen_by_series(&c->series[k], &r);
        bars |= c->series[k].kind == CHART_BARS;
    }
    if (!r.any) r = (struct chart_range){c->log_x, c->log_y, 0, 1, 0, 1, false};
    if (bars && !c->log_y) chart_widen(0, &r.y0, &r.y1);
    chart_pad(&r.x0, &r.x1);
    chart_pad(&r.y0, &r.y1);
    if (bars && !c->log_y) r.y0 = 0;
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

/* ---- axes ------------------------------------------------------------------------------------------------------------ */

/* Tick values of an axis as they stand on it; at most 2 * TICKS_MOST. */
struct chart_scale {
    int n;
    double at[2 * TICKS_MOST], value[2 * TICKS_MOST];
};

static void scale_add(struct chart_scale *s, double at, double value)
{
    if (s->n == 2 * TICKS_MOST) return;
    s->at[s->n] = at;
    s->value[s->n++] = value;
}

/* Powers of ten, with their doubles and fivefolds where they are few, or only every so many of them. */
static void scale_logarithms(double low, double high, struct chart_scale *s)
{
    int first = (int)ceil(low), last = (int)floor(high), decades = last - first + 1;
    int every = decades > TICKS_MOST ? (decades + TICKS_MOST - 1) / TICKS_MOST : 1;
    static const double factors[] = {1, 2, 5};
    for (int k = first - 1; k <= last; k++) {
        for (int f = 0; f < (decades <= 2 ? 3 : 1); f++) {
            double value = factors[f] * pow(10, k), at = log10(value);
            if (at >= low && at <= high && (k - first) % every == 0) scale_add(s, at, value);
        }
    }
}

static struct chart_scale scale_of(bool logarithmic, double low, double high)
{
    struct chart_scale s = {.n = 0};
    double first, step;
    if (logarithmic) scale_logarithms(low, high, &s);
    if (s.n >= 2) return s;
    s.n = 0; /* less than a decade: round logarithms are as good as anything */
    int n = chart_ticks(low, high, &first, &step);
    for (int i = 0; i < n; i++) {
        double at = fabs(first + i * step) < step / 2 ? 0 : first + i * step;
        scale_add(&s, at, logarithmic ? pow(10, at) : at);
    }
    return s;
}

static void write_axes(const struct chart *c, const struct chart_range *r, struct buf *out)
{
    char text[32];
    struct chart_scale s = scale_of(c->log_x, r->x0, r->x1);
    for (int i = 0; i < s.n; i++) {
        double x = place_x(r, s.at[i]);
        write_line(out, "grid", x, TOP, x, HEIGHT - BOTTOM);
        snprintf(text, sizeof(text), "%.6g", s.value[i]);
        write_label(out, x, HEIGHT - BOTTOM + 16, "text-anchor=\"middle\"", text);
    }
    s = scale_of(c->log_y, r->y0, r->y1);
    for (int i = 0; i < s.n; i++) {
        double y = place_y(r, s.at[i]);
        write_line(out, "grid", LEFT, y, WIDTH - RIGHT, y);
        snprintf(text, sizeof(text), "%.6g", s.value[i]);
        write_label(out, LEFT - 6, y + 4, "text-anchor=\"end\"", text);
    }
    write_line(out, "axis", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM);
    write_line(out, "axis", LEFT, TOP, LEFT, HEIGHT - BOTTOM);
    write_label(out, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8, "text-anchor=\"middle\"", c->x_label);
    snprintf(text, sizeof text, "translate(13,%d)", (TOP + HEIGHT - BOTTOM) / 2);
    buf_printf(out, "<g transform=\"%s\">", text);
    write_label(out, 0, 0, "text-anchor=\"middle\" transform=\"rotate(-90)\"", c->y_label);
    buf_append_str(out, "</g>");
}

/* The part of y = x that is inside both ranges. */
static void write_diagonal(const struct chart_range *r, struct buf *out)
{
    double low = fmax(r->x0, r->y0), high = fmin(r->x1, r->y1);
    if (low < high) write_line(out, "guide", place_x(r, low), place_y(r, low), place_x(r, high), place_y(r, high));
}

/* ---- series ---------------------------------------------------------------------------------------------------------- */

/* All points of a series on the axes. */
struct chart_places {
    double *x, *y; /* (n) NaN for a point that is left out */
    size_t *keep;  /* (n_kept) those to draw */
    size_t n_kept;
};

static bool places_make(const struct chart_series *s, const struct chart_range *r, struct buf *out, struct chart_places *p)
{
    struct ctx *c = out->c;
    p->x = mem_alloc(c, 2 * s->n + 1, sizeof *p->x);
    p->keep = p->x ? mem_alloc(c, s->n + 1, sizeof *p->keep) : NULL;
    if (!p->keep) return false;
    p->y = p->x + s->n;
    for (size_t i = 0; i < s->n; i++) {
        p->x[i] = to_axis(r->log_x, s->x[i]);
        p->y[i] = to_axis(r->log_y, s->y[i]);
    }
    bool thinned = s->kind == CHART_CURVE || s->kind == CHART_FAINT;
    p->n_kept = thin_points(p->x, p->y, s->n, r->x0, r->x1, thinned ? WIDTH - LEFT - RIGHT : (int)(s->n / 2 + 1), p->keep);
    return true;
}

static void write_curve(const struct chart_places *p, const struct chart_range *r, bool faint, struct buf *out)
{
    if (p->n_kept == 0) return;
    buf_printf(out, "<polyline class=\"%s\" points=\"", faint ? "f" : "l");
    for (size_t k = 0; k < p->n_kept; k++)
        buf_printf(out, "%.1f,%.1f ", place_x(r, p->x[p->keep[k]]), place_y(r, p->y[p->keep[k]]));
    buf_append_str(out, "\"/>");
}

static void write_points(const struct chart_series *s, const struct chart_places *p, const struct chart_range *r,
                         struct buf *out)
{
    if (s->line) write_curve(p, r, false, out);
    for (size_t k = 0; k < p->n_kept; k++) {
        size_t i = p->keep[k];
        double x = place_x(r, p->x[i]), low = s->low ? to_axis(r->log_y, s->low[i]) : (double)NAN;
        double high = s->high ? to_axis(r->log_y, s->high[i]) : (double)NAN;
        if (isfinite(low) && isfinite(high)) write_line(out, "l", x, place_y(r, low), x, place_y(r, high));
        buf_printf(out, "<circle class=\"p\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>", x, place_y(r, p->y[i]));
    }
}

static void write_bars(const struct chart_series *s, const struct chart_places *p, const struct chart_range *r,
                       struct buf *out)
{
    for (size_t k = 0; k < p->n_kept; k++) {
        size_t i = p->keep[k];
        double x0 = place_x(r, to_axis(r->log_x, s->low[i])), x1 = place_x(r, to_axis(r->log_x, s->high[i]));
        double y = place_y(r, p->y[i]), bottom = place_y(r, r->y0);
        buf_printf(out, "<rect class=\"p\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", x0, y,
                   x1 - x0 > 2 ? x1 - x0 - 1 : x1 - x0, bottom - y);
    }
}

static int colour_of(const struct chart_series *s, size_t k)
{
    return s->colour > 0 ? (s->colour - 1) % COLOURS : (int)(k % COLOURS);
}

static void write_series(const struct chart_series *s, size_t k, const struct chart_range *r, struct buf *out)
{
    struct chart_places p = {.n_kept = 0};
    buf_printf(out, "<g class=\"s%d\" data-name=\"", colour_of(s, k));
    page_text(out, s->name);
    buf_append_str(out, "\">");
    if (places_make(s, r, out, &p)) {
        if (s->kind == CHART_POINTS) write_points(s, &p, r, out);
        if (s->kind == CHART_CURVE || s->kind == CHART_FAINT) write_curve(&p, r, s->kind == CHART_FAINT, out);
        if (s->kind == CHART_BARS) write_bars(s, &p, r, out);
    }
    mem_free(out->c, p.keep);
    mem_free(out->c, p.x);
    buf_append_str(out, "</g>");
}

/* Names beside dots of their colours, where there is more than one series, or its name tells more than the title does. */
static void write_legend(const struct chart *c, struct buf *out)
{
    buf_append_str(out, "<div class=\"key\">");
    for (size_t k = 0; k < c->n_series && k < CHART_SERIES_MAX; k++) {
        const struct chart_series *s = &c->series[k];
        if (s->kind == CHART_FAINT) continue;
        buf_printf(out, "<span class=\"s%d\">", colour_of(s, k));
        page_text(out, s->name);
        buf_append_str(out, "</span>");
    }
    buf_append_str(out, "</div>");
}

void chart_write(const struct chart *c, struct buf *out)
{
    struct chart_range r = range_of(c);
    buf_append_str(out, "<figure><figcaption>");
    page_text(out, c->title);
    buf_printf(out, "</figcaption><svg viewBox=\"0 0 %d %d\" width=\"%d\" data-frame=\"%d %d %d %d\"", WIDTH, HEIGHT, WIDTH,
               LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM);
    buf_printf(out, " data-x=\"%.9g %.9g\" data-y=\"%.9g %.9g\" role=\"img\" aria-label=\"", r.x0, r.x1, r.y0, r.y1);
    page_text(out, c->title);
    buf_append_str(out, "\">");
    write_axes(c, &r, out);
    if (c->diagonal) write_diagonal(&r, out);
    for (size_t k = 0; k < c->n_series && k < CHART_SERIES_MAX; k++) write_series(&c->series[k], k, &r, out);
    if (!r.any) write_label(out, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT / 2.0, "text-anchor=\"middle\"", "no points");
    buf_append_str(out, "</svg>");
    write_legend(c, out);
    buf_append_str(out, "</figure>\n");
}
