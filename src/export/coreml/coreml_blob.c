/* coreml_blob: see coreml_blob.h. */
#include "export/coreml/coreml_blob.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "export/coreml/coreml_quant.h"

enum { ALIGN = 64, HEADER_BYTES = 64 };
enum { STORAGE_VERSION = 2 };
static const uint32_t sentinel = 0xDEADBEEF;

/* The headers, little-endian as everything that this program writes. */
struct storage_header {
    uint32_t count, version;
    uint64_t reserved[7];
};
struct blob_header {
    uint32_t sentinel, type; /* 1 f16, 2 f32, 3 u8, 4 i8, 11 u4, 14 i32 */
    uint64_t bytes, offset;  /* of the data */
    uint64_t padding_bits;   /* of types smaller than a byte */
    uint64_t reserved[4];
};
_Static_assert(sizeof(struct storage_header) == HEADER_BYTES && sizeof(struct blob_header) == HEADER_BYTES, "64 bytes each");

static uint32_t blob_type(enum mil_dtype dtype)
{
    switch (dtype) {
    case MIL_F16:
        return 1;
    case MIL_F32:
        return 2;
    case MIL_U8:
        return 3;
    case MIL_I8:
        return 4;
    case MIL_U4:
        return 11;
    case MIL_I32:
        return 14;
    case MIL_BOOL:
    case MIL_STRING:
        break;
    }
    return 0;
}

/* ---- the list --------------------------------------------------------------------------------------------------------- */

static enum mil_dtype part_dtype(enum coreml_part part)
{
    return part == COREML_I8 ? MIL_I8 : part == COREML_INDEX ? MIL_U4 : MIL_F16;
}

/* Bytes of a row of a part. Half bytes at the end of a row would shift all that follow, so such rows are not written
 * (coreml_net.c takes another form for them). */
static uint64_t row_bytes(enum coreml_part part, int64_t cols)
{
    BUG_ON(NULL, part == COREML_INDEX && cols % 2, "4-bit rows of %lld elements", (long long)cols);
    int64_t elements = part == COREML_SCALE ? 1 : part == COREML_TABLE ? COREML_TABLE_VALUES : cols;
    return mil_bytes(part_dtype(part), elements);
}

static uint64_t add_blob(struct coreml_blobs *b, const struct coreml_blob *blob)
{
    if (b->n == b->most) {
        size_t most = 2 * b->most + 64;
        struct coreml_blob *list = mem_resize(b->c, b->list, b->most, most, sizeof *list);
        if (!list) {
            mem_free(b->c, blob->data);
            return 0;
        }
        b->list = list;
        b->most = most;
    }
    if (b->n == 0) b->end = HEADER_BYTES;
    struct coreml_blob *added = &b->list[b->n++];
    *added = *blob;
    added->offset = (b->end + ALIGN - 1) / ALIGN * ALIGN;
    b->end = added->offset + HEADER_BYTES + added->bytes;
    return added->offset;
}

uint64_t coreml_blobs_add(struct coreml_blobs *b, const struct merged_tensor *t, enum coreml_part part, int64_t first,
                          int64_t rows)
{
    return add_blob(b, &(struct coreml_blob){.bytes = (uint64_t)rows * row_bytes(part, t->cols),
                                             .dtype = part_dtype(part),
                                             .t = t,
                                             .part = part,
                                             .first = first,
                                             .rows = rows});
}

uint64_t coreml_blobs_add_data(struct coreml_blobs *b, enum mil_dtype dtype, void *data, uint64_t bytes)
{
    if (!data) return 0;
    return add_blob(b, &(struct coreml_blob){.bytes = bytes, .dtype = dtype, .data = data});
}

void coreml_blobs_release(struct coreml_blobs *b)
{
    for (size_t i = 0; i < b->n; i++) mem_free(b->c, b->list[i].data);
    mem_free(b->c, b->list);
    *b = (struct coreml_blobs){.c = b->c};
}

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

/* A file that is being written, and the blob that bytes go to. */
struct blob_writer {
    const struct coreml_blobs *blobs;
    struct file_writer *file;
    size_t at;         /* the blob */
    uint64_t position; /* in the file */
    uint64_t due;      /* bytes of the blob that are still to come */
};

static void coreml_blob_put(struct blob_writer *w, const void *bytes, size_t n)
{
    file_writer_write(w->file, bytes, n);
    w->position += n;
}

static void begin_blob(struct blob_writer *w)
{
    static const uint8_t zeros[ALIGN];
    const struct coreml_blob *blob = &w->blobs->list[w->at];
    struct blob_header h = {
        .sentinel = sentinel, .type = blob_type(blob->dtype), .bytes = blob->bytes, .offset = blob->offset + HEADER_BYTES};
    coreml_blob_put(w, zeros, (size_t)(blob->offset - w->position));
    coreml_blob_put(w, &h, sizeof h);
    w->due = blob->bytes;
}

/* Takes bytes for the blob at hand and, when that is full, for those behind it. */
static void take_bytes(void *user, const void *bytes, size_t n)
{
    struct blob_writer *w = user;
    for (const uint8_t *from = bytes; n > 0;) {
        if (w->due == 0) {
            w->at++;
            begin_blob(w);
        }
        size_t part = n < w->due ? n : (size_t)w->due;
        coreml_blob_put(w, from, part);
        from += part;
        n -= part;
        w->due -= part;
    }
}

static void encode_int8(const void *user, const float *row, int64_t cols, void *out)
{
    (void)user;
    coreml_int8_row(row, cols, out);
}

static void encode_scale(const void *user, const float *row, int64_t cols, void *out)
{
    uint16_t scale = coreml_int8_scale(row, cols);
    (void)user;
    memcpy(out, &scale, sizeof scale);
}

/* Rows are sorted on the worker's stack: 128 KiB of floats at most. */
static void encode_table(const void *user, const float *row, int64_t cols, void *out)
{
    float scratch[COREML_TABLE_COLS];
    (void)user;
    coreml_lut4_table(row, cols, scratch, out);
}

static void encode_index(const void *user, const float *row, int64_t cols, void *out)
{
    uint16_t table[COREML_TABLE_VALUES];
    encode_table(user, row, cols, table);
    coreml_lut4_row(row, cols, table, out);
}

/* Streams a tensor into blobs [w->at, ...) of one part, which hold all its rows in order. */
static enum status stream_part(struct blob_writer *w, struct merged *g)
{
    const struct coreml_blob *first = &w->blobs->list[w->at];
    struct merged_sink sink = {.write = take_bytes, .user = w};
    merged_plain_sink(&sink, TENSOR_F16, first->t->cols);
    sink.row_bytes = (size_t)row_bytes(first->part, first->t->cols);
    if (first->part == COREML_I8) sink.encode = encode_int8;
    if (first->part == COREML_SCALE) sink.encode = encode_scale;
    if (first->part == COREML_INDEX) sink.encode = encode_index;
    if (first->part == COREML_TABLE) sink.encode = encode_table;
    BUG_ON(w->blobs->c, first->first != 0, "a part of %s that begins at row %lld", first->t->name, (long long)first->first);
    begin_blob(w);
    return merged_stream(g, first->t, &sink);
}

static void coreml_blob_write_all(struct blob_writer *w, struct merged *g)
{
    struct ctx *c = w->blobs->c;
    struct storage_header h = {.count = (uint32_t)w->blobs->n, .version = STORAGE_VERSION};
    coreml_blob_put(w, &h, sizeof h);
    for (w->at = 0; ctx_ok(c) && w->at < w->blobs->n; w->at++) {
        const struct coreml_blob *blob = &w->blobs->list[w->at];
        if (blob->t) {
            stream_part(w, g);
        } else {
            begin_blob(w);
            take_bytes(w, blob->data, (size_t)blob->bytes);
        }
        BUG_ON(c, ctx_ok(c) && w->due != 0, "a blob of the weights file is not full");
    }
}

enum status coreml_blobs_write(const struct coreml_blobs *b, struct merged *g, const char *path)
{
    struct blob_writer w = {.blobs = b, .file = file_writer_open(b->c, path)};
    if (!w.file) return b->c->status;
    coreml_blob_write_all(&w, g);
    if (ctx_ok(b->c)) return file_writer_commit(w.file);
    file_writer_abort(w.file);
    return b->c->status;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

const void *coreml_blob_data(struct ctx *c, const char *name, const uint8_t *file, size_t n, uint64_t offset,
                             enum mil_dtype dtype, uint64_t bytes)
{
    struct blob_header h;
    struct storage_header s;
    const char *why = NULL;
    if (n < sizeof s || offset % ALIGN || offset > n || n - offset < sizeof h) {
        ctx_fail(c, E_INPUT, "%s: there is no weight at byte %llu", name, (unsigned long long)offset);
        return NULL;
    }
    memcpy(&s, file, sizeof s);
    memcpy(&h, file + offset, sizeof h);
    if (s.version != STORAGE_VERSION) why = "the file has another version than 2";
    if (h.sentinel != sentinel) why = "no header of a weight stands there";
    if (!why && h.type != blob_type(dtype)) why = "the weight has another type than the program says";
    if (!why && h.bytes != bytes) why = "the weight has another size than the program says";
    if (!why && (h.offset % ALIGN || h.offset > n || n - h.offset < h.bytes)) why = "its data lie outside of the file";
    if (why) ctx_fail(c, E_INPUT, "%s: weight at byte %llu: %s", name, (unsigned long long)offset, why);
    return why ? NULL : file + h.offset;
}
