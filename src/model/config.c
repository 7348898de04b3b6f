/* config: what both readers of a model's configuration share: the families, the limits and the rules between fields.
 * Reading config.json is in config_json.c, reading GGUF metadata in config_gguf.c, the rotary frequencies that follow are
 * in config_rope.c.
 *
 * Limits are far above any model of the family and far below what would overflow a product of two of them in int64, so the
 * rest of the program multiplies dims without checks; bytes are checked against the file when tensors are bound. */
#include "model/config.h"

#include <math.h>
#include <stddef.h>

static const struct model_family_names families[FAMILY_COUNT] = {
    [FAMILY_LLAMA] = {"LlamaForCausalLM", "llama", "llama", true},
    [FAMILY_MISTRAL] = {"MistralForCausalLM", "mistral", "llama", true},
    [FAMILY_MINISTRAL] = {"MinistralForCausalLM", "ministral", NULL, false},
    [FAMILY_MINISTRAL3] = {"Ministral3ForCausalLM", "ministral3", NULL, false},
    [FAMILY_QWEN2] = {"Qwen2ForCausalLM", "qwen2", "qwen2", false},
    [FAMILY_QWEN3] = {"Qwen3ForCausalLM", "qwen3", "qwen3", false},
    [FAMILY_SMOLLM3] = {"SmolLM3ForCausalLM", "smollm3", "smollm3", true},
    [FAMILY_GRANITE] = {"GraniteForCausalLM", "granite", "granite", true},
    [FAMILY_PHI3] = {"Phi3ForCausalLM", "phi3", "phi3", false},
    [FAMILY_OLMO2] = {"Olmo2ForCausalLM", "olmo2", "olmo2", false},
};

#define AT(member) offsetof(struct model_config, member)

const struct model_config_field model_config_integers[] = {
    {AT(n_layers), "num_hidden_layers", "block_count", true, 1, MODEL_MAX_LAYERS},
    {AT(hidden), "hidden_size", "embedding_length", true, 1, 1 << 17},
    {AT(n_heads), "num_attention_heads", "attention.head_count", true, 1, 1024},
    {AT(n_kv_heads), "num_key_value_heads", "attention.head_count_kv", false, 1, 1024},
    {AT(head_dim), "head_dim", "attention.key_length", false, 2, 2 * MODEL_MAX_PAIRS},
    {AT(ffn), "intermediate_size", "feed_forward_length", true, 1, 1 << 20},
    {AT(vocab), "vocab_size", "vocab_size", false, 1, 1 << 24},
    {AT(max_positions), "max_position_embeddings", "context_length", false, 1, INT32_MAX},
};
const size_t model_config_n_integers = sizeof model_config_integers / sizeof *model_config_integers;

const struct model_config_field model_config_reals[] = {
    {AT(rms_eps), "rms_norm_eps", "attention.layer_norm_rms_epsilon", false, 0, 0.1},
    {AT(rope_theta), "rope_theta", "rope.freq_base", false, 1, 1e15},
};
const size_t model_config_n_reals = sizeof model_config_reals / sizeof *model_config_reals;

const struct model_family_names *model_family_names(enum model_family family)
{
    BUG_ON(NULL, (unsigned)family >= FAMILY_COUNT, "family %d", (int)family);
    return &families[family];
}

/* Fills what follows from other fields when the file leaves it out. */
static enum status fill_head_dim(struct ctx *c, const char *what, struct model_config *config)
{
    if (config->head_dim != 0) return OK;
    if (config->hidden % config->n_heads != 0)
        return ctx_fail(c, E_INPUT, "%s: hidden size %lld is not a multiple of %lld heads and no head size is given", what,
                        (long long)config->hidden, (long long)config->n_heads);
    config->head_dim = config->hidden / config->n_heads;
    return OK;
}

enum status model_config_check(struct ctx *c, const char *what, struct model_config *config)
{
    if (config->n_kv_heads == 0) config->n_kv_heads = config->n_heads;
    TRY(fill_head_dim(c, what, config));
    if (config->vocab == 0) return ctx_fail(c, E_INPUT, "%s: vocab_size is missing", what);
    if (config->max_positions == 0) return ctx_fail(c, E_INPUT, "%s: context_length is missing", what);
    if (config->n_heads % config->n_kv_heads != 0)
        return ctx_fail(c, E_INPUT, "%s: %lld attention heads are not a multiple of %lld key-value heads", what,
                        (long long)config->n_heads, (long long)config->n_kv_heads);
    if (config->head_dim < 2 || config->head_dim > 2 * MODEL_MAX_PAIRS || config->head_dim % 2 != 0)
        return ctx_fail(c, E_INPUT, "%s: head_dim is %lld; it must be even and in 2..%d", what, (long long)config->head_dim,
                        2 * MODEL_MAX_PAIRS);
    if (config->rotary_dims == 0) config->rotary_dims = config->head_dim;
    if (config->attention_scale == 0) config->attention_scale = 1 / sqrt((double)config->head_dim);
    if (config->bos >= config->vocab || config->eos >= config->vocab)
        return ctx_fail(c, E_INPUT, "%s: bos_token_id %d or eos_token_id %d is not below the vocabulary size %lld", what,
                        config->bos, config->eos, (long long)config->vocab);
    return OK;
}

void model_config_set_neutral(struct model_config *config)
{
    config->rope_factor = 1;
    config->rope_beta_fast = 32; /* yarn's own defaults */
    config->rope_beta_slow = 1;
    config->rope_whole_dims = true;
    config->rope_attention_factor = 1;
    config->embedding_multiplier = 1;
    config->residual_multiplier = 1;
    config->logits_divisor = 1;
}

void model_config_set_window(struct model_config *config, int64_t window)
{
    config->sliding_window = window;
    for (int64_t i = 0; i < config->n_layers; i++)
        config->layer_flags[i] = (uint8_t)((config->layer_flags[i] & ~LAYER_WINDOW) | (window > 0 ? LAYER_WINDOW : 0));
}
