/* run_manifest: data_manifest.json of a run. See run.h.
 *
 * It is made again and compared as text when a run is resumed, like that of a checkpoint: hashing the files takes seconds
 * and answers "is this the same data?" for good. A data file that was moved is known by its bytes, and the text that is
 * compared keeps the path that it had: the manifest of a run never changes. */
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash_cache.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/gguf_set.h"
#include "io/json.h"
#include "train/run.h"

enum { MANIFEST_CAP_BYTES = 1 << 22 };

/* The text of data_manifest.json while it is made. */
struct manifest {
    struct ctx *c;
    struct buf *out;
    const char *recorded; /* text to compare with while making; NULL while writing */
    const char *dir;      /* of the run, and what may stand for its data files; while comparing */
    const struct run_moved *moved;
    size_t n;
};

/* ---- files that were moved -------------------------------------------------------------------------------------------- */

/* The end of the line of a file: what it is known by, wherever it lies. */
static enum status identity_of(struct ctx *c, const char *path, char *out, size_t out_bytes)
{
    char hex[65];
    uint64_t bytes = 0;
    TRY(file_sha256(c, path, hex, &bytes));
    snprintf(out, out_bytes, "\"bytes\": %" PRIu64 ", \"sha256\": \"%s\"}", bytes, hex);
    return OK;
}

/* Whether the manifest has a data file of this identity. */
static bool is_recorded_data(const struct manifest *m, const char *identity)
{
    for (const char *at = m->recorded; (at = strstr(at, "{\"kind\": \"data\"")) != NULL; at++) {
        const char *end = strchr(at, '\n'), *found = strstr(at, identity);
        if (found && (!end || found < end)) return true;
    }
    return false;
}

/* Every file that was given has to be one of the run's. */
static enum status check_moved(const struct manifest *m)
{
    char identity[128];
    for (size_t i = 0; i < m->moved->n; i++) {
        TRY(identity_of(m->c, m->moved->paths[i], identity, sizeof identity));
        if (!is_recorded_data(m, identity))
            return ctx_fail(m->c, E_INPUT, "%s: is none of the data files that the run began with, by its SHA-256",
                            m->moved->paths[i]);
    }
    return OK;
}

/* Whether `candidate` has the bytes that the manifest has for the file that was at `path`; `line` gets its line then. */
static bool stands_for(struct manifest *m, const char *path, const char *candidate, struct buf *line)
{
    char identity[128];
    if (!file_exists(candidate) || identity_of(m->c, candidate, identity, sizeof identity) != OK) {
        ctx_clear(m->c); /* one that cannot be read is none */
        return false;
    }
    buf_clear(line);
    buf_append_str(line, "{\"kind\": \"data\", \"path\": ");
    json_append_string(line, path, strlen(path));
    buf_printf(line, ", %s", identity);
    if (!buf_ok(line) || !strstr(m->recorded, buf_str(line))) return false;
    ctx_log(m->c, LOG_WARN, "%s is not there any more; %s has the same bytes and stands for it", path, candidate);
    return true;
}

/* Looks in a folder for a file of the same name. */
static bool stands_in_folder(struct manifest *m, const char *path, const char *folder, struct buf *line)
{
    const char *slash = strrchr(path, '/');
    char *candidate = path_join(m->c, folder, slash ? slash + 1 : path);
    bool found = candidate && stands_for(m, path, candidate, line);
    mem_free(m->c, candidate);
    return found;
}

/* The line of a data file that is not at its place, from one that stands for it. E_INPUT when there is none. */
static enum status add_moved(struct manifest *m, const char *path)
{
    struct buf line;
    bool found = false;
    char *beside = path_join(m->c, m->dir, "..");
    if (!beside) return m->c->status;
    buf_init(&line, m->c, MANIFEST_CAP_BYTES);
    for (size_t i = 0; i < m->moved->n && !found; i++) found = stands_for(m, path, m->moved->paths[i], &line);
    found = found || stands_in_folder(m, path, beside, &line) || stands_in_folder(m, path, m->dir, &line);
    if (found) buf_printf(m->out, "%s  %s", m->n++ ? ",\n" : "", buf_str(&line));
    if (!found)
        ctx_fail(
            m->c, E_INPUT,
            "%s: is not there any more, and nothing of that name and those bytes lies in the run's folder or beside it. "
            "Where it was moved to, say -d FILE: it is known by its SHA-256",
            path);
    buf_release(&line);
    mem_free(m->c, beside);
    return m->c->status;
}

/* ---- the text --------------------------------------------------------------------------------------------------------- */

/* A file at its place has other bytes than the manifest says, or is one that the manifest does not have. */
static enum status refuse_changed(const struct manifest *m, const char *kind, const char *path)
{
    if (strcmp(kind, "data") == 0)
        return ctx_fail(
            m->c, E_INPUT,
            "%s: is not the file that the run began with (data_manifest.json has its SHA-256), and a run cannot go on "
            "with other rows. Put the old file back; or move this one away and say with -d where a copy of the old one "
            "is; or begin a new run from what was learnt so far, train --adapter %s/adapter or one of %s/checkpoints",
            path, m->dir, m->dir);
    return ctx_fail(
        m->c, E_INPUT,
        "%s: is not the file that the run began with, or is new in the model's folder (data_manifest.json lists the "
        "files): put the old one back, or take the new one away",
        path);
}

/* One line for a file. */
static enum status run_add_file(struct manifest *m, const char *kind, const char *path)
{
    char hex[65];
    uint64_t bytes = 0;
    if (m->recorded && strcmp(kind, "data") == 0 && !file_exists(path)) return add_moved(m, path);
    TRY(strcmp(kind, "model") == 0 ? hash_cache_sha256(m->c, path, hex, &bytes) : file_sha256(m->c, path, hex, &bytes));
    if (m->n++) buf_append_str(m->out, ",\n");
    size_t start = m->out->len;
    buf_printf(m->out, "  {\"kind\": \"%s\", \"path\": ", kind);
    json_append_string(m->out, path, strlen(path));
    buf_printf(m->out, ", \"bytes\": %" PRIu64 ", \"sha256\": \"%s\"}", bytes, hex);
    if (!buf_ok(m->out)) return m->c->status;
    if (m->recorded && !strstr(m->recorded, m->out->data + start)) return refuse_changed(m, kind, path);
    return OK;
}

/* Whether the run began without this file of the model's folder, and it is none that decides what the model is: what a
 * download or a person added since is passed over. Weights, settings and tokenizers that are new may be read in the place of
 * the old ones. */
static bool is_added_since(const struct manifest *m, const char *path)
{
    static const char *const decides[] = {".safetensors", ".json", ".model", ".jinja", ".gguf", ".txt"};
    struct buf line;
    if (!m->recorded) return false;
    for (size_t i = 0; i < sizeof decides / sizeof decides[0]; i++)
        if (str_has_suffix(path, decides[i])) return false;
    buf_init(&line, m->c, MANIFEST_CAP_BYTES);
    buf_append_str(&line, "{\"kind\": \"model\", \"path\": ");
    json_append_string(&line, path, strlen(path));
    buf_append_char(&line, ',');
    bool known = !buf_ok(&line) || strstr(m->recorded, buf_str(&line));
    buf_release(&line);
    return !known;
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
        if (path && file_exists(path) && !is_added_since(m, path)) run_add_file(m, "model", path);
        mem_free(m->c, path);
    }
    dir_list_free(m->c, names, n);
    return m->c->status;
}

/* The whole text. With `recorded`, every line is looked for in it, so that the message names the file that changed. */
static enum status run_make_manifest(struct manifest *m, const char *model, const char *const *data, size_t n_data)
{
    buf_append_str(m->out, "[\n");
    TRY(add_model(m, model));
    for (size_t i = 0; i < n_data; i++) TRY(run_add_file(m, "data", data[i]));
    buf_append_str(m->out, "\n]\n");
    return buf_ok(m->out) ? OK : m->c->status;
}

enum status run_write_manifest(struct ctx *c, const char *dir, const char *model, const char *const *data, size_t n_data)
{
    struct buf text;
    struct manifest m = {.c = c, .out = &text};
    buf_init(&text, c, MANIFEST_CAP_BYTES);
    if (run_make_manifest(&m, model, data, n_data) == OK) run_write(c, dir, "data_manifest.json", buf_str(&text), text.len);
    buf_release(&text);
    return c->status;
}

enum status run_check_manifest(struct ctx *c, const char *dir, const char *model, const char *const *data, size_t n_data,
                               const struct run_moved *moved)
{
    struct buf text;
    size_t n = 0;
    char *path = path_join(c, dir, "data_manifest.json");
    char *recorded = path ? file_read(c, path, MANIFEST_CAP_BYTES, &n) : NULL;
    struct manifest m = {.c = c, .out = &text, .recorded = recorded, .dir = dir, .moved = moved};
    buf_init(&text, c, MANIFEST_CAP_BYTES);
    if (recorded && check_moved(&m) == OK && run_make_manifest(&m, model, data, n_data) == OK &&
        (n != text.len || memcmp(recorded, buf_str(&text), n) != 0))
        ctx_fail(c, E_INPUT, "%s: lists other files than the run's options name", path);
    buf_release(&text);
    mem_free(c, recorded);
    mem_free(c, path);
    return c->status;
}
