/* adapter_folder: tells the folder of a run from that of an adapter. See adapter_folder.h. */
#include "cli/adapter_folder.h"

#include "base/file.h"
#include "base/mem.h"

/* A run's folder has data_manifest.json and, once it is done, adapter/; an adapter's has neither. */
char *adapter_folder_find(struct ctx *c, const char *name, bool *run)
{
    char *inner = path_join(c, name, "adapter"), *config = path_join(c, name, "data_manifest.json");
    bool done = inner && dir_exists(inner);
    *run = config && file_exists(config);
    mem_free(c, config);
    if (done) return inner;
    mem_free(c, inner);
    if (*run) ctx_fail(c, E_INPUT, "%s: is a run without an adapter yet: `your_ai resume` finishes it", name);
    return ctx_ok(c) ? mem_strdup(c, name) : NULL;
}
