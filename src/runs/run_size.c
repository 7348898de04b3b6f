/* run_size: walks a run's folder, which is at most DEPTH_MAX folders deep. See the header. */
#include "runs/run_size.h"

#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"

enum { DEPTH_MAX = 4 };

/* Bytes of a file, or of everything in a folder. */
static uint64_t bytes_of(struct ctx *c, const char *path, int depth)
{
    struct stat st;
    char **names = NULL;
    size_t n = 0;
    uint64_t sum = 0;
    if (lstat(path, &st) != 0) return 0;
    if (S_ISREG(st.st_mode)) return (uint64_t)st.st_size;
    if (!S_ISDIR(st.st_mode) || depth == 0) return 0;
    if (dir_list(c, path, &names, &n) != OK) {
        ctx_clear(c); /* it went meanwhile */
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        char *inside = path_join(c, path, names[i]);
        if (inside) sum += bytes_of(c, inside, depth - 1);
        mem_free(c, inside);
    }
    dir_list_free(c, names, n);
    return sum;
}

static int64_t count_entries(struct ctx *c, const char *path)
{
    char **names = NULL;
    size_t n = 0;
    if (dir_list(c, path, &names, &n) != OK) ctx_clear(c);
    dir_list_free(c, names, n);
    return (int64_t)n;
}

/* Adds one entry of the run's folder to what it is for. */
static void run_size_add_entry(struct ctx *c, const char *path, const char *name, struct run_size *out)
{
    uint64_t bytes = bytes_of(c, path, DEPTH_MAX);
    out->total_bytes += bytes;
    if (strcmp(name, "checkpoints") == 0) {
        out->checkpoints = count_entries(c, path);
        out->checkpoint_bytes = bytes;
    } else if (strcmp(name, "adapter") == 0) {
        out->adapter_bytes = bytes;
    } else if (strcmp(name, "data.cache") == 0 || strcmp(name, "valid.cache") == 0) {
        out->cache_bytes += bytes;
    } else {
        out->other_bytes += bytes;
    }
}

enum status run_size_of(struct ctx *c, const char *run, struct run_size *out)
{
    char **names = NULL;
    size_t n = 0;
    *out = (struct run_size){0};
    TRY(dir_list(c, run, &names, &n));
    for (size_t i = 0; i < n; i++) {
        char *path = path_join(c, run, names[i]);
        if (path) run_size_add_entry(c, path, names[i], out);
        mem_free(c, path);
    }
    dir_list_free(c, names, n);
    return c->status;
}
