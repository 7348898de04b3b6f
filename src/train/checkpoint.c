/* checkpoint: saving, verifying and finding checkpoints. See checkpoint.h; reading them back is checkpoint_restore.c.
 *
 * The order of writes, and what a power cut may leave after each:
 *
 *   1. mkdir step-000120.tmp                       an unfinished folder, which the next start sweeps away
 *   2. write and fsync every file, the manifest    the same
 *      after all others
 *   3. fsync the temporary folder                  the same; its entries are on disk now
 *   4. rename it to step-000120                    either name, whole under both
 *   5. fsync checkpoints/                          step-000120 for good
 *
 * tests/cli/test_durability.c records these calls and fails when one is missing or out of order. */
#include "train/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/lora.h"
#include "train/checkpoint_parts.h"

/* Folders under construction begin so, and are never taken for checkpoints: the next start sweeps them away. */
#define TEMPORARY_PREFIX ".tmp-"
enum { MANIFEST_CAP_BYTES = 1 << 16 };

/* What a checkpoint consists of besides its manifest. A folder without one of these is not a checkpoint. */
static const char *const required_files[] = {"adapter_config.json", "adapter_model.safetensors",
                                             "adapter_optimizer.safetensors", "state.json"};

/* ---- the manifest ---------------------------------------------------------------------------------------------------- */

/* One line of the manifest for a file of the folder. Symbolic links and folders are refused: they could show other bytes to
 * the next reader. */
static enum status describe_file(struct ctx *c, const char *dir, const char *name, struct buf *line)
{
    struct stat st;
    char hex[65];
    uint64_t bytes = 0;
    char *path = path_join(c, dir, name);
    if (!path) return c->status;
    enum status status = OK;
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
        status = ctx_fail(c, E_INPUT, "%s: is not a regular file", path);
    else
        status = file_sha256(c, path, hex, &bytes);
    if (status == OK) buf_printf(line, "    \"%s\": {\"bytes\": %" PRIu64 ", \"sha256\": \"%s\"}", name, bytes, hex);
    mem_free(c, path);
    return status;
}

/* Text of the manifest that the files in `dir` ask for. With `recorded` every line is looked for in it, so that the message
 * names the file. */
static enum status checkpoint_make_manifest(struct ctx *c, const char *dir, const char *recorded, struct buf *out)
{
    char **names = NULL;
    size_t n = 0, written = 0;
    struct buf line;
    enum status status = dir_list(c, dir, &names, &n);
    buf_init(&line, c, MANIFEST_CAP_BYTES);
    buf_append_str(out, "{\n  \"format\": \"your_ai checkpoint 1\",\n  \"files\": {\n");
    for (size_t i = 0; status == OK && i < n; i++) {
        if (strcmp(names[i], "manifest.json") == 0) continue;
        buf_clear(&line);
        status = describe_file(c, dir, names[i], &line);
        if (status == OK && recorded && !strstr(recorded, buf_str(&line)))
            status = ctx_fail(c, E_INPUT, "%s/%s: size or SHA-256 is not the one in manifest.json", dir, names[i]);
        buf_printf(out, "%s%s", written++ ? ",\n" : "", buf_str(&line));
    }
    buf_append_str(out, "\n  }\n}\n");
    if (status == OK && !buf_ok(out)) status = c->status;
    buf_release(&line);
    dir_list_free(c, names, n);
    return status;
}

/* The last file of a checkpoint: once it is there, everything that it names was written and fsynced. */
static enum status checkpoint_write_manifest(struct ctx *c, const char *dir)
{
    struct buf text;
    buf_init(&text, c, MANIFEST_CAP_BYTES);
    enum status status = checkpoint_make_manifest(c, dir, NULL, &text);
    char *path = path_join(c, dir, "manifest.json");
    if (status == OK && path) file_write_atomic(c, path, buf_str(&text), text.len);
    mem_free(c, path);
    buf_release(&text);
    return c->status;
}

/* E_INPUT naming the first file that is missing. */
static enum status check_required(struct ctx *c, const char *dir)
{
    for (size_t i = 0; i < sizeof(required_files) / sizeof(required_files[0]); i++) {
        char *path = path_join(c, dir, required_files[i]);
        if (!path) return c->status;
        if (!file_exists(path)) ctx_fail(c, E_INPUT, "%s: is missing", path);
        mem_free(c, path);
    }
    return c->status;
}

/* Hashes every file again. The manifest is made anew and compared as text, so a missing file, an additional one and a
 * changed one are all found by the same comparison. */
enum status checkpoint_verify(struct ctx *c, const char *dir)
{
    struct buf text;
    size_t n = 0;
    char *path = path_join(c, dir, "manifest.json");
    if (!path) return c->status;
    char *recorded = file_exists(path) ? file_read(c, path, MANIFEST_CAP_BYTES, &n) : NULL;
    buf_init(&text, c, MANIFEST_CAP_BYTES);
    if (!recorded) {
        ctx_fail(c, E_INPUT, "%s: is missing: the checkpoint is incomplete", path);
        goto out;
    }
    if (check_required(c, dir) != OK || checkpoint_make_manifest(c, dir, recorded, &text) != OK) goto out;
    if (n != text.len || memcmp(recorded, buf_str(&text), n) != 0)
        ctx_fail(c, E_INPUT, "%s: does not describe exactly the files of its folder", path);
out:
    buf_release(&text);
    mem_free(c, recorded);
    mem_free(c, path);
    return c->status;
}

/* ---- saving ---------------------------------------------------------------------------------------------------------- */

char *checkpoint_path(struct ctx *c, const char *run_dir, int64_t step)
{
    return mem_printf(c, "%s/checkpoints/step-%06" PRId64, run_dir, step);
}

/* The adapter goes to a file of its own, under PEFT's tensor names, so that PEFT can load any checkpoint as it is. */
const struct checkpoint_file checkpoint_value_file[CHECKPOINT_VALUE_FILES] = {
    {"adapter_model.safetensors", 1, {{ENGINE_PARAMETERS, LORA_TENSOR_PREFIX, LORA_TENSOR_SUFFIX}}},
    {"adapter_optimizer.safetensors",
     2,
     {{ENGINE_FIRST_MOMENTS, "", ".exp_avg"}, {ENGINE_SECOND_MOMENTS, "", ".exp_avg_sq"}}},
};

/* parameters_save asks for one parameter at a time; the engine copies it from the device. */
static enum status read_values(void *user, int which, size_t i, float *out)
{
    struct engine *e = user;
    return e->ops->read(e, (enum engine_values)which, i, out);
}

/* One file of values, f32, one tensor a parameter and set. */
static enum status save_values(struct ctx *c, struct engine *e, const char *dir, const struct checkpoint_file *f)
{
    char *path = path_join(c, dir, f->name);
    if (path) parameters_save(c, path, e->parameters->list, e->parameters->n, f->sets, f->n_sets, read_values, e);
    mem_free(c, path);
    return c->status;
}

/* All files of a checkpoint, the manifest last. */
static enum status fill_folder(struct ctx *c, const char *dir, const struct train_state *s, struct engine *e)
{
    /* without its parents: a folder that was deleted under the run is not made up again */
    if (mkdir(dir, 0777) != 0) return file_fail(c, "create folder", dir, errno);
    for (int i = 0; i < CHECKPOINT_VALUE_FILES; i++) TRY(save_values(c, e, dir, &checkpoint_value_file[i]));
    TRY(e->ops->save_config(e, dir, e->model_name));
    TRY(state_save(c, s, dir));
    return checkpoint_write_manifest(c, dir);
}

enum status checkpoint_replace(struct ctx *c, const char *temporary, const char *final, const char *aside)
{
    bool replaces = dir_exists(final);
    if (dir_exists(aside)) TRY(dir_remove(c, aside));
    if (replaces && rename(final, aside) != 0)
        return ctx_fail(c, E_IO, "%s: cannot be moved aside: %s", final, strerror(errno));
    TRY(dir_commit(c, temporary, final));
    return replaces ? dir_remove(c, aside) : OK;
}

/* Written as a temporary folder, which takes its final name by rename. A kill at any moment leaves the earlier checkpoints
 * and at most a temporary folder. */
enum status checkpoint_save(struct ctx *c, const char *run_dir, const struct train_state *s, struct engine *e)
{
    char *final = checkpoint_path(c, run_dir, s->step);
    char *temporary = mem_printf(c, "%s/checkpoints/" TEMPORARY_PREFIX "step-%06" PRId64, run_dir, s->step);
    char *checkpoints = path_join(c, run_dir, "checkpoints");
    char *aside = mem_printf(c, "%s/checkpoints/" TEMPORARY_PREFIX "old-%06" PRId64, run_dir, s->step);
    if (!final || !temporary || !aside || !checkpoints) goto out;
    if (dir_exists(temporary)) dir_remove(c, temporary);
    if (ctx_ok(c) && fill_folder(c, temporary, s, e) == OK) checkpoint_replace(c, temporary, final, aside);
    if (!ctx_ok(c) && !dir_exists(checkpoints)) {
        ctx_clear(c);
        ctx_fail(c, E_IO, "%s: is not there any more: it was deleted or moved while the run went on", checkpoints);
        goto out;
    }
    if (!ctx_ok(c)) ctx_prefix(c, "saving step %" PRId64 " failed (earlier checkpoints are intact)", s->step);
out:
    mem_free(c, checkpoints);
    mem_free(c, aside);
    mem_free(c, temporary);
    mem_free(c, final);
    return c->status;
}

/* The link is made under another name and takes its own by rename, so there is always one, whole. */
void checkpoint_link_best(struct ctx *c, const char *run_dir, int64_t step)
{
    char target[64];
    char *temporary = path_join(c, run_dir, ".tmp-best"), *final = path_join(c, run_dir, "best");
    snprintf(target, sizeof target, "checkpoints/step-%06" PRId64, step);
    if (temporary && final) {
        unlink(temporary);
        if (symlink(target, temporary) == 0 && rename(temporary, final) != 0) unlink(temporary);
    }
    mem_free(c, final);
    mem_free(c, temporary);
}

/* ---- finding --------------------------------------------------------------------------------------------------------- */

/* The step in "step-000120", or -1. */
static int64_t step_of(const char *name)
{
    char *end;
    if (strncmp(name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9') return -1;
    long long step = strtoll(name + 5, &end, 10);
    return *end == '\0' ? step : -1;
}

/* For qsort: the newest step first. */
static int by_step_descending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Steps that have a folder, newest first; *n of them. Owner the caller. NULL with the error set, or a list that may be
 * empty.
 */
static int64_t *list_steps(struct ctx *c, const char *run_dir, size_t *n)
{
    char **names = NULL;
    size_t n_names = 0;
    int64_t *steps = NULL;
    *n = 0;
    char *dir = path_join(c, run_dir, "checkpoints");
    if (dir && dir_list(c, dir, &names, &n_names) == OK) steps = mem_alloc(c, n_names + 1, sizeof(*steps));
    for (size_t i = 0; steps && i < n_names; i++) {
        int64_t step = step_of(names[i]);
        if (step >= 0) steps[(*n)++] = step;
    }
    if (steps) qsort(steps, *n, sizeof(*steps), by_step_descending);
    dir_list_free(c, names, n_names);
    mem_free(c, dir);
    return steps;
}

/* A checkpoint that does not verify is skipped with a warning and the one before it is tried. */
char *checkpoint_last(struct ctx *c, const char *run_dir)
{
    size_t n = 0;
    int64_t *steps = list_steps(c, run_dir, &n);
    char *found = NULL;
    for (size_t i = 0; steps && i < n && !found; i++) {
        char *path = checkpoint_path(c, run_dir, steps[i]);
        if (!path) break;
        if (checkpoint_verify(c, path) == OK) {
            found = path;
            break;
        }
        ctx_log(c, LOG_WARN, "checkpoint step-%06" PRId64 " is skipped: %s", steps[i], c->message);
        ctx_clear(c);
        mem_free(c, path);
    }
    if (steps && n > 0 && !found && ctx_ok(c))
        ctx_fail(c, E_INPUT, "%s/checkpoints: none of %zu checkpoints is complete; the warnings say why", run_dir, n);
    mem_free(c, steps);
    return found;
}

/* ---- cleaning -------------------------------------------------------------------------------------------------------- */

/* The best step that the state of a checkpoint names; -1 when it cannot be read, which is no reason to stop a run. */
static int64_t best_of(struct ctx *c, const char *run_dir, int64_t step)
{
    struct train_state s = {.best_step = -1};
    char *path = checkpoint_path(c, run_dir, step);
    enum status status = path ? state_load(c, path, &s) : c->status;
    mem_free(c, path);
    if (status == OK) return s.best_step;
    ctx_clear(c);
    return -1;
}

/* Whether a step is in the list. */
static bool checkpoint_is_in(const int64_t *list, size_t n, int64_t step)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == step) return true;
    }
    return false;
}

/* Keeps the newest `keep` checkpoints, and those that one of them names as the best: an interrupted run that is resumed
 * from an older one must still find its best. */
enum status checkpoint_prune(struct ctx *c, const char *run_dir, int64_t keep)
{
    size_t n = 0, kept = 0;
    int64_t *steps = list_steps(c, run_dir, &n);
    if (!steps || n <= (size_t)keep) goto out;
    int64_t *best = mem_alloc(c, n, sizeof(*best));
    if (!best) goto out;
    for (kept = 0; kept < (size_t)keep; kept++) best[kept] = best_of(c, run_dir, steps[kept]);
    for (size_t i = kept; i < n && ctx_ok(c); i++) {
        if (checkpoint_is_in(best, kept, steps[i])) continue;
        char *path = checkpoint_path(c, run_dir, steps[i]);
        if (path) dir_remove(c, path);
        mem_free(c, path);
    }
    mem_free(c, best);
out:
    mem_free(c, steps);
    return c->status;
}

/* Removes what a kill in the middle of a save left behind. */
enum status checkpoint_sweep(struct ctx *c, const char *run_dir)
{
    char **names = NULL;
    size_t n = 0;
    char *dir = path_join(c, run_dir, "checkpoints");
    if (dir) dir_list(c, dir, &names, &n);
    for (size_t i = 0; i < n && ctx_ok(c); i++) {
        if (strncmp(names[i], TEMPORARY_PREFIX, sizeof(TEMPORARY_PREFIX) - 1) != 0) continue;
        char *path = path_join(c, dir, names[i]);
        if (path) dir_remove(c, path);
        mem_free(c, path);
    }
    dir_list_free(c, names, n);
    mem_free(c, dir);
    return c->status;
}
