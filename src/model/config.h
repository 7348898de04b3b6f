/* config: the numbers of a Llama-family model, from config.json or GGUF metadata, validated. A value that the forward pass
 * does not honour is refused by name: a model that loads is computed as the reference computes it. */
#ifndef YA_MODEL_CONFIG_H
#define YA_MODEL_CONFIG_H

#include "base/ctx.h"

struct gguf;

enum model_family { FAMILY_LLAMA, FAMILY_MISTRAL, FAMILY_QWEN2, FAMILY_QWEN3, FAMILY_COUNT };

/* How the rotary frequencies are stretched. ROPE_FACTORS: a GGUF's rope_freqs.weight divides each of them; the factors are a
 * tensor, so model_open applies them, and model_config_inv_freq gives the undivided ones. */
enum rope_scaling { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3, ROPE_FACTORS };

struct model_config {
    enum model_family family;
    char architecture[64]; /* "LlamaForCausalLM", ... */
    int64_t n_layers, hidden, n_heads, n_kv_heads, head_dim, ffn, vocab, max_positions;
    double rms_eps, rope_theta;
    enum rope_scaling rope_scaling;
    double rope_factor, rope_low_freq_factor, rope_high_freq_factor;
    int64_t rope_original_positions;
    bool tied_embeddings, qkv_bias, o_bias, mlp_bias, qk_norm;
    int64_t sliding_window; /* 0: none */
    int32_t bos, eos;       /* -1: none; the first of a list */
};

/* "LlamaForCausalLM", "llama" (config.json's model_type), "llama" (GGUF's general.architecture) of a family. */
struct model_family_names {
    const char *architecture, *model_type, *gguf;
};
const struct model_family_names *model_family_names(enum model_family family);

/* E_INPUT naming file and field for values out of range, E_UNSUPPORTED naming an architecture or value that is not
 * supported. */
enum status model_config_from_json(struct ctx *c, const char *path, struct model_config *out);
enum status model_config_from_gguf(struct ctx *c, const struct gguf *g, struct model_config *out);
/* Rules between fields (heads divide, head_dim even) that both readers share; `what` names the file. E_INPUT. */
enum status model_config_check(struct ctx *c, const char *what, struct model_config *config);

/* inv_freq (head_dim / 2) with the scaling applied; formulas: Su et al. 2021 (RoPE), Chen et al. 2023 (linear), Llama 3.1's
 * frequency blend. */
void model_config_inv_freq(const struct model_config *config, float *inv_freq);

/* Integer and real fields with their names in both formats and the range that is accepted. The table is the one list of
 * limits on what a file may ask for. `required` is for config.json and GGUF alike. */
struct model_config_field {
    size_t offset;
    const char *json, *gguf; /* gguf without the "<architecture>." in front; NULL: not in that format */
    bool required;
    double min, max;
};
extern const struct model_config_field model_config_integers[], model_config_reals[];
extern const size_t model_config_n_integers, model_config_n_reals;

#endif
