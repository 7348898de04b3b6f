/* step_cost: see step_cost.h. */
#include "measure/step_cost.h"

/* Sizes of a block, as the formulas below have them. */
struct block_sizes {
    double hidden, ffn, q, kv; /* width of the residual, of the MLP, of all heads of queries, of keys */
    double weights;            /* values of the linear layers */
    double adapter;            /* of the adapter's matrices on them */
};

static struct block_sizes block_sizes_of(const struct known_model *m, int64_t rank)
{
    struct block_sizes b = {.hidden = m->hidden, .ffn = m->ffn};
    b.q = (double)m->heads * m->head_dim;
    b.kv = (double)m->kv_heads * m->head_dim;
    b.weights = 2 * b.hidden * b.q + 2 * b.hidden * b.kv + 3 * b.hidden * b.ffn;
    b.adapter = (double)rank * ((b.hidden + b.q) * 2 + (b.hidden + b.kv) * 2 + 3 * (b.hidden + b.ffn));
    return b;
}

/* Operations a token of one of attention's products, over the tokens before it. */
static double attention_flops(const struct block_sizes *b, double length)
{
    return 2 * (length + 1) / 2 * b->q;
}

double step_cost_flops(const struct known_model *m, int64_t rank, int64_t adapted, int64_t length, int64_t recomputed)
{
    struct block_sizes b = block_sizes_of(m, rank);
    double attention = attention_flops(&b, (double)length), forward = 2 * b.weights + 2 * attention;
    double block = forward + 2 * b.weights + 5 * attention, layers = m->layers;
    double head = 4 * (double)m->vocab * m->hidden;
    return layers * block + (double)adapted * 6 * b.adapter + (double)recomputed * forward + head;
}

/* Bytes that the passes over rows of a block read and write for each token, forward and backward: four norms with their
 * sums (16 values of the residual, twice, and 10 in backward), rotations, and swiglu, which is made again in backward. */
static double step_cost_row_bytes(const struct block_sizes *b)
{
    return 4 * (45 * b->hidden + 6 * (b->q + b->kv) + 11 * b->ffn);
}

/* Of a validation half the loss's products are left, and about a third of the passes over rows. */
static void leave_forward(struct step_work *w)
{
    static const enum step_part without[] = {STEP_LINEAR_BACKWARD, STEP_ATTENTION_BACKWARD, STEP_UPDATE};
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) w->each[without[i]] = w->fixed[without[i]] = 0;
    w->each[STEP_LOSS] /= 2;
    w->each[STEP_ROWS] /= 3;
}

void step_cost_work(const struct step_shape *s, struct step_work *out)
{
    struct block_sizes b = block_sizes_of(s->model, s->rank);
    double layers = s->model->layers, forward = layers + (s->recomputed > 0 ? (double)s->recomputed : 0);
    double share = (double)s->adapted / layers; /* of the blocks */
    double attention = s->tokens * attention_flops(&b, s->length), head = (double)s->model->vocab * s->model->hidden;
    *out = (struct step_work){.fixed = {0}};
    out->each[STEP_LINEAR] = s->tokens * forward * 2 * (b.weights + share * b.adapter);
    out->each[STEP_LINEAR_BACKWARD] = s->tokens * layers * (2 * b.weights + 4 * share * b.adapter);
    out->fixed[STEP_LINEAR] = forward * b.weights;
    out->fixed[STEP_LINEAR_BACKWARD] = layers * b.weights;
    out->each[STEP_ATTENTION] = forward * 2 * attention;
    out->each[STEP_ATTENTION_BACKWARD] = layers * 5 * attention;
    out->fixed[STEP_ATTENTION] = forward * s->tokens * (b.q + b.kv);
    out->fixed[STEP_ATTENTION_BACKWARD] = layers * s->tokens * (b.q + b.kv);
    out->each[STEP_LOSS] = s->trained * 4 * head;
    out->fixed[STEP_LOSS] = head;
    out->each[STEP_ROWS] = s->tokens * (layers + (forward - layers) / 3) * step_cost_row_bytes(&b);
    out->fixed[STEP_ROWS] = layers;
    out->each[STEP_UPDATE] = (double)s->adapted * b.adapter;
    if (s->forward) leave_forward(out);
}
