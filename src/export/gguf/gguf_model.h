/* gguf_model: the parts of a model in GGUF: which type each tensor gets, its metadata, its tokenizer. */
#ifndef YA_EXPORT_GGUF_MODEL_H
#define YA_EXPORT_GGUF_MODEL_H

#include "export/export.h"
#include "io/gguf_writer.h"

/* A kind of file as people name it ("q4_k_m"), its number in general.file_type, and the type that most matrices get. */
struct gguf_file_type {
    const char *name;
    uint32_t number;
    enum tensor_type type;
    bool mixed; /* some matrices get more bits */
};
#define GGUF_FILE_TYPES "f16|bf16|f32|q8_0|q4_0|q4_1|q5_0|q5_1|q4_k_m|q5_k_m|q6_k"
/* BUG_ON for names that are not in the list. */
const struct gguf_file_type *gguf_file_type_find(const char *name);

/* The type of a tensor in such a file, as llama.cpp's quantiser chooses it: vectors in F32; the table that gives the logits
 * in at least Q6_K; in mixes some layers' v and down projections in Q6_K; where columns do not divide by 256, Q5_0 for Q4_K,
 * Q5_1 for Q5_K and Q8_0 for Q6_K, and F16 where they do not divide by 32. */
enum tensor_type gguf_type_of(const struct model_config *config, const struct gguf_file_type *file,
                              const struct merged_tensor *t);

/* Writes "general.*" and the numbers of the model: those of a GGUF base are copied, with general.file_type changed; for a
 * folder they are made from its configuration, and `name` is general.name. E_UNSUPPORTED when the format has no such
 * architecture. */
enum status gguf_meta_write(struct gguf_writer *w, const struct model *m, const struct gguf_file_type *file,
                            const char *name);

/* Declares and sends what a model has beside its matrices and norms: the factors of rotary frequencies. */
enum status gguf_rope_declare(struct gguf_writer *w, const struct model *m);
enum status gguf_rope_send(struct gguf_writer *w, const struct model *m);

/* The tokenizer of a folder as "tokenizer.ggml.*", with special tokens and chat template; of a GGUF base it is part of the
 * metadata. A model without a tokenizer gets the kind "none". E_UNSUPPORTED when GGUF has no name for how it cuts text. */
enum status gguf_vocab_write(struct gguf_writer *w, const struct export_source *s);

/* E_UNSUPPORTED naming what differs when the model that was written to `path` reads back with other numbers: the format
 * cannot say what this one is. */
enum status gguf_meta_check(const struct model *m, const char *path);

/* Row i of a q or k in such a file is row order[i] of the matrix: rotary pairs are neighbours there. NULL for families that
 * do not permute (no failure), else owned by the caller, for n_heads * head_dim rows; that of k is its beginning. */
enum status gguf_row_order(const struct model *m, int32_t **order);
/* Whether it applies to a tensor. */
bool gguf_is_permuted(enum merged_kind kind, int place);

/* Writes an Ollama Modelfile into `dir`: FROM `from`, ADAPTER `adapter` (NULL: none), a PARAMETER stop for each token that
 * ends a turn, SYSTEM. E_UNSUPPORTED for a system text that its grammar cannot quote. */
enum status modelfile_write(const struct export_source *s, const char *dir, const char *from, const char *adapter);

/* "smollm2-135m": the model's name as part of a file name. Owner: the caller. */
char *gguf_model_stem(const struct export_source *s);

#endif
