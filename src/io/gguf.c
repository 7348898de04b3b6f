/* gguf: one pass over the mapped header with a cursor that knows how many bytes are left (gguf.h has the layout). Every
 * count is compared with them before anything of its size is allocated or looped over, every value from the file is read
 * once into a local, and lengths are kept, so a file that changes under the mapping cannot widen a view. Errors stop the
 * cursor: later reads return zeros and callers check once. */
#include "io/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/le.h"
#include "base/map.h"
#include "base/mem.h"
#include "io/lfs_pointer.h"

enum { NAME_CAP_BYTES = 65535, KEY_CAP = 1 << 16, TENSOR_CAP = 1 << 20, ALIGNMENT_DEFAULT = 32, ALIGNMENT_CAP = 1 << 20 };
enum {
    MIN_PAIR_BYTES = 8 + 1 + 4 + 1,
    MIN_INFO_BYTES = 8 + 1 + 4 + 8 + 4 + 8,
    GGUF_MAX_DIMS = 4,
    KIND_COUNT = GGUF_F64 + 1
};

struct gguf {
    struct ctx *c;
    struct file_map *map;
    uint32_t version;
    struct gguf_value *values; /* keys owned, and data of string arrays */
    size_t n_values;
    struct map *keys;            /* key -> position in values */
    struct tensor_view *tensors; /* names owned */
    size_t n_tensors;
    struct map *names; /* name -> position in tensors */
};

/* ---- cursor ---- */

/* A place in the header. */
struct cursor {
    struct ctx *c;
    const char *path;
    const uint8_t *data;
    size_t n, at;
};

/* Bytes that are left behind the cursor. */
static size_t left(const struct cursor *r)
{
    return r->n - r->at;
}

/* Fails with the place; returns false for the caller to pass on. */
static bool gguf_refuse(struct cursor *r, const char *field, const char *why)
{
    ctx_fail(r->c, E_INPUT, "%s: offset %zu: %s: %s", r->path, r->at, field, why);
    return false;
}

/* The next n bytes, or NULL with a message when the file ends before. */
static const uint8_t *gguf_take(struct cursor *r, size_t n, const char *field)
{
    if (!ctx_ok(r->c)) return NULL;
    if (n > left(r)) {
        gguf_refuse(r, field, "the file ends inside it (truncated?)");
        return NULL;
    }
    const uint8_t *p = r->data + r->at;
    r->at += n;
    return p;
}

/* A little-endian integer of n bytes; 0 after a failure. */
static uint64_t read_uint(struct cursor *r, size_t n, const char *field)
{
    const uint8_t *p = gguf_take(r, n, field);
    return p ? le_uint(p, n) : 0;
}

/* A length and that many bytes. */
static bool gguf_read_string(struct cursor *r, const char *field, struct gguf_string *out)
{
    uint64_t n = read_uint(r, 8, field);
    if (ctx_ok(r->c) && n > left(r)) return gguf_refuse(r, field, "string length goes beyond the end of the file");
    const uint8_t *p = gguf_take(r, (size_t)n, field);
    *out = (struct gguf_string){(const char *)p, (size_t)n};
    return p != NULL;
}

/* A key or tensor name as a fresh C string: not empty, no NUL inside, not absurdly long. */
static char *gguf_read_name(struct cursor *r, const char *field)
{
    struct gguf_string s;
    if (!gguf_read_string(r, field, &s)) return NULL;
    if (s.n == 0 || s.n > NAME_CAP_BYTES) {
        gguf_refuse(r, field, s.n ? "longer than 65535 bytes" : "empty");
        return NULL;
    }
    char *name = mem_strndup(r->c, s.data, s.n);
    if (name && strlen(name) != s.n) {
        gguf_refuse(r, field, "holds a NUL byte");
        mem_free(r->c, name);
        return NULL;
    }
    return name;
}

/* ---- metadata ---- */

size_t gguf_kind_bytes(enum gguf_kind kind)
{
    static const uint8_t bytes[KIND_COUNT] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
        [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8};
    return bytes[kind];
}

/* The kind of a value, by its number in the format. */
static bool read_kind(struct cursor *r, const char *key, enum gguf_kind *out)
{
    uint64_t kind = read_uint(r, 4, key);
    if (!ctx_ok(r->c)) return false;
    if (kind >= KIND_COUNT) return gguf_refuse(r, key, "unknown value type");
    *out = (enum gguf_kind)kind;
    return true;
}

/* n items of a fixed-size kind; a bool must be 0 or 1. */
static bool read_fixed(struct cursor *r, const char *key, enum gguf_kind kind, uint64_t n, const void **data)
{
    size_t bytes;
    if (!checked_mul((size_t)n, gguf_kind_bytes(kind), &bytes)) return gguf_refuse(r, key, "array length overflows");
    const uint8_t *p = gguf_take(r, bytes, key);
    if (!p) return false;
    for (size_t i = 0; kind == GGUF_BOOL && i < bytes; i++) {
        if (p[i] > 1) return gguf_refuse(r, key, "a boolean that is neither 0 nor 1");
    }
    *data = p;
    return true;
}

/* An array of strings: each costs at least its length field, so the index is at most twice the file. */
static bool read_string_array(struct cursor *r, const char *key, uint64_t n, const void **data)
{
    if (n > left(r) / 8) return gguf_refuse(r, key, "more strings than the file has bytes for");
    struct gguf_string *index = mem_alloc(r->c, (size_t)n, sizeof *index);
    if (!index) return false;
    *data = index; /* owned from here on, also on failure */
    for (size_t i = 0; i < n; i++) {
        if (!gguf_read_string(r, key, &index[i])) return false;
    }
    return true;
}

/* An array: the kind of its items, their count, the items. */
static bool read_array(struct cursor *r, struct gguf_value *v)
{
    if (!read_kind(r, v->key, &v->item_kind)) return false;
    if (v->item_kind == GGUF_ARRAY) return gguf_refuse(r, v->key, "arrays of arrays are not supported");
    uint64_t n = read_uint(r, 8, v->key);
    if (!ctx_ok(r->c)) return false;
    v->n = n;
    if (v->item_kind == GGUF_STRING) return read_string_array(r, v->key, n, &v->data);
    return read_fixed(r, v->key, v->item_kind, n, &v->data);
}

/* A value of any kind. Its data stay where they are in the file. */
static bool gguf_read_value(struct cursor *r, struct gguf_value *v)
{
    if (!read_kind(r, v->key, &v->kind)) return false;
    v->item_kind = v->kind;
    if (v->kind == GGUF_ARRAY) return read_array(r, v);
    v->n = 1;
    if (v->kind != GGUF_STRING) return read_fixed(r, v->key, v->kind, 1, &v->data);
    struct gguf_string s;
    if (!gguf_read_string(r, v->key, &s)) return false;
    v->data = s.data;
    v->n = s.n;
    return true;
}

/* Remembers a name; a second one of the same spelling is refused. */
static bool gguf_add_name(struct cursor *r, struct map *names, const char *name, size_t position, const char *field)
{
    bool twice = false;
    if (map_put(names, name, strlen(name), position, &twice) != OK) return false;
    if (!twice) return true;
    ctx_fail(r->c, E_INPUT, "%s: offset %zu: duplicate %s \"%s\"", r->path, r->at, field, name);
    return false;
}

/* All key-value pairs. */
static bool gguf_read_metadata(struct cursor *r, struct gguf *g, uint64_t n)
{
    if (n > left(r) / MIN_PAIR_BYTES || n > KEY_CAP)
        return gguf_refuse(r, "key count", "more than the file or the limit allows");
    g->values = mem_alloc(r->c, (size_t)n, sizeof *g->values);
    g->keys = map_new(r->c, (size_t)n);
    if (!g->values || !g->keys) return false;
    while (g->n_values < n) {
        struct gguf_value *v = &g->values[g->n_values];
        v->key = gguf_read_name(r, "key");
        if (!v->key) return false;
        g->n_values++; /* from here on gguf_close frees it */
        if (!gguf_add_name(r, g->keys, v->key, g->n_values - 1, "key") || !gguf_read_value(r, v)) return false;
    }
    return true;
}

/* ---- tensors ---- */

/* Types of the format that are known by name only: the format's own reader in Python cannot widen them either. */
static const char *refused_type(uint64_t number)
{
    static const struct {
        unsigned number;
        const char *name;
    } refused[] = {{9, "Q8_1"}, {15, "Q8_K"}, {41, "Q1_0"}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (refused[i].number == number) return refused[i].name;
    return NULL;
}

/* The type of a tensor, by its number in the format (tensor_types.def). */
static bool gguf_read_type(struct cursor *r, struct tensor_view *t)
{
    uint64_t number = read_uint(r, 4, t->name);
    if (!ctx_ok(r->c)) return false;
    for (int type = 0; type < TENSOR_TYPE_COUNT; type++)
        if ((int64_t)number == tensor_type_info(type)->gguf) {
            t->type = type;
            return true;
        }
    const char *name = refused_type(number);
    if (name)
        ctx_fail(r->c, E_UNSUPPORTED,
                 "%s: tensor \"%s\" is stored as %s, which is not supported; convert the model to another type, Q8_0 or "
                 "Q4_K_M for example",
                 r->path, t->name, name);
    else
        ctx_fail(r->c, E_INPUT, "%s: offset %zu: tensor \"%s\": unknown type %llu", r->path, r->at - 4, t->name,
                 (unsigned long long)number);
    return false;
}

/* Dimensions stand fastest first in the file; ours are the other way round. */
static bool read_shape(struct cursor *r, struct tensor_view *t)
{
    uint64_t ndim = read_uint(r, 4, t->name);
    if (!ctx_ok(r->c)) return false;
    if (ndim < 1 || ndim > GGUF_MAX_DIMS) return gguf_refuse(r, t->name, "number of dimensions outside 1..4");
    t->ndim = (int)ndim;
    for (int i = t->ndim; i-- > 0;) {
        uint64_t dim = read_uint(r, 8, t->name);
        if (!ctx_ok(r->c)) return false;
        if (dim < 1 || dim > INT64_MAX) return gguf_refuse(r, t->name, "dimension outside 1..2^63-1");
        t->shape[i] = (int64_t)dim;
    }
    return true;
}

/* One tensor info; its offset stays in *offset until the start of the data is known. */
static bool read_info(struct cursor *r, struct tensor_view *t, uint64_t *offset)
{
    if (!read_shape(r, t) || !gguf_read_type(r, t)) return false;
    *offset = read_uint(r, 8, t->name);
    if (!ctx_ok(r->c)) return false;
    if (tensor_bytes(t->type, t->ndim, t->shape, &t->bytes)) return true;
    return gguf_refuse(r, t->name, "shape overflows, or its rows are not whole blocks");
}

/* All tensor infos. Offsets count from the start of the data, which is known only after the last of them. */
static bool read_infos(struct cursor *r, struct gguf *g, uint64_t n, uint64_t **offsets)
{
    if (n > left(r) / MIN_INFO_BYTES || n > TENSOR_CAP) {
        return gguf_refuse(r, "tensor count", "more than the file or the limit allows");
    }
    g->tensors = mem_alloc(r->c, (size_t)n, sizeof *g->tensors);
    g->names = map_new(r->c, (size_t)n);
    *offsets = mem_alloc(r->c, (size_t)n, sizeof **offsets);
    if (!g->tensors || !g->names || !*offsets) return false;
    while (g->n_tensors < n) {
        struct tensor_view *t = &g->tensors[g->n_tensors];
        t->name = gguf_read_name(r, "tensor name");
        if (!t->name) return false;
        g->n_tensors++;
        if (!gguf_add_name(r, g->names, t->name, g->n_tensors - 1, "tensor")) return false;
        if (!read_info(r, t, &(*offsets)[g->n_tensors - 1])) return false;
    }
    return true;
}

/* What offsets of tensors are multiples of. */
static bool read_alignment(struct cursor *r, const struct gguf *g, size_t *alignment)
{
    const struct gguf_value *v = gguf_get(g, "general.alignment");
    *alignment = ALIGNMENT_DEFAULT;
    if (!v) return true;
    if (v->kind != GGUF_U32) return gguf_refuse(r, v->key, "is not of type uint32");
    uint64_t a = le_u32(v->data);
    if (a < 8 || a > ALIGNMENT_CAP || (a & (a - 1)) != 0)
        return gguf_refuse(r, v->key, "is not a power of two in 8..1048576");
    *alignment = (size_t)a;
    return true;
}

static bool refuse_tensor(struct cursor *r, const struct tensor_view *t, uint64_t offset, const char *why)
{
    ctx_fail(r->c, E_INPUT, "%s: tensor \"%s\" (data offset %llu, %zu bytes) %s", r->path, t->name,
             (unsigned long long)offset, t->bytes, why);
    return false;
}

/* Orders tensors by where their bytes begin. */
static int gguf_by_place(const void *a, const void *b)
{
    const struct tensor_view *x = *(const struct tensor_view *const *)a, *y = *(const struct tensor_view *const *)b;
    return (x->data > y->data) - (x->data < y->data);
}

/* No tensor may begin before the one that lies before it ends (none is empty: dimensions are at least 1). */
static bool refuse_overlap(struct cursor *r, const struct gguf *g)
{
    const struct tensor_view **order = mem_alloc(r->c, g->n_tensors, sizeof *order);
    if (!order) return false;
    for (size_t i = 0; i < g->n_tensors; i++) order[i] = &g->tensors[i];
    qsort(order, g->n_tensors, sizeof *order, gguf_by_place);
    bool ok = true;
    for (size_t i = 1; i < g->n_tensors && ok; i++) {
        const uint8_t *end = (const uint8_t *)order[i - 1]->data + order[i - 1]->bytes;
        ok = (const uint8_t *)order[i]->data >= end;
        if (!ok) {
            ctx_fail(r->c, E_INPUT, "%s: tensors \"%s\" and \"%s\" overlap", r->path, order[i - 1]->name, order[i]->name);
        }
    }
    mem_free(r->c, order);
    return ok;
}

/* Points every view at its bytes, which must lie aligned inside the file. */
static bool place_tensors(struct cursor *r, struct gguf *g, const uint64_t *offsets)
{
    size_t alignment;
    if (!read_alignment(r, g, &alignment)) return false;
    size_t start = (r->at + alignment - 1) & ~(alignment - 1); /* at <= file size, which is far from SIZE_MAX */
    size_t room = start <= r->n ? r->n - start : 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct tensor_view *t = &g->tensors[i];
        if (offsets[i] % alignment != 0) return refuse_tensor(r, t, offsets[i], "is not aligned to general.alignment");
        if (offsets[i] > room || t->bytes > room - offsets[i]) {
            return refuse_tensor(r, t, offsets[i], "goes beyond the end of the file (truncated?)");
        }
        t->data = r->data + start + (size_t)offsets[i];
    }
    return refuse_overlap(r, g);
}

/* ---- opening ---- */

/* Magic and version. A version whose low half is 0 is one that was written in the other byte order. */
static bool read_version(struct cursor *r, struct gguf *g)
{
    const uint8_t *magic = gguf_take(r, 4, "magic");
    if (!magic) return false;
    if (lfs_pointer_refuse(r->c, r->path, r->data, r->n)) return false;
    if (memcmp(magic, "GGUF", 4) != 0) return gguf_refuse(r, "magic", "not a GGUF file");
    g->version = (uint32_t)read_uint(r, 4, "version");
    if (!ctx_ok(r->c)) return false;
    if (g->version == 2 || g->version == 3) return true;
    if (g->version == 0) return gguf_refuse(r, "version", "is 0");
    if ((g->version & 0xffff) == 0)
        ctx_fail(r->c, E_UNSUPPORTED, "%s: big-endian GGUF files are not supported", r->path);
    else
        ctx_fail(r->c, E_UNSUPPORTED, "%s: GGUF version %u is not supported (2 and 3 are)", r->path, g->version);
    return false;
}

/* Header, values and tensors, in the order of the file. */
static bool gguf_read_all(struct cursor *r, struct gguf *g)
{
    if (!read_version(r, g)) return false;
    uint64_t n_tensors = read_uint(r, 8, "tensor count"), n_values = read_uint(r, 8, "key count");
    if (!ctx_ok(r->c) || !gguf_read_metadata(r, g, n_values)) return false;
    uint64_t *offsets = NULL;
    bool ok = read_infos(r, g, n_tensors, &offsets) && place_tensors(r, g, offsets);
    mem_free(r->c, offsets);
    return ok && file_check(r->c, g->map) == OK;
}

struct gguf *gguf_open(struct ctx *c, const char *path)
{
    if (!ctx_ok(c)) return NULL;
    struct gguf *g = mem_alloc(c, 1, sizeof *g);
    if (!g) return NULL;
    g->c = c;
    g->map = file_map_open(c, path);
    if (g->map) {
        struct cursor r = {.c = c, .path = path, .data = file_map_data(g->map), .n = file_map_size(g->map)};
        if (gguf_read_all(&r, g)) return g;
    }
    gguf_close(g);
    return NULL;
}

void gguf_close(struct gguf *g)
{
    if (!g) return;
    for (size_t i = 0; i < g->n_values; i++) {
        const struct gguf_value *v = &g->values[i];
        if (v->kind == GGUF_ARRAY && v->item_kind == GGUF_STRING) mem_free(g->c, (void *)v->data);
        mem_free(g->c, (char *)v->key);
    }
    for (size_t i = 0; i < g->n_tensors; i++) mem_free(g->c, (char *)g->tensors[i].name);
    map_free(g->keys);
    map_free(g->names);
    mem_free(g->c, g->values);
    mem_free(g->c, g->tensors);
    file_map_close(g->map);
    mem_free(g->c, g);
}

/* ---- access ---- */

const struct file_map *gguf_file(const struct gguf *g)
{
    return g->map;
}

const char *gguf_path(const struct gguf *g)
{
    return file_map_path(g->map);
}

int gguf_version(const struct gguf *g)
{
    return (int)g->version;
}

size_t gguf_tensor_count(const struct gguf *g)
{
    return g->n_tensors;
}

const struct tensor_view *gguf_tensor(const struct gguf *g, size_t i)
{
    BUG_ON(g->c, i >= g->n_tensors, "tensor %zu of %zu", i, g->n_tensors);
    return &g->tensors[i];
}

const struct tensor_view *gguf_find(const struct gguf *g, const char *name)
{
    uint64_t i;
    return map_get(g->names, name, strlen(name), &i) ? &g->tensors[i] : NULL;
}

size_t gguf_value_count(const struct gguf *g)
{
    return g->n_values;
}

const struct gguf_value *gguf_value(const struct gguf *g, size_t i)
{
    BUG_ON(g->c, i >= g->n_values, "value %zu of %zu", i, g->n_values);
    return &g->values[i];
}

const struct gguf_value *gguf_get(const struct gguf *g, const char *key)
{
    uint64_t i;
    return map_get(g->keys, key, strlen(key), &i) ? &g->values[i] : NULL;
}
