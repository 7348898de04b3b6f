/* engine_count: what a step needs, by running it where memory is only address space and kernels only plan. The same code
 * runs in the same order on the same sizes, so what the step pool takes there is what it takes in the run; nothing is a
 * formula that could fall behind the code.
 *
 * For that a second ctx is made with a counting backend of the same device: its alloc reserves addresses without memory
 * behind them, its kernels plan their scratch and return before the loops (threads_idle). A shadow of the model
 * (model_shadow.h) has the shapes of the real one, and a native engine on it runs one micro-batch, forward, backward and
 * update. What is read afterwards is the pool's high-water mark, what the backend keeps for itself, and the high-water mark
 * of the host's allocator for structs of arrays, the tape and the batch. */
#include <math.h>

#include "array/backend.h"
#include "backend/backend_open.h"
#include "base/mem.h"
#include "engine/engine_native.h"
#include "model/model_shadow.h"

/* One step of one micro-batch on the shadow, counted from the time when the engine stands. */
static enum status count_one_step(struct ctx *c, struct engine *e, const struct batch *b, int64_t recomputed_blocks,
                                  int64_t offloaded_blocks, struct engine_need *out)
{
    const struct engine_micro micro = {.step = 1,
                                       .count = 1,
                                       .inv_n = 1,
                                       .recomputed_blocks = recomputed_blocks,
                                       .offloaded_blocks = offloaded_blocks,
                                       .step_tokens = b->first_token + b->n};
    const struct engine_update update = {.step = 1, .threshold = INFINITY, .correction1 = 1, .correction2 = 1};
    size_t before = c->alloc_bytes;
    c->alloc_peak = before;
    TRY(e->ops->step(e, b, &micro));
    TRY(e->ops->update(e, &update));
    struct pool_stats pool = array_pool_stats(c);
    size_t host = c->alloc_peak - before; /* structs of arrays and of the tape, the batch on its way */
    *out = (struct engine_need){.held_bytes = pool.peak_held_bytes + host,
                                .touched_bytes = pool.touched_bytes + host,
                                .aside_bytes = array_aside_bytes(c)};
    if (!array_backend(c)->free_bytes) return OK;
    /* A device with memory of its own gives whole blocks, and what the host holds is not in it. */
    out->held_bytes = pool.peak_held_bytes;
    out->touched_bytes = pool.peak_held_bytes + array_backend(c)->stats(array_backend(c)).kept_bytes;
    return OK;
}

/* Makes backend, shadow and engine in the ctx `c`, counts, and frees them again. */
static enum status count_in(struct ctx *c, struct model *model, const struct batch *b, int64_t recomputed_blocks,
                            int64_t offloaded_blocks, struct engine_need *out)
{
    TRY(array_env_new(c, backend_open_counting(c, array_backend(model->c)->device)));
    struct model *shadow = model_shadow_new(c, model);
    struct engine *e = shadow ? engine_native_new(c, shadow, shadow->lora) : NULL;
    if (e) count_one_step(c, e, b, recomputed_blocks, offloaded_blocks, out);
    if (e) e->ops->free(e);
    model_shadow_free(shadow);
    array_env_free(c);
    return c->status;
}

enum status engine_native_count(struct engine *e, const struct batch *b, int64_t recomputed_blocks, int64_t offloaded_blocks,
                                struct engine_need *out)
{
    struct ctx *c = ctx_new(&e->c->hooks);
    *out = (struct engine_need){0};
    if (!c) return ctx_fail(e->c, E_MEMORY, "out of memory while the memory of a step is counted");
    c->threads = e->c->threads; /* scratch goes by the number of threads; none of them runs */
    enum status status = count_in(c, engine_native_model(e), b, recomputed_blocks, offloaded_blocks, out);
    c->threads = NULL;
    if (status != OK) ctx_fail(e->c, status, "the memory of a step cannot be counted: %s", c->message);
    ctx_clear(c);
    ctx_free(c);
    return status;
}
