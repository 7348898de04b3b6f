/* engine_native: what the files of the native engine share. */
#ifndef YA_ENGINE_ENGINE_NATIVE_H
#define YA_ENGINE_ENGINE_NATIVE_H

#include "engine/engine.h"

/* The model that a native engine runs; borrowed, as the engine borrows it. `e` must come from engine_native_new. */
struct model *engine_native_model(struct engine *e);

/* engine_ops.count of the native engine: runs the real step on a shadow of the model whose backend counts (backend.h,
 * model_shadow.h). Errors, with what failed in the engine's ctx: E_MEMORY, and whatever a step may fail with. */
enum status engine_native_count(struct engine *e, const struct batch *b, int64_t recomputed_blocks, struct engine_need *out);

#endif
