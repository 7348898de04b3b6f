/* safetensors: reader of one file or a sharded set.
 *
 * The header is read with the pull scanner, straight into the list of views: no JSON tree, because a header may have a
 * million entries and the tree would be tens of times its size. Names are copied into one pool a file, as long as the
 * header. Order, duplicates and layout are checked by sorting: by name (equal neighbours are duplicates), by offset (each
 * tensor must start where the one before ended), and by name again for binary search, so no hash table is needed and the
 * order of the file does not matter. A list that is already sorted, as writers leave it, is not sorted again.
 *
 * Format: the header's length in 8 bytes (little-endian), the header, the data. The header is one JSON object,
 *
 *   {"__metadata__": {"format": "pt"},
 *    "model.norm.weight": {"dtype": "BF16", "shape": [576], "data_offsets": [0, 1152]}, ...}
 *
 * with offsets from the start of the data. Rules beyond the reference reader's are in docs/io.md. */
#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "base/mem.h"
#include "io/json_scan.h"
#include "io/lfs_pointer.h"
#include "io/model_folder.h"
#include "io/safetensors_index.h"

enum { HEADER_CAP_BYTES = 100000000 };

/* One tensor, and the file that holds it. */
struct safetensors_item {
    struct tensor_view view;
    uint32_t shard;
};

struct safetensors_pair {
    const char *key, *value; /* in the shard's pool */
};

/* One file of the set. */
struct shard {
    struct file_map *map;
    char *pool; /* owned: NUL-terminated names and metadata; never longer than the header: quotes there are NULs here */
    size_t pool_bytes, pool_used;
    struct safetensors_pair *metadata; /* sorted by key */
    size_t n_metadata, room;
};

struct safetensors {
    struct ctx *c;
    struct shard *shards; /* fixed length: views of the shards are taken while parsing */
    size_t n_shards;
    size_t first;                   /* the shard whose file name sorts first: its metadata speaks for the set */
    struct safetensors_item *items; /* sorted by name once open */
    size_t n_items, room;
};

/* What one file's header parse carries along. */
struct header {
    struct safetensors *s;
    struct shard *shard;
    struct json_scan scan;
    const uint8_t *data; /* first byte after the header */
    size_t data_bytes;
    bool has_metadata;
};

/* ---- sorting ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct safetensors_item *)a)->view.name, ((const struct safetensors_item *)b)->view.name);
}

/* By start, empty tensors before the one that starts at the same place. */
static int by_offset(const void *a, const void *b)
{
    const struct tensor_view *x = &((const struct safetensors_item *)a)->view,
                             *y = &((const struct safetensors_item *)b)->view;
    if (x->data != y->data) return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int safetensors_by_key(const void *a, const void *b)
{
    return strcmp(((const struct safetensors_pair *)a)->key, ((const struct safetensors_pair *)b)->key);
}

/* Sorts unless the list is in order already. */
static void sort(void *items, size_t n, size_t size, int (*compare)(const void *, const void *))
{
    const char *p = items;
    for (size_t i = 1; i < n; i++) {
        if (compare(p + (i - 1) * size, p + i * size) <= 0) continue;
        qsort(items, n, size, compare);
        return;
    }
}

/* ---- header ---- */

/* The list with space for one more element: it doubles when it is full. NULL on failure. */
static void *safetensors_grow(struct ctx *c, void *list, size_t n, size_t *room, size_t size)
{
    if (n < *room) return list;
    size_t wanted = *room ? *room * 2 : 16; /* n is bounded by the header cap: no overflow */
    void *grown = mem_resize(c, list, *room, wanted, size);
    if (grown) *room = wanted;
    return grown;
}

/* The scanner's last string as a C string in the pool. A NUL inside would let two readers see two names: refused. */
static const char *pool_string(struct header *h)
{
    struct shard *sh = h->shard;
    size_t n = h->scan.string_bytes;
    if (memchr(h->scan.string, 0, n)) {
        json_scan_fail(&h->scan, "a name or metadata string holds U+0000");
        return NULL;
    }
    BUG_ON(h->s->c, n >= sh->pool_bytes - sh->pool_used, "name pool of %zu bytes is full", sh->pool_bytes);
    char *copy = sh->pool + sh->pool_used;
    memcpy(copy, h->scan.string, n);
    copy[n] = 0;
    sh->pool_used += n + 1;
    return copy;
}

/* Two values for one key would let two readers see two files. */
static bool refuse_duplicate_metadata(struct header *h)
{
    struct shard *sh = h->shard;
    sort(sh->metadata, sh->n_metadata, sizeof *sh->metadata, safetensors_by_key);
    for (size_t i = 1; i < sh->n_metadata; i++) {
        if (safetensors_by_key(&sh->metadata[i - 1], &sh->metadata[i]) != 0) continue;
        json_scan_fail(&h->scan, "duplicate metadata key \"%s\"", sh->metadata[i].key);
        return false;
    }
    return true;
}

/* One member of "__metadata__". */
static bool read_metadata_pair(struct header *h)
{
    struct shard *sh = h->shard;
    struct safetensors_pair *grown = safetensors_grow(h->s->c, sh->metadata, sh->n_metadata, &sh->room, sizeof *grown);
    if (!grown) return false;
    sh->metadata = grown;
    struct safetensors_pair pair = {.key = pool_string(h)};
    if (!pair.key) return false;
    enum json_token t = json_scan_next(&h->scan);
    if (t != SCAN_STRING) return json_scan_fail(&h->scan, "metadata \"%s\" is not a string", pair.key);
    pair.value = pool_string(h);
    sh->metadata[sh->n_metadata++] = pair;
    return pair.value != NULL;
}

/* "__metadata__": an object of strings, or null (some writers leave it so). */
static bool safetensors_read_metadata(struct header *h)
{
    if (h->has_metadata) return json_scan_fail(&h->scan, "duplicate key \"__metadata__\"");
    h->has_metadata = true;
    enum json_token t = json_scan_next(&h->scan);
    if (t == SCAN_NULL) return true;
    if (t != SCAN_OBJECT) return json_scan_fail(&h->scan, "\"__metadata__\" is not an object");
    while ((t = json_scan_next(&h->scan)) == SCAN_KEY) {
        if (!read_metadata_pair(h)) return false;
    }
    return t == SCAN_OBJECT_END && refuse_duplicate_metadata(h);
}

/* A list of at most max non-negative integers ("1.0", "1e3" and "-0" are not integers here). *n is their count. */
static bool read_sizes(struct header *h, const char *name, const char *field, int max, int64_t *out, int *n)
{
    *n = 0;
    if (json_scan_next(&h->scan) != SCAN_ARRAY) {
        return json_scan_fail(&h->scan, "tensor \"%s\": %s is not a list", name, field);
    }
    for (;;) {
        enum json_token t = json_scan_next(&h->scan);
        if (t == SCAN_ARRAY_END) return true;
        int64_t v;
        if (t != SCAN_INTEGER || h->scan.string[0] == '-' || !json_scan_i64(&h->scan, &v)) {
            json_scan_fail(&h->scan, "tensor \"%s\": %s holds something else than integers in [0, 2^63)", name, field);
            return false;
        }
        if (*n == max) {
            json_scan_fail(&h->scan, "tensor \"%s\": %s has more than %d entries", name, field, max);
            return false;
        }
        out[(*n)++] = v;
    }
}

/* "dtype": one of the names of the format, which are those of tensor types without blocks. */
static bool safetensors_read_type(struct header *h, struct tensor_view *view)
{
    if (json_scan_next(&h->scan) != SCAN_STRING) {
        return json_scan_fail(&h->scan, "tensor \"%s\": dtype is not a string", view->name);
    }
    for (int type = 0; type < TENSOR_TYPE_COUNT; type++) {
        const struct tensor_type_info *info = tensor_type_info((enum tensor_type)type);
        if (info->block != 1 || !json_scan_is(&h->scan, info->name)) continue;
        view->type = (enum tensor_type)type;
        return true;
    }
    int n = h->scan.string_bytes < 40 ? (int)h->scan.string_bytes : 40;
    ctx_fail(h->s->c, E_UNSUPPORTED, "%s: tensor \"%s\": dtype \"%.*s\" is not supported", h->scan.what, view->name, n,
             h->scan.string);
    return false;
}

enum { SEEN_TYPE = 1, SEEN_SHAPE = 2, SEEN_OFFSETS = 4, SEEN_ALL = 7 };

/* One member of an entry; *seen collects which. */
static bool read_entry_field(struct header *h, struct tensor_view *view, int64_t offsets[2], int *seen)
{
    int n, field = json_scan_is(&h->scan, "dtype")          ? SEEN_TYPE
                   : json_scan_is(&h->scan, "shape")        ? SEEN_SHAPE
                   : json_scan_is(&h->scan, "data_offsets") ? SEEN_OFFSETS
                                                            : 0;
    if (!field) return json_scan_fail(&h->scan, "tensor \"%s\": unknown field", view->name);
    if (*seen & field) return json_scan_fail(&h->scan, "tensor \"%s\": duplicate field", view->name);
    *seen |= field;
    if (field == SEEN_TYPE) return safetensors_read_type(h, view);
    if (field == SEEN_SHAPE) return read_sizes(h, view->name, "shape", TENSOR_MAX_DIMS, view->shape, &view->ndim);
    if (!read_sizes(h, view->name, "data_offsets", 2, offsets, &n)) return false;
    return n == 2 || json_scan_fail(&h->scan, "tensor \"%s\": data_offsets needs two entries", view->name);
}

/* Checks the entry against itself and the file, and points the view at its bytes. */
static bool safetensors_place(struct header *h, struct tensor_view *view, const int64_t offsets[2])
{
    size_t begin = (size_t)offsets[0], end = (size_t)offsets[1];
    if (begin > end || end > h->data_bytes) {
        json_scan_fail(&h->scan, "tensor \"%s\": data_offsets [%zu, %zu] outside the %zu data bytes of the file", view->name,
                       begin, end, h->data_bytes);
        return false;
    }
    if (!tensor_bytes(view->type, view->ndim, view->shape, &view->bytes)) {
        return json_scan_fail(&h->scan, "tensor \"%s\": shape is too large", view->name);
    }
    if (view->bytes != end - begin) {
        json_scan_fail(&h->scan, "tensor \"%s\": shape and dtype need %zu bytes, data_offsets give %zu", view->name,
                       view->bytes, end - begin);
        return false;
    }
    view->data = h->data + begin;
    return true;
}

/* One tensor's entry, checked and appended to the list. */
static bool safetensors_read_entry(struct header *h)
{
    struct safetensors *s = h->s;
    struct safetensors_item item = {.shard = (uint32_t)(h->shard - s->shards)};
    int64_t offsets[2] = {0, 0};
    int seen = 0;
    item.view.name = pool_string(h);
    if (!item.view.name) return false;
    enum json_token t = json_scan_next(&h->scan);
    if (t != SCAN_OBJECT) return json_scan_fail(&h->scan, "tensor \"%s\" is not an object", item.view.name);
    while ((t = json_scan_next(&h->scan)) == SCAN_KEY) {
        if (!read_entry_field(h, &item.view, offsets, &seen)) return false;
    }
    if (t == SCAN_FAILED) return false;
    if (seen != SEEN_ALL) {
        json_scan_fail(&h->scan, "tensor \"%s\": %s is missing", item.view.name,
                       !(seen & SEEN_TYPE)    ? "dtype"
                       : !(seen & SEEN_SHAPE) ? "shape"
                                              : "data_offsets");
        return false;
    }
    if (!safetensors_place(h, &item.view, offsets)) return false;
    struct safetensors_item *grown = safetensors_grow(s->c, s->items, s->n_items, &s->room, sizeof *grown);
    if (!grown) return false;
    s->items = grown;
    s->items[s->n_items++] = item;
    return true;
}

/* The whole JSON object, and nothing behind it but the padding that the scanner skips. */
static bool read_header(struct header *h)
{
    enum json_token t = json_scan_next(&h->scan);
    if (t != SCAN_OBJECT) return json_scan_fail(&h->scan, "the header is not an object");
    while ((t = json_scan_next(&h->scan)) == SCAN_KEY) {
        if (!(json_scan_is(&h->scan, "__metadata__") ? safetensors_read_metadata(h) : safetensors_read_entry(h)))
            return false;
    }
    return t == SCAN_OBJECT_END && json_scan_next(&h->scan) == SCAN_END;
}

/* ---- layout ---- */

static const char *shard_path(const struct safetensors *s, size_t shard)
{
    return file_map_path(s->shards[shard].map);
}

/* Sorts items from `from` on by name: equal neighbours are duplicates. */
static enum status refuse_duplicates(struct safetensors *s, size_t from)
{
    if (s->n_items == from) return OK; /* and s->items may be NULL */
    sort(s->items + from, s->n_items - from, sizeof *s->items, by_name);
    for (size_t i = from + 1; i < s->n_items; i++) {
        if (by_name(&s->items[i - 1], &s->items[i]) != 0) continue;
        const char *a = shard_path(s, s->items[i - 1].shard), *b = shard_path(s, s->items[i].shard);
        return ctx_fail(s->c, E_INPUT, "%s: duplicate tensor \"%s\"%s%s", a, s->items[i].view.name,
                        a == b ? "" : ", also in ", a == b ? "" : b);
    }
    return OK;
}

/* Tensors of one file, from item `from` on, must cover its data without holes or overlap. */
static enum status check_layout(struct safetensors *s, size_t from, const uint8_t *data, size_t data_bytes)
{
    const char *path = shard_path(s, s->n_shards - 1);
    size_t at = 0;
    if (s->n_items > from) sort(s->items + from, s->n_items - from, sizeof *s->items, by_offset);
    for (size_t i = from; i < s->n_items; i++) {
        const struct tensor_view *v = &s->items[i].view;
        size_t begin = (size_t)((const uint8_t *)v->data - data);
        if (begin != at) {
            return ctx_fail(s->c, E_INPUT, "%s: tensor \"%s\" starts at data byte %zu, expected %zu: %s", path, v->name,
                            begin, at, begin > at ? "a hole before it" : "it overlaps the one before");
        }
        at += v->bytes;
    }
    if (at == data_bytes) return OK;
    return ctx_fail(s->c, E_INPUT, "%s: %zu bytes after the last tensor (data ends at %zu of %zu)", path, data_bytes - at,
                    at, data_bytes);
}

/* The length field and what can be told from it; *n is the header's length. */
static enum status header_length(struct ctx *c, const struct file_map *map, size_t *n)
{
    const uint8_t *p = file_map_data(map);
    size_t size = file_map_size(map);
    const char *path = file_map_path(map);
    if (size < 8) return ctx_fail(c, E_INPUT, "%s: %zu bytes is too short for a safetensors file", path, size);
    if (lfs_pointer_refuse(c, path, p, size)) return c->status;
    uint64_t v = le_u64(p);
    if (v > HEADER_CAP_BYTES) {
        return ctx_fail(c, E_INPUT, "%s: header length %llu is over %d: not a safetensors file, or corrupt", path,
                        (unsigned long long)v, HEADER_CAP_BYTES);
    }
    if (v > size - 8) {
        return ctx_fail(c, E_INPUT, "%s: header of %llu bytes does not fit in the file of %zu (truncated?)", path,
                        (unsigned long long)v, size);
    }
    if (v < 2 || p[8] != '{') return ctx_fail(c, E_INPUT, "%s: offset 8: the header does not start with '{'", path);
    *n = (size_t)v;
    return OK;
}

/* Reads one file into the next shard slot. */
static enum status safetensors_add_file(struct safetensors *s, const char *path)
{
    struct ctx *c = s->c;
    struct shard *sh = &s->shards[s->n_shards];
    size_t from = s->n_items, n = 0;
    sh->map = file_map_open(c, path);
    if (!sh->map) return c->status;
    s->n_shards++;
    TRY(header_length(c, sh->map, &n));
    sh->pool_bytes = n;
    sh->pool = mem_alloc(c, n, 1);
    if (!sh->pool) return c->status;
    struct header h = {.s = s, .shard = sh};
    h.data = file_map_data(sh->map) + 8 + n;
    h.data_bytes = file_map_size(sh->map) - 8 - n;
    json_scan_init(&h.scan, c, path, (const char *)file_map_data(sh->map) + 8, n);
    bool ok = read_header(&h);
    json_scan_release(&h.scan);
    if (!ok) return c->status;
    TRY(refuse_duplicates(s, from));
    TRY(check_layout(s, from, h.data, h.data_bytes));
    return file_check(c, sh->map);
}

/* An empty set for n files; NULL with E_MEMORY. */
static struct safetensors *new_set(struct ctx *c, size_t n_shards)
{
    struct safetensors *s = mem_alloc(c, 1, sizeof *s);
    if (!s) return NULL;
    s->c = c;
    s->shards = mem_alloc(c, n_shards, sizeof *s->shards);
    if (s->shards) return s;
    mem_free(c, s);
    return NULL;
}

/* Frees a set that may be incomplete. */
static void close_set(struct ctx *c, struct safetensors *s)
{
    for (size_t i = 0; i < s->n_shards; i++) {
        file_map_close(s->shards[i].map);
        mem_free(c, s->shards[i].pool);
        mem_free(c, s->shards[i].metadata);
    }
    mem_free(c, s->shards);
    mem_free(c, s->items);
    mem_free(c, s);
}

void safetensors_close(struct safetensors *s)
{
    if (s) close_set(s->c, s);
}

struct safetensors *safetensors_open(struct ctx *c, const char *path)
{
    if (!ctx_ok(c)) return NULL;
    struct safetensors *s = new_set(c, 1);
    if (!s) return NULL;
    if (safetensors_add_file(s, path) == OK && refuse_duplicates(s, 0) == OK)
        return s; /* the second call sorts by name again */
    close_set(c, s);
    return NULL;
}

/* ---- sharded sets ---- */

/* The index must list every tensor of every shard under the shard that holds it, once, and nothing else. */
static enum status check_index(const struct safetensors_index *x, const struct safetensors *s)
{
    size_t i = 0;
    for (size_t k = 0; k < x->n_entries; k++, i++) {
        const struct safetensors_index_entry *e = &x->entries[k];
        int order = i < s->n_items ? strcmp(s->items[i].view.name, e->name) : 1;
        if (order < 0) break;
        if (order > 0 || s->items[i].shard != e->shard) {
            return ctx_fail(x->c, E_INPUT, "%s: tensor \"%s\" is not in %s", x->path, e->name, x->files[e->shard]);
        }
    }
    if (i == s->n_items) return OK;
    return ctx_fail(x->c, E_INPUT, "%s: tensor \"%s\" of %s is not in the index", x->path, s->items[i].view.name,
                    x->files[s->items[i].shard]);
}

/* Opens file i of the index. */
static enum status open_shard(const struct safetensors_index *x, struct safetensors *s, size_t i)
{
    char *path = path_join(x->c, x->dir, x->files[i]);
    if (!path) return x->c->status;
    if (!file_exists(path))
        ctx_fail(x->c, E_INPUT, "%s: shard %s is not in the folder", x->path, x->files[i]);
    else
        safetensors_add_file(s, path);
    mem_free(x->c, path);
    return x->c->status;
}

/* Opens every file that the index names, then holds the index against what they contain. */
static struct safetensors *open_shards(struct safetensors_index *x)
{
    struct safetensors *s = new_set(x->c, x->n_files);
    if (!s) return NULL;
    bool ok = true;
    for (size_t i = 0; i < x->n_files && ok; i++) {
        if (strcmp(x->files[i], x->files[s->first]) < 0) s->first = i;
        ok = open_shard(x, s, i) == OK;
    }
    if (ok && refuse_duplicates(s, 0) == OK && check_index(x, s) == OK) return s;
    close_set(x->c, s);
    return NULL;
}

/* A set by its index. */
static struct safetensors *open_index(struct ctx *c, const char *dir, const char *path)
{
    struct safetensors_index x;
    struct safetensors *s = safetensors_index_read(&x, c, dir, path) == OK ? open_shards(&x) : NULL;
    safetensors_index_release(&x);
    return s;
}

/* An index counts before a single file, as with Hugging Face. */
struct safetensors *safetensors_open_dir(struct ctx *c, const char *dir)
{
    struct safetensors *s = NULL;
    char *index = path_join(c, dir, "model.safetensors.index.json");
    char *single = path_join(c, dir, "model.safetensors");
    if (index && single) {
        if (file_exists(index))
            s = open_index(c, dir, index);
        else if (file_exists(single))
            s = safetensors_open(c, single);
        else
            model_folder_refuse_weights(c, dir);
    }
    mem_free(c, index);
    mem_free(c, single);
    return s;
}

/* ---- access ---- */

enum status safetensors_check(struct ctx *c, const struct safetensors *s)
{
    for (size_t i = 0; i < s->n_shards; i++) TRY(file_check(c, s->shards[i].map));
    return OK;
}

size_t safetensors_count(const struct safetensors *s)
{
    return s->n_items;
}

const struct tensor_view *safetensors_tensor(const struct safetensors *s, size_t i)
{
    BUG_ON(s->c, i >= s->n_items, "tensor %zu of %zu", i, s->n_items);
    return &s->items[i].view;
}

const struct tensor_view *safetensors_find(const struct safetensors *s, const char *name)
{
    struct safetensors_item key = {.view.name = name};
    const struct safetensors_item *found = s->n_items ? bsearch(&key, s->items, s->n_items, sizeof key, by_name) : NULL;
    return found ? &found->view : NULL;
}

const char *safetensors_metadata(const struct safetensors *s, const char *key)
{
    if (s->n_shards == 0) return NULL; /* an index without tensors */
    const struct shard *sh = &s->shards[s->first];
    struct safetensors_pair wanted = {.key = key};
    const struct safetensors_pair *found =
        sh->n_metadata ? bsearch(&wanted, sh->metadata, sh->n_metadata, sizeof wanted, safetensors_by_key) : NULL;
    return found ? found->value : NULL;
}

size_t safetensors_metadata_count(const struct safetensors *s)
{
    return s->n_shards ? s->shards[s->first].n_metadata : 0;
}

const char *safetensors_metadata_at(const struct safetensors *s, size_t i, const char **value)
{
    if (i >= safetensors_metadata_count(s)) return NULL;
    *value = s->shards[s->first].metadata[i].value;
    return s->shards[s->first].metadata[i].key;
}
