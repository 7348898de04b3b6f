/* checkpoint_restore: reading a checkpoint back into an engine, and publishing its adapter. */
#include "base/file.h"
#include "base/mem.h"
#include "train/checkpoint.h"
#include "train/checkpoint_parts.h"

/* ---- restore --------------------------------------------------------------------------------------------------------- */

/* parameters_load hands over one parameter at a time; the engine copies it to the device. */
static enum status restore_write_values(void *user, int which, size_t i, const float *values)
{
    struct engine *e = user;
    return e->ops->write(e, (enum engine_values)which, i, values);
}

/* Values and both moments. Names, shapes and dtypes are checked against the engine's parameter table (parameters_load). */
enum status checkpoint_restore(struct ctx *c, const char *dir, struct engine *e)
{
    for (int i = 0; ctx_ok(c) && i < CHECKPOINT_VALUE_FILES; i++) {
        const struct checkpoint_file *f = &checkpoint_value_file[i];
        char *path = path_join(c, dir, f->name);
        if (path)
            parameters_load(c, path, e->parameters->list, e->parameters->n, f->sets, f->n_sets, restore_write_values, e);
        mem_free(c, path);
    }
    return c->status;
}

/* ---- publish --------------------------------------------------------------------------------------------------------- */

/* Through a mapping, which notices a file that is cut short meanwhile. */
static enum status restore_copy_file(struct ctx *c, const char *from_dir, const char *to_dir, const char *name)
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

/* RUN/adapter gets what PEFT needs and nothing else: no moments, no state. */
enum status checkpoint_publish(struct ctx *c, const char *dir, const char *run_dir)
{
    char *final = path_join(c, run_dir, "adapter");
    char *temporary = path_join(c, run_dir, ".tmp-adapter");
    char *aside = path_join(c, run_dir, ".tmp-adapter-old");
    if (!final || !temporary || !aside) goto out;
    if (dir_exists(temporary) && dir_remove(c, temporary) != OK) goto out;
    if (dir_make(c, temporary) != OK) goto out;
    if (restore_copy_file(c, dir, temporary, "adapter_config.json") != OK) goto out;
    if (restore_copy_file(c, dir, temporary, "adapter_model.safetensors") != OK) goto out;
    checkpoint_replace(c, temporary, final, aside);
out:
    mem_free(c, aside);
    mem_free(c, temporary);
    mem_free(c, final);
    return c->status;
}
