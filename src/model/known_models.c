/* known_models: the table of known_models.def. */
#include "model/known_models.h"

#include <string.h>

/* architecture, model_type, biases on q, k, v, norms on q and k */
#define LLAMA "LlamaForCausalLM", "llama", false, false
#define QWEN2 "Qwen2ForCausalLM", "qwen2", true, false
#define QWEN3 "Qwen3ForCausalLM", "qwen3", false, true

#define KNOWN(name, architecture, type, bias, norm, ...) KNOWN_ROW(name, architecture, type, bias, norm, __VA_ARGS__)
#define KNOWN_ROW(name, architecture, type, bias, norm, layers, hidden, ffn, heads, kv_heads, head_dim, vocab, positions,   \
                  theta, eps, factor, tied, hub, licence)                                                                   \
    {name,      architecture, type, layers, hidden, ffn,  heads, kv_heads, head_dim, vocab,                                 \
     positions, theta,        eps,  factor, tied,   bias, norm,  hub,      licence},

const struct known_model known_models[] = {
#define MODEL(name, family, ...) KNOWN(name, family, __VA_ARGS__)
#include "model/known_models.def"
#undef MODEL
};
const int known_models_n = sizeof known_models / sizeof known_models[0];
_Static_assert(sizeof known_models / sizeof known_models[0] <= KNOWN_MODELS_MAX, "raise KNOWN_MODELS_MAX");

const char known_model_choices[] =
#define MODEL(name, ...) name "|"
#define LAST(name, ...)  name
#include "model/known_models.def"
#undef MODEL
    ;

int known_model_find(const char *name)
{
    for (int i = 0; i < known_models_n; i++)
        if (strcmp(known_models[i].name, name) == 0) return i;
    return -1;
}

uint64_t known_model_parameters(const struct known_model *m)
{
    uint64_t h = (uint64_t)m->hidden, q = (uint64_t)(m->heads * m->head_dim), kv = (uint64_t)(m->kv_heads * m->head_dim);
    uint64_t layer = h * (2 * q + 2 * kv + 3 * (uint64_t)m->ffn) + 2 * h;
    layer += (m->qkv_bias ? q + 2 * kv : 0) + (m->qk_norm ? 2 * (uint64_t)m->head_dim : 0);
    return (uint64_t)m->layers * layer + h + (uint64_t)m->vocab * h * (m->tied ? 1 : 2);
}

uint64_t known_model_bytes(const struct known_model *m)
{
    return 2 * known_model_parameters(m);
}
