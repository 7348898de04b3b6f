/* schedule: linear warm-up, then cosine, linear, constant or rising. See schedule.h.
 *
 * Step numbers start at 1, so the warm-up never spends a step at rate 0 (a schedule that starts at 0 wastes the first step,
 * which on runs of 30 steps is 3 % of the training). */
#include "train/schedule.h"

#include <math.h>

#include "base/ctx.h"

/* Share of the way from the peak to the floor, 0 .. 1. */
static double progress(const struct schedule *s, int64_t step)
{
    int64_t span = s->total - s->warmup - 1;
    int64_t at = step - s->warmup - 1;
    if (span <= 0 || at >= span) return span <= 0 ? 0.0 : 1.0;
    return (double)at / (double)span;
}

double schedule_lr(const struct schedule *s, int64_t step)
{
    BUG_ON(NULL, step < 1, "steps are counted from 1, and this is %lld", (long long)step);
    if (step <= s->warmup) return s->peak * (double)step / (double)s->warmup;
    double p = progress(s, step), floor_rate = s->peak * s->min_ratio;
    switch (s->kind) {
    case SCHEDULE_COSINE:
        return floor_rate + (s->peak - floor_rate) * 0.5 * (1.0 + cos(3.14159265358979323846 * p));
    case SCHEDULE_LINEAR:
        return s->peak + (floor_rate - s->peak) * p;
    case SCHEDULE_RISING:
        return s->peak * pow(s->min_ratio, 1.0 - p);
    case SCHEDULE_CONSTANT:
        break;
    }
    return s->peak;
}
