/* llama: one block, repeated, between an embedding and a norm.
 *
 * A block is a function from x (N, C) to x (N, C), the last one perhaps to fewer rows, so that the tape can recompute it as
 * a whole (recomputed_blocks); the same function runs otherwise, in a scope of its own: its temporaries are back in the pool
 * when the next block starts. The residual sum in the middle is fused with the norm that follows it; the one at the end is a
 * plain add, because fusing it with the next block's norm would make the state of a block two arrays for one pass over (N,
 * C) saved.
 *
 * Architecture: Touvron et al. 2023 (Llama), Jiang et al. 2023 (Mistral's window), Yang et al. 2024 and 2025 (Qwen2's
 * biases, Qwen3's norms of q and k). */
#include "model/llama.h"

#include <math.h>

#include "array/backend.h"
#include "array/tape.h"

/* What a block needs besides x; copied by tape_checkpoint, so pointers in it outlive backward. */
struct block_args {
    struct model *m;
    int64_t layer;
    struct forward_options options;
    struct array *positions;   /* (N) i32 */
    struct array *cu_q, *cu_k; /* offsets of the documents, in tokens of the batch and in keys */
    struct array *rows;        /* of the last block: see forward_options; else NULL */
    struct attention_params attention;
};

/* One linear alone. */
static struct array *linear(struct ctx *c, struct array *x, const struct weight *w, const struct forward_options *o)
{
    struct array *y = NULL;
    op_linear(c, x, &w, 1, o->dropout, &y);
    return y;
}

/* (N, H * D) to (N, H, D). */
static struct array *split_heads(struct ctx *c, struct array *x, int64_t head_dim)
{
    return x ? op_reshape(c, x, 3, (int64_t[]){x->shape[0], -1, head_dim}) : NULL;
}

/* q or k of each head: normalised when the model does so, then turned by its position. */
static struct array *rotate(struct ctx *c, const struct block_args *a, struct array *x, struct array *norm)
{
    const struct model *m = a->m;
    x = split_heads(c, x, m->config.head_dim);
    if (norm) x = op_rms_norm(c, x, norm, m->config.rms_eps);
    return op_rope(c, x, a->positions, m->inv_freq, 1);
}

/* Attention of the block's tokens over themselves, or over what the cache holds and themselves: (N, H * D). */
static struct array *attend(struct ctx *c, const struct block_args *a, struct array *q, struct array *k, struct array *v)
{
    struct kv_cache *cache = a->options.cache;
    if (cache) {
        k = kv_cache_append(cache, cache->k[a->layer], k);
        v = kv_cache_append(cache, cache->v[a->layer], v);
    }
    struct array *o = op_attention(c, q, k, v, a->cu_q, a->cu_k, &a->attention);
    return o ? op_reshape(c, o, 2, (int64_t[]){o->shape[0], -1}) : NULL;
}

/* v is a view of what q, k and v share. Backward needs v but not q and k before they were turned, so a copy of v lets go of
 * them; norms of q and k do need them, and then a copy would only cost. */
static bool copies_v(const struct ctx *c, const struct llama_block *b)
{
    return tape_recording(c) && !b->q_norm && !b->k_norm;
}

static struct array *block(struct ctx *c, void *arg, struct array *x)
{
    const struct block_args *a = arg;
    const struct llama_block *b = &a->m->blocks[a->layer];
    const struct forward_options *o = &a->options;
    double eps = a->m->config.rms_eps;
    struct array *qkv[3] = {0}, *gate_up[2] = {0};

    struct array *h = op_rms_norm(c, x, b->attn_norm, eps); /* (N, C) */
    op_linear(c, h, (const struct weight *[]){&b->q, &b->k, &b->v}, 3, o->dropout, qkv);
    struct array *q = rotate(c, a, qkv[0], b->q_norm); /* (N, H, D) */
    struct array *k = rotate(c, a, qkv[1], b->k_norm); /* (N, G, D) */
    struct array *v = split_heads(c, qkv[2], a->m->config.head_dim);
    if (copies_v(c, b)) v = op_contiguous(c, v);
    h = attend(c, a, q, k, v);
    if (a->rows) { /* from here a row needs no other */
        h = op_take(c, h, a->rows);
        x = op_take(c, x, a->rows);
    }
    h = linear(c, h, &b->o, o); /* (N, C) */

    h = op_rms_norm_add(c, h, x, b->ffn_norm, eps, &x); /* x = x + h */
    op_linear(c, h, (const struct weight *[]){&b->gate, &b->up}, 2, o->dropout, gate_up);
    h = op_swiglu(c, gate_up[0], gate_up[1]);
    /* (N, F) -> (N, C); when a block is computed again for backward, a quarter of its products make a result nobody reads */
    h = tape_replaying(c) ? op_linear_unread(c, h, &b->down, o->dropout) : linear(c, h, &b->down, o);
    return op_add(c, x, h);
}

static struct array *run_block(struct ctx *c, struct block_args *a, struct array *x)
{
    int mark = scope_open(c);
    x = a->layer < a->options.recomputed_blocks ? tape_checkpoint(c, block, a, sizeof *a, x) : block(c, a, x);
    return scope_close_keep(c, mark, x);
}

static struct array *upload_i32(struct ctx *c, const int32_t *data, int64_t n)
{
    return array_from_host(c, DTYPE_I32, 1, &n, data);
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
    struct block_args a = {
        .m = m,
        .options = *o,
        .positions = upload_i32(c, b->positions, b->n),
        .cu_q = upload_i32(c, b->cu, b->n_seg + 1),
        .attention = {.scale = 1 / sqrt((double)m->config.head_dim),
                      .window = (int)m->config.sliding_window,
                      .compute = m->options.compute},
    };
    a.cu_k = key_offsets(c, o->cache, b, a.cu_q);
    struct array *x = op_embed(c, &m->embed, upload_i32(c, b->tokens, b->n), array_backend(c)->activations); /* (N, C) */
    for (a.layer = 0; a.layer < m->config.n_layers; a.layer++) {
        a.rows = a.layer == m->config.n_layers - 1 ? o->rows : NULL;
        x = run_block(c, &a, x);
    }
    x = op_rms_norm(c, x, m->final_norm, m->config.rms_eps);
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
