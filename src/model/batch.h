/* batch: the tokens of one micro-batch, packed: documents lie one behind the other, without a batch axis and without
 * padding. Plain arrays in host memory, owned by whoever made the batch. Example, documents of 3 and 2 tokens: n 5, n_seg
 * 2, cu 0 3 5, positions 0 1 2 0 1. */
#ifndef YA_MODEL_BATCH_H
#define YA_MODEL_BATCH_H

#include <stddef.h>
#include <stdint.h>

struct ctx;

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

/* A micro-batch of `documents` documents of `length` tokens, which are those of the text (n_text >= 1) again and again. The
 * last token of a document has nothing to predict and the weight 0, all others have 1. Owner of the result: the caller.
 * NULL with E_MEMORY. batch_repeat_free accepts NULL. */
struct batch *batch_repeat_new(struct ctx *c, int64_t documents, int64_t length, const int32_t *text, size_t n_text);
void batch_repeat_free(struct ctx *c, struct batch *b);

#endif
