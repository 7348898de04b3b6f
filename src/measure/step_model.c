/* step_model: see step_model.h. */
#include "measure/step_model.h"

#include <math.h>

#define SHAPE(layers, hidden, ffn, heads, kv_heads, head_dim, vocab)                                                        \
    {                                                                                                                       \
        "step", "LlamaForCausalLM", "llama", layers, hidden, ffn, heads, kv_heads, head_dim, vocab, 2048, 10000, 1e-5, 0,   \
            true, false, false, "", ""                                                                                      \
    }
const struct known_model step_model_sizes[STEP_SIZES] = {
    SHAPE(2, 64, 176, 4, 2, 16, 264),
    SHAPE(4, 256, 704, 8, 4, 32, 2048),
    SHAPE(4, 576, 1536, 9, 3, 64, 32768),
    SHAPE(1, 1536, 4096, 12, 4, 128, 16384),
};
const int64_t step_model_tokens[STEP_LENGTHS] = {64, 384};

/* Seconds for each unit of both amounts of one part. */
struct step_speed {
    double each, fixed;
};

/* The two that explain both times. Where one would be negative, which only noise makes it, the longer micro-batch is taken
 * to be all of what grows with tokens, as it nearly is. */
static struct step_speed speed_of(const step_times times, int size, int part)
{
    struct step_work w[STEP_LENGTHS];
    const double *t[STEP_LENGTHS] = {times[size][0], times[size][1]};
    for (int i = 0; i < STEP_LENGTHS; i++) {
        double n = (double)step_model_tokens[i];
        const struct known_model *m = &step_model_sizes[size];
        const struct step_shape s = {
            .model = m, .rank = STEP_RANK, .adapted = m->layers, .tokens = n, .length = n, .trained = n};
        step_cost_work(&s, &w[i]);
    }
    double a0 = w[0].each[part], a1 = w[1].each[part], b0 = w[0].fixed[part], b1 = w[1].fixed[part];
    double t0 = t[0][part], t1 = t[1][part], det = a0 * b1 - a1 * b0;
    if (b1 == 0) return (struct step_speed){t1 / a1, 0};
    struct step_speed s = {(t0 * b1 - t1 * b0) / det, (a0 * t1 - a1 * t0) / det};
    return s.fixed < 0 || s.each < 0 ? (struct step_speed){t1 / a1, 0} : s;
}

/* Where a width is between the sizes: the lower of the two, and how far above it, from 0 to 1. */
static int size_below(double hidden, double *above)
{
    int low = 0;
    while (low < STEP_SIZES - 2 && hidden > step_model_sizes[low + 1].hidden) low++;
    double from = log(step_model_sizes[low].hidden), to = log(step_model_sizes[low + 1].hidden);
    *above = fmin(fmax((log(hidden) - from) / (to - from), 0), 1);
    return low;
}

double step_model_seconds(const step_times times, const struct step_shape *s)
{
    struct step_work w;
    double sum = 0, above;
    int low = size_below(s->model->hidden, &above);
    step_cost_work(s, &w);
    for (int part = 0; part < STEP_PARTS; part++) {
        struct step_speed a = speed_of(times, low, part), b = speed_of(times, low + 1, part);
        sum += w.each[part] * (a.each + above * (b.each - a.each));
        sum += w.fixed[part] * (a.fixed + above * (b.fixed - a.fixed));
    }
    return sum;
}
