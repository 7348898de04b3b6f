/* weights: the files of a model, opened and closed. See weights_internal.h for the other parts. */
#include "array/backend.h"
#include "model/weights.h"

#include "base/mem.h"
#include "model/weights_internal.h"

struct model_files *weights_open(struct ctx *c, const char *path)
{
    struct model_files *f = mem_alloc(c, 1, sizeof *f);
    if (!f) return NULL;
    f->c = c;
    f->path = mem_strdup(c, path);
    f->used = map64_new(c, 512);
    f->file = ctx_ok(c) ? tensor_file_open(c, path) : NULL;
    if (f->file) return f;
    weights_close(f);
    return NULL;
}

void weights_close(struct model_files *f)
{
    if (!f) return;
    for (size_t i = 0; i < f->n_arrays; i++) array_release(f->arrays[i]);
    mem_free(f->c, f->arrays);
    for (size_t i = 0; i < f->n_prepared; i++) array_backend(f->c)->weight_release(array_backend(f->c), &f->prepared[i]);
    mem_free(f->c, f->prepared);
    weights_release_packed(f);
    mem_free(f->c, f->names);
    mem_free(f->c, f->row_map);
    map64_free(f->used);
    tensor_file_close(f->file);
    mem_free(f->c, f->path);
    mem_free(f->c, f);
}

enum status weights_config(struct model_files *f, struct model_config *out)
{
    const struct gguf *g = tensor_file_gguf(f->file);
    return g ? model_config_from_gguf(f->c, g, out) : model_config_from_json(f->c, tensor_file_config_path(f->file), out);
}

enum status weights_check(struct model_files *f)
{
    return tensor_file_check(f->c, f->file);
}

size_t weights_bytes(const struct model_files *f)
{
    return f->bytes;
}

size_t weights_made_bytes(const struct model_files *f)
{
    return f->made_bytes;
}

const struct gguf *weights_gguf(const struct model_files *f)
{
    return tensor_file_gguf(f->file);
}
