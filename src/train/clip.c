/* clip: relative and fixed gradient clipping. See clip.h for the formula and for why relative is the default. In each step
 * the trainer asks for clip_threshold, the engine clips, and clip_add takes what it found; the median is made anew each
 * time, since sorting a hundred numbers is nothing beside a step. */
#include "train/clip.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"

/* A step may be four times as long as the median before its gradient is scaled down: that leaves ordinary steps alone and
 * stops outliers. */
enum { MEDIAN_FACTOR = 4 };

void clip_init(struct clip *k, enum clip_mode mode, double limit)
{
    memset(k, 0, sizeof(*k));
    k->mode = mode;
    k->limit = limit;
}

/* For qsort. */
static int clip_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of the window; the mean of the middle two for an even count; 0 when empty. */
static double median(const struct clip *k)
{
    double sorted[CLIP_WINDOW];
    if (k->n == 0) return 0.0;
    memcpy(sorted, k->window, (size_t)k->n * sizeof(double));
    qsort(sorted, (size_t)k->n, sizeof(double), clip_compare);
    return (sorted[(k->n - 1) / 2] + sorted[k->n / 2]) / 2.0;
}

double clip_threshold(const struct clip *k, double omega)
{
    switch (k->mode) {
    case CLIP_RELATIVE:
        return omega * fmax(k->limit, MEDIAN_FACTOR * median(k));
    case CLIP_FIXED:
        return k->limit;
    case CLIP_OFF:
        break;
    }
    return INFINITY;
}

void clip_add(struct clip *k, double norm, double omega, bool clipped)
{
    BUG_ON(NULL, !isfinite(norm) || norm < 0 || !(omega > 0), "norm %g of a step of mean weight %g", norm, omega);
    k->window[k->next] = norm / omega;
    k->next = (k->next + 1) % CLIP_WINDOW;
    if (k->n < CLIP_WINDOW) k->n++;
    k->steps++;
    k->clipped += clipped;
}

double clip_share(const struct clip *k)
{
    return k->steps ? (double)k->clipped / (double)k->steps : 0.0;
}
