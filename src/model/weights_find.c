/* weights_find: tensors by name, each checked against what the configuration asks for, and the proof that none is left
 * over: a tensor that nobody asked for would be a part of the model that is not computed. */
#include <string.h>

#include "array/codec/quant.h"
#include "base/str.h"
#include "model/weights_internal.h"

/* cols 0 asks for a vector. A tensor that is asked for again (tied embeddings) counts its bytes once. */
const struct tensor_view *weights_find(struct model_files *f, const char *name, int64_t rows, int64_t cols)
{
    const struct tensor_view *t = tensor_file_find(f->file, name);
    if (!t) {
        ctx_fail(f->c, E_INPUT, "%s: tensor \"%s\" is missing", f->path, name);
        return NULL;
    }
    bool fits = cols ? t->ndim == 2 && t->shape[0] == rows && t->shape[1] == cols : t->ndim == 1 && t->shape[0] == rows;
    if (!fits) {
        ctx_fail(f->c, E_INPUT, "%s: tensor \"%s\" has %d axes and begins with %lld x %lld; the config asks for %lld x %lld",
                 f->path, name, t->ndim, (long long)(t->ndim > 0 ? t->shape[0] : 0),
                 (long long)(t->ndim > 1 ? t->shape[1] : 1), (long long)rows, (long long)(cols ? cols : 1));
        return NULL;
    }
    if (!quant_is_weight_type(t->type)) {
        ctx_fail(f->c, E_UNSUPPORTED, "%s: tensor \"%s\" has type %s, which is not a weight type that is supported", f->path,
                 name, tensor_type_info(t->type)->name);
        return NULL;
    }
    bool again = false;
    if (map64_put(f->used, (uint64_t)(uintptr_t)t, 1, &again) != OK) return NULL;
    if (!again) f->bytes += t->bytes;
    return t;
}

enum status weights_check_tied_head(struct model_files *f, const char *name, const struct weight *embed)
{
    const struct tensor_view *t = tensor_file_find(f->file, name);
    const struct weight_source *table = &embed->source;
    if (!t) return OK;
    if (t->type == table->type && t->bytes == weight_source_bytes(table) && memcmp(t->data, table->data, t->bytes) == 0)
        return map64_put(f->used, (uint64_t)(uintptr_t)t, 1, NULL);
    return ctx_fail(f->c, E_UNSUPPORTED,
                    "%s: tie_word_embeddings is true but \"%s\" is stored and differs from the embeddings", f->path, name);
}

/* Buffers of old checkpoints that follow from the config, and the factors that weights_divide_rope and the configuration
 * read. */
static bool is_harmless(const char *name)
{
    return str_has_suffix(name, ".rotary_emb.inv_freq") || strcmp(name, "rope_freqs.weight") == 0 ||
           strcmp(name, "rope_factors_long.weight") == 0 || strcmp(name, "rope_factors_short.weight") == 0;
}

enum status weights_check_all_used(struct model_files *f)
{
    for (size_t i = 0; i < tensor_file_count(f->file); i++) {
        const struct tensor_view *t = tensor_file_at(f->file, i);
        uint64_t one;
        if (!map64_get(f->used, (uint64_t)(uintptr_t)t, &one) && !is_harmless(t->name))
            return ctx_fail(f->c, E_UNSUPPORTED,
                            "%s: tensor \"%.200s\" has no place in a model of this architecture and config", f->path,
                            t->name);
    }
    return OK;
}
