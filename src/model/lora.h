/* lora: the adapter of a model: which linear layers have one, their A and B, and their gradients (Hu et al. 2021;
 * y += s * drop(x) A^T B^T, s = alpha / r or, rsLoRA, alpha / sqrt(r), Kalajdzievski 2023). */
#ifndef YA_MODEL_LORA_H
#define YA_MODEL_LORA_H

#include "array/weight.h"
#include "model/config.h"
#include "model/parameter.h"

/* The linear layers of a block: seven, or with fused_projections four, where QKV stands for the first three and GATE_UP
 * for gate and up. */
enum lora_place { LORA_Q, LORA_K, LORA_V, LORA_O, LORA_GATE, LORA_UP, LORA_DOWN, LORA_QKV, LORA_GATE_UP, LORA_PLACES };
extern const char *const lora_place_name[LORA_PLACES]; /* "q_proj", ... as PEFT names them */
extern const char *const lora_place_path[LORA_PLACES]; /* "self_attn.q_proj", ... */
/* Whether the model has a linear layer at a place. */
bool lora_place_exists(const struct model_config *m, enum lora_place place);
/* True of the linear layers that read the input of attention: q, k, v and their fused form. */
static inline bool lora_place_is_qkv(enum lora_place place)
{
    return place <= LORA_V || place == LORA_QKV;
}
/* Rows (out features) and columns (in features) of the linear layer at a place. */
void lora_place_shape(const struct model_config *m, enum lora_place place, int64_t *out, int64_t *in);

enum { LORA_ALL = (1 << LORA_PLACES) - 1, LORA_SEPARATE_PLACES = LORA_DOWN + 1 /* the seven */ };
enum { LORA_RANK_MAX = 4096, LORA_ALPHA_MAX = 1000000 }; /* of what a command line or a file may ask for */

struct lora_config {
    int64_t rank;
    double alpha, dropout;
    bool rslora;
    uint32_t targets;    /* bit p: place p has an adapter; LORA_ALL: every place that the model has */
    int64_t last_layers; /* adapters only in the last n layers; 0: all */
    uint64_t seed;       /* of the initial A */
};

struct lora_module {
    int64_t layer;
    enum lora_place place;
    struct lora_slot slot;         /* a (r, in), b (out, r): views into `values`, retained */
    struct array *grad_a, *grad_b; /* views into `gradients`; NULL without them */
    int64_t rank;                  /* may differ by module (rank_pattern) */
    double alpha;
};

struct lora {
    struct lora_config config;
    struct lora_module *modules; /* layer-major, then place */
    size_t n_modules;
    int64_t n_layers; /* of the model */
    struct ctx *c;
    struct parameters parameters; /* 2 * n_modules: A of module i is number 2 i, its B 2 i + 1 */
    struct array *values;         /* the slab of all f32 masters */
    struct array *gradients;      /* the slab of their gradients, or NULL: lora_make_gradients */
};

/* s of a module: alpha / rank, or with rsLoRA alpha / sqrt(rank). */
double lora_scale_of(const struct lora_config *config, int64_t rank, double alpha);

/* An adapter as `config` says. A ~ U(-1/sqrt(in), 1/sqrt(in)) as PEFT's default (kaiming_uniform with a = sqrt(5)), B = 0;
 * the values depend on the seed and the module only. Owner of the result: the caller; free it before the
 * array_env. E_INPUT naming the value that is out of range. */
struct lora *lora_new(struct ctx *c, const struct model_config *m, const struct lora_config *config);
/* Frees the adapter; it must not be attached to a model that still runs. Accepts NULL. */
void lora_free(struct lora *l);
/* How many values are trained: the sum of rank * (in + out) over the modules. */
static inline int64_t lora_parameter_count(const struct lora *l)
{
    return l->parameters.count;
}

/* Gives an adapter that will be trained its gradients, all 0. E_MEMORY. */
enum status lora_make_gradients(struct lora *l);

/* The steps that lora_new and lora_load_peft share: a set without modules; one more module (modules are added layer-major,
 * then by place, at most n_layers * LORA_PLACES); and, after the last of them, the memory of all (A = B = 0). */
struct lora *lora_empty(struct ctx *c, const struct model_config *m, const struct lora_config *config);
enum status lora_add(struct lora *l, const struct model_config *m, int64_t layer, enum lora_place place, int64_t rank,
                     double alpha);
enum status lora_make_values(struct lora *l);

/* PEFT folder (adapter_config.json, adapter_model.safetensors): exact names, f32 masters bit for bit, modules that differ
 * in rank or alpha through rank_pattern and alpha_pattern. base_name goes to base_model_name_or_path. `dir` must exist;
 * each file is written atomically. E_IO. */
enum status lora_save_peft(struct ctx *c, const struct lora *l, const char *dir, const char *base_name);
/* The adapter_config.json of that folder alone, and how the tensors of its other file are called: LORA_TENSOR_PREFIX, the
 * parameter's name, LORA_TENSOR_SUFFIX. */
#define LORA_TENSOR_PREFIX "base_model.model.model."
#define LORA_TENSOR_SUFFIX ".weight"
enum status lora_save_peft_config(struct ctx *c, const struct lora *l, const char *dir, const char *base_name);

/* Reads a PEFT folder written by us or by PEFT: f32, f16 or bf16 tensors, rank_pattern, alpha_pattern, rsLoRA. Modules are
 * those that have tensors. Features that would change the result and are not honoured are refused by name
 * (E_UNSUPPORTED); tensors that do not fit the model or the config are E_INPUT. Owner of the result: the caller. */
struct lora *lora_load_peft(struct ctx *c, const struct model_config *m, const char *dir);
/* Likewise a folder written by mlx-lm, and a GGUF adapter of llama.cpp for a model of the architecture that it names. */
struct lora *lora_load_mlx(struct ctx *c, const struct model_config *m, const char *dir);
struct lora *lora_load_gguf(struct ctx *c, const struct model_config *m, const char *path);
/* Any of them: a file is GGUF, a folder with adapters.safetensors and without adapter_model.safetensors mlx-lm's. */
struct lora *lora_load(struct ctx *c, const struct model_config *m, const char *path);

#endif
