/* engine: everything that training, evaluation and generation ask of a model, in a few calls, so that another engine (CUDA
 * graphs, MLX) is one file. Nothing here names an array or a model: batches, logits and parameters pass as host memory,
 * and what is trained is described by a table. The native engine (engine_native.c) runs src/model on the ctx's backend.
 *
 * A device works behind the host. `step` and `update` only queue work and return nothing of it; `result` waits for one
 * optimizer step and gives its loss and norm. A caller that reads the result of step k after queueing the micro-batches of
 * step k + 1 never makes the device wait (docs/train.md). A step whose loss or gradient is not finite changes no parameter
 * and no moment, and neither does any update after it, so nothing is lost by finding out late. */
#ifndef YA_ENGINE_ENGINE_H
#define YA_ENGINE_ENGINE_H

#include "model/batch.h"
#include "model/parameter.h"

struct engine;
struct lora;
struct model;

/* What evaluation or a whole optimizer step gives; sums are f64, over tokens whose weight is not 0. */
struct engine_loss {
    double weighted;   /* sum of weight * negative log-likelihood */
    double unweighted; /* sum of negative log-likelihood */
    int64_t count;
};

/* One micro-batch of an optimizer step. */
struct engine_micro {
    int64_t step;         /* the optimizer step, from 1; part of the dropout key */
    int64_t index, count; /* which micro-batch of how many: 0 begins the step, its gradients start at 0 */
    double inv_n;         /* 1 / trained tokens of the whole optimizer step: the loss's normaliser */
    uint64_t seed;        /* of dropout */
    /* The first so many keep only their input and are computed again in backward. Below 0 nothing is computed again, not
     * even what costs one pass over memory (norms, swiglu). The results are the same bits for any number. */
    int64_t recomputed_blocks;
    /* Of those, the first so many keep that input in the host's memory: on a device with memory of its own, for two copies a
     * block. */
    int64_t offloaded_blocks;
    int64_t step_tokens; /* tokens of the whole optimizer step, where `result` is to give their log-probabilities; else 0 */
};

/* The end of an optimizer step: clipping and AdamW (Loshchilov & Hutter 2019). */
struct engine_update {
    int64_t step;
    double threshold; /* a gradient whose L2 norm is longer is scaled down to it; INFINITY: never */
    double lr, beta1, beta2, eps, weight_decay;
    double correction1, correction2; /* 1 - beta^t */
};

struct engine_result {
    struct engine_loss loss; /* of all micro-batches, added in their order */
    int64_t bad_micro;       /* the first micro-batch whose loss is not finite; -1: none */
    double norm;             /* L2 of all gradients before clipping, summed in f64 in a fixed order */
    bool clipped;
};

struct engine_memory {
    size_t weights_bytes;   /* base model, mapped or in memory */
    size_t allocated_bytes; /* how many of them are allocations and not a mapped file; and what is laid out */
    size_t trained_bytes;   /* parameters, gradients and moments */
    size_t peak_bytes;      /* most that the process held beside mapped weights; of a device with memory of its own, there */
    size_t layout_bytes;    /* what `lay_out` takes; 0: it does nothing */
    size_t free_bytes;      /* what a device with memory of its own can still give; 0: its memory is the process's */
};

/* What an optimizer step holds at its peak beside weights, parameters, gradients, moments and the batch itself. */
struct engine_need {
    size_t held_bytes;    /* memory that is asked for, in the blocks in which it is asked for */
    size_t touched_bytes; /* how much of that is ever written: what a system takes that gives memory page by page. On a
                             device with memory of its own: all of it, and what its backend keeps for itself */
    size_t aside_bytes;   /* of the host's memory, for the inputs of offloaded blocks */
};

/* The four sets of values that every trained parameter has. */
enum engine_values { ENGINE_PARAMETERS, ENGINE_GRADIENTS, ENGINE_FIRST_MOMENTS, ENGINE_SECOND_MOMENTS };

/* A document that grows: its keys and values stay in the engine. */
struct engine_sequence {
    struct engine *engine;
    int64_t n, capacity; /* tokens so far, and at most */
};

struct engine_ops {
    const char *name;

    /* Queues forward and backward of one micro-batch; the gradient of inv_n * weighted is added to those of the step. The
     * batch may be reused on return. */
    enum status (*step)(struct engine *e, const struct batch *b, const struct engine_micro *m);
    /* Queues norm, clipping and AdamW over all parameters, for the step whose micro-batches were queued last (BUG_ON for
     * another one). */
    enum status (*update)(struct engine *e, const struct engine_update *u);
    /* Waits for an optimizer step, which must be one of the last two that were updated (BUG_ON). logprobs: one float for
     * each token of the step, at first_token of its micro-batch plus its row there, with the values that `evaluate` gives;
     * NULL: not wanted. Its micro-batches must have said step_tokens then (BUG_ON). */
    enum status (*result)(struct engine *e, int64_t step, struct engine_result *out, float *logprobs);

    /* Forward only, no dropout. logprobs: n floats, the log-probability of each row's target, 0 where its weight is 0; may
     * be NULL. Waits. */
    enum status (*evaluate)(struct engine *e, const struct batch *b, struct engine_loss *loss, float *logprobs);

    /* A sequence of at most `capacity` tokens; NULL with the failure in the ctx. The caller frees it before the engine. */
    struct engine_sequence *(*sequence_new)(struct engine *e, int64_t capacity);
    /* Appends n >= 1 tokens and gives the logits behind the last n_rows of them, (n_rows, vocab), 1 <= n_rows <= n.
     * E_INPUT when they do not fit. Waits. */
    enum status (*extend)(struct engine_sequence *s, const int32_t *tokens, int64_t n, int64_t n_rows, float *logits);
    void (*sequence_free)(struct engine_sequence *s); /* accepts NULL */

    /* rows * cols values of parameter i, to and from host memory. Waits. */
    enum status (*read)(struct engine *e, enum engine_values which, size_t i, float *out);
    enum status (*write)(struct engine *e, enum engine_values which, size_t i, const float *values);
    /* Writes adapter_config.json, which says what the parameters are part of, into a folder. base_name: of the base model.
     */
    enum status (*save_config)(struct engine *e, const char *dir, const char *base_name);

    /* Counts what a micro-batch like `b` needs, forward, backward and update, with so many blocks recomputed and offloaded
     * (engine_micro), without computing anything. NULL: the engine cannot tell. */
    enum status (*count)(struct engine *e, const struct batch *b, int64_t recomputed_blocks, int64_t offloaded_blocks,
                         struct engine_need *out);
    /* At most this many bytes are kept from one step to the next (held_bytes and aside_bytes of a count, or more); what a
     * larger step needs beyond that is allocated and freed again. NULL: the engine has no such limit. */
    void (*limit)(struct engine *e, size_t held_bytes, size_t aside_bytes);

    /* Takes memory for the base model's weights in the order in which products read them (model_lay_out), for steps that
     * then take less time and give the same results. E_MEMORY. NULL: the engine has nothing of the kind. */
    enum status (*lay_out)(struct engine *e);

    /* E_IO when a file of the model changed under the program; once a step. */
    enum status (*check)(struct engine *e);
    struct engine_memory (*memory)(const struct engine *e);
    void (*free)(struct engine *e);
};

struct engine {
    const struct engine_ops *ops;
    struct ctx *c;
    const char *model_name;              /* as adapter_config.json names the base model */
    const char *backend;                 /* what computes, as environment.json names it: "cpu-avx2" */
    int64_t vocab, context;              /* ids are in [0, vocab); a document has at most `context` tokens */
    const struct parameters *parameters; /* what is trained; an empty table: the engine only evaluates */
    bool synchronous; /* step and update return when their work is done, so `result` costs nothing at any time */
};

/* The engines, in the order of ENGINE_CHOICES. AUTO is a choice of the user's that engine_rows_settle replaces by one of the
 * others before anything else sees it. */
enum engine_kind { ENGINE_KIND_NATIVE, ENGINE_KIND_MLX, ENGINE_KIND_AUTO };
#define ENGINE_CHOICES "native|mlx"

/* Owner of the result: the caller (ops->free). Borrows model and lora, which the caller has attached to it
 * (model_attach_lora); lora NULL: an engine that only evaluates, under whatever is attached. Makes the gradients and the
 * moments, all 0. NULL with E_MEMORY. */
struct engine *engine_native_new(struct ctx *c, struct model *model, struct lora *lora);

/* The engine that computes forward and backward by Apple's MLX (engine_mlx.c, docs/engine_mlx.md), with arguments, owner and
 * borrowed things as above; the ctx's backend must be the CPU, on which the adapter, its moments and the update stay.
 * NULL with E_UNSUPPORTED when MLX cannot be opened, or naming what this engine does not compute. */
struct engine *engine_mlx_new(struct ctx *c, struct model *model, struct lora *lora);

/* One of the two. */
struct engine *engine_new(struct ctx *c, enum engine_kind kind, struct model *model, struct lora *lora);

/* BUG_ON's a parameter number that is not in the table; for implementations of read and write. */
const struct parameter *engine_parameter(const struct engine *e, size_t i);

#endif
