/* kv_cache: keys (already rotated) and values of one sequence, per layer, for generation. */
#ifndef YA_MODEL_KV_CACHE_H
#define YA_MODEL_KV_CACHE_H

#include "array/array.h"

struct model_config;

struct kv_cache {
    int64_t n, capacity; /* tokens held, and at most */
    int64_t n_layers;
    struct array **k, **v; /* n_layers of (capacity, G, D) activations, persistent; rows from n on are not read */
    struct ctx *c;
};

/* A cache for at most `capacity` tokens. Owner of the result: the caller; free it before the array_env. NULL with E_MEMORY
 * or E_FIT. kv_cache_free accepts NULL. */
struct kv_cache *kv_cache_new(struct ctx *c, const struct model_config *config, int64_t capacity);
void kv_cache_free(struct kv_cache *cache);

/* Writes the rows of x (N, G, D), one layer's keys or values, behind the `n` tokens held in `store` (that layer's k or v),
 * and returns a view of the first n + N rows, in the innermost scope. Every layer appends at the same n, so the caller
 * adds N to cache->n when all layers are done. Never recorded by the tape. More rows than fit are a bug of the caller
 * (BUG_ON). */
struct array *kv_cache_append(struct kv_cache *cache, struct array *store, struct array *x);

#endif
