/* engine: the few calls through which the trainer, evaluation and generation drive a model, so that another engine (CUDA
 * graphs, MLX) can be one file. The native engine runs src/model on the ctx's backend. */
#ifndef YA_TRAIN_ENGINE_H
#define YA_TRAIN_ENGINE_H

#include "array/op.h"
#include "model/batch.h"
#include "model/lora.h"

struct engine;

/* What one micro-batch or evaluation gives; sums are f64, over tokens whose weight is not 0. */
struct engine_loss {
    double weighted;   /* sum of weight * negative log-likelihood */
    double unweighted; /* sum of negative log-likelihood */
    int64_t count;
};

struct engine_step_options {
    double inv_n;  /* 1 / trained tokens of the whole optimizer step: the loss's normaliser */
    uint64_t seed; /* dropout */
    int64_t step;
    int64_t recomputed_blocks; /* the first so many keep only their input and are computed again in backward */
};

struct engine_memory {
    size_t weights_bytes; /* base model, mapped */
    size_t adapter_bytes; /* masters, gradients and moments */
    size_t peak_bytes;    /* most that the process held beside the mapped weights */
};

struct engine_ops {
    const char *name;
    /* Forward and backward of one micro-batch; gradients of inv_n * weighted are added to what the engine holds. */
    enum status (*step)(struct engine *e, const struct batch *b, const struct engine_step_options *o,
                        struct engine_loss *loss);
    /* Forward only, no dropout; logprobs (n floats, 0 where the weight is 0) may be NULL. */
    enum status (*evaluate)(struct engine *e, const struct batch *b, struct engine_loss *loss, float *logprobs);
    /* Logits (vocab floats, host memory) of the last token of the batch. */
    enum status (*logits)(struct engine *e, const struct batch *b, float *logits);
    void (*zero_grad)(struct engine *e);
    double (*grad_norm)(struct engine *e); /* L2 over all adapter gradients, f64, fixed order */
    /* One AdamW update of all adapter parameters (p->grad_scale carries the clipping). */
    enum status (*update)(struct engine *e, const struct adamw_params *p);
    /* E_IO when a file of the model changed under the program; once a step. */
    enum status (*check)(struct engine *e);
    struct engine_memory (*memory)(const struct engine *e);
    void (*free)(struct engine *e);
};

struct engine {
    const struct engine_ops *ops;
    struct ctx *c;
    struct lora *lora;     /* adapter masters and gradients, as the trainer saves and restores them */
    struct array **m, **v; /* first and second moments: 2 per module, order a, b; (same shapes) f32 */
    size_t n_params;       /* arrays in m and in v: 2 * n_modules */
};

/* Parameter i (0 <= i < n_params): A of module i / 2 for even i, B for odd; and its gradient. */
static inline struct array *engine_param(const struct engine *e, size_t i)
{
    return i % 2 ? e->lora->modules[i / 2].slot.b : e->lora->modules[i / 2].slot.a;
}
static inline struct array *engine_grad(const struct engine *e, size_t i)
{
    return i % 2 ? e->lora->modules[i / 2].grad_b : e->lora->modules[i / 2].grad_a;
}

struct model;
/* Owner of the result: the caller (ops->free). Borrows model and lora (attached by the caller; NULL: an engine that only
 * evaluates); owns the moments, which start at 0. NULL with E_MEMORY. */
struct engine *engine_native_new(struct ctx *c, struct model *model, struct lora *lora);

#endif
