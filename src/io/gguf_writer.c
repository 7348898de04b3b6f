/* gguf_writer: see gguf_writer.h. Header: "GGUF", version, number of tensors, number of pairs; the pairs; for each tensor
 * its name, dimensions (fastest first), type and offset; zeros to the next multiple of 32; the data, each tensor at such a
 * multiple (ggml, docs/gguf.md). */
#include "io/gguf_writer.h"

#include <string.h>

#include "base/buf.h"
#include "base/checked.h"
#include "base/map.h"
#include "base/mem.h"

enum { ALIGNMENT = 32, VERSION = 3, META_MAX_BYTES = 512 << 20 };

struct gguf_writer {
    struct ctx *c;
    struct buf pairs, infos;
    struct map *keys, *names;
    uint64_t n_pairs, n_tensors;
    size_t *sizes; /* owned: bytes of each tensor */
    size_t room, at, offset;
    size_t tensor; /* the one that is being written, and how much of it was */
    struct file_writer *file;
};

struct gguf_writer *gguf_writer_new(struct ctx *c)
{
    struct gguf_writer *w = mem_alloc(c, 1, sizeof *w);
    if (!w) return NULL;
    *w = (struct gguf_writer){.c = c};
    buf_init(&w->pairs, c, META_MAX_BYTES);
    buf_init(&w->infos, c, META_MAX_BYTES);
    w->keys = map_new(c, 64);
    w->names = map_new(c, 512);
    if (ctx_ok(c)) return w;
    gguf_writer_abort(w);
    return NULL;
}

static void gguf_writer_free(struct gguf_writer *w)
{
    buf_release(&w->pairs);
    buf_release(&w->infos);
    map_free(w->keys);
    map_free(w->names);
    mem_free(w->c, w->sizes);
    mem_free(w->c, w);
}

/* ---- numbers and texts ----------------------------------------------------------------------------------------------- */

static void gguf_writer_put_u32(struct buf *b, uint32_t v)
{
    char bytes[4] = {(char)v, (char)(v >> 8), (char)(v >> 16), (char)(v >> 24)};
    buf_append(b, bytes, sizeof bytes);
}

static void put_u64(struct buf *b, uint64_t v)
{
    gguf_writer_put_u32(b, (uint32_t)v);
    gguf_writer_put_u32(b, (uint32_t)(v >> 32));
}

static void gguf_writer_put_f32(struct buf *b, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    gguf_writer_put_u32(b, bits);
}

static void gguf_writer_put_text(struct buf *b, const char *text, size_t n)
{
    put_u64(b, n);
    buf_append(b, text, n);
}

/* ---- metadata -------------------------------------------------------------------------------------------------------- */

static bool gguf_writer_is_new(struct gguf_writer *w, struct map *seen, const char *name)
{
    bool twice = false;
    if (!ctx_ok(w->c) || map_put(seen, name, strlen(name), 1, &twice) != OK) return false;
    BUG_ON(w->c, twice, "\"%s\" is written twice", name);
    return true;
}

/* Key and kind of a pair; false when the ctx holds a failure. */
static bool begin_pair(struct gguf_writer *w, const char *key, enum gguf_kind kind)
{
    BUG_ON(w->c, w->file != NULL, "key \"%s\" behind the header", key);
    if (!gguf_writer_is_new(w, w->keys, key)) return false;
    w->n_pairs++;
    gguf_writer_put_text(&w->pairs, key, strlen(key));
    gguf_writer_put_u32(&w->pairs, (uint32_t)kind);
    return true;
}

static bool begin_list(struct gguf_writer *w, const char *key, enum gguf_kind kind, uint64_t n)
{
    if (!begin_pair(w, key, GGUF_ARRAY)) return false;
    gguf_writer_put_u32(&w->pairs, (uint32_t)kind);
    put_u64(&w->pairs, n);
    return true;
}

void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    if (begin_pair(w, key, GGUF_U32)) gguf_writer_put_u32(&w->pairs, v);
}

void gguf_writer_f32(struct gguf_writer *w, const char *key, float v)
{
    if (begin_pair(w, key, GGUF_F32)) gguf_writer_put_f32(&w->pairs, v);
}

void gguf_writer_bool(struct gguf_writer *w, const char *key, bool v)
{
    if (begin_pair(w, key, GGUF_BOOL)) buf_append_char(&w->pairs, v ? 1 : 0);
}

void gguf_writer_string(struct gguf_writer *w, const char *key, const char *text, size_t n)
{
    if (begin_pair(w, key, GGUF_STRING)) gguf_writer_put_text(&w->pairs, text, n);
}

void gguf_writer_strings(struct gguf_writer *w, const char *key, uint64_t n, gguf_writer_item *item, const void *user)
{
    if (!begin_list(w, key, GGUF_STRING, n)) return;
    for (uint64_t i = 0; i < n && buf_ok(&w->pairs); i++) {
        struct gguf_string s = item(user, i);
        gguf_writer_put_text(&w->pairs, s.data, s.n);
    }
}

void gguf_writer_i32s(struct gguf_writer *w, const char *key, const int32_t *values, uint64_t n)
{
    if (!begin_list(w, key, GGUF_I32, n)) return;
    for (uint64_t i = 0; i < n; i++) gguf_writer_put_u32(&w->pairs, (uint32_t)values[i]);
}

void gguf_writer_f32s(struct gguf_writer *w, const char *key, const float *values, uint64_t n)
{
    if (!begin_list(w, key, GGUF_F32, n)) return;
    for (uint64_t i = 0; i < n; i++) gguf_writer_put_f32(&w->pairs, values[i]);
}

void gguf_writer_bools(struct gguf_writer *w, const char *key, const bool *values, uint64_t n)
{
    if (!begin_list(w, key, GGUF_BOOL, n)) return;
    for (uint64_t i = 0; i < n; i++) buf_append_char(&w->pairs, values[i] ? 1 : 0);
}

static struct gguf_string copied_item(const void *user, uint64_t i)
{
    return gguf_array_string(user, i);
}

void gguf_writer_copy(struct gguf_writer *w, const struct gguf_value *v)
{
    if (v->kind == GGUF_STRING) {
        gguf_writer_string(w, v->key, v->data, (size_t)v->n);
    } else if (v->kind == GGUF_ARRAY && v->item_kind == GGUF_STRING) {
        gguf_writer_strings(w, v->key, v->n, copied_item, v);
    } else if (v->kind == GGUF_ARRAY) {
        if (begin_list(w, v->key, v->item_kind, v->n))
            buf_append(&w->pairs, v->data, (size_t)v->n * gguf_kind_bytes(v->item_kind));
    } else if (begin_pair(w, v->key, v->kind)) {
        buf_append(&w->pairs, v->data, gguf_kind_bytes(v->kind));
    }
}

bool gguf_writer_has(const struct gguf_writer *w, const char *key)
{
    uint64_t one;
    return map_get(w->keys, key, strlen(key), &one);
}

/* ---- tensors --------------------------------------------------------------------------------------------------------- */

static size_t aligned(size_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void gguf_writer_tensor(struct gguf_writer *w, const char *name, enum tensor_type type, int ndim, const int64_t *shape)
{
    size_t bytes, end;
    int number = tensor_type_info(type)->gguf;
    BUG_ON(w->c, number < 0 || ndim < 1 || ndim > 4 || w->file, "tensor \"%s\" cannot be declared", name);
    if (!gguf_writer_is_new(w, w->names, name)) return;
    if (!tensor_bytes(type, ndim, shape, &bytes) || !checked_add(w->offset, bytes, &end) || end > SIZE_MAX - ALIGNMENT) {
        ctx_fail(w->c, E_INPUT, "tensor \"%s\": its shape cannot be written as %s", name, tensor_type_info(type)->name);
        return;
    }
    if (w->n_tensors == w->room) {
        size_t room = w->room ? 2 * w->room : 512;
        size_t *grown = mem_resize(w->c, w->sizes, w->room, room, sizeof *grown);
        if (!grown) return;
        w->sizes = grown;
        w->room = room;
    }
    w->sizes[w->n_tensors++] = bytes;
    gguf_writer_put_text(&w->infos, name, strlen(name));
    gguf_writer_put_u32(&w->infos, (uint32_t)ndim);
    for (int i = ndim - 1; i >= 0; i--) put_u64(&w->infos, (uint64_t)shape[i]);
    gguf_writer_put_u32(&w->infos, (uint32_t)number);
    put_u64(&w->infos, w->offset);
    w->offset = aligned(end);
}

static void gguf_writer_pad_to(struct gguf_writer *w, size_t at)
{
    static const char zeros[ALIGNMENT];
    file_writer_write(w->file, zeros, aligned(at) - at);
}

enum status gguf_writer_begin(struct gguf_writer *w, const char *path)
{
    struct buf head;
    buf_init(&head, w->c, 64);
    buf_append(&head, "GGUF", 4);
    gguf_writer_put_u32(&head, VERSION);
    put_u64(&head, w->n_tensors);
    put_u64(&head, w->n_pairs);
    w->file = ctx_ok(w->c) ? file_writer_open(w->c, path) : NULL;
    if (w->file) {
        file_writer_write(w->file, head.data, head.len);
        file_writer_write(w->file, buf_str(&w->pairs), w->pairs.len);
        file_writer_write(w->file, buf_str(&w->infos), w->infos.len);
        gguf_writer_pad_to(w, head.len + w->pairs.len + w->infos.len);
    }
    buf_release(&head);
    return w->c->status;
}

void gguf_writer_write(struct gguf_writer *w, const void *bytes, size_t n)
{
    const char *from = bytes;
    while (n > 0) {
        BUG_ON(w->c, w->tensor == w->n_tensors, "%zu bytes behind the last tensor", n);
        size_t due = w->sizes[w->tensor] - w->at, k = n < due ? n : due;
        file_writer_write(w->file, from, k);
        from += k;
        n -= k;
        w->at += k;
        if (w->at < w->sizes[w->tensor]) continue;
        gguf_writer_pad_to(w, w->at);
        w->tensor++;
        w->at = 0;
    }
}

enum status gguf_writer_commit(struct gguf_writer *w)
{
    struct ctx *c = w->c;
    BUG_ON(c, ctx_ok(c) && w->tensor < w->n_tensors, "%llu tensors were declared, %zu written",
           (unsigned long long)w->n_tensors, w->tensor);
    enum status status = file_writer_commit(w->file);
    w->file = NULL;
    gguf_writer_free(w);
    return status;
}

void gguf_writer_abort(struct gguf_writer *w)
{
    if (!w) return;
    file_writer_abort(w->file);
    gguf_writer_free(w);
}
