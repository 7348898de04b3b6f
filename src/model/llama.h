/* llama: the forward pass, one definition for the whole family: Llama 2 and 3, Mistral, Ministral, Qwen2, Qwen2.5 and Qwen3,
 * SmolLM2 and 3, Granite 3, Phi-3 and Phi-4-mini, OLMo-2. */
#ifndef YA_MODEL_LLAMA_H
#define YA_MODEL_LLAMA_H

#include "array/op.h"
#include "model/batch.h"
#include "model/kv_cache.h"
#include "model/model.h"

struct forward_options {
    bool dropout;              /* the adapters' dropout, by the step values of the open sequence */
    int64_t recomputed_blocks; /* the first so many keep only their input and are computed again in backward */
    struct kv_cache *cache;    /* NULL: none. Otherwise the batch is one document that goes on where the cache ends */
    struct array *rows;        /* (n) i32, rows of the batch in order: the result is theirs alone, and what only other rows
                                * need is not computed. NULL: all. Not with dropout: its masks count rows */
};

/* Final hidden states after the last norm and divided by what divides the logits, (N, C) f32 or (n, C) of the rows asked
 * for, in the innermost scope, which must stay open until backward has run: the tape refers to arrays of it. With a cache,
 * its n grows by the batch's; E_INPUT when it is full. */
struct array *llama_hidden(struct model *m, const struct batch *b, const struct forward_options *o);
/* Logits of the rows [first, N) of hidden states: (N - first, V) f32. For generation and tests: training uses
 * op_linear_cross_entropy, which never holds them. */
struct array *llama_logits(struct model *m, struct array *hidden, int64_t first);

#endif
