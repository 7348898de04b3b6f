/* hub_cache: finds models that the Hugging Face libraries have downloaded. In the cache a repository is a folder
 * models--OWNER--NAME; refs/main in it holds the hash of a commit, and snapshots/HASH the files of that commit. So
 * "HuggingFaceTB/SmolLM2-135M" becomes ~/.cache/huggingface/hub/models--HuggingFaceTB--SmolLM2-135M/snapshots/93ef.../ .
 * Everything here reads names and one small file; nothing is fetched. */
#include "io/hub_cache.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { PART_MAX_BYTES = 96, REVISION_MAX_BYTES = 200, REF_MAX_BYTES = 256, NAMED_FILES = 8 };

/* ---- names ----------------------------------------------------------------------------------------------------------- */

size_t hub_cache_name_part(const char *s, size_t n)
{
    size_t k = 0;
    while (k < n && (isalnum((unsigned char)s[k]) || s[k] == '-' || s[k] == '_' || s[k] == '.')) k++;
    return k <= PART_MAX_BYTES && k > 0 && s[0] != '.' && s[0] != '-' ? k : 0;
}

/* Length of "owner/name" at the start of n bytes, 0 when there is none. */
static size_t id_length(const char *s, size_t n)
{
    size_t owner = hub_cache_name_part(s, n);
    if (owner == 0 || owner == n || s[owner] != '/') return 0;
    size_t name = hub_cache_name_part(s + owner + 1, n - owner - 1);
    return name > 0 ? owner + 1 + name : 0;
}

bool hub_cache_is_id(const char *s, size_t n)
{
    return n > 0 && id_length(s, n) == n;
}

/* What stands behind "owner/name": NULL for another kind of text, "" or a revision. */
static const char *revision_of(const char *model, size_t id)
{
    if (id == 0 || (model[id] != '\0' && model[id] != '@')) return NULL;
    const char *revision = model[id] == '@' ? model + id + 1 : "main";
    bool safe = *revision && strlen(revision) <= REVISION_MAX_BYTES && !strstr(revision, "..") && *revision != '/';
    return safe ? revision : NULL;
}

/* ---- the cache ------------------------------------------------------------------------------------------------------- */

/* The value of an environment variable that is set and not empty. */
static const char *set_variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* The cache's folder; NULL with E_INPUT when not even a home is known. */
static char *cache_folder(struct ctx *c)
{
    const char *hub = set_variable("HF_HUB_CACHE"), *home = set_variable("HF_HOME");
    if (!hub) hub = set_variable("HUGGINGFACE_HUB_CACHE");
    if (hub) return mem_strdup(c, hub);
    if (home) return path_join(c, home, "hub");
    const char *xdg = set_variable("XDG_CACHE_HOME"), *user = set_variable("HOME");
    if (xdg) return path_join(c, xdg, "huggingface/hub");
    if (user) return path_join(c, user, ".cache/huggingface/hub");
    ctx_fail(c, E_INPUT, "models by name need HF_HOME, HF_HUB_CACHE or HOME, and none is set");
    return NULL;
}

/* CACHE/models--owner--name */
static char *repository_folder(struct ctx *c, const char *cache, const char *model, size_t id)
{
    const char *slash = strchr(model, '/');
    return mem_printf(c, "%s/models--%.*s--%.*s", cache, (int)(slash - model), model,
                      (int)(id - (size_t)(slash + 1 - model)), slash + 1);
}

/* The folder of a revision: refs/REVISION names its commit, or REVISION is one. NULL without an error: not there. */
static char *snapshot_folder(struct ctx *c, const char *repository, const char *revision)
{
    char *ref = mem_printf(c, "%s/refs/%s", repository, revision), *commit = NULL;
    size_t n = 0;
    if (ref && file_exists(ref)) commit = file_read(c, ref, REF_MAX_BYTES, &n);
    mem_free(c, ref);
    while (commit && n > 0 && isspace((unsigned char)commit[n - 1])) commit[--n] = '\0';
    if (!ctx_ok(c) || (commit && (n == 0 || strspn(commit, "0123456789abcdef") != n))) {
        mem_free(c, commit);
        return NULL;
    }
    char *folder = mem_printf(c, "%s/snapshots/%s", repository, commit ? commit : revision);
    mem_free(c, commit);
    if (folder && dir_exists(folder)) return folder;
    mem_free(c, folder);
    return NULL;
}

/* ---- what a snapshot holds ------------------------------------------------------------------------------------------- */

/* What kinds of model files a snapshot has. */
struct snapshot {
    bool config, safetensors;
    size_t n_gguf;
    const char *gguf; /* the last of them */
};

/* Whether a name is that of a later part of a split model, NAME-00002-of-00003.gguf, which is opened with the first. */
static bool is_later_part(const char *name)
{
    static const char pattern[] = "-00000-of-00000.gguf"; /* 0: any digit */
    size_t n = strlen(name), m = sizeof pattern - 1;
    if (n < m) return false;
    const char *end = name + n - m;
    for (size_t i = 0; i < m; i++)
        if (pattern[i] == '0' ? !isdigit((unsigned char)end[i]) : end[i] != pattern[i]) return false;
    return memcmp(end, "-00001-", 7) != 0;
}

/* Looks at the names of a folder's files, and lists its .gguf files for a message. */
static struct snapshot look_into(char *const *names, size_t n, struct buf *gguf_names)
{
    struct snapshot s = {0};
    for (size_t i = 0; i < n; i++) {
        s.config = s.config || strcmp(names[i], "config.json") == 0;
        s.safetensors = s.safetensors || str_has_suffix(names[i], ".safetensors");
        if (!str_has_suffix(names[i], ".gguf") || is_later_part(names[i])) continue;
        s.gguf = names[i];
        if (s.n_gguf++ < NAMED_FILES) buf_printf(gguf_names, "%s%.100s", s.n_gguf > 1 ? ", " : "", names[i]);
    }
    return s;
}

/* The folder itself (a snapshot, or `model` as it was given) or its only .gguf file; takes `folder`. A folder without a
 * config.json and without .gguf files is left to the caller, which may want its tokenizer only. */
static char *choose_in(struct ctx *c, const char *model, char *folder)
{
    char **names = NULL, *path = NULL;
    size_t n = 0;
    struct buf list;
    buf_init(&list, c, CTX_MESSAGE_BYTES);
    if (dir_list(c, folder, &names, &n) == OK) {
        struct snapshot s = look_into(names, n, &list);
        bool given = strcmp(model, folder) == 0;
        if (s.safetensors || s.n_gguf == 0)
            path = mem_strdup(c, folder);
        else if (s.n_gguf == 1)
            path = path_join(c, folder, s.gguf);
        else
            ctx_fail(c, E_INPUT, "%s: %s holds %zu .gguf files (%s); name one: -m %s/FILE.gguf", model,
                     given ? "the folder" : "its snapshot", s.n_gguf, buf_str(&list), folder);
        if (path && s.config && !s.safetensors && s.n_gguf == 0 && !given)
            ctx_log(c, LOG_WARN, "%s: the snapshot in the cache holds no weights; to fetch them: hf download %s", model,
                    model);
    }
    dir_list_free(c, names, n);
    buf_release(&list);
    mem_free(c, folder);
    return path;
}

/* ---- resolving ------------------------------------------------------------------------------------------------------- */

/* Says what is missing and the command that would fetch it. */
static enum status fail_absent(struct ctx *c, const char *model, size_t id, const char *revision, const char *cache)
{
    bool main = strcmp(revision, "main") == 0;
    if (str_has_suffix(model, ".gguf") || str_has_suffix(model, ".safetensors") || str_has_suffix(model, ".json"))
        return ctx_fail(c, E_INPUT, "%s: there is no such file",
                        model); /* a file's name, which only looks like owner/name */
    return ctx_fail(
        c, E_INPUT,
        "%s: there is no such file or folder, and the Hugging Face cache %s does not have it. Nothing is fetched "
        "here; this would: hf download %.*s%s%s",
        model, cache, (int)id, model, main ? "" : " --revision ", main ? "" : revision);
}

char *hub_cache_resolve(struct ctx *c, const char *model)
{
    size_t id = id_length(model, strlen(model));
    const char *revision = revision_of(model, id);
    if (dir_exists(model)) {
        char *given = mem_strdup(c, model);
        return given ? choose_in(c, model, given) : NULL;
    }
    if (file_exists(model) || !revision) return mem_strdup(c, model);
    char *cache = cache_folder(c), *repository = cache ? repository_folder(c, cache, model, id) : NULL;
    char *folder = repository ? snapshot_folder(c, repository, revision) : NULL, *path = NULL;
    if (folder)
        path = choose_in(c, model, folder);
    else if (ctx_ok(c))
        fail_absent(c, model, id, revision, cache);
    if (path) ctx_log(c, LOG_INFO, "%s: %s", model, path);
    mem_free(c, repository);
    mem_free(c, cache);
    return path;
}

/* "models--owner--name" is found in front of the last "/snapshots/"; neither part has "--" in it. */
char *hub_cache_id_of(struct ctx *c, const char *path)
{
    static const char prefix[] = "models--";
    const char *end = strstr(path, "/snapshots/"), *start = end;
    if (!end) return NULL;
    while (start > path && start[-1] != '/') start--;
    if (strncmp(start, prefix, sizeof prefix - 1) != 0) return NULL;
    const char *owner = start + sizeof prefix - 1, *between = strstr(owner, "--");
    if (!between || between >= end) return NULL;
    char *id = mem_printf(c, "%.*s/%.*s", (int)(between - owner), owner, (int)(end - between - 2), between + 2);
    if (id && hub_cache_is_id(id, strlen(id))) return id;
    mem_free(c, id);
    return NULL;
}
