/* run: the folder of one training, and its environment.json. See run.h; the manifest of the data is run_manifest.c. */
#include "train/run.h"

#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/shell_word.h"
#include "base/threads.h"
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
    char **names = NULL, *word = NULL;
    size_t n = 0;
    int lock = dir_lock(c, dir);
    if (lock < 0) return c->status;
    if (dir_list(c, dir, &names, &n) != OK) goto out;
    if (is_aborted_setup(c, dir, names, n))
        dir_remove(c, dir);
    else if (n > 0 && (word = shell_word_new(c, dir)))
        ctx_fail(c, E_INPUT, "%s: exists and is not empty. To continue a run in it: your_ai resume %s", dir, word);
out:
    mem_free(c, word);
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
