/* engine: the few calls through which the trainer, evaluation and generation drive a model, so that another engine (CUDA
 * graphs, MLX) can be one file. The native engine runs src/model on the ctx's backend. */
#ifndef YA_TRAIN_ENGINE_H
#define YA_TRAIN_ENGINE_H

#include "array/op.h"
#include "model/batch.h"
#include "model/lora.h"

struct engine;

/* What one micro-batch or evaluation gives; sums are f64. */
struct engine_loss {
    double weighted, unweighted;
    int64_t count;
};

struct engine_step_options {
    double inv_n;  /* 1 / trained tokens of the whole optimizer step: the loss's normaliser */
    uint64_t seed; /* dropout */
    int64_t step;
    bool checkpoint_blocks;
};

struct engine_ops {
    const char *name;
    /* Forward and backward of one micro-batch; gradients are added to what the engine holds. */
    enum status (*step)(struct engine *e, const struct batch *b, const struct engine_step_options *o,
                        struct engine_loss *loss);
    /* Forward only; logprobs (n floats) may be NULL. */
    enum status (*evaluate)(struct engine *e, const struct batch *b, struct engine_loss *loss, float *logprobs);
    void (*zero_grad)(struct engine *e);
    double (*grad_norm)(struct engine *e); /* L2 over all adapter gradients, f64, fixed order */
    /* One AdamW update of all adapter parameters (p->grad_scale carries the clipping). */
    enum status (*update)(struct engine *e, const struct adamw_params *p);
    void (*free)(struct engine *e);
};

struct engine {
    const struct engine_ops *ops;
    struct ctx *c;
    struct lora *lora;     /* adapter masters and gradients, as the trainer saves them */
    struct array **m, **v; /* first and second moments: 2 per module, order a, b */
    size_t n_params;       /* arrays in m and in v: 2 * n_modules */
};

struct model;
/* Owner of the result: the caller (ops->free). Borrows model and lora; owns the moments. */
struct engine *engine_native_new(struct ctx *c, struct model *model, struct lora *lora);

#endif
