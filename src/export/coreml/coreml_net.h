/* coreml_net: a Llama-family model as an ML program. One function `main` takes the ids of the next tokens and the position
 * of the first of them, writes their keys and values into a cache that Core ML keeps from call to call (two states), and
 * gives the logits after each.
 *
 *   inputIds  i32 (1, S)      S is one of the lengths that the model was made for; what stands behind the last token is not
 *                             looked at, since a later call writes over its keys and values
 *   position  i32 (1)         where they begin: how many tokens the cache holds; position + S is at most the context
 *   keyCache, valueCache      states, f16: (layers, key-value heads, context, head size); for the Neural Engine with
 *                             the last two swapped
 *   logits    f16 (1, S, V)   for the Neural Engine logits_0, logits_1, ... of (1, rows, 1, S)
 *
 * Two shapes of the same computation. The plain one keeps x as (1, S, C), multiplies with `linear` and takes norms in f32.
 * That for the Neural Engine follows what Apple published about transformers there (machinelearning.apple.com, "Deploying
 * Transformers on the Apple Neural Engine", 2022): x is (1, C, 1, S), products are convolutions of 1 x 1, every head is
 * computed alone, nothing is f32, and the head is cut into pieces of at most 16384 rows. */
#ifndef YA_EXPORT_COREML_NET_H
#define YA_EXPORT_COREML_NET_H

#include "export/coreml/coreml_blob.h"
#include "export/coreml/mil_build.h"

/* How matrices are stored. Norms, biases and tables are f16 or f32 always; with COREML_LUT4 the embeddings and the head are
 * int8, because they bear four bits worst. */
enum coreml_form { COREML_HALF, COREML_INT8, COREML_LUT4 };
enum { COREML_LENGTHS_MAX = 16 };

struct coreml_options {
    enum coreml_form form;
    bool ane;
    int64_t context;                     /* tokens that the cache holds */
    int n_lengths;                       /* one: fixed shapes; several: enumerated */
    int64_t lengths[COREML_LENGTHS_MAX]; /* ascending */
};

/* A program and the weights that it names. */
struct coreml_net {
    struct mil_program *program; /* owned */
    struct coreml_blobs blobs;
};

/* Builds the program of a model for weights from `list` (merged_open of the same model). Nothing is read but norms' sizes
 * and the rotary frequencies. E_UNSUPPORTED naming what cannot be said, E_MEMORY. Release also after a failure. */
enum status coreml_net_build(struct coreml_net *n, const struct model *m, struct merged *list,
                             const struct coreml_options *o);
void coreml_net_release(struct coreml_net *n);

/* For coreml_net's own files: what is at hand while a program is built. Variables of the program are -1 where the model has
 * no such thing. */
struct coreml_builder {
    struct ctx *c;
    struct mil_program *p;
    struct coreml_blobs *blobs;
    struct merged *list;
    const struct model *m;
    const struct coreml_options *o;
    int ids, position, end;    /* end: position + S, a vector of one */
    int states[2];             /* keys, values */
    int rows;                  /* (S): position of each token */
    int cosine, sine, q_scale; /* of each token; sine with the sign of its half */
    int mask, window_mask;     /* (S, context): 0 where a token may look, else -60000 */
    int embeddings;            /* (V, C) */
    int channel;               /* the axis of x that the hidden size is on */
};

/* A tensor of the model by what it is (NULL: it has none), a vector with the rank that spreads it along `axis`; a norm, a
 * product, and x by a factor (itself for 1). */
int coreml_vector(struct coreml_builder *b, const struct merged_tensor *t, int rank, int axis);
const struct merged_tensor *coreml_tensor(const struct coreml_builder *b, enum merged_kind kind, int64_t layer, int place);
int coreml_norm(struct coreml_builder *b, int x, int axis, int gain);
int coreml_project(struct coreml_builder *b, int x, int64_t layer, enum lora_place place);
int coreml_times(struct coreml_builder *b, int x, double factor);

/* What all layers use: positions, rotations, masks. And attention of a layer: x (normalised) to the sum over its heads,
 * before the output projection. */
void coreml_prepare(struct coreml_builder *b);
int coreml_attention(struct coreml_builder *b, int x, int64_t layer);

#endif
