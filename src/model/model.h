/* model: the weights of a Llama-family model and where they come from. Weights stay in the mapped file; what is converted
 * (norm gains and biases to f32) is small. The forward pass over it is llama.h. */
#ifndef YA_MODEL_MODEL_H
#define YA_MODEL_MODEL_H

#include "array/weight.h"
#include "model/config.h"
#include "model/lora.h"

struct model_files; /* model/weights.h */

struct llama_block {
    struct weight q, k, v, o, gate, up, down;
    struct array *attn_norm, *ffn_norm; /* (C) f32 */
    struct array *q_norm, *k_norm;      /* (D) f32, Qwen3 only, else NULL */
};

struct model {
    struct model_config config;
    struct weight embed, head; /* head is embed's table when tied */
    struct array *final_norm;  /* (C) f32 */
    struct array *inv_freq;    /* (D/2) f32 */
    struct llama_block *blocks;
    struct lora *lora; /* not owned; NULL: none. Set with model_attach_lora */
    struct ctx *c;
    struct model_files *files; /* owned: open files, converted arrays, row maps */
    char *path, *name;         /* owned: as given; hub-like name for base_model_name_or_path */
};

/* A Hugging Face folder (config.json, safetensors) or a .gguf file. Weights stay mapped. Every tensor that the config asks
 * for must be there with the right shape (E_INPUT naming it), and no other (E_UNSUPPORTED naming it). Owner of the result:
 * the caller; free it before the array_env. */
struct model *model_open(struct ctx *c, const char *path);
void model_free(struct model *m); /* accepts NULL */
/* Points the blocks' weights at the adapter's slots (NULL: at none). The adapter must outlive its attachment. */
void model_attach_lora(struct model *m, struct lora *lora);
/* E_IO when a mapped file shrank; once a step. */
enum status model_check(struct model *m);
/* Bytes of all weights as they are stored, a tied table counted once. */
size_t model_weight_bytes(const struct model *m);
/* The weight of a block's linear at a place. */
struct weight *llama_block_linear(struct llama_block *b, enum lora_place place);

#endif
