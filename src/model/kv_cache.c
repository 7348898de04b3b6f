/* kv_cache: two persistent arrays for each layer, made for the full length at once, so that a growing document never
 * moves. */
#include "model/kv_cache.h"

#include "array/backend.h"
#include "base/mem.h"
#include "model/config.h"

struct kv_cache *kv_cache_new(struct ctx *c, const struct model_config *config, int64_t capacity)
{
    const int64_t shape[3] = {capacity, config->n_kv_heads, config->head_dim};
    struct kv_cache *cache = mem_alloc(c, 1, sizeof *cache);
    if (!cache) return NULL;
    *cache = (struct kv_cache){.c = c, .capacity = capacity, .n_layers = config->n_layers};
    cache->k = mem_alloc(c, (size_t)config->n_layers, sizeof(struct array *));
    cache->v = mem_alloc(c, (size_t)config->n_layers, sizeof(struct array *));
    for (int64_t i = 0; ctx_ok(c) && i < config->n_layers; i++) {
        cache->k[i] = array_persistent(c, array_backend(c)->activations, 3, shape);
        cache->v[i] = array_persistent(c, array_backend(c)->activations, 3, shape);
    }
    if (ctx_ok(c)) return cache;
    kv_cache_free(cache);
    return NULL;
}

void kv_cache_free(struct kv_cache *cache)
{
    if (!cache) return;
    for (int64_t i = 0; i < cache->n_layers; i++) {
        if (cache->k) array_release(cache->k[i]);
        if (cache->v) array_release(cache->v[i]);
    }
    mem_free(cache->c, cache->k);
    mem_free(cache->c, cache->v);
    mem_free(cache->c, cache);
}

struct array *kv_cache_append(struct kv_cache *cache, struct array *store, struct array *x)
{
    if (!ctx_ok(cache->c)) return NULL;
    int64_t row = store->stride[0], all = cache->n + x->shape[0];
    BUG_ON(cache->c, all > cache->capacity, "%lld rows in a cache of %lld", (long long)all, (long long)cache->capacity);
    struct array *place = array_view(store, 3, x->shape, store->stride, cache->n * row);
    if (!place || op_write(cache->c, place, x) != OK) return NULL;
    return array_view(store, 3, (int64_t[]){all, store->shape[1], store->shape[2]}, store->stride, 0);
}
