/* safetensors_index: see the header. Read with the pull scanner like the headers of the files, so that memory follows the
 * text: a name costs its bytes and sixteen more. */
#include "io/safetensors_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum { INDEX_CAP_BYTES = 100000000 };

static int by_entry_name(const void *a, const void *b)
{
    return strcmp(((const struct safetensors_index_entry *)a)->name, ((const struct safetensors_index_entry *)b)->name);
}

/* A copy of the scanner's current string in the pool. */
static const char *index_string(struct safetensors_index *x)
{
    char *copy = x->pool + x->pool_used;
    size_t n = x->scan.string_bytes;
    if (memchr(x->scan.string, 0, n)) {
        json_scan_fail(&x->scan, "a name holds U+0000");
        return NULL;
    }
    memcpy(copy, x->scan.string, n); /* fits: each string's quotes are in the text that the pool is as long as */
    copy[n] = 0;
    x->pool_used += n + 1;
    return copy;
}

/* A plain file name that cannot leave the model's folder. */
static bool shard_name_ok(const char *name)
{
    size_t n = strlen(name), n_suffix = strlen(".safetensors");
    return n > n_suffix && strcmp(name + n - n_suffix, ".safetensors") == 0 && name[0] != '.' && !strpbrk(name, "/\\");
}

/* The file name behind a tensor's name; each file gets a number when it first appears. */
static bool read_index_file(struct safetensors_index *x, uint32_t *shard)
{
    uint64_t id;
    if (json_scan_next(&x->scan) != SCAN_STRING) return json_scan_fail(&x->scan, "shard name is not a string");
    if (map_get(x->ids, x->scan.string, x->scan.string_bytes, &id)) {
        *shard = (uint32_t)id;
        return true;
    }
    const char *file = index_string(x);
    if (!file) return false;
    if (!shard_name_ok(file)) {
        json_scan_fail(&x->scan, "shard name \"%s\" is not a plain *.safetensors file name", file);
        return false;
    }
    if (x->n_files == SAFETENSORS_SHARD_CAP) return json_scan_fail(&x->scan, "more than %d shards", SAFETENSORS_SHARD_CAP);
    *shard = (uint32_t)x->n_files;
    x->files[x->n_files++] = file;
    return map_put(x->ids, file, strlen(file), *shard, NULL) == OK;
}

/* Space for one more entry; the list doubles (the count is bounded by the file's cap). */
static bool safetensors_index_grow(struct safetensors_index *x)
{
    if (x->n_entries < x->room) return true;
    size_t wanted = x->room ? 2 * x->room : 256;
    struct safetensors_index_entry *grown = mem_resize(x->c, x->entries, x->room, wanted, sizeof *grown);
    if (!grown) return false;
    x->entries = grown;
    x->room = wanted;
    return true;
}

/* "weight_map": {tensor name: file name}. */
static bool read_weight_map(struct safetensors_index *x)
{
    enum json_token t;
    if (x->has_map) return json_scan_fail(&x->scan, "duplicate key \"weight_map\"");
    x->has_map = true;
    if (json_scan_next(&x->scan) != SCAN_OBJECT) return json_scan_fail(&x->scan, "weight_map is not an object");
    while ((t = json_scan_next(&x->scan)) == SCAN_KEY) {
        if (!safetensors_index_grow(x)) return false;
        struct safetensors_index_entry *e = &x->entries[x->n_entries++];
        e->name = index_string(x);
        if (!e->name || !read_index_file(x, &e->shard)) return false;
    }
    return t == SCAN_OBJECT_END;
}

/* Members other than weight_map (metadata with a total size) are skipped: nothing here needs to believe them. */
static bool read_index(struct safetensors_index *x)
{
    enum json_token t = json_scan_next(&x->scan);
    if (t != SCAN_OBJECT) return json_scan_fail(&x->scan, "the index is not an object");
    while ((t = json_scan_next(&x->scan)) == SCAN_KEY) {
        bool ok =
            json_scan_is(&x->scan, "weight_map") ? read_weight_map(x) : json_scan_skip(&x->scan, json_scan_next(&x->scan));
        if (!ok) return false;
    }
    if (t != SCAN_OBJECT_END || json_scan_next(&x->scan) != SCAN_END) return false;
    return x->has_map || json_scan_fail(&x->scan, "weight_map is missing");
}

/* By name, as the set's own list is, so that the two can be compared in one pass; a name twice is refused. */
static enum status sort_entries(struct safetensors_index *x)
{
    if (x->n_entries == 0) return OK;
    qsort(x->entries, x->n_entries, sizeof *x->entries, by_entry_name);
    for (size_t i = 1; i < x->n_entries; i++) {
        if (by_entry_name(&x->entries[i - 1], &x->entries[i]) != 0) continue;
        return ctx_fail(x->c, E_INPUT, "%s: duplicate tensor \"%s\" in weight_map", x->path, x->entries[i].name);
    }
    return OK;
}

enum status safetensors_index_read(struct safetensors_index *x, struct ctx *c, const char *dir, const char *path)
{
    size_t n = 0;
    *x = (struct safetensors_index){.c = c, .dir = dir, .path = path};
    x->text = file_read(c, path, INDEX_CAP_BYTES, &n);
    json_scan_init(&x->scan, c, path, x->text, n);
    x->pool = mem_alloc(c, n + 1, 1);
    x->files = mem_alloc(c, SAFETENSORS_SHARD_CAP, sizeof *x->files);
    x->ids = map_new(c, 16);
    if (!ctx_ok(c) || !read_index(x)) return c->status;
    return sort_entries(x);
}

void safetensors_index_release(struct safetensors_index *x)
{
    json_scan_release(&x->scan);
    map_free(x->ids);
    mem_free(x->c, x->entries);
    mem_free(x->c, x->files);
    mem_free(x->c, x->pool);
    mem_free(x->c, x->text);
}
