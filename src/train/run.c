/* run: the folder of one training. See run.h.
 *
 * The manifest of the data is made again and compared as text when a run is resumed, like that of a checkpoint: hashing the
 * files takes seconds and answers "is this the same data?" for good. */
#include "train/run.h"

#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash_cache.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/threads.h"
#include "io/gguf_set.h"
#include "io/json.h"

enum { TEXT_CAP_BYTES = 1 << 22 };

/* ---- the folder ------------------------------------------------------------------------------------------------------- */

/* Names that the setup of a run makes before config.json, which comes last. */
static bool is_setup_name(const char *name)
{
    static const char *const made[] = {"data.cache", "valid.cache", "data_manifest.json", "environment.json", "config.json"};
    const char *dot = strrchr(name, '.');
    bool temporary = dot && strcmp(dot, ".tmp") == 0;
    if (strcmp(name, "checkpoints") == 0) return true;
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        size_t n = strlen(made[i]);
        if (strncmp(name, made[i], n) == 0 && (temporary ? name[n] == '.' : name[n] == '\0' && i < 4)) return true;
    }
    return false;
}

/* True for what a kill in the middle of the setup left: nothing but those names, and no checkpoint. */
static bool is_aborted_setup(struct ctx *c, const char *dir, char *const *names, size_t n)
{
    bool aborted = n > 0;
    for (size_t i = 0; aborted && i < n; i++) aborted = is_setup_name(names[i]);
    char *checkpoints = path_join(c, dir, "checkpoints");
    char **inside = NULL;
    size_t n_inside = 0;
    if (aborted && checkpoints && dir_exists(checkpoints)) {
        aborted = dir_list(c, checkpoints, &inside, &n_inside) == OK && n_inside == 0;
        dir_list_free(c, inside, n_inside);
    }
    mem_free(c, checkpoints);
    return aborted;
}

bool run_is_unfinished_setup(struct ctx *c, const char *dir)
{
    char **names = NULL;
    size_t n = 0;
    if (dir_list(c, dir, &names, &n) != OK) {
        ctx_clear(c); /* a folder that cannot be listed is the reader's to report */
        return false;
    }
    bool unfinished = is_aborted_setup(c, dir, names, n);
    dir_list_free(c, names, n);
    return unfinished;
}

/* Removes what an aborted setup left in a folder that exists, and holds the folder meanwhile, as what looks aborted may be
 * another process's setup. */
static enum status run_clear(struct ctx *c, const char *dir)
{
    char **names = NULL;
    size_t n = 0;
    int lock = dir_lock(c, dir);
    if (lock < 0) return c->status;
    if (dir_list(c, dir, &names, &n) != OK) goto out;
    if (is_aborted_setup(c, dir, names, n))
        dir_remove(c, dir);
    else if (n > 0)
        ctx_fail(c, E_INPUT, "%s: exists and is not empty. To continue a run in it: your_ai resume %s", dir, dir);
out:
    dir_list_free(c, names, n);
    dir_unlock(lock);
    return c->status;
}

enum status run_create(struct ctx *c, const char *dir)
{
    if (dir_exists(dir)) TRY(run_clear(c, dir));
    char *checkpoints = path_join(c, dir, "checkpoints");
    if (checkpoints) dir_make(c, checkpoints);
    mem_free(c, checkpoints);
    return c->status;
}

enum status run_write(struct ctx *c, const char *dir, const char *name, const char *text, size_t n)
{
    char *path = path_join(c, dir, name);
    if (path) file_write_atomic(c, path, text, n);
    mem_free(c, path);
    return c->status;
}

enum status run_sha256(struct ctx *c, const char *dir, const char *name, char hex[65])
{
    uint64_t bytes;
    char *path = path_join(c, dir, name);
    if (path) file_sha256(c, path, hex, &bytes);
    mem_free(c, path);
    return c->status;
}

/* ---- data manifest --------------------------------------------------------------------------------------------------- */

/* The text of data_manifest.json while it is made. */
struct manifest {
    struct ctx *c;
    struct buf *out;
    const char *recorded; /* text to compare with while making; NULL while writing */
    size_t n;
};

/* One line for a file. */
static enum status run_add_file(struct manifest *m, const char *kind, const char *path)
{
    char hex[65];
    uint64_t bytes = 0;
    TRY(strcmp(kind, "model") == 0 ? hash_cache_sha256(m->c, path, hex, &bytes) : file_sha256(m->c, path, hex, &bytes));
    if (m->n++) buf_append_str(m->out, ",\n");
    size_t start = m->out->len;
    buf_printf(m->out, "  {\"kind\": \"%s\", \"path\": ", kind);
    json_append_string(m->out, path, strlen(path));
    buf_printf(m->out, ", \"bytes\": %" PRIu64 ", \"sha256\": \"%s\"}", bytes, hex);
    if (!buf_ok(m->out)) return m->c->status;
    if (m->recorded && !strstr(m->recorded, m->out->data + start))
        return ctx_fail(m->c, E_INPUT, "%s: is not the file that the run began with (data_manifest.json)", path);
    return OK;
}

/* A model is a file (GGUF), or a folder, of which all regular files count. */
static enum status add_model(struct manifest *m, const char *model)
{
    char **names = NULL;
    size_t n = 0;
    if (!dir_exists(model)) {
        TRY(gguf_set_paths(m->c, model, &names, &n));
        for (size_t i = 0; i < n && ctx_ok(m->c); i++) run_add_file(m, "model", names[i]);
        dir_list_free(m->c, names, n);
        return m->c->status;
    }
    TRY(dir_list(m->c, model, &names, &n));
    for (size_t i = 0; i < n && ctx_ok(m->c); i++) {
        char *path = path_join(m->c, model, names[i]);
        if (path && file_exists(path)) run_add_file(m, "model", path);
        mem_free(m->c, path);
    }
    dir_list_free(m->c, names, n);
    return m->c->status;
}

/* The whole text. With `recorded`, every line is looked for in it, so that the message names the file that changed. */
static enum status run_make_manifest(struct ctx *c, const char *model, const char *const *data, size_t n_data,
                                     const char *recorded, struct buf *out)
{
    struct manifest m = {c, out, recorded, 0};
    buf_append_str(out, "[\n");
    TRY(add_model(&m, model));
    for (size_t i = 0; i < n_data; i++) TRY(run_add_file(&m, "data", data[i]));
    buf_append_str(out, "\n]\n");
    return buf_ok(out) ? OK : c->status;
}

enum status run_write_manifest(struct ctx *c, const char *dir, const char *model, const char *const *data, size_t n_data)
{
    struct buf text;
    buf_init(&text, c, TEXT_CAP_BYTES);
    if (run_make_manifest(c, model, data, n_data, NULL, &text) == OK)
        run_write(c, dir, "data_manifest.json", buf_str(&text), text.len);
    buf_release(&text);
    return c->status;
}

enum status run_check_manifest(struct ctx *c, const char *dir, const char *model, const char *const *data, size_t n_data)
{
    struct buf text;
    size_t n = 0;
    char *path = path_join(c, dir, "data_manifest.json");
    char *recorded = path ? file_read(c, path, TEXT_CAP_BYTES, &n) : NULL;
    buf_init(&text, c, TEXT_CAP_BYTES);
    if (recorded && run_make_manifest(c, model, data, n_data, recorded, &text) == OK &&
        (n != text.len || memcmp(recorded, buf_str(&text), n) != 0))
        ctx_fail(c, E_INPUT, "%s: lists other files than the run's options name", path);
    buf_release(&text);
    mem_free(c, recorded);
    mem_free(c, path);
    return c->status;
}

/* ---- environment ----------------------------------------------------------------------------------------------------- */

/* For the reader of an old run: nothing is compared with it on resume. The fingerprint is what an adapter in the run's
 * folder is known by. */
enum status run_write_environment(struct ctx *c, const char *dir, const struct run_environment *e)
{
    struct utsname u;
    struct buf text;
    char cpu[HOST_NAME_BYTES];
    if (uname(&u) != 0) memset(&u, 0, sizeof(u));
    buf_init(&text, c, TEXT_CAP_BYTES);
    json_t *doc = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:I}", "compiler", __VERSION__, "system", u.sysname,
                            "kernel", u.release, "cpu", host_cpu_name(cpu), "backend", e->backend, "threads",
                            threads_count(c), "norms", e->norms, "total_steps", (json_int_t)e->total_steps);
    /* Words of a command line may be any bytes; text that is not UTF-8 is left out. */
    if (doc && e->program[0]) json_object_set_new(doc, "program", json_string(e->program));
    if (doc && e->command[0]) json_object_set_new(doc, "command", json_string(e->command));
    if (!doc)
        ctx_fail(c, E_MEMORY, "no memory for environment.json");
    else if (json_write(c, doc, true, &text) == OK)
        run_write(c, dir, "environment.json", buf_str(&text), text.len);
    json_decref(doc);
    buf_release(&text);
    return c->status;
}
