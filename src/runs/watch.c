/* watch: see the header. All of it is a function of the losses and norms seen, so a resumed run that is fed its own metrics
 * says what an unbroken one would have said. */
#include "runs/watch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORGET 0.9

void watch_init(struct watch *w, int64_t total_steps)
{
    *w = (struct watch){.total_steps = total_steps, .decay = 1};
}

double watch_loss(const struct watch *w)
{
    return w->seen ? w->smoothed / (1 - w->decay) : (double)NAN;
}

double watch_start(const double *first, int64_t n)
{
    double sum = 0;
    int64_t k = n < WATCH_SHORT ? n : WATCH_SHORT;
    for (int64_t i = 0; i < k; i++) sum += first[i];
    return k ? fmin(first[0], sum / (double)k) : (double)NAN;
}

bool watch_is_diverged(double start, double now)
{
    return now > 1.5 * start && now > start + 0.5;
}

/* Mean of the newest n losses. */
static double mean_last(const struct watch *w, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += w->last[(w->seen - 1 - i) % WATCH_WINDOW];
    return sum / n;
}

static double mean_first(const struct watch *w)
{
    double sum = 0;
    for (int i = 0; i < WATCH_WINDOW; i++) sum += w->first[i];
    return sum / WATCH_WINDOW;
}

/* For qsort. */
static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of the norms that are kept; before any, infinity. */
static double median_norm(const struct watch *w)
{
    double sorted[WATCH_NORMS];
    size_t n = (size_t)(w->seen < WATCH_NORMS ? w->seen : WATCH_NORMS);
    if (n == 0) return INFINITY;
    memcpy(sorted, w->norms, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_size);
    return sorted[n / 2];
}

/* Counts norms far above what they were; the median is of the steps before this one. */
static double note_norm(struct watch *w, double norm)
{
    double median = median_norm(w);
    bool high = w->seen >= WATCH_SHORT && norm > 20 * median;
    w->high_norms = high ? w->high_norms + 1 : 0;
    return median;
}

static void note_loss(struct watch *w, double loss)
{
    if (w->seen < WATCH_WINDOW) w->first[w->seen] = loss;
    w->last[w->seen % WATCH_WINDOW] = loss;
    w->smoothed = FORGET * w->smoothed + (1 - FORGET) * loss;
    w->decay *= FORGET;
}

static bool is_flat(const struct watch *w)
{
    return w->total_steps > 0 && w->seen >= 100 && 4 * w->seen >= w->total_steps &&
           mean_last(w, WATCH_WINDOW) > 0.995 * mean_first(w);
}

/* True the first time that an event happens. */
static bool happens(struct watch *w, enum watch_event event, bool now)
{
    if (!now || w->said[event]) return false;
    return w->said[event] = true;
}

bool watch_add(struct watch *w, const struct metrics_step *s, enum watch_event *event, char *text, size_t text_bytes)
{
    double median = note_norm(w, s->grad_norm);
    note_loss(w, s->loss);
    w->norms[w->seen % WATCH_NORMS] = s->grad_norm;
    w->seen++;
    double start = watch_start(w->first, w->seen);
    double now = w->seen > WATCH_SHORT ? mean_last(w, WATCH_SHORT) : start;
    if (happens(w, WATCH_LOSS, watch_is_diverged(start, now))) {
        *event = WATCH_LOSS;
        snprintf(text, text_bytes,
                 "the loss diverges: %.3f over the last %d steps, %.3f at the start. A learning rate below %.1e may help",
                 now, WATCH_SHORT, start, s->lr);
        return true;
    }
    if (happens(w, WATCH_NORM, w->high_norms >= 2)) {
        *event = WATCH_NORM;
        snprintf(text, text_bytes, "the gradient explodes: its norm is %.3g, and %.3g was usual. A lower --lr may help",
                 s->grad_norm, median);
        return true;
    }
    if (happens(w, WATCH_FLAT, is_flat(w))) {
        *event = WATCH_FLAT;
        snprintf(text, text_bytes, "nothing learnt so far: the loss is %.3f, and %.3f at the start. A higher --lr may help",
                 mean_last(w, WATCH_WINDOW), mean_first(w));
        return true;
    }
    return false;
}
