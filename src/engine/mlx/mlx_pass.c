/* mlx_pass: see mlx_pass.h. Shapes as in llama.c: N tokens, C hidden, H query heads, G key heads, D elements of a head. */
#include "engine/mlx/mlx_pass.h"

#include <math.h>

#include "base/mem.h"

static const struct mlx_array nothing = {NULL};

/* ---- prepare --------------------------------------------------------------------------------------------------------- */

/* Cosine and sine of each token's rotation (Su et al. 2021); angles in f64, as in the native engine's kernels. */
static enum status pass_rotations(struct mlx_pass *p)
{
    struct mlx_graph *g = p->x->g;
    const struct model *m = p->x->m;
    const int64_t pairs = m->config.rotary_dims / 2, n = p->b->n, shape[3] = {n, 1, pairs};
    const double scale = m->config.rope_attention_factor;
    float *values = mem_alloc(g->c, (size_t)(2 * n * pairs), sizeof *values);
    if (!values) return g->c->status;
    for (int64_t i = 0; i < n * pairs; i++) {
        double angle = (double)p->b->positions[i / pairs] * (double)m->rope_frequencies[i % pairs];
        values[i] = (float)(scale * cos(angle));
        values[n * pairs + i] = (float)(scale * sin(angle));
    }
    p->cosine = mlx_op_upload(g, MLX_F32, 3, shape, values);
    p->sine = mlx_op_upload(g, MLX_F32, 3, shape, values + n * pairs);
    mem_free(g->c, values);
    return g->c->status;
}

/* Tokens in the cache. */
static int64_t pass_held(const struct mlx_pass *p)
{
    return p->cache ? p->cache->n : 0;
}

/* The mask of layers that see `window` tokens, as large as the longest document needs, where one has more. */
static enum status pass_window(struct mlx_pass *p)
{
    struct ctx *c = p->x->g->c;
    const int64_t window = p->x->m->config.sliding_window, held = pass_held(p);
    int64_t n = 0;
    for (int s = 0; s < p->b->n_seg; s++)
        if (p->b->cu[s + 1] - p->b->cu[s] > n) n = p->b->cu[s + 1] - p->b->cu[s];
    const int64_t keys = n + held;
    if (window <= 0 || keys <= window) return OK;
    uint8_t *sees = mem_alloc(c, (size_t)n, (size_t)keys);
    for (int64_t i = 0; sees && i < n * keys; i++) {
        int64_t query = held + i / keys, key = i % keys;
        sees[i] = key <= query && key > query - window;
    }
    if (sees) p->window = mlx_op_upload(p->x->g, MLX_BOOL, 2, (int64_t[]){n, keys}, sees);
    mem_free(c, sees);
    return c->status;
}

/* Rows that count, with their targets and weights. */
static enum status pass_rows(struct mlx_pass *p, double scale)
{
    struct mlx_graph *g = p->x->g;
    const struct batch *b = p->b;
    p->counted = mem_alloc(g->c, (size_t)b->n, sizeof *p->counted);
    int32_t *targets = mem_alloc(g->c, (size_t)b->n, sizeof *targets);
    float *weights = mem_alloc(g->c, (size_t)b->n, sizeof *weights);
    for (int64_t i = 0; ctx_ok(g->c) && i < b->n; i++) {
        if (b->weights[i] == 0) continue;
        targets[p->n_rows] = b->targets[i];
        weights[p->n_rows] = (float)(scale * (double)b->weights[i]);
        p->counted[p->n_rows++] = (int32_t)i;
    }
    const int64_t shape[2] = {p->n_rows, 1};
    if (ctx_ok(g->c) && p->n_rows > 0) {
        p->rows = mlx_op_upload(g, MLX_I32, 1, shape, p->counted);
        p->targets = mlx_op_upload(g, MLX_I32, 2, shape, targets);
        p->weights = mlx_op_upload(g, MLX_F32, 2, shape, weights);
    }
    mem_free(g->c, weights);
    mem_free(g->c, targets);
    return g->c->status;
}

/* W^T, (cols, rows), in the dtype of products; nothing for a quantised matrix. */
static struct mlx_array pass_operand(const struct mlx_pass *p, const struct mlx_matrix *w)
{
    struct mlx_graph *g = p->x->g;
    if (!w->w.ctx) return nothing;
    struct mlx_array cast = w->dtype == mlx_model_dtype(p->x) ? w->w : mlx_op_cast(g, w->w, mlx_model_dtype(p->x));
    return mlx_op_transpose(g, cast, 2, (const int[]){1, 0});
}

/* What every pass needs, whatever is made of its hidden states. */
static enum status pass_prepare_layers(struct mlx_pass *p)
{
    p->tokens = mlx_op_upload(p->x->g, MLX_I32, 1, &p->b->n, p->b->tokens);
    p->head = pass_operand(p, &p->x->head);
    TRY(pass_rotations(p));
    return pass_window(p);
}

enum status mlx_pass_prepare(const struct mlx_model *x, const struct batch *b, double scale, struct mlx_pass *out)
{
    *out = (struct mlx_pass){.x = x, .b = b};
    TRY(pass_rows(out, scale));
    return out->n_rows > 0 ? pass_prepare_layers(out) : OK;
}

enum status mlx_pass_prepare_logits(const struct mlx_model *x, const struct batch *b, struct mlx_cache *cache,
                                    int64_t n_rows, struct mlx_pass *out)
{
    *out = (struct mlx_pass){.x = x, .b = b, .cache = cache, .n_rows = n_rows};
    out->counted = mem_alloc(x->g->c, (size_t)n_rows, sizeof *out->counted);
    if (!out->counted) return x->g->c->status;
    for (int64_t i = 0; i < n_rows; i++) out->counted[i] = (int32_t)(b->n - n_rows + i);
    out->rows = mlx_op_upload(x->g, MLX_I32, 1, &n_rows, out->counted);
    return pass_prepare_layers(out);
}

void mlx_pass_release(struct mlx_pass *p)
{
    if (p->x) mem_free(p->x->g->c, p->counted);
    p->counted = NULL;
}

/* ---- one block ------------------------------------------------------------------------------------------------------- */

/* What a block needs besides its inputs, which are x and the A and B of its adapters. */
struct pass_block {
    const struct mlx_pass *p;
    int64_t layer;
};

/* x (N, in) in f32 times the transpose of a frozen matrix: (N, out) f32. operand: pass_operand of it. */
static struct mlx_array pass_product(const struct mlx_pass *p, struct mlx_array x, const struct mlx_matrix *w,
                                     struct mlx_array operand)
{
    struct mlx_graph *g = p->x->g;
    enum mlx_dtype dtype = mlx_model_dtype(p->x);
    if (dtype != MLX_F32) x = mlx_op_cast(g, x, dtype);
    struct mlx_array y = w->w.ctx ? mlx_op_matmul(g, x, operand) : mlx_op_quantised_matmul(g, x, &w->quantised);
    return dtype == MLX_F32 ? y : mlx_op_cast(g, y, MLX_F32);
}

/* y + s (x A^T) B^T. */
static struct mlx_array pass_adapter(struct mlx_graph *g, struct mlx_array y, struct mlx_array x, struct mlx_array a,
                                     struct mlx_array b, float scale)
{
    static const int swapped[2] = {1, 0};
    struct mlx_array low = mlx_op_matmul(g, x, mlx_op_transpose(g, a, 2, swapped)); /* (N, r) */
    struct mlx_array high = mlx_op_matmul(g, low, mlx_op_transpose(g, b, 2, swapped));
    return mlx_op_add(g, y, mlx_op_scale(g, high, scale));
}

/* The linear layer at a place, with its bias and its adapter. `adapters` are the block's inputs behind x. */
static struct mlx_array pass_linear(const struct pass_block *a, enum lora_place place, struct mlx_array x,
                                    const struct mlx_array *adapters)
{
    const struct mlx_model *m = a->p->x;
    const struct mlx_layer *l = &m->layers[a->layer];
    const struct mlx_matrix *w = &l->linear[place];
    struct mlx_array y = pass_product(a->p, x, w, pass_operand(a->p, w));
    if (w->bias.ctx) y = mlx_op_add(m->g, y, w->bias);
    if (l->module[place] < 0) return y;
    const struct mlx_array *pair = adapters + 2 * l->module[place];
    float scale = m->lora->modules[l->first_module + l->module[place]].slot.scale;
    return pass_adapter(m->g, y, x, pair[0], pair[1], scale);
}

/* Columns [first, first + n) of (N, M). */
static struct mlx_array pass_columns(struct mlx_graph *g, struct mlx_array x, int64_t rows, int64_t first, int64_t n)
{
    return mlx_op_slice(g, x, 2, (const int64_t[]){0, first}, (const int64_t[]){rows, first + n});
}

/* n layers that share an input, or the same ones as columns of the layer that holds all. */
static void pass_project(const struct pass_block *a, enum lora_place fused, const enum lora_place *places, int n,
                         const int64_t *widths, int64_t rows, struct mlx_array x, const struct mlx_array *adapters,
                         struct mlx_array *y)
{
    const struct mlx_layer *l = &a->p->x->layers[a->layer];
    struct mlx_array all = l->linear[fused].exists ? pass_linear(a, fused, x, adapters) : nothing;
    int64_t first = 0;
    for (int i = 0; i < n; first += widths[i++])
        y[i] = all.ctx ? pass_columns(a->p->x->g, all, rows, first, widths[i]) : pass_linear(a, places[i], x, adapters);
}

/* The norm of x in a place, or x itself where the model has none there. */
static struct mlx_array pass_norm(const struct pass_block *a, enum block_norm place, struct mlx_array x)
{
    const struct mlx_model *m = a->p->x;
    struct mlx_array gain = m->layers[a->layer].norm[place];
    return gain.ctx ? mlx_op_rms_norm(m->g, x, gain, m->m->config.rms_eps) : x;
}

/* x (N, heads, D) with the first R elements of each head rotated: pairs are element i and i + R/2. */
static struct mlx_array pass_rotate(const struct mlx_pass *p, struct mlx_array x, int64_t heads)
{
    struct mlx_graph *g = p->x->g;
    const int64_t n = p->b->n, size = p->x->m->config.head_dim, all = p->x->m->config.rotary_dims, half = all / 2;
    const int64_t middle[3] = {0, 0, half}, rest[3] = {0, 0, all}, end[3] = {n, heads, size}, origin[3] = {0, 0, 0};
    struct mlx_array low = mlx_op_slice(g, x, 3, origin, (const int64_t[]){n, heads, half});
    struct mlx_array high = mlx_op_slice(g, x, 3, middle, (const int64_t[]){n, heads, all});
    struct mlx_array parts[3];
    parts[0] = mlx_op_subtract(g, mlx_op_multiply(g, low, p->cosine), mlx_op_multiply(g, high, p->sine));
    parts[1] = mlx_op_add(g, mlx_op_multiply(g, high, p->cosine), mlx_op_multiply(g, low, p->sine));
    if (all < size) parts[2] = mlx_op_slice(g, x, 3, rest, end);
    return mlx_op_concat(g, parts, all < size ? 3 : 2, 2);
}

/* q or k, normalised and rotated where the layer does so: (N, heads * D) to (heads, N, D). A norm runs over as many elements
 * as its gain has: those of a head (Qwen3), or all (OLMo-2). */
static struct mlx_array pass_heads(const struct pass_block *a, enum block_norm place, struct mlx_array x, int64_t heads)
{
    struct mlx_graph *g = a->p->x->g;
    const struct model_config *k = &a->p->x->m->config;
    const int64_t n = a->p->b->n, shape[3] = {n, heads, k->head_dim};
    if (k->qk_norm == QK_NORM_WHOLE) x = pass_norm(a, place, x);
    x = mlx_op_reshape(g, x, 3, shape);
    if (k->qk_norm == QK_NORM_HEAD) x = pass_norm(a, place, x);
    if (a->p->x->m->blocks[a->layer].rotates) x = pass_rotate(a->p, x, heads);
    return mlx_op_transpose(g, x, 3, (const int[]){1, 0, 2});
}

/* Rows [from, to) of each head of x (heads, all, D), as (1, heads, to - from, D). */
static struct mlx_array pass_segment(const struct mlx_pass *p, struct mlx_array x, int64_t heads, int64_t from, int64_t to,
                                     int64_t all)
{
    struct mlx_graph *g = p->x->g;
    const int64_t size = p->x->m->config.head_dim, start[3] = {0, from, 0}, stop[3] = {heads, to, size};
    if (from > 0 || to < all) x = mlx_op_slice(g, x, 3, start, stop);
    return mlx_op_reshape(g, x, 4, (const int64_t[]){1, heads, to - from, size});
}

/* The mask of a document of n tokens behind those of the cache; none where causal order is all. */
static struct mlx_array pass_mask(const struct pass_block *a, int64_t n)
{
    const int64_t window = a->p->x->m->blocks[a->layer].window, keys = n + pass_held(a->p);
    if (window <= 0 || keys <= window) return nothing;
    return mlx_op_slice(a->p->x->g, a->p->window, 2, (const int64_t[]){0, 0}, (const int64_t[]){n, keys});
}

/* Attention of each document over itself, and over what the cache holds of it: the packed documents are computed one by one,
 * so nothing crosses from one to another, and scores take the memory of their own squares and not of the whole batch's. q is
 * (H, N, D), k and v hold the keys of the cache in front of the batch's. (N, H * D). */
static struct mlx_array pass_attend(const struct pass_block *a, struct mlx_array q, struct mlx_array k, struct mlx_array v)
{
    const struct mlx_pass *p = a->p;
    struct mlx_graph *g = p->x->g;
    const struct model_config *m = &p->x->m->config;
    const int64_t n = p->b->n, held = pass_held(p), keys = n + held, kv = m->n_kv_heads;
    struct mlx_array *parts = mem_alloc(g->c, (size_t)p->b->n_seg, sizeof *parts);
    if (!parts) return nothing;
    for (int s = 0; s < p->b->n_seg; s++) {
        const int64_t from = p->b->cu[s], to = p->b->cu[s + 1];
        struct mlx_array of_q = pass_segment(p, q, m->n_heads, from, to, n);
        struct mlx_array of_k = pass_segment(p, k, kv, from, to + held, keys),
                         of_v = pass_segment(p, v, kv, from, to + held, keys);
        parts[s] = mlx_op_attention(g, of_q, of_k, of_v, m->attention_scale, pass_mask(a, to - from));
    }
    struct mlx_array o = p->b->n_seg > 1 ? mlx_op_concat(g, parts, (size_t)p->b->n_seg, 2) : parts[0]; /* (1, H, N, D) */
    mem_free(g->c, parts);
    o = mlx_op_transpose(g, o, 4, (const int[]){0, 2, 1, 3});
    return mlx_op_reshape(g, o, 2, (const int64_t[]){n, m->n_heads * m->head_dim});
}

/* x (G, N, D), keys or values, behind those that the cache holds; without a cache x itself. which: 0 for keys, 1 for values.
 */
static struct mlx_array pass_append(const struct pass_block *a, int which, struct mlx_array x)
{
    struct mlx_cache *cache = a->p->cache;
    if (!cache) return x;
    const int64_t at = 2 * a->layer + which;
    if (cache->held[at].ctx) x = mlx_op_concat(a->p->x->g, (const struct mlx_array[]){cache->held[at], x}, 2, 1);
    return cache->next[at] = x;
}

static struct mlx_array pass_attention(const struct pass_block *a, struct mlx_array x, const struct mlx_array *adapters)
{
    static const enum lora_place places[3] = {LORA_Q, LORA_K, LORA_V};
    const struct model_config *m = &a->p->x->m->config;
    const int64_t n = a->p->b->n, kv = m->n_kv_heads,
                  widths[3] = {m->n_heads * m->head_dim, kv * m->head_dim, kv * m->head_dim};
    struct mlx_graph *g = a->p->x->g;
    struct mlx_array y[3];
    pass_project(a, LORA_QKV, places, 3, widths, n, x, adapters, y);
    struct mlx_array q = pass_heads(a, NORM_Q, y[0], m->n_heads), k = pass_heads(a, NORM_K, y[1], kv);
    struct mlx_array v = mlx_op_reshape(g, y[2], 3, (const int64_t[]){n, kv, m->head_dim});
    v = mlx_op_transpose(g, v, 3, (const int[]){1, 0, 2});
    return pass_attend(a, q, pass_append(a, 0, k), pass_append(a, 1, v));
}

/* down(silu(gate(x)) * up(x)) for `n` rows. */
static struct mlx_array pass_feed_forward(const struct pass_block *a, struct mlx_array x, int64_t n,
                                          const struct mlx_array *adapters)
{
    static const enum lora_place places[2] = {LORA_GATE, LORA_UP};
    struct mlx_graph *g = a->p->x->g;
    const int64_t ffn = a->p->x->m->config.ffn, widths[2] = {ffn, ffn};
    struct mlx_array y[2];
    pass_project(a, LORA_GATE_UP, places, 2, widths, n, x, adapters, y);
    struct mlx_array silu = mlx_op_multiply(g, y[0], mlx_op_sigmoid(g, y[0]));
    return pass_linear(a, LORA_DOWN, mlx_op_multiply(g, silu, y[1]), adapters);
}

/* An mlx_function: one transformer block. In the last block everything after attention is computed only for the rows whose
 * loss is wanted. */
static void pass_block(struct mlx_graph *g, void *arg, const struct mlx_array *in, struct mlx_array *out)
{
    const struct pass_block *a = arg;
    const struct mlx_model *m = a->p->x;
    const struct mlx_array *adapters = in + 1;
    const float residual = (float)m->m->config.residual_multiplier;
    bool last = a->layer == m->m->config.n_layers - 1;
    struct mlx_array x = in[0], h = pass_attention(a, pass_norm(a, NORM_ATTN, x), adapters);
    if (last) {
        h = mlx_op_take(g, h, a->p->rows);
        x = mlx_op_take(g, x, a->p->rows);
    }
    h = pass_norm(a, NORM_AFTER_ATTN, pass_linear(a, LORA_O, h, adapters));
    x = mlx_op_add(g, x, mlx_op_scale(g, h, residual));
    h = pass_feed_forward(a, pass_norm(a, NORM_FFN, x), last ? a->p->n_rows : a->p->b->n, adapters);
    h = pass_norm(a, NORM_AFTER_FFN, h);
    out[0] = mlx_op_add(g, x, mlx_op_scale(g, h, residual));
}

/* ---- the whole pass -------------------------------------------------------------------------------------------------- */

/* x behind a layer. `in` as in mlx_pass_loss. */
static struct mlx_array pass_layer(const struct mlx_pass *p, int64_t layer, struct mlx_array x, const struct mlx_array *in)
{
    struct mlx_graph *g = p->x->g;
    const struct mlx_layer *l = &p->x->layers[layer];
    struct pass_block a = {p, layer};
    struct mlx_array inputs[1 + 2 * LORA_PLACES] = {x}, out = nothing;
    for (int64_t i = 0; i < 2 * l->n_modules; i++) inputs[1 + i] = in[2 * l->first_module + i];
    if (layer < p->recomputed_blocks)
        mlx_op_checkpoint(g, pass_block, &a, sizeof a, inputs, (size_t)(1 + 2 * l->n_modules), &out, 1);
    else
        pass_block(g, &a, inputs, &out);
    return out;
}

/* The embeddings of the tokens, (N, C); of a quantised table only their rows are widened. */
static struct mlx_array pass_embed(const struct mlx_pass *p)
{
    struct mlx_graph *g = p->x->g;
    const struct mlx_matrix *table = &p->x->embed;
    if (table->w.ctx) return mlx_op_take(g, table->w, p->tokens);
    struct mlx_quantised rows = table->quantised;
    rows.words = mlx_op_take(g, rows.words, p->tokens);
    rows.scales = mlx_op_take(g, rows.scales, p->tokens);
    rows.biases = mlx_op_take(g, rows.biases, p->tokens);
    return mlx_op_dequantise(g, &rows);
}

/* Final hidden states of the rows that count, (n_rows, C). */
static struct mlx_array pass_hidden(const struct mlx_pass *p, const struct mlx_array *in)
{
    struct mlx_graph *g = p->x->g;
    const struct model_config *k = &p->x->m->config;
    struct mlx_array x = mlx_op_cast(g, pass_embed(p), MLX_F32);
    x = mlx_op_scale(g, x, (float)k->embedding_multiplier);
    for (int64_t i = 0; i < k->n_layers; i++) x = pass_layer(p, i, x, in);
    x = mlx_op_rms_norm(g, x, p->x->final_norm, k->rms_eps);
    return mlx_op_scale(g, x, (float)(1 / k->logits_divisor));
}

struct mlx_array mlx_pass_logits(const struct mlx_pass *p, const struct mlx_array *in)
{
    return pass_product(p, pass_hidden(p, in), &p->x->head, p->head);
}

/* Rows [from, to) of the loss. */
struct pass_chunk {
    const struct mlx_pass *p;
    int64_t from, to;
};

/* Those rows of an array of `cols` columns. */
static struct mlx_array chunk_rows(const struct pass_chunk *a, struct mlx_array x, int64_t cols)
{
    if (a->from == 0 && a->to == a->p->n_rows) return x;
    return mlx_op_slice(a->p->x->g, x, 2, (const int64_t[]){a->from, 0}, (const int64_t[]){a->to, cols});
}

/* An mlx_function: softmax cross-entropy of a chunk's hidden states. The weighted sum and each row's own. */
static void pass_chunk(struct mlx_graph *g, void *arg, const struct mlx_array *in, struct mlx_array *out)
{
    const struct pass_chunk *a = arg;
    struct mlx_array logits = pass_product(a->p, in[0], &a->p->x->head, a->p->head); /* (n, V) */
    struct mlx_array target = mlx_op_take_along(g, logits, chunk_rows(a, a->p->targets, 1));
    out[1] = mlx_op_subtract(g, mlx_op_logsumexp(g, logits), target);
    out[0] = mlx_op_sum(g, mlx_op_multiply(g, out[1], chunk_rows(a, a->p->weights, 1)));
}

void mlx_pass_loss(struct mlx_graph *g, void *arg, const struct mlx_array *in, struct mlx_array *out)
{
    const struct mlx_pass *p = *(const struct mlx_pass *const *)arg;
    const int64_t vocab = p->x->m->config.vocab, width = p->x->m->config.hidden;
    const int64_t step = vocab < MLX_PASS_CHUNK ? MLX_PASS_CHUNK / vocab : 1, n = (p->n_rows + step - 1) / step;
    struct mlx_array hidden = pass_hidden(p, in), *parts = mem_alloc(g->c, (size_t)n, sizeof *parts);
    for (int64_t i = 0; parts && i < n; i++) {
        struct pass_chunk a = {p, i * step, (i + 1) * step < p->n_rows ? (i + 1) * step : p->n_rows};
        struct mlx_array rows = chunk_rows(&a, hidden, width), of_chunk[MLX_PASS_OUT] = {nothing, nothing};
        mlx_op_checkpoint(g, pass_chunk, &a, sizeof a, &rows, 1, of_chunk, MLX_PASS_OUT);
        out[0] = i == 0 ? of_chunk[0] : mlx_op_add(g, out[0], of_chunk[0]);
        parts[i] = of_chunk[1];
    }
    if (parts) out[1] = n == 1 ? parts[0] : mlx_op_concat(g, parts, (size_t)n, 0);
    mem_free(g->c, parts);
}
