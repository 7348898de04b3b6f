/* find_lr: see the header. */
#include "runs/find_lr.h"

#include <math.h>

enum { REACH = 2, FIRST = 5 };

/* Mean of the losses at and around a step. */
static double smoothed_at(const struct history *h, size_t i, size_t n)
{
    double sum = 0;
    size_t from = i < REACH ? 0 : i - REACH, to = i + REACH + 1 < n ? i + REACH + 1 : n;
    for (size_t k = from; k < to; k++) sum += h->steps[k].loss;
    return sum / (double)(to - from);
}

/* Steps before the loss is far above its start. */
static size_t steps_looked_at(const struct history *h, double start)
{
    size_t n = 0;
    while (n < h->n_steps && h->steps[n].loss <= 2 * start) n++;
    return n;
}

struct find_lr find_lr_of(const struct history *h)
{
    struct find_lr f = {.start_loss = history_mean_loss(h, 0, FIRST), .least_loss = INFINITY};
    size_t n = steps_looked_at(h, f.start_loss);
    double last = NAN;
    for (size_t i = 0; i < n; i++) {
        last = smoothed_at(h, i, n);
        if (last >= f.least_loss) continue;
        f.least_loss = last;
        f.least_lr = h->steps[i].lr;
    }
    f.found = f.least_loss < 0.99 * f.start_loss;
    f.rose = n < h->n_steps || last > 1.02 * f.least_loss;
    f.suggestion = f.least_lr / 10;
    return f;
}
