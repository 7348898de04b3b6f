/* config: the numbers of a Llama-family model, from config.json or GGUF metadata, validated. */
#ifndef YA_MODEL_CONFIG_H
#define YA_MODEL_CONFIG_H

#include "base/ctx.h"

struct gguf;

enum model_family { FAMILY_LLAMA, FAMILY_MISTRAL, FAMILY_QWEN2, FAMILY_QWEN3 };

enum rope_scaling { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3 };

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
    int32_t bos, eos;       /* -1: none */
};

/* E_INPUT naming file and field for values out of range, E_UNSUPPORTED naming an architecture or value that is not
 * supported. */
enum status model_config_from_json(struct ctx *c, const char *path, struct model_config *out);
enum status model_config_from_gguf(struct ctx *c, const struct gguf *g, struct model_config *out);
/* inv_freq (head_dim / 2) with the scaling applied; formulas: Su et al. 2021, Llama 3.1's frequency blend. */
void model_config_inv_freq(const struct model_config *config, float *inv_freq);

#endif
