/* config: what both readers of a model's numbers share: the families, the limits, the rules between fields, and the rotary
 * frequencies that follow from them. Reading config.json is in config_json.c, reading GGUF metadata in config_gguf.c.
 *
 * Limits are far above any model of the family and far below what would overflow a product of two of them in int64, so the
 * rest of the program multiplies dims without checks; bytes are checked against the file when tensors are bound. */
#include "model/config.h"

#include <math.h>
#include <stddef.h>

static const struct model_family_names families[FAMILY_COUNT] = {
    [FAMILY_LLAMA] = {"LlamaForCausalLM", "llama", "llama"},
    [FAMILY_MISTRAL] = {"MistralForCausalLM", "mistral", "llama"},
    [FAMILY_QWEN2] = {"Qwen2ForCausalLM", "qwen2", "qwen2"},
    [FAMILY_QWEN3] = {"Qwen3ForCausalLM", "qwen3", "qwen3"},
};

#define AT(member) offsetof(struct model_config, member)

const struct model_config_field model_config_integers[] = {
    {AT(n_layers), "num_hidden_layers", "block_count", true, 1, 1024},
    {AT(hidden), "hidden_size", "embedding_length", true, 1, 1 << 17},
    {AT(n_heads), "num_attention_heads", "attention.head_count", true, 1, 1024},
    {AT(n_kv_heads), "num_key_value_heads", "attention.head_count_kv", false, 1, 1024},
    {AT(head_dim), "head_dim", "attention.key_length", false, 2, 1024},
    {AT(ffn), "intermediate_size", "feed_forward_length", true, 1, 1 << 20},
    {AT(vocab), "vocab_size", "vocab_size", false, 1, 1 << 24},
    {AT(max_positions), "max_position_embeddings", "context_length", true, 1, INT32_MAX},
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
    if (config->n_heads % config->n_kv_heads != 0)
        return ctx_fail(c, E_INPUT, "%s: %lld attention heads are not a multiple of %lld key-value heads", what,
                        (long long)config->n_heads, (long long)config->n_kv_heads);
    if (config->head_dim < 2 || config->head_dim > 1024 || config->head_dim % 2 != 0)
        return ctx_fail(c, E_INPUT, "%s: head_dim is %lld; it must be even and in 2..1024", what,
                        (long long)config->head_dim);
    if (config->bos >= config->vocab || config->eos >= config->vocab)
        return ctx_fail(c, E_INPUT, "%s: bos_token_id %d or eos_token_id %d is not below the vocabulary size %lld", what,
                        config->bos, config->eos, (long long)config->vocab);
    return OK;
}

/* Llama 3.1: wavelengths above the original context are stretched by `factor`, short ones are left alone, those between are
 * blended linearly in original / wavelength. */
static float llama3_frequency(const struct model_config *config, float f)
{
    double original = (double)config->rope_original_positions;
    double low = config->rope_low_freq_factor, high = config->rope_high_freq_factor;
    double wavelength = 2 * M_PI / (double)f;
    if (wavelength < original / high) return f;
    if (wavelength > original / low) return (float)((double)f / config->rope_factor);
    double smooth = (original / wavelength - low) / (high - low);
    return (float)((1 - smooth) * (double)f / config->rope_factor + smooth * (double)f);
}

void model_config_inv_freq(const struct model_config *config, float *inv_freq)
{
    /* In float step by step, as the reference does: at position 8192 one rounding of a frequency is 5e-4 radians, so an
     * exact value would be further from the reference than its own rounding. */
    for (int64_t j = 0; j < config->head_dim / 2; j++) {
        float exponent = (float)(2 * j) / (float)config->head_dim;
        float f = 1.0f / powf((float)config->rope_theta, exponent);
        if (config->rope_scaling == ROPE_LINEAR) f = (float)((double)f / config->rope_factor);
        if (config->rope_scaling == ROPE_LLAMA3) f = llama3_frequency(config, f);
        inv_freq[j] = f;
    }
}
