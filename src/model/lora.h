/* lora: the adapter of a model: which linears have one, their A and B, and their gradients (Hu et al. 2021;
 * y += s * drop(x) A^T B^T, s = alpha / r or, rsLoRA, alpha / sqrt(r), Kalajdzievski 2023). */
#ifndef YA_MODEL_LORA_H
#define YA_MODEL_LORA_H

#include "array/weight.h"
#include "model/config.h"

/* The seven linears of a block, in the order of the slot ids (layer * 8 + place). */
enum lora_place { LORA_Q, LORA_K, LORA_V, LORA_O, LORA_GATE, LORA_UP, LORA_DOWN, LORA_PLACES };
extern const char *const lora_place_name[LORA_PLACES]; /* "q_proj", ... as PEFT names them */
extern const char *const lora_place_path[LORA_PLACES]; /* "self_attn.q_proj", ... */

struct lora_config {
    int64_t rank;
    double alpha, dropout;
    bool rslora;
    uint32_t targets;    /* bit p: place p has an adapter; default all */
    int64_t last_layers; /* adapters only in the last n layers; 0: all */
    uint64_t seed;       /* of the initial A */
};

struct lora_module {
    int64_t layer;
    enum lora_place place;
    struct lora_slot slot; /* a (r, in), b (out, r): f32 masters, retained */
    struct array *grad_a, *grad_b;
    int64_t rank; /* may differ by module (rank_pattern) */
    double alpha;
};

struct lora {
    struct lora_config config;
    struct lora_module *modules; /* layer-major, then place */
    size_t n_modules;
    struct ctx *c;
};

/* A ~ U(-1/sqrt(in), 1/sqrt(in)) as PEFT's default (kaiming_uniform with a = sqrt(5)), B = 0. `in_out` gives the shapes. */
struct lora *lora_new(struct ctx *c, const struct model_config *m, const struct lora_config *config);
void lora_free(struct lora *l);
int64_t lora_parameter_count(const struct lora *l);

/* PEFT folder (adapter_config.json, adapter_model.safetensors), exact names and config; rank_pattern, alpha_pattern, rsLoRA
 * are read. base_name goes to base_model_name_or_path. `dir` must exist; files are written atomically. */
enum status lora_save_peft(struct ctx *c, const struct lora *l, const char *dir, const char *base_name);
struct lora *lora_load_peft(struct ctx *c, const struct model_config *m, const char *dir);

#endif
