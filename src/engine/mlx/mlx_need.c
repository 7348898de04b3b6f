/* mlx_need: see mlx_need.h. Everything is counted in f32 values: what is computed in bf16 is cast from and to f32. */
#include "engine/mlx/mlx_need.h"

#include "engine/mlx/mlx_pass.h"

/* The sizes that the terms below are made of. */
struct need {
    const struct mlx_model *x;
    double tokens, rows;       /* of the batch; those that count in the loss */
    double hidden, q, kv, ffn; /* columns: C, H D, G D, F */
    double longest, squares;   /* tokens of the longest document; squares of the documents' tokens, added up */
};

static struct need need_of(const struct mlx_model *x, const struct batch *b)
{
    const struct model_config *k = &x->m->config;
    struct need n = {.x = x,
                     .tokens = (double)b->n,
                     .hidden = (double)k->hidden,
                     .q = (double)(k->n_heads * k->head_dim),
                     .kv = (double)(k->n_kv_heads * k->head_dim),
                     .ffn = (double)k->ffn};
    for (int64_t i = 0; i < b->n; i++) n.rows += b->weights[i] != 0;
    for (int s = 0; s < b->n_seg; s++) {
        double length = b->cu[s + 1] - b->cu[s];
        if (length > n.longest) n.longest = length;
        n.squares += length * length;
    }
    return n;
}

/* Matrices that are cast to the dtype of products: backward multiplies with the same copy, which lives from forward to
 * there. */
static double need_casts(const struct need *n, const struct mlx_layer *l)
{
    double values = 0;
    for (int p = 0; p < LORA_PLACES; p++)
        if (l->linear[p].exists && l->linear[p].w.ctx && l->linear[p].dtype != mlx_model_dtype(n->x)) {
            int64_t rows = 0, cols = 0;
            lora_place_shape(&n->x->m->config, (enum lora_place)p, &rows, &cols);
            values += (double)rows * (double)cols;
        }
    return mlx_model_dtype(n->x) == MLX_F32 ? values : values / 2;
}

/* What backward of a layer needs of its forward pass. Attention: its input and the norm of it, q, k and v after rotation,
 * what o multiplies. Feed-forward: its input, the norm, gate, up, sigmoid, silu and their product. And x A^T of each
 * adapter. */
static double need_layer(const struct need *n, int64_t layer)
{
    const struct mlx_layer *l = &n->x->layers[layer];
    const double rows = layer == n->x->m->config.n_layers - 1 ? n->rows : n->tokens;
    double attention = 2 * n->hidden + 2 * n->q + 2 * n->kv, feed_forward = n->q + 2 * n->hidden + 5 * n->ffn;
    if (l->norm[NORM_Q].ctx) attention += n->q + n->kv;
    if (l->norm[NORM_AFTER_ATTN].ctx) feed_forward += 2 * n->hidden;
    for (int64_t i = 0; i < l->n_modules; i++)
        feed_forward += (double)n->x->lora->modules[l->first_module + i].slot.a->shape[0];
    const double softmax = (double)n->x->m->config.n_heads * n->squares;
    return n->tokens * attention + softmax + rows * feed_forward + need_casts(n, l);
}

/* What backward of a layer makes beside that for a while: gradients of the feed-forward's values, or scores of attention
 * over the longest document with their gradients. */
static double need_backward(const struct need *n)
{
    double feed_forward = n->tokens * 3 * n->ffn;
    double scores = 3 * (double)n->x->m->config.n_heads * n->longest * n->longest;
    return feed_forward > scores ? feed_forward : scores;
}

/* A chunk of the loss: logits, their softmax and what both parts of the loss give as their gradient; and hidden states of
 * all rows with theirs. */
static double need_loss(const struct need *n)
{
    const double vocab = (double)n->x->m->config.vocab, all = n->rows * vocab;
    double chunk = all < MLX_PASS_CHUNK ? all : MLX_PASS_CHUNK > vocab ? MLX_PASS_CHUNK : vocab;
    return 4 * chunk + 2 * n->rows * n->hidden;
}

size_t mlx_need_step(const struct mlx_model *x, const struct batch *b, int64_t recomputed_blocks)
{
    const struct need n = need_of(x, b);
    const int64_t layers = x->m->config.n_layers;
    double kept = 0, again = 0;
    for (int64_t i = 0; i < layers; i++) {
        double values = need_layer(&n, i);
        bool recomputed = i < recomputed_blocks;
        kept += recomputed ? n.tokens * n.hidden : values;
        if (recomputed && values > again) again = values;
    }
    double backward = again + need_backward(&n), loss = need_loss(&n);
    double adapter = x->lora ? 2.0 * (double)x->lora->parameters.count : 0; /* values and gradients */
    const struct mlx_matrix *head = &x->head;
    double cast_head = head->w.ctx && head->dtype != mlx_model_dtype(x) ? n.hidden * (double)x->m->config.vocab : 0;
    return (size_t)(4 * (kept + adapter + cast_head + (backward > loss ? backward : loss)));
}
