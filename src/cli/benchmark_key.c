/* benchmark_key: see benchmark_key.h. */
#include "cli/benchmark_key.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/user_folder.h"

void benchmark_key(char out[TRIAL_KEY_BYTES], const char *model, const char *device, int threads,
                   const struct model_options *form, const struct benchmark_shape *s)
{
    snprintf(out, TRIAL_KEY_BYTES, "%.160s %.32s t%d %s %s %" PRId64 "x%" PRId64 " r%" PRId64, model, device, threads,
             base_type_name[form->base], compute_name[form->compute], s->batch, s->length, s->rank);
}

char *benchmark_path(struct ctx *c)
{
    char *folder = user_folder(c, "XDG_CONFIG_HOME", ".config");
    char *path = folder ? path_join(c, folder, "benchmark.jsonl") : NULL;
    mem_free(c, folder);
    return path;
}
