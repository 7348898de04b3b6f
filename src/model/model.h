/* model: the weights of a Llama-family model and where they come from. Frozen matrices stay in the mapped file and are
 * read there by the CPU's kernels; norm gains and biases, which are small, are converted to f32. Another form of the base
 * (nf4, int8) or a device with memory of its own takes memory for the matrices. The forward pass over it is llama.h. */
#ifndef YA_MODEL_MODEL_H
#define YA_MODEL_MODEL_H

#include "array/weight.h"
#include "model/config.h"
#include "model/lora.h"

struct model_files; /* model/weights.h */

/* In which form the frozen matrices are kept. Norms and biases are f32 always. */
enum base_type {
    BASE_AS_IS, /* mapped, read in their own type */
    BASE_NF4,   /* linear layers of the blocks put into NF4 at load (array/codec/nf4.h); embeddings and head as stored */
    BASE_INT8,  /* these and the head put into int8 (array/codec/int8.h); embeddings too when the head is their table */
    BASE_TYPES
};
extern const char *const base_type_name[BASE_TYPES]; /* "as-is", "nf4", "int8" */

struct model_options {
    enum base_type base;
    enum compute compute; /* of products with the frozen matrices; int8 and int8x2 make an as-is base int8 */
    /* For an engine that computes with MLX's quantised form itself: an as-is base of such a file gets no rows for this
     * program's kernels, and only weight_source.packed may be read of it. */
    bool packed_in_file;
};
/* The base that a model opened with these options has: products in integers need int8 weights, so with them as-is means
 * int8. */
enum base_type model_base(const struct model_options *o);

/* The norms that a block may have. A model has the first two or, with norm_after, the next two. */
enum block_norm { NORM_ATTN, NORM_FFN, NORM_AFTER_ATTN, NORM_AFTER_FFN, NORM_Q, NORM_K, BLOCK_NORMS };

struct llama_block {
    struct weight q, k, v, gate, up; /* without rows in a model with fused_projections, which has the next two */
    struct weight qkv, gate_up;
    struct weight o, down;
    struct array *attn_norm, *ffn_norm;             /* (C) f32: gains of the norms in front; NULL: none */
    struct array *after_attn_norm, *after_ffn_norm; /* (C) f32: of the norms behind; NULL: none */
    struct array *q_norm, *k_norm;                  /* (D) f32, or (H D) and (G D) over all heads; NULL: none */
    int64_t window;                                 /* tokens that attention sees; 0: all */
    bool rotates;                                   /* q and k are rotated by their positions */
};

struct model {
    struct model_config config;
    struct weight embed, head;     /* head is embed's table when tied */
    struct array *final_norm;      /* (C) f32 */
    struct array *inv_freq;        /* (R/2) f32, R the rotated elements of a head */
    struct array *inv_freq_beyond; /* likewise, for documents longer than rope_original_positions; NULL: the same */
    float *rope_frequencies;       /* inv_freq on the host; owned */
    struct llama_block *blocks;
    struct lora *lora; /* not owned; NULL: none. Set with model_attach_lora */
    struct ctx *c;
    struct model_options options; /* base: model_base of what was asked for */
    struct model_files *files;    /* owned: open files, converted arrays, row maps, prepared weights */
    char *path, *name;            /* owned: as given; what adapters call it (model_name.h) */
};

/* A Hugging Face folder (config.json, safetensors) or a .gguf file. Weights stay mapped. Every tensor that the config asks
 * for must be there with the right shape (E_INPUT naming it), and no other (E_UNSUPPORTED naming it). Owner of the result:
 * the caller; free it before the array_env. */
struct model *model_open(struct ctx *c, const char *path);
/* The same with the base in another form, or with products computed otherwise. A form is made from one row at a time, and
 * the file's pages of a finished matrix are released, so the whole base is never in memory in f32. E_INPUT naming tensor
 * and row when a weight is not finite, and for NF4 with products in integers. */
struct model *model_open_with(struct ctx *c, const char *path, const struct model_options *options);
/* Closes files and frees all; accepts NULL. The attached adapter is not touched. */
void model_free(struct model *m);
/* Points the blocks' weights at the adapter's slots (NULL: at none). The adapter must outlive its attachment. */
void model_attach_lora(struct model *m, struct lora *lora);
/* E_IO when a mapped file shrank; once a step. */
enum status model_check(struct model *m);
/* Bytes of all weights in the form that they are used in, a tied table counted once. */
size_t model_weight_bytes(const struct model *m);
/* How many of them are memory of ours (counted in the ctx's allocations) and not a mapped file. */
size_t model_made_bytes(const struct model *m);
/* model_layout.c. Lays out the matrices that products read (backend.weight_lay_out): a training does each of its products
 * faster for the time that this takes once. model_layout_bytes: of the backend's memory that it takes; 0: nothing would be
 * gained. E_MEMORY, with nothing laid out. model_free drops what is there. */
size_t model_layout_bytes(const struct model *m);
/* How much of that is taken now. */
size_t model_laid_out_bytes(const struct model *m);
enum status model_lay_out(struct model *m);
void model_drop_layout(struct model *m);
/* How products with the frozen matrices are computed, for people: "int8x2 on int8 weights, cpu-avx2". Returns `out`. */
const char *model_compute_text(const struct model *m, char *out, size_t out_bytes);
/* The options that open a model like this one, each with a space behind it: "", "--base-type nf4 ", "--compute int8 ". */
const char *model_options_text(const struct model_options *o);
/* The weight of a block's linear layer at a place; without rows when the model has none there. */
struct weight *llama_block_linear(struct llama_block *b, enum lora_place place);
/* Where a block keeps the gain of a norm, which is NULL when the model has none there. */
struct array **llama_block_norm(struct llama_block *b, enum block_norm norm);

#endif
