/* config: the hyperparameters of a Llama-family model, from config.json or GGUF metadata, validated. A value that the
 * forward pass does not honour is refused by name: a model that loads is computed as the reference (Hugging Face's
 * transformers) computes it. */
#ifndef YA_MODEL_CONFIG_H
#define YA_MODEL_CONFIG_H

#include "base/ctx.h"

struct gguf;

enum model_family {
    FAMILY_LLAMA,
    FAMILY_MISTRAL,
    FAMILY_MINISTRAL,  /* Mistral with windows on some layers */
    FAMILY_MINISTRAL3, /* Mistral with yarn and queries scaled by their position */
    FAMILY_QWEN2,
    FAMILY_QWEN3,
    FAMILY_SMOLLM3,
    FAMILY_GRANITE,
    FAMILY_PHI3,
    FAMILY_OLMO2,
    FAMILY_COUNT
};

/* How the rotary frequencies are stretched beyond the context of pre-training.
 * ROPE_FACTORS: a GGUF's rope_freqs.weight divides each of them; the factors are a tensor, so model_open applies them, and
 * model_config_inv_freq gives the undivided ones.
 * ROPE_DYNAMIC: documents of up to max_positions tokens, and no longer ones are computed, have the plain frequencies.
 * ROPE_LONGROPE: two sets, one for documents within rope_original_positions and one for longer ones. */
enum rope_scaling { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3, ROPE_FACTORS, ROPE_DYNAMIC, ROPE_YARN, ROPE_LONGROPE };

/* Over what the norms of q and k run: each head alone (Qwen3), or all heads of a token together (OLMo-2). */
enum qk_norm { QK_NORM_NONE, QK_NORM_HEAD, QK_NORM_WHOLE };

/* A rotary pair is the two elements of a head that one angle rotates. */
enum { MODEL_MAX_LAYERS = 1024, MODEL_MAX_PAIRS = 512 };

/* What differs from layer to layer. */
enum layer_flag {
    LAYER_WINDOW = 1 /* attention sees sliding_window tokens */,
    LAYER_NO_ROPE = 2 /* q, k are not rotated */
};

struct model_config {
    enum model_family family;
    char architecture[64]; /* "LlamaForCausalLM", ... */
    int64_t n_layers, hidden, n_heads, n_kv_heads, head_dim, ffn, vocab, max_positions;
    double rms_eps, rope_theta;
    enum rope_scaling rope_scaling;
    int64_t rotary_dims; /* how many of a head's first elements are rotated: even, head_dim unless rotation is partial */
    double rope_factor, rope_low_freq_factor, rope_high_freq_factor, rope_beta_fast, rope_beta_slow;
    bool rope_whole_dims;         /* yarn: the ends of its blend are rounded to whole elements ("truncate") */
    double rope_attention_factor; /* cos and sin are multiplied by it: yarn and longrope; else 1 */
    double rope_position_beta;    /* Ministral 3: q times 1 + beta ln(1 + floor(position / original)); else 0 */
    int64_t rope_original_positions;
    float rope_short_factors[MODEL_MAX_PAIRS], rope_long_factors[MODEL_MAX_PAIRS]; /* longrope: of rotary_dims / 2 pairs */
    bool tied_embeddings, qkv_bias, o_bias, mlp_bias;
    bool fused_projections; /* q, k, v are the rows of one matrix, gate and up those of another (Phi-3) */
    bool norm_after;        /* norms stand behind attention and MLP, not in front of them (OLMo-2) */
    enum qk_norm qk_norm;
    double embedding_multiplier, residual_multiplier, logits_divisor; /* 1 but for Granite */
    double attention_scale;                                           /* of q k^T; 1 / sqrt(head_dim) but for Granite */
    int64_t sliding_window;                /* of the layers that have LAYER_WINDOW; 0: no layer has */
    uint8_t layer_flags[MODEL_MAX_LAYERS]; /* bits of enum layer_flag */
    int32_t bos, eos;                      /* -1: none; the first of a list */
};

/* "LlamaForCausalLM", "llama" (config.json's model_type), "llama" (GGUF's general.architecture; NULL: not read from GGUF)
 * of a family. */
struct model_family_names {
    const char *architecture, *model_type, *gguf;
    bool gguf_permutes; /* GGUF files hold the rows of q and k with the two halves of a head interleaved */
};
/* The names of a family; static. */
const struct model_family_names *model_family_names(enum model_family family);

/* Reads and validates the configuration of a model folder (path of its config.json), or of an open GGUF file. E_INPUT
 * naming file and field for values out of range, E_UNSUPPORTED naming an architecture or value that is not supported. */
enum status model_config_from_json(struct ctx *c, const char *path, struct model_config *out);
enum status model_config_from_gguf(struct ctx *c, const struct gguf *g, struct model_config *out);
/* Rules between fields (heads divide, head_dim even) that both readers share; `what` names the file. E_INPUT. */
enum status model_config_check(struct ctx *c, const char *what, struct model_config *config);

/* Sets the factors that only some families have (multipliers, scales, longrope's factors) to 1 or whatever else leaves the
 * computation as it is without them. */
void model_config_set_neutral(struct model_config *config);
/* Gives every layer a window of `window` tokens, or with 0 none. */
void model_config_set_window(struct model_config *config, int64_t window);

/* inv_freq (rotary_dims / 2) with the scaling applied, for documents beyond rope_original_positions (`beyond`, which only
 * longrope tells apart) or within. Formulas: Su et al. 2021 (RoPE), Chen et al. 2023 (linear), Llama 3.1's frequency
 * blend, Peng et al. 2023 (yarn), Ding et al. 2024 (longrope). */
void model_config_inv_freq(const struct model_config *config, bool beyond, float *inv_freq);
/* The factor of cos and sin that yarn and longrope have when the file gives none, by which `factor` s the context L was
 * stretched: 0.1 mscale ln(s) + 1 and sqrt(1 + ln(s) / ln(L)); 1 for s up to 1. */
double model_config_yarn_attention(double factor, double mscale);
double model_config_longrope_attention(double factor, int64_t original_positions);

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
