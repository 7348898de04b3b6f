/* rotation: rotary position embedding (Su et al. 2021) of q and k. What is the same for all layers of a forward pass is
 * made once: the positions, and which documents have which frequencies. */
#ifndef YA_MODEL_ROTATION_H
#define YA_MODEL_ROTATION_H

#include "array/op.h"
#include "model/batch.h"
#include "model/model.h"

/* In shapes here R is the number of rotated elements of a head (model_config.rotary_dims), not the rank of an adapter. */
struct rotation {
    struct array *positions; /* (N) i32 */
    struct array *inv_freq;  /* (R/2) f32: of all documents, or of those within the original context */
    struct array *beyond;    /* (R/2) f32: of the tokens where `is_beyond`; NULL: all documents use inv_freq */
    struct array *is_beyond; /* (N, 1, 1) bool: the token's document is longer than the original context; or NULL */
    struct array *q_scale;   /* (N, 1, 1) f32: factors of q that grow with the position; NULL: 1 */
    double scale;            /* of cos and sin */
};

/* Fills *out for the tokens of a batch; its arrays belong to the innermost scope. `capacity` is that of the KV cache that
 * the tokens go to, 0 without one: a document that is generated token by token has from its first token on the frequencies
 * for a document of that length. E_INPUT when a position is beyond what the model's scaling can do. */
enum status rotation_make(const struct model *m, const struct batch *b, int64_t capacity, struct rotation *out);

/* x (N, H, D), q or k, with the first R elements of each head rotated and the rest as it is; of the innermost scope. */
struct array *rotation_apply(struct ctx *c, const struct rotation *r, struct array *x);

#endif
