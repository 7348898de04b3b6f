/* llama: the forward pass, one definition for the whole family (Llama 2/3.x, Mistral, SmolLM2, Qwen2/2.5, Qwen3). */
#ifndef YA_MODEL_LLAMA_H
#define YA_MODEL_LLAMA_H

#include "array/op.h"
#include "model/batch.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/lora.h"

struct llama_block {
    struct weight q, k, v, o, gate, up, down;
    struct array *attn_norm, *ffn_norm; /* (C) f32 */
    struct array *q_norm, *k_norm;      /* (D) f32, Qwen3 only, else NULL */
};

struct model {
    struct model_config config;
    struct weight embed, head; /* head is embed's table when tied */
    struct array *final_norm;  /* (C) */
    struct array *inv_freq;    /* (D/2) */
    struct llama_block *blocks;
    struct lora *lora; /* not owned; NULL: none. Set with model_attach_lora */
    struct ctx *c;
    /* private: open files, converted arrays, row maps */
    struct model_files *files;
    char *path, *name; /* as given; hub-like name for base_model_name_or_path */
};

/* A Hugging Face folder or a .gguf file. Weights stay mapped. Every tensor must be there with the right shape, none unknown.
 */
struct model *model_open(struct ctx *c, const char *path);
void model_free(struct model *m);
/* Points the blocks' weights at the adapter's slots (NULL: at none). */
void model_attach_lora(struct model *m, struct lora *lora);
/* E_IO when a mapped file shrank; once a step. */
enum status model_check(struct model *m);
size_t model_weight_bytes(const struct model *m);

struct forward_options {
    struct dropout_key dropout; /* .on false: none */
    bool checkpoint_blocks;     /* recompute each block in backward */
    struct kv_cache *cache;     /* NULL: none. Otherwise the batch is one document that goes on where the cache ends */
};

/* Final hidden states after the last norm, (N, C). */
struct array *llama_hidden(struct model *m, const struct batch *b, const struct forward_options *o);
/* Logits of the rows [first, n), (n - first, V) f32: generation, tests. */
struct array *llama_logits(struct model *m, struct array *hidden, int64_t first);

#endif
