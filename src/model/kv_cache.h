/* kv_cache: keys (already rotated) and values of one sequence, per layer, for generation. */
#ifndef YA_MODEL_KV_CACHE_H
#define YA_MODEL_KV_CACHE_H

#include "array/array.h"

struct model_config;

struct kv_cache {
    int64_t n, capacity; /* tokens held, room */
    int64_t n_layers;
    struct array **k, **v; /* n_layers of (capacity, G, D) f32, retained */
    int32_t cu_k[2];       /* key offsets of the running call, for attention_params */
    struct ctx *c;
};

struct kv_cache *kv_cache_new(struct ctx *c, const struct model_config *config, int64_t capacity);
void kv_cache_free(struct kv_cache *cache);

#endif
