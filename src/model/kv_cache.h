/* kv_cache: keys (already rotated) and values of one sequence, per layer, for generation. */
#ifndef YA_MODEL_KV_CACHE_H
#define YA_MODEL_KV_CACHE_H

#include "array/array.h"

struct model_config;

struct kv_cache {
    int64_t n, capacity; /* tokens held, room */
    int64_t n_layers;
    struct array **k, **v; /* n_layers of (capacity, G, D) activations, persistent; rows from n on are not read */
    struct ctx *c;
};

/* Room for `capacity` tokens. Owner of the result: the caller; free it before the array_env. */
struct kv_cache *kv_cache_new(struct ctx *c, const struct model_config *config, int64_t capacity);
void kv_cache_free(struct kv_cache *cache); /* accepts NULL */

/* Writes the rows of x (N, G, D), a layer's keys or values, behind the `n` tokens held (n itself is the caller's to move
 * when all layers are done) and returns the view of the first n + N rows, in the innermost scope. Never recorded. */
struct array *kv_cache_append(struct kv_cache *cache, struct array *store, struct array *x);

#endif
