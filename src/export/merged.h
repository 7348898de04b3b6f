/* merged: the tensors of a model with its adapter merged in, under Hugging Face's names and in its row order: the list that
 * every writer of model files (safetensors, GGUF, MLX) goes through, and the producer of each tensor's rows.
 *
 * W' = W + scale * B A, computed in f32 from the values that the model's file holds (block-quantised weights are widened).
 * A writer gives a function that turns one f32 row into the bytes of its own type; rows are made in pieces of 8 MiB by the
 * thread pool, so memory does not grow with the model and the bytes do not depend on the number of threads. */
#ifndef YA_EXPORT_MERGED_H
#define YA_EXPORT_MERGED_H

#include "model/model.h"

enum { MERGED_NAME_BYTES = 128 };

/* What a tensor is, which decides what other formats call it. */
enum merged_kind { MERGED_EMBED, MERGED_NORM, MERGED_LINEAR, MERGED_BIAS, MERGED_FINAL_NORM, MERGED_HEAD };

/* One tensor: a matrix or a vector. */
struct merged_tensor {
    char name[MERGED_NAME_BYTES]; /* "model.layers.3.self_attn.q_proj.weight" */
    enum merged_kind kind;
    int64_t layer;               /* -1 outside of blocks */
    int place;                   /* LINEAR and BIAS: enum lora_place; NORM: enum block_norm; else unused */
    const struct weight *weight; /* a matrix (rows, cols); NULL for a vector */
    struct array *vector;        /* rows = 1, cols elements */
    int64_t rows, cols;
};

/* Called after each piece: elements written so far of how many in the whole list. */
typedef void merged_progress(void *user, int64_t done, int64_t total);

struct merged;

/* Lists the tensors: embeddings, the blocks in order, the last norm and, unless tied to the embeddings, the head. Borrows
 * the model with the adapter that is attached to it. Owner of the result: the caller. NULL with E_MEMORY. */
struct merged *merged_open(const struct model *m);
void merged_close(struct merged *g); /* accepts NULL */
/* Has `report` called with `user` after each piece; NULL: nobody. */
void merged_set_progress(struct merged *g, merged_progress *report, void *user);

/* How many tensors there are, and the tensor with number i < count in the list; owned by g, valid until merged_close. */
size_t merged_count(const struct merged *g);
const struct merged_tensor *merged_at(const struct merged *g, size_t i);

/* What a writer does with rows. */
struct merged_sink {
    size_t row_bytes;     /* of an encoded row */
    float limit;          /* largest magnitude that the type can hold; 0: any finite value */
    const int32_t *order; /* row i of the output is row order[i] of the tensor (of a vector: element); NULL: the same */
    /* Turns `cols` values into row_bytes bytes. Runs on worker threads: no ctx, no shared state. */
    void (*encode)(const void *user, const float *row, int64_t cols, void *out);
    /* Takes the bytes of whole rows in order, on the caller's thread. Errors go to the ctx. */
    void (*write)(void *user, const void *bytes, size_t n);
    void *user;
};

/* Sends every row of a tensor through a sink. E_NUMERIC naming the tensor when a value is not finite or above the limit,
 * E_MEMORY, or the error of `write`. */
enum status merged_stream(struct merged *g, const struct merged_tensor *t, const struct merged_sink *sink);

/* Encoders of plain types: TENSOR_F32, TENSOR_F16, TENSOR_BF16. Sets row_bytes, limit and encode. */
void merged_plain_sink(struct merged_sink *sink, enum tensor_type type, int64_t cols);

#endif
