/* checkpoint_restore: reading a checkpoint back into an engine, and publishing its adapter. */
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/safetensors.h"
#include "train/checkpoint.h"
#include "train/checkpoint_parts.h"

/* ---- restore --------------------------------------------------------------------------------------------------------- */

static enum status copy_module(struct ctx *c, const char *dir, const struct lora_module *from, struct lora_module *to)
{
    bool same = from->layer == to->layer && from->place == to->place && array_same_shape(from->slot.a, to->slot.a) &&
                array_same_shape(from->slot.b, to->slot.b);
    if (!same)
        return ctx_fail(c, E_INPUT, "%s: layer %" PRId64 " %s: the adapter has other modules or ranks than the run", dir,
                        to->layer, lora_place_name[to->place]);
    memcpy(to->slot.a->data, from->slot.a->data, (size_t)array_size(to->slot.a) * sizeof(float));
    memcpy(to->slot.b->data, from->slot.b->data, (size_t)array_size(to->slot.b) * sizeof(float));
    return OK;
}

static enum status restore_adapter(struct ctx *c, const char *dir, struct lora *to, const struct model_config *config)
{
    struct lora *from = lora_load_peft(c, config, dir);
    if (!from) return c->status;
    enum status status = OK;
    if (from->n_modules != to->n_modules)
        status = ctx_fail(c, E_INPUT, "%s: the adapter has %zu modules, the run %zu", dir, from->n_modules, to->n_modules);
    for (size_t i = 0; status == OK && i < to->n_modules; i++)
        status = copy_module(c, dir, &from->modules[i], &to->modules[i]);
    lora_free(from);
    return status;
}

static enum status restore_moment(struct ctx *c, const char *path, const struct safetensors *s, const char *name,
                                  struct array *to)
{
    const struct tensor_view *t = safetensors_find(s, name);
    if (!t) return ctx_fail(c, E_INPUT, "%s: tensor %s is missing", path, name);
    bool same = t->type == TENSOR_F32 && t->ndim == to->ndim;
    for (int d = 0; same && d < t->ndim; d++) same = t->shape[d] == to->shape[d];
    if (!same) return ctx_fail(c, E_INPUT, "%s: tensor %s has another type or shape than the adapter", path, name);
    memcpy(to->data, t->data, t->bytes);
    return OK;
}

static enum status restore_moments(struct ctx *c, const char *dir, struct engine *e)
{
    char name[CHECKPOINT_NAME_BYTES];
    char *path = path_join(c, dir, "adapter_optimizer.safetensors");
    struct safetensors *s = path ? safetensors_open(c, path) : NULL;
    if (s && safetensors_count(s) != 2 * e->n_params)
        ctx_fail(c, E_INPUT, "%s: has %zu tensors, expected %zu", path, safetensors_count(s), 2 * e->n_params);
    for (size_t k = 0; s && ctx_ok(c) && k < 2 * e->n_params; k++) {
        checkpoint_moment_name(e, k / 2, k % 2, name);
        restore_moment(c, path, s, name, k % 2 ? e->v[k / 2] : e->m[k / 2]);
    }
    if (s && ctx_ok(c)) safetensors_check(c, s);
    safetensors_close(s);
    mem_free(c, path);
    return c->status;
}

enum status checkpoint_restore(struct ctx *c, const char *dir, struct engine *e, const struct model_config *config)
{
    TRY(restore_adapter(c, dir, e->lora, config));
    return restore_moments(c, dir, e);
}

/* ---- publish --------------------------------------------------------------------------------------------------------- */

static enum status copy_file(struct ctx *c, const char *from_dir, const char *to_dir, const char *name)
{
    char *from = path_join(c, from_dir, name), *to = path_join(c, to_dir, name);
    struct file_map *map = from && to ? file_map_open(c, from) : NULL;
    struct file_writer *w = map ? file_writer_open(c, to) : NULL;
    if (w) {
        file_writer_write(w, file_map_data(map), file_map_size(map));
        if (file_check(c, map) == OK)
            file_writer_commit(w);
        else
            file_writer_abort(w);
    }
    file_map_close(map);
    mem_free(c, from);
    mem_free(c, to);
    return c->status;
}

enum status checkpoint_publish(struct ctx *c, const char *dir, const char *run_dir)
{
    char *final = path_join(c, run_dir, "adapter");
    char *temporary = path_join(c, run_dir, ".tmp-adapter");
    char *aside = path_join(c, run_dir, ".tmp-adapter-old");
    if (!final || !temporary || !aside) goto out;
    if (dir_exists(temporary) && dir_remove(c, temporary) != OK) goto out;
    if (dir_make(c, temporary) != OK) goto out;
    if (copy_file(c, dir, temporary, "adapter_config.json") != OK) goto out;
    if (copy_file(c, dir, temporary, "adapter_model.safetensors") != OK) goto out;
    if (dir_sync(c, temporary) == OK) checkpoint_replace(c, temporary, final, aside);
out:
    mem_free(c, aside);
    mem_free(c, temporary);
    mem_free(c, final);
    return c->status;
}
