/* known_models: the shapes of models that people fine-tune, so that memory and speed can be told before anything is
 * downloaded (known_models.def). */
#ifndef YA_MODEL_KNOWN_MODELS_H
#define YA_MODEL_KNOWN_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What config.json says of a model, and where it is. */
struct known_model {
    const char *name, *architecture, *model_type; /* "llama-3.1-8b", "LlamaForCausalLM", "llama" */
    int layers, hidden, ffn, heads, kv_heads, head_dim, vocab, positions;
    double rope_theta, rms_eps, rope_factor; /* rope_factor 0: no scaling, else Llama 3's */
    bool tied, qkv_bias, qk_norm;
    const char *hub, *licence; /* "owner/name" of a repository; "": shapes for measurements and tests only */
};

enum { KNOWN_MODELS_MAX = 64 };
extern const struct known_model known_models[];
extern const int known_models_n;
/* "smollm2-135m|...|tiny": their names in the same order, as a choice list for an option. */
extern const char known_model_choices[];

/* Position of a name; -1: none. */
int known_model_find(const char *name);
/* Values of all weights, a tied table counted once, and their bytes as bf16, which is the size of the files. */
uint64_t known_model_parameters(const struct known_model *m);
uint64_t known_model_bytes(const struct known_model *m);

#endif
