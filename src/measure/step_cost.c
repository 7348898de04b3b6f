/* step_cost: see step_cost.h. */
#include "measure/step_cost.h"

double step_cost_flops(const struct known_model *m, int64_t rank, int64_t adapted, int64_t length, int64_t recomputed)
{
    double h = m->hidden, f = m->ffn, q = (double)m->heads * m->head_dim, kv = (double)m->kv_heads * m->head_dim;
    double weights = 2 * h * q + 2 * h * kv + 3 * h * f;
    double adapter = (double)rank * ((h + q) * 2 + (h + kv) * 2 + 3 * (h + f));
    double attention = 2 * (double)(length + 1) / 2 * q; /* one of its products, over the tokens before */
    double forward = 2 * weights + 2 * attention;
    double block = forward + 2 * weights + 5 * attention, layers = m->layers;
    double head = 4 * (double)m->vocab * h;
    return layers * block + (double)adapted * 6 * adapter + (double)recomputed * forward + head;
}
