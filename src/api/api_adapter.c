/* api_adapter: LoRA adapters, and models with one merged in. An adapter belongs to a shape of model, which is kept with it;
 * attaching it to a model of another shape is refused. */
#include <string.h>

#include "api/api_model.h"
#include "base/file.h"
#include "base/mem.h"
#include "export/merge.h"
#include "export/peft.h"
#include "train/trainer_parts.h"

/* Called once, when the handle is freed or its context is: detaches the adapter first. */
static void release_adapter(struct api_object *o)
{
    ya_adapter *adapter = (ya_adapter *)o;
    if (adapter->model) {
        generate_cache_release(o->ctx->c, &adapter->model->kept);
        model_attach_lora(adapter->model->m, NULL);
        adapter->model->adapter = NULL;
    }
    lora_free(adapter->lora);
    mem_free(o->ctx->c, adapter->base_name);
}

/* An empty adapter handle that knows which model it was made for: its name goes to the adapter's files, its shape is
 * checked when the adapter is attached. */
static ya_adapter *api_adapter_new_for(ya_model *model)
{
    ya_adapter *adapter = api_object_new(model->object.ctx, sizeof *adapter, release_adapter);
    if (!adapter) return NULL;
    adapter->base_name = mem_strdup(model->object.ctx->c, model->m->name);
    adapter->shape = model->m->config;
    return adapter;
}

/* The adapter, or NULL when something failed: then it is freed. */
static ya_adapter *finish_adapter(ya_adapter *adapter)
{
    if (!adapter || ctx_ok(adapter->object.ctx->c)) return adapter;
    api_object_free(&adapter->object);
    return NULL;
}

ya_adapter *ya_adapter_new(ya_model *model, const ya_option *options, size_t n_options)
{
    struct train_values values;
    if (!model || !api_enter(model->object.ctx, "ya_adapter_new") ||
        api_options(model->object.ctx, "ya_adapter_new", "rank alpha targets last-layers rslora seed", options, n_options,
                    &values, NULL) != OK)
        return NULL;
    struct ctx *c = model->object.ctx->c;
    struct lora_config *config = &values.config.adapter;
    config->seed = (uint64_t)values.config.seed;
    if (trainer_targets(c, values.config.targets, &config->targets) != OK) return NULL;
    ya_adapter *adapter = api_adapter_new_for(model);
    if (adapter && ctx_ok(c)) adapter->lora = lora_new(c, &model->m->config, config);
    return finish_adapter(adapter);
}

/* ya_adapter_load and ya_adapter_load_forced. */
static ya_adapter *api_adapter_load(ya_model *model, const char *name, const char *folder, bool force)
{
    if (!model || !api_enter(model->object.ctx, name)) return NULL;
    struct ctx *c = model->object.ctx->c;
    if (!folder) return ctx_fail(c, E_INPUT, "%s: no folder", name), NULL;
    ya_adapter *adapter = api_adapter_new_for(model);
    if (adapter && ctx_ok(c)) adapter->lora = lora_load(c, &model->m->config, folder);
    if (adapter && adapter->lora) peft_check_base(model->m, folder, false, force);
    return finish_adapter(adapter);
}

ya_adapter *ya_adapter_load(ya_model *model, const char *folder)
{
    return api_adapter_load(model, "ya_adapter_load", folder, false);
}

ya_adapter *ya_adapter_load_forced(ya_model *model, const char *folder)
{
    return api_adapter_load(model, "ya_adapter_load_forced", folder, true);
}

int ya_adapter_save(ya_adapter *adapter, const char *folder)
{
    if (!adapter || !api_enter(adapter->object.ctx, "ya_adapter_save")) return -1;
    struct ctx *c = adapter->object.ctx->c;
    if (!folder) return ctx_fail(c, E_INPUT, "ya_adapter_save: no folder"), -1;
    if (!dir_exists(folder)) dir_make(c, folder);
    if (ctx_ok(c)) lora_save_peft(c, adapter->lora, folder, adapter->base_name);
    return ctx_ok(c) ? 0 : -1;
}

void ya_adapter_free(ya_adapter *adapter)
{
    if (adapter) api_object_free(&adapter->object);
}

int64_t ya_adapter_parameters(const ya_adapter *adapter)
{
    return adapter && api_alive(adapter->object.ctx) ? lora_parameter_count(adapter->lora) : -1;
}

/* E_INPUT unless the adapter's matrices fit the model's and it is free. */
static enum status check_attachable(const ya_model *model, const ya_adapter *adapter)
{
    struct ctx *c = model->object.ctx->c;
    const struct model_config *a = &adapter->shape, *b = &model->m->config;
    if (adapter->object.ctx != model->object.ctx)
        return ctx_fail(c, E_INPUT, "ya_model_attach: model and adapter belong to two contexts");
    if (adapter->model && adapter->model != model)
        return ctx_fail(c, E_INPUT, "ya_model_attach: the adapter is attached to another model; attach NULL there first");
    if (a->n_layers != b->n_layers || a->hidden != b->hidden || a->ffn != b->ffn || a->n_heads != b->n_heads ||
        a->n_kv_heads != b->n_kv_heads || a->head_dim != b->head_dim)
        return ctx_fail(c, E_INPUT, "ya_model_attach: the adapter was made for a model of another shape (%s)",
                        adapter->base_name);
    return OK;
}

/* The model runs with one adapter or none; both handles know of each other, so that either may be freed first. */
int ya_model_attach(ya_model *model, ya_adapter *adapter)
{
    if (!model || !api_enter(model->object.ctx, "ya_model_attach")) return -1;
    if (adapter && check_attachable(model, adapter) != OK) return -1;
    generate_cache_release(model->object.ctx->c, &model->kept); /* its keys and values are the other adapter's */
    if (model->adapter) model->adapter->model = NULL;
    model_attach_lora(model->m, adapter ? adapter->lora : NULL);
    model->adapter = adapter;
    if (adapter) adapter->model = model;
    return 0;
}

/* Merging rounds once, from the file's weights plus the adapter: a base that was rounded when it was opened is refused. */
int ya_model_merge(ya_model *model, const char *folder, const char *type)
{
    if (!model || !api_enter(model->object.ctx, "ya_model_merge")) return -1;
    struct ctx *c = model->object.ctx->c;
    struct merge_options options = {.type = TENSOR_BF16};
    if (!folder || !type) return ctx_fail(c, E_INPUT, "ya_model_merge: no folder or no type"), -1;
    if (strcmp(type, "f32") == 0)
        options.type = TENSOR_F32;
    else if (strcmp(type, "f16") == 0)
        options.type = TENSOR_F16;
    else if (strcmp(type, "bf16") != 0)
        return ctx_fail(c, E_INPUT, "ya_model_merge: type '%s' is none of bf16, f16 and f32", type), -1;
    if (model->m->options.base != BASE_AS_IS)
        return ctx_fail(c, E_INPUT, "ya_model_merge: open the model with base-type as-is: rounded weights are not merged"),
               -1;
    return merge_write(model->m, folder, &options) == OK ? 0 : -1;
}
