/* rotation: q and k turned by the positions of their tokens. What is the same for all layers of a forward pass is made once:
 * the positions, and which documents have which frequencies. */
#ifndef YA_MODEL_ROTATION_H
#define YA_MODEL_ROTATION_H

#include "array/op.h"
#include "model/batch.h"
#include "model/model.h"

struct rotation {
    struct array *positions; /* (N) i32 */
    struct array *inv_freq;  /* (R/2) f32: of all documents, or of those within the original context */
    struct array *beyond;    /* (R/2) f32: of the documents where `is_beyond`; NULL: there are both kinds nowhere */
    struct array *is_beyond; /* (N, 1, 1) bool */
    struct array *q_scale;   /* (N, 1, 1) f32: factors of q that grow with the position; NULL: 1 */
    double scale;            /* of cos and sin */
};

/* For the tokens of a batch, uploaded into the innermost scope. `capacity` is that of the KV cache that they go to, 0
 * without one: a document that is generated token by token keeps the frequencies that its cache, when full, would have.
 * E_INPUT when a position is beyond what the model's scaling can do. */
enum status rotation_make(const struct model *m, const struct batch *b, int64_t capacity, struct rotation *out);

/* (N, H, D): the first R elements of each head turned, the rest as it is. */
struct array *rotation_turn(struct ctx *c, const struct rotation *r, struct array *x);

#endif
