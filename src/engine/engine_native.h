/* engine_native: what the files of the native engine share. */
#ifndef YA_ENGINE_ENGINE_NATIVE_H
#define YA_ENGINE_ENGINE_NATIVE_H

#include "engine/engine.h"

/* The model that a native engine runs; borrowed, as the engine borrows it. `e` must come from engine_native_new. */
struct model *engine_native_model(struct engine *e);

/* What another engine computed of a micro-batch; all of it on the host and borrowed. */
struct engine_computed {
    struct engine_loss loss;
    const float *gradients; /* a slab, laid out by the parameter table */
    int64_t n_rows;         /* rows whose weight is not 0 */
    const int32_t *rows;    /* their indices in the batch */
    const float *logprobs;  /* their log-probabilities */
};
/* For an engine that computes forward and backward by other means and keeps its training state, updates and adapter files in
 * a native engine: adds what a micro-batch gave to optimizer step m->step, which begins with micro-batch 0. */
enum status engine_native_add(struct engine *e, const struct batch *b, const struct engine_micro *m,
                              const struct engine_computed *r);

/* engine_ops.count of the native engine: runs the real step on a shadow of the model whose backend counts (backend.h,
 * model_shadow.h). Errors, with what failed in the engine's ctx: E_MEMORY, and whatever a step may fail with. */
enum status engine_native_count(struct engine *e, const struct batch *b, int64_t recomputed_blocks, int64_t offloaded_blocks,
                                struct engine_need *out);

#endif
