/* batch: the tokens of one micro-batch, packed: documents lie one behind the other, without a batch axis and without
 * padding. Plain arrays in host memory, owned by whoever made the batch. Example, documents of 3 and 2 tokens: n 5, n_seg
 * 2, cu 0 3 5, positions 0 1 2 0 1. */
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
    const float *weights;     /* (n) ω of the document times v of the row on trained positions, else 0 (docs/glossary.md) */
    int64_t first_token;      /* index of row 0 in the optimizer step, for the dropout key */
};

#endif
