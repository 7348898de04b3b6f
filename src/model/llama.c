/* llama: one block, repeated, between an embedding and a norm.
 *
 * A block is a function from x (N, C) to x (N, C), the last one perhaps to fewer rows, so that the tape can recompute it
 * as a whole (recomputed_blocks); the same function runs otherwise, in a scope of its own: its temporaries are back in the
 * pool when the next block starts. The residual sum in the middle is fused with the norm that follows it; the one at the
 * end is a plain add, because fusing it with the next block's norm would make the state of a block two arrays for one pass
 * over (N, C) saved.
 *
 * What families and layers differ in is in the tables that model_open fills. What a model does not have is absent there: a
 * norm without a gain, a factor of 1 and a window of 0 cost nothing, so there is no branch on the family here.
 *
 * Architecture: Touvron et al. 2023 (Llama), Jiang et al. 2023 (Mistral's window), Yang et al. 2024 and 2025 (Qwen2's
 * biases, Qwen3's norms of q and k), Abdin et al. 2024 (Phi-3's fused projections), Team OLMo 2024 (OLMo-2's norms behind
 * attention and MLP), Granite Team 2024 (factors), SmolLM3 (layers without positions). */
#include "model/llama.h"

#include "array/backend.h"
#include "array/tape.h"
#include "model/rotation.h"

/* What a block needs besides x; copied by tape_checkpoint, so pointers in it outlive backward. */
struct block_args {
    struct model *m;
    int64_t layer;
    struct forward_options options;
    struct rotation rotation;
    struct array *cu_q, *cu_k; /* offsets of the documents, in tokens of the batch and in keys */
    struct array *rows;        /* of the last block: see forward_options; else NULL */
    struct array *residual;    /* scalar: factor of what a block adds to x; NULL: 1 */
};

/* One linear layer alone. */
static struct array *linear(struct ctx *c, struct array *x, const struct weight *w, const struct forward_options *o)
{
    struct array *y = NULL;
    op_linear(c, x, &w, 1, o->dropout, &y);
    return y;
}

/* The products of x with n weights, or the same ones as ranges of columns where one matrix holds the rows of all. */
static void project(struct ctx *c, struct array *x, const struct weight *fused, const struct weight *const *w, int n,
                    const int64_t *rows, bool dropout, struct array **y)
{
    struct array *all = NULL;
    if (fused->rows == 0) {
        op_linear(c, x, w, n, dropout, y);
        return;
    }
    op_linear(c, x, &fused, 1, dropout, &all);
    for (int64_t i = 0, first = 0; all && i < n; first += rows[i++]) y[i] = op_columns(c, all, first, rows[i]);
}

/* The norm of x, or x itself where the model has no norm in this place. */
static struct array *norm(struct ctx *c, struct array *x, struct array *gain, double eps)
{
    return gain ? op_rms_norm(c, x, gain, eps) : x;
}

/* norm(x + h), and the sum itself in *x. */
static struct array *llama_add_norm(struct ctx *c, struct array *h, struct array **x, struct array *gain, double eps)
{
    if (gain) return op_rms_norm_add(c, h, *x, gain, eps, x);
    return *x = op_add(c, *x, h);
}

/* x times a factor in f32, in the dtype of x. */
static struct array *times(struct ctx *c, struct array *x, struct array *factor)
{
    return x && factor ? op_cast(c, op_mul(c, x, factor), x->dtype) : x;
}

/* (N, H * D) to (N, H, D). */
static struct array *llama_split_heads(struct ctx *c, struct array *x, int64_t head_dim)
{
    return x ? op_reshape(c, x, 3, (int64_t[]){x->shape[0], -1, head_dim}) : NULL;
}

/* q or k: normalised when the model does so, over the elements that the gain has (of a head, or of all of them), and
 * rotated by its position where the layer does so: (N, H * D) to (N, H, D). */
static struct array *llama_rotate(struct ctx *c, const struct block_args *a, struct array *x, struct array *gain)
{
    const struct model *m = a->m;
    if (gain) x = op_rms_norm(c, llama_split_heads(c, x, gain->shape[0]), gain, m->config.rms_eps);
    x = llama_split_heads(c, x, m->config.head_dim);
    return m->blocks[a->layer].rotates ? rotation_apply(c, &a->rotation, x) : x;
}

/* Attention of the block's tokens over themselves, or over what the cache holds and themselves: (N, H * D). */
static struct array *attend(struct ctx *c, const struct block_args *a, struct array *q, struct array *k, struct array *v)
{
    struct kv_cache *cache = a->options.cache;
    const struct attention_params p = {.scale = a->m->config.attention_scale,
                                       .window = (int)a->m->blocks[a->layer].window,
                                       .compute = a->m->options.compute};
    if (cache) {
        k = kv_cache_append(cache, cache->k[a->layer], k);
        v = kv_cache_append(cache, cache->v[a->layer], v);
    }
    struct array *o = op_attention(c, q, k, v, a->cu_q, a->cu_k, &p);
    return o ? op_reshape(c, o, 2, (int64_t[]){o->shape[0], -1}) : NULL;
}

/* v is a view of the array that one LINEAR wrote q, k and v into. Backward needs v, but of q and k only the rotated ones,
 * so a copy of v lets that array be freed; norms of q and k do need the ones before rotation, and then a copy would save
 * nothing. */
static bool copies_v(const struct ctx *c, const struct llama_block *b)
{
    return tape_recording(c) && !b->q_norm && !b->k_norm;
}

/* (N, C) to (N, H * D): q, k and v of the tokens, and what attention makes of them. */
static struct array *attention(struct ctx *c, const struct block_args *a, struct array *x)
{
    const struct llama_block *b = &a->m->blocks[a->layer];
    const struct model_config *m = &a->m->config;
    const int64_t rows[3] = {m->n_heads * m->head_dim, m->n_kv_heads * m->head_dim, m->n_kv_heads * m->head_dim};
    struct array *y[3] = {0};
    project(c, x, &b->qkv, (const struct weight *[]){&b->q, &b->k, &b->v}, 3, rows, a->options.dropout, y);
    struct array *q = times(c, llama_rotate(c, a, y[0], b->q_norm), a->rotation.q_scale); /* (N, H, D) */
    struct array *k = llama_rotate(c, a, y[1], b->k_norm);                                /* (N, G, D) */
    struct array *v = llama_split_heads(c, y[2], m->head_dim);
    if (copies_v(c, b)) v = op_contiguous(c, v);
    return attend(c, a, q, k, v);
}

/* The MLP: down(silu(gate(x)) * up(x)), (N, C) to (N, C) through (N, F). */
static struct array *llama_feed_forward(struct ctx *c, const struct block_args *a, struct array *x)
{
    const struct llama_block *b = &a->m->blocks[a->layer];
    const struct forward_options *o = &a->options;
    const int64_t rows[2] = {a->m->config.ffn, a->m->config.ffn};
    struct array *y[2] = {0};
    project(c, x, &b->gate_up, (const struct weight *[]){&b->gate, &b->up}, 2, rows, o->dropout, y);
    bool rounds = x && op_linear_takes_rounded(c, &b->down, x->shape[0], o->dropout);
    struct array *h = rounds ? op_swiglu_rounded(c, y[0], y[1]) : op_swiglu(c, y[0], y[1]); /* (N, F) */
    /* When a block is computed again for backward, its last product, a quarter of the block's work, has a result that
     * nobody reads, unless a norm follows it. */
    bool unread = tape_replaying(c) && !b->after_ffn_norm;
    return unread ? op_linear_unread(c, h, &b->down, o->dropout) : linear(c, h, &b->down, o);
}

/* One transformer block, a tape_fn: arg is its struct block_args. */
static struct array *block(struct ctx *c, void *arg, struct array *x)
{
    const struct block_args *a = arg;
    const struct llama_block *b = &a->m->blocks[a->layer];
    double eps = a->m->config.rms_eps;

    struct array *h = attention(c, a, norm(c, x, b->attn_norm, eps)); /* (N, H * D) */
    if (a->rows) {                                                    /* from here a row needs no other */
        h = op_take(c, h, a->rows);
        x = op_take(c, x, a->rows);
    }
    h = norm(c, linear(c, h, &b->o, &a->options), b->after_attn_norm, eps); /* (N, C) */
    h = llama_add_norm(c, times(c, h, a->residual), &x, b->ffn_norm, eps);  /* x = x + h */
    h = norm(c, llama_feed_forward(c, a, h), b->after_ffn_norm, eps);
    return op_add(c, x, times(c, h, a->residual));
}

/* Runs the block of layer a->layer in a scope of its own, recomputed in backward or not. */
static struct array *llama_run_block(struct ctx *c, struct block_args *a, struct array *x)
{
    int mark = scope_open(c);
    bool aside = a->layer < a->options.offloaded_blocks;
    x = a->layer < a->options.recomputed_blocks ? tape_checkpoint(c, block, a, sizeof *a, x, aside) : block(c, a, x);
    return scope_close_keep(c, mark, x);
}

/* n integers of the host as an array. */
static struct array *upload_i32(struct ctx *c, const int32_t *data, int64_t n)
{
    return array_from_host(c, DTYPE_I32, 1, &n, data);
}

/* A factor as a scalar; NULL for 1, which needs no product. */
static struct array *factor(struct ctx *c, double value)
{
    float f = (float)value;
    return value == 1 ? NULL : array_from_host(c, DTYPE_F32, 0, NULL, &f);
}

/* The offsets of the keys that the batch's tokens see: its own, or with a cache everything that the cache then holds.
 * E_INPUT when the cache is full. */
static struct array *key_offsets(struct ctx *c, const struct kv_cache *cache, const struct batch *b, struct array *cu_q)
{
    if (!cache) return cu_q;
    BUG_ON(c, b->n_seg != 1, "a cache continues one document, not %d", b->n_seg);
    if (b->n > cache->capacity - cache->n) {
        ctx_fail(c, E_INPUT, "%lld more tokens do not fit in a context of %lld that holds %lld", (long long)b->n,
                 (long long)cache->capacity, (long long)cache->n);
        return NULL;
    }
    return upload_i32(c, (const int32_t[]){0, (int32_t)(cache->n + b->n)}, 2);
}

struct array *llama_hidden(struct model *m, const struct batch *b, const struct forward_options *o)
{
    struct ctx *c = m->c;
    if (!ctx_ok(c)) return NULL;
    const struct model_config *k = &m->config;
    struct block_args a = {.m = m, .options = *o, .cu_q = upload_i32(c, b->cu, b->n_seg + 1)};
    a.residual = factor(c, k->residual_multiplier);
    a.cu_k = key_offsets(c, o->cache, b, a.cu_q);
    if (!ctx_ok(c) || rotation_make(m, b, o->cache ? o->cache->capacity : 0, &a.rotation) != OK) return NULL;
    int mark = scope_open(c); /* behind it is one x after the other: a block's input stays only where the tape keeps it */
    struct array *x = op_embed(c, &m->embed, upload_i32(c, b->tokens, b->n), array_backend(c)->activations); /* (N, C) */
    x = times(c, x, factor(c, k->embedding_multiplier));
    for (a.layer = 0; a.layer < k->n_layers; a.layer++) {
        a.rows = a.layer == k->n_layers - 1 ? o->rows : NULL;
        x = scope_close_keep(c, mark, llama_run_block(c, &a, x));
    }
    x = op_rms_norm(c, x, m->final_norm, k->rms_eps);
    x = times(c, x, factor(c, 1 / k->logits_divisor)); /* here, so that whatever the head is used for sees it */
    if (x && o->cache) o->cache->n += b->n;
    return x;
}

struct array *llama_logits(struct model *m, struct array *hidden, int64_t first)
{
    struct ctx *c = m->c;
    if (!hidden) return NULL;
    BUG_ON(c, first < 0 || first > hidden->shape[0], "row %lld of %lld", (long long)first, (long long)hidden->shape[0]);
    const int64_t start[2] = {first, 0}, step[2] = {1, 1};
    struct array *rows = op_slice(c, hidden, start, hidden->shape, step);
    return linear(c, rows, &m->head, &(struct forward_options){0});
}
