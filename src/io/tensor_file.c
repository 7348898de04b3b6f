/* tensor_file: one set of calls over two containers, safetensors and GGUF. It is the one place that asks which of them is
 * open. */
#include "io/tensor_file.h"

#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/gguf_set.h"
#include "io/lfs_pointer.h"
#include "io/model_folder.h"
#include "io/safetensors.h"

struct tensor_file {
    struct ctx *c;
    char *config_path;               /* owned; NULL for GGUF */
    struct safetensors *safetensors; /* one of the two is open */
    struct gguf_set *gguf;
};

/* A file is a GGUF model or an error that says what was expected; its first bytes decide, not its name. */
static enum status open_single(struct tensor_file *f, const char *path)
{
    char start[32] = "";
    uint64_t bytes;
    if (access(path, F_OK) != 0) return ctx_fail(f->c, E_INPUT, "%s: not a model: there is no such file or folder", path);
    int fd = file_open(f->c, path, &bytes);
    if (fd < 0) return f->c->status;
    int64_t n = file_read_some(f->c, fd, path, start, sizeof start);
    close(fd);
    if (n < 0 || lfs_pointer_refuse(f->c, path, start, (size_t)n)) return f->c->status;
    if (n < 4 || memcmp(start, "GGUF", 4) != 0)
        return ctx_fail(f->c, E_INPUT, "%s: not a model: give a folder with config.json and safetensors, or a GGUF file",
                        path);
    f->gguf = gguf_set_open(f->c, path);
    return f->c->status;
}

static bool folder_has(struct ctx *c, const char *folder, const char *name)
{
    char *path = path_join(c, folder, name);
    bool has = path && file_exists(path);
    mem_free(c, path);
    return has;
}

/* Adapters and runs are what is given for a model by mistake: their tensors belong to one. */
static enum status refuse_adapter(struct ctx *c, const char *path)
{
    static const char *const KINDS[][2] = {{"adapter_config.json", "an adapter"},
                                           {"adapter/adapter_config.json", "the folder of a run"}};
    if (folder_has(c, path, "model.safetensors") || folder_has(c, path, "model.safetensors.index.json")) return c->status;
    for (size_t i = 0; i < 2; i++) {
        if (folder_has(c, path, KINDS[i][0]))
            return ctx_fail(c, E_INPUT,
                            "%s: this is %s, not a model: give the model that it was trained on with -m, and this "
                            "with --adapter",
                            path, KINDS[i][1]);
    }
    return c->status;
}

/* A folder is a Hugging Face model: config.json and safetensors, one file or several with an index. */
static enum status tensor_file_open_folder(struct tensor_file *f, const char *path)
{
    TRY(refuse_adapter(f->c, path));
    TRY(model_folder_check_link(f->c, path, "config.json"));
    f->config_path = path_join(f->c, path, "config.json");
    f->safetensors = f->config_path ? safetensors_open_dir(f->c, path) : NULL;
    return f->c->status;
}

struct tensor_file *tensor_file_open(struct ctx *c, const char *path)
{
    struct tensor_file *f = mem_alloc(c, 1, sizeof *f);
    if (!f) return NULL;
    f->c = c;
    if ((dir_exists(path) ? tensor_file_open_folder(f, path) : open_single(f, path)) == OK) return f;
    tensor_file_close(f);
    return NULL;
}

void tensor_file_close(struct tensor_file *f)
{
    if (!f) return;
    safetensors_close(f->safetensors);
    gguf_set_close(f->gguf);
    mem_free(f->c, f->config_path);
    mem_free(f->c, f);
}

enum tensor_container tensor_file_container(const struct tensor_file *f)
{
    return f->gguf ? CONTAINER_GGUF : CONTAINER_SAFETENSORS;
}

size_t tensor_file_count(const struct tensor_file *f)
{
    return f->gguf ? gguf_set_tensor_count(f->gguf) : safetensors_count(f->safetensors);
}

const struct tensor_view *tensor_file_at(const struct tensor_file *f, size_t i)
{
    return f->gguf ? gguf_set_tensor(f->gguf, i) : safetensors_tensor(f->safetensors, i);
}

const struct tensor_view *tensor_file_find(const struct tensor_file *f, const char *name)
{
    return f->gguf ? gguf_set_find(f->gguf, name) : safetensors_find(f->safetensors, name);
}

enum status tensor_file_check(struct ctx *c, const struct tensor_file *f)
{
    return f->gguf ? gguf_set_check(c, f->gguf) : safetensors_check(c, f->safetensors);
}

/* Tells the kernel that the tensor's pages in the mapping are not needed any more: a copy of them has been made. */
void tensor_file_drop(const struct tensor_view *t)
{
    file_map_drop(t->data, t->bytes);
}

const struct gguf *tensor_file_gguf(const struct tensor_file *f)
{
    return f->gguf ? gguf_set_part(f->gguf, 0) : NULL;
}

const char *tensor_file_config_path(const struct tensor_file *f)
{
    return f->config_path;
}
