/* peft_base: whether an adapter and a model belong together.
 *
 * An adapter is a difference to exact weights. On others it still loads when the shapes agree, as for the base and the
 * instruction-tuned variant of one model, and the text that comes out is wrong without a sign of it. What the weights were
 * is on record in two places that this program writes: the card of a published adapter, and data_manifest.json of the run
 * that a checkpoint lies in. Adapters of other programs have a name only. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash_cache.h"
#include "base/mem.h"
#include "export/peft.h"
#include "io/json.h"
#include "model/model_norms.h"
#include "io/hub_cache.h"

enum { TEXT_MAX_BYTES = 4 << 20, RECORDS_MAX = 1024, NAME_BYTES = 256, HEX_DIGITS = 64 };
static const uint64_t quick_bytes = (uint64_t)4 << 30;

/* One weight file that an adapter was trained on. */
struct peft_base_record {
    char name[NAME_BYTES];
    uint64_t bytes;
    char sha256[HEX_DIGITS + 1];
    bool found; /* among the files of the model */
};

struct peft_base_records {
    struct ctx *c;
    struct peft_base_record *items; /* owned: RECORDS_MAX */
    size_t n;
    char *from;                    /* owned: the file that they were read from */
    char norms[MODEL_NORMS_BYTES]; /* the fingerprint of norm gains on record; "": none */
    bool same_model, other_model;  /* it is the model's, or another one */
};

/* ---- what is on record ----------------------------------------------------------------------------------------------- */

static bool is_sha256(const char *s)
{
    return strspn(s, "0123456789abcdef") >= HEX_DIGITS;
}

static void add_record(struct peft_base_records *r, const char *name, size_t name_bytes, uint64_t bytes, const char *sha256)
{
    if (r->n == RECORDS_MAX || !is_sha256(sha256)) return;
    struct peft_base_record *to = &r->items[r->n++];
    memcpy(to->name, name, name_bytes < NAME_BYTES ? name_bytes : NAME_BYTES - 1);
    to->bytes = bytes;
    memcpy(to->sha256, sha256, HEX_DIGITS);
}

/* The fingerprint at the start of a text, unless it is none. */
static void take_norms(struct peft_base_records *r, const char *text, char end)
{
    char norms[MODEL_NORMS_BYTES] = "";
    if (strnlen(text, MODEL_NORMS_BYTES) < MODEL_NORMS_BYTES - 1 || text[MODEL_NORMS_BYTES - 1] != end) return;
    memcpy(norms, text, MODEL_NORMS_BYTES - 1);
    if (model_norms_is(norms)) memcpy(r->norms, norms, MODEL_NORMS_BYTES);
}

/* Rows "| `name` | bytes | `sha256` |" as peft_write_card writes them; anything else in the text is passed over. */
static void read_card(struct peft_base_records *r, const char *text)
{
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, PEFT_NORMS_START, strlen(PEFT_NORMS_START)) == 0)
            take_norms(r, line + strlen(PEFT_NORMS_START), '`');
        const char *name = strncmp(line, "| `", 3) == 0 ? line + 3 : NULL, *end = name ? strchr(name, '`') : NULL;
        if (!end || strncmp(end, "` | ", 4) != 0) continue;
        char *after;
        unsigned long long bytes = strtoull(end + 4, &after, 10);
        if (strncmp(after, " | `", 4) == 0) add_record(r, name, (size_t)(end - name), bytes, after + 4);
    }
}

static bool is_weights_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcmp(dot, ".safetensors") == 0 || strcmp(dot, ".gguf") == 0);
}

/* Entries of kind "model" that are weights: a folder's manifest names its other files too. */
static void read_manifest(struct peft_base_records *r, const char *path)
{
    json_t *doc = json_parse_file(r->c, path, TEXT_MAX_BYTES), *item;
    size_t i;
    json_array_foreach(doc, i, item)
    {
        const char *kind = json_string_value(json_object_get(item, "kind"));
        const char *name = json_string_value(json_object_get(item, "path"));
        const char *sha256 = json_string_value(json_object_get(item, "sha256"));
        if (!kind || !name || !sha256 || strcmp(kind, "model") != 0 || !is_weights_name(name)) continue;
        const char *slash = strrchr(name, '/');
        name = slash ? slash + 1 : name;
        add_record(r, name, strlen(name), (uint64_t)json_integer_value(json_object_get(item, "bytes")), sha256);
    }
    json_decref(doc);
}

/* environment.json of a run has the fingerprint that no line of its manifest has. */
static void peft_base_read_environment(struct peft_base_records *r, const char *dir, const char *name)
{
    char *path = path_join(r->c, dir, name);
    json_t *doc = path && file_exists(path) ? json_parse_file(r->c, path, TEXT_MAX_BYTES) : NULL;
    const char *norms = json_string_value(json_object_get(doc, "norms"));
    if (norms) take_norms(r, norms, '\0');
    json_decref(doc);
    mem_free(r->c, path);
    if (r->c->status == E_INPUT || r->c->status == E_IO) ctx_clear(r->c);
}

/* Reads one place; true when it has records. What cannot be read there is no record, and no error of the adapter. */
static bool read_place(struct peft_base_records *r, const char *dir, const char *name, bool card)
{
    size_t n;
    r->from = path_join(r->c, dir, name);
    if (r->from && file_exists(r->from)) {
        char *text = card ? file_read(r->c, r->from, TEXT_MAX_BYTES, &n) : NULL;
        if (text) read_card(r, text);
        if (!card) read_manifest(r, r->from);
        mem_free(r->c, text);
    }
    if (r->n > 0 && ctx_ok(r->c)) return true;
    if (r->c->status == E_INPUT || r->c->status == E_IO) ctx_clear(r->c);
    mem_free(r->c, r->from);
    r->from = NULL;
    r->n = 0;
    r->norms[0] = '\0';
    return false;
}

static bool read_records(struct peft_base_records *r, const char *dir)
{
    static const char *const runs[][2] = {{"../data_manifest.json", "../environment.json"},
                                          {"../../data_manifest.json", "../../environment.json"}};
    if (read_place(r, dir, "README.md", true)) return true;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        if (!read_place(r, dir, runs[i][0], false)) continue;
        peft_base_read_environment(r, dir, runs[i][1]);
        return ctx_ok(r->c);
    }
    return false;
}

/* ---- comparison ------------------------------------------------------------------------------------------------------ */

/* The record that a file of the model is, marked as found; NULL when it is none. `sha256` NULL: the size alone decides. */
static struct peft_base_record *find_record(struct peft_base_records *r, uint64_t bytes, const char *sha256)
{
    for (size_t i = 0; i < r->n; i++) {
        struct peft_base_record *k = &r->items[i];
        if (k->found || k->bytes != bytes || (sha256 && strcmp(k->sha256, sha256) != 0)) continue;
        k->found = true;
        return k;
    }
    return NULL;
}

static const struct peft_base_record *first_missing(const struct peft_base_records *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (!r->items[i].found) return &r->items[i];
    return NULL;
}

/* Marks the records that the files are; names do not matter, so a renamed file is the same one. */
static enum status match_files(struct peft_base_records *r, char *const *paths, size_t n, bool by_hash, uint64_t *total)
{
    for (size_t i = 0; i < r->n; i++) r->items[i].found = false;
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        char hex[HEX_DIGITS + 1];
        uint64_t bytes = stat(paths[i], &st) == 0 ? (uint64_t)st.st_size : 0;
        if (by_hash) TRY(hash_cache_sha256(r->c, paths[i], hex, &bytes));
        find_record(r, bytes, by_hash ? hex : NULL);
        *total += bytes;
    }
    return OK;
}

/* By sizes first, which cost nothing; only when every recorded size is there are the files hashed, which reads them whole.
 */
static enum status compare_records(struct peft_base_records *r, const struct model *m, const char *dir, bool thorough)
{
    char **paths = NULL;
    size_t n = 0;
    uint64_t total = 0;
    TRY(peft_weight_files(m, &paths, &n));
    enum status status = match_files(r, paths, n, false, &total);
    if (status == OK && !first_missing(r) && (thorough || total <= quick_bytes))
        status = match_files(r, paths, n, true, &total);
    dir_list_free(r->c, paths, n);
    const struct peft_base_record *missing = first_missing(r);
    if (status != OK || !missing) return status;
    const unsigned long long bytes = missing->bytes;
    if (r->same_model)
        ctx_log(
            r->c, LOG_INFO,
            "the adapter %s was trained on another form of this model: %s lists %s with %llu bytes and SHA-256 %.12s..., "
            "and the norm gains of %s are the same. It fits, though a little less well than on the form it was trained on",
            dir, r->from, missing->name, bytes, missing->sha256, m->path);
    else
        ctx_log(r->c, LOG_WARN,
                "the adapter %s was trained on other weights than those of %s: %s lists %s with %llu bytes and SHA-256 "
                "%.12s..., and the model has no such file. Unless it is another form of the same model, the result will be "
                "wrong",
                dir, m->path, r->from, missing->name, bytes, missing->sha256);
    return OK;
}

/* Sets r->same_model. E_INPUT for another model, unless forced. */
static enum status compare_norms(struct peft_base_records *r, struct model *m, const char *dir, bool force)
{
    char norms[MODEL_NORMS_BYTES];
    if (!*r->norms) return OK;
    TRY(model_norms_print(m, norms));
    if (!*norms) return OK;
    r->same_model = model_norms_match(norms, r->norms);
    r->other_model = !r->same_model;
    if (r->same_model) return OK;
    if (!force)
        return ctx_fail(
            r->c, E_INPUT,
            "the adapter %s was made for another model than %s: %s records other gains of its norms, which every "
            "form of one model shares. Text from it would be wrong without a sign. Give the model that it was "
            "trained on, or --force-adapter",
            dir, m->path, r->from);
    ctx_log(r->c, LOG_WARN,
            "the adapter %s was made for another model than %s (the gains of its norms differ), and is used because of "
            "--force-adapter: the result will most likely be wrong",
            dir, m->path);
    return OK;
}

/* Adapters without a record: hub ids that differ name different models; paths say nothing, as models are moved. */
static enum status peft_base_compare_names(const struct model *m, const char *dir)
{
    struct ctx *c = m->c;
    char *path = path_join(c, dir, "adapter_config.json");
    json_t *doc = path && file_exists(path) ? json_parse_file(c, path, TEXT_MAX_BYTES) : NULL; /* a .gguf adapter has none */
    const char *name = json_string_value(json_object_get(doc, "base_model_name_or_path"));
    if (!name) name = json_string_value(json_object_get(doc, "model")); /* mlx-lm's */
    if (name && hub_cache_is_id(name, strlen(name)) && hub_cache_is_id(m->name, strlen(m->name)) &&
        strcasecmp(name, m->name) != 0)
        ctx_log(
            c, LOG_WARN,
            "the adapter %s was trained on %s by its adapter_config.json, but %s calls itself %s. Unless they have the same "
            "weights, the result will be wrong",
            dir, name, m->path, m->name);
    json_decref(doc);
    mem_free(c, path);
    return c->status;
}

enum status peft_check_base(struct model *m, const char *dir, bool thorough, bool force)
{
    struct peft_base_records r = {.c = m->c};
    r.items = mem_alloc(m->c, RECORDS_MAX, sizeof *r.items);
    if (!r.items) return m->c->status;
    if (!read_records(&r, dir)) {
        if (ctx_ok(m->c)) peft_base_compare_names(m, dir);
    } else if (compare_norms(&r, m, dir, force) == OK && !r.other_model) {
        compare_records(&r, m, dir, thorough);
    }
    mem_free(m->c, r.from);
    mem_free(m->c, r.items);
    return m->c->status;
}

enum status peft_check_start(void *user, const struct trainer *t)
{
    (void)user;
    if (!t->config.start) return OK;
    TRY(peft_check_base(t->model, t->config.start, true, t->config.force_start));
    return peft_check_tokenizer(t->c, t->tokenizer, t->config.start);
}
