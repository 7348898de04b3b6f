/* plan_model: makes a hollow model, opens it where nothing is computed, and plans a full micro-batch. See plan_model.h. */
#include "train/plan_model.h"

#include "array/backend.h"
#include "backend/backend_open.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/temporary.h"
#include "engine/engine.h"
#include "model/random_model.h"

/* What plan_model_count needs, behind plan_input's one pointer. */
struct plan_model_step {
    struct engine *engine;
    struct batch *batch;
};

static enum status plan_model_count(void *user, int64_t recomputed_blocks, int64_t offloaded_blocks, struct plan_step *out)
{
    const struct plan_model_step *s = user;
    struct engine_need need = {0};
    TRY(s->engine->ops->count(s->engine, s->batch, recomputed_blocks, offloaded_blocks, &need));
    *out = (struct plan_step){need.held_bytes, need.touched_bytes, need.aside_bytes};
    return OK;
}

/* The plan of the open model with a new adapter. */
static enum status plan_model_fill(const struct plan_model *p, struct model *m, const struct lora *l, struct engine *e,
                                   struct plan *out)
{
    const int32_t token = 0;
    struct plan_model_step step = {e, batch_repeat_new(m->c, p->batch, p->length, &token, 1)};
    struct plan_input in = {
        .count = plan_model_count,
        .user = &step,
        .c = m->c,
        .keeps_all = p->on_card,
        .offloads = p->on_card,
        .host_bytes = plan_free_bytes("", 0),
        .n_blocks = m->config.n_layers,
        .parameters = lora_parameter_count(l),
        .weights_bytes = model_weight_bytes(m),
        .layout_bytes = model_layout_bytes(m),
        .program_bytes = p->on_card ? 0 : p->program_bytes + plan_saving_bytes(&l->parameters),
        .checkpoint = p->checkpoint,
        .recomputed_blocks = -1,
        .batch = p->batch,
        .max_length = p->length,
        .rank = p->rank,
    };
    enum status status = step.batch ? plan_make(&in, p->free_bytes, out) : m->c->status;
    batch_repeat_free(m->c, step.batch);
    return status;
}

/* Opens all that a run opens, in a ctx with a counting backend. */
static enum status plan_model_open(struct ctx *c, const struct plan_model *p, const char *folder, struct plan *out,
                                   int64_t *parameters)
{
    struct lora_config config = {
        .rank = p->rank, .alpha = 2 * (double)p->rank, .targets = p->targets, .last_layers = p->last_layers};
    TRY(array_env_new(c, backend_open_counting(c, p->device)));
    struct model *m = model_open_with(c, folder, &p->form);
    struct lora *l = m ? lora_new(c, &m->config, &config) : NULL;
    if (l) model_attach_lora(m, l);
    struct engine *e = l ? engine_native_new(c, m, l) : NULL;
    if (e) *parameters = lora_parameter_count(l);
    if (e) plan_model_fill(p, m, l, e, out);
    if (e) e->ops->free(e);
    lora_free(l);
    model_free(m);
    array_env_free(c);
    return c->status;
}

/* The counting is done in a ctx of its own, as the one of the caller may compute meanwhile. */
static enum status plan_model_in(struct ctx *c, const struct plan_model *p, const char *folder, struct plan *out,
                                 int64_t *parameters)
{
    const struct random_model hollow = {.shape = p->model, .hollow = true};
    TRY(random_model_write(c, folder, &hollow));
    struct ctx *counting = ctx_new(&c->hooks);
    if (!counting) return ctx_fail(c, E_MEMORY, "out of memory while a model is planned");
    counting->threads = c->threads; /* scratch goes by the number of threads; none of them runs */
    enum status status = plan_model_open(counting, p, folder, out, parameters);
    counting->threads = NULL;
    if (status != OK) ctx_fail(c, status, "%s cannot be planned: %s", p->model->name, counting->message);
    ctx_clear(counting);
    ctx_free(counting);
    return status;
}

enum status plan_model_make(struct ctx *c, const struct plan_model *p, struct plan *out, int64_t *parameters)
{
    if (p->length > p->model->positions)
        return ctx_fail(c, E_INPUT, "%lld tokens are more than the %d positions of %s", (long long)p->length,
                        p->model->positions, p->model->name);
    struct temporary_folder folder;
    TRY(temporary_folder_open(c, &folder));
    plan_model_in(c, p, folder.path, out, parameters);
    temporary_folder_close(c, &folder);
    return c->status;
}
