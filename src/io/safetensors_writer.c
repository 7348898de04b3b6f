/* safetensors_writer: the header is complete before the first byte of data, because the shapes are declared up front; data
 * then streams through file_writer, so the file appears only when it is whole and on disk. Tensors keep the declared order:
 * a caller who mixes dtypes declares the wider ones first to keep every tensor aligned (the header is padded to 8 bytes). */
#include "io/safetensors.h"

#include <string.h>

#include "base/buf.h"
#include "base/checked.h"
#include "base/map.h"
#include "base/mem.h"
#include "io/json.h"

enum { HEADER_CAP_BYTES = 100000000 };

/* One file that is being written. */
struct safetensors_writer {
    struct ctx *c;
    struct file_writer *file;
    size_t due_bytes; /* declared and not yet written */
};

/* "format": "pt" is what Hugging Face's reader asks for; the caller's pairs follow. */
static void append_metadata(struct buf *b, const char *const *metadata, size_t n)
{
    buf_append_str(b, "{\"__metadata__\":{\"format\":\"pt\"");
    for (size_t i = 0; i < n; i++) {
        const char *key = metadata[2 * i], *value = metadata[2 * i + 1];
        BUG_ON(b->c, strcmp(key, "format") == 0, "the metadata key \"format\" is the writer's own");
        buf_append_char(b, ',');
        json_append_string(b, key, strlen(key));
        buf_append_char(b, ':');
        json_append_string(b, value, strlen(value));
    }
    buf_append_char(b, '}');
}

/* One tensor's entry; *at is the end of the data so far and becomes the end of this tensor. */
static enum status append_entry(struct buf *b, const struct safetensors_entry *e, size_t *at)
{
    const struct tensor_type_info *info = tensor_type_info(e->type);
    size_t bytes, end;
    BUG_ON(b->c, info->block != 1, "%s is not a safetensors dtype", info->name);
    BUG_ON(b->c, e->ndim < 0 || e->ndim > TENSOR_MAX_DIMS, "%d dimensions", e->ndim);
    if (!tensor_bytes(e->type, e->ndim, e->shape, &bytes) || !checked_add(*at, bytes, &end)) {
        return ctx_fail(b->c, E_INPUT, "tensor \"%s\": shape is too large to be written", e->name);
    }
    buf_append_char(b, ',');
    json_append_string(b, e->name, strlen(e->name));
    buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", info->name);
    for (int i = 0; i < e->ndim; i++) buf_printf(b, "%s%lld", i ? "," : "", (long long)e->shape[i]);
    buf_printf(b, "],\"data_offsets\":[%zu,%zu]}", *at, end);
    *at = end;
    return OK;
}

/* Names are this program's own, so one that is twice there is a bug. */
static void check_names(struct ctx *c, const struct safetensors_entry *entries, size_t n)
{
    struct map *seen = map_new(c, n);
    if (!seen) return;
    for (size_t i = 0; i < n; i++) {
        bool twice = false;
        if (map_put(seen, entries[i].name, strlen(entries[i].name), i, &twice) != OK) break;
        BUG_ON(c, twice, "tensor \"%s\" is declared twice", entries[i].name);
        BUG_ON(c, strcmp(entries[i].name, "__metadata__") == 0, "__metadata__ is not a tensor's name");
    }
    map_free(seen);
}

/* Length field and header, padded so that data starts at a multiple of 8. *data_bytes is what must follow. */
static enum status build_header(struct buf *b, const struct safetensors_entry *entries, size_t n,
                                const char *const *metadata, size_t n_metadata, size_t *data_bytes)
{
    buf_append(b, "\0\0\0\0\0\0\0", 8);
    append_metadata(b, metadata, n_metadata);
    *data_bytes = 0;
    for (size_t i = 0; i < n; i++) TRY(append_entry(b, &entries[i], data_bytes));
    buf_append_char(b, '}');
    while (buf_ok(b) && b->len % 8 != 0) buf_append_char(b, ' ');
    if (!buf_ok(b)) return b->c->status;
    for (int i = 0; i < 8; i++) b->data[i] = (char)((uint64_t)(b->len - 8) >> (8 * i) & 0xff);
    return OK;
}

struct safetensors_writer *safetensors_create(struct ctx *c, const char *path, const struct safetensors_entry *entries,
                                              size_t n, const char *const *metadata, size_t n_metadata)
{
    if (!ctx_ok(c)) return NULL;
    struct buf header;
    struct safetensors_writer *w = mem_alloc(c, 1, sizeof *w);
    if (!w) return NULL;
    w->c = c;
    buf_init(&header, c, 8 + HEADER_CAP_BYTES);
    check_names(c, entries, n);
    if (build_header(&header, entries, n, metadata, n_metadata, &w->due_bytes) == OK && ctx_ok(c)) {
        w->file = file_writer_open(c, path);
        if (w->file) file_writer_write(w->file, header.data, header.len);
    }
    buf_release(&header);
    if (w->file) return w;
    mem_free(c, w);
    return NULL;
}

void safetensors_write(struct safetensors_writer *w, const void *bytes, size_t n)
{
    BUG_ON(w->c, n > w->due_bytes, "%zu bytes written, %zu declared", n, w->due_bytes);
    w->due_bytes -= n;
    file_writer_write(w->file, bytes, n);
}

void safetensors_skip(struct safetensors_writer *w, size_t n)
{
    BUG_ON(w->c, n > w->due_bytes, "%zu bytes skipped, %zu declared", n, w->due_bytes);
    w->due_bytes -= n;
    file_writer_skip(w->file, n);
}

enum status safetensors_commit(struct safetensors_writer *w)
{
    struct ctx *c = w->c;
    BUG_ON(c, ctx_ok(c) && w->due_bytes > 0, "%zu declared bytes were never written", w->due_bytes);
    enum status status = file_writer_commit(w->file);
    mem_free(c, w);
    return status;
}

void safetensors_abort(struct safetensors_writer *w)
{
    if (!w) return;
    file_writer_abort(w->file);
    mem_free(w->c, w);
}
