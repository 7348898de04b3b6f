/* batch: the tokens of one micro-batch, packed: no batch axis, no padding. Plain host arrays; owner whoever made it. */
#ifndef YA_MODEL_BATCH_H
#define YA_MODEL_BATCH_H

#include <stdint.h>

struct batch {
    int64_t n;                /* tokens */
    const int32_t *tokens;    /* (n) */
    const int32_t *positions; /* (n) position inside the own document */
    int n_seg;                /* documents */
    const int32_t *cu;        /* (n_seg + 1) offsets of the documents */
    const int32_t *targets;   /* (n) next token; anything where the weight is 0 */
    const float *weights;     /* (n) omega_i * v_i on trained positions, else 0 */
    int64_t first_token;      /* index of row 0 in the optimizer step, for the dropout key */
};

#endif
