/* llama: the forward pass, one definition for the whole family: Llama 2 and 3, Mistral, Ministral, Qwen2, Qwen2.5 and
 * Qwen3, SmolLM2 and 3, Granite 3, Phi-3 and Phi-4-mini, OLMo-2. */
#ifndef YA_MODEL_LLAMA_H
#define YA_MODEL_LLAMA_H

#include "array/op.h"
#include "model/batch.h"
#include "model/kv_cache.h"
#include "model/model.h"

struct forward_options {
    bool dropout;              /* the adapters' dropout, by the values of the open step */
    int64_t recomputed_blocks; /* gradient checkpointing: this many blocks from the first on keep only their input and are
                                * computed again in backward */
    int64_t offloaded_blocks;  /* of those, the first so many keep their input in the host's memory */
    struct kv_cache *cache;    /* NULL: none. Otherwise the batch holds the next tokens of the one document in the cache */
    struct array *rows;        /* (n) i32, rows of the batch in order: the result is theirs alone, and what only other rows
                                * need is not computed. NULL: all. Not with dropout: its masks count rows */
};

/* Final hidden states after the last norm and divided by logits_divisor: (N, C) in the backend's dtype of activations, or
 * (n, C) of the rows asked for. They belong to the innermost scope, which must stay open until backward has run: the tape
 * refers to arrays of it. With a cache, its n grows by the batch's. NULL with E_INPUT when the cache is full or a position
 * is beyond what the model's rope scaling can do, and with whatever the ops fail with. */
struct array *llama_hidden(struct model *m, const struct batch *b, const struct forward_options *o);
/* Logits of the rows [first, N) of hidden states: (N - first, V), in the dtype of `hidden` and the innermost scope. For
 * generation and tests: training uses op_linear_cross_entropy, which never holds them. */
struct array *llama_logits(struct model *m, struct array *hidden, int64_t first);

#endif
