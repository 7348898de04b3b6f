/* dataset_write: see dataset_write.h. Tokens go to the file as they come; the document table follows at the end. */
#include "data/dataset_write.h"

#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "data/dataset_layout.h"

struct dataset_writer {
    struct ctx *c;
    struct file_writer *out;
    struct sha256 sha;
    int64_t at; /* bytes written */
    struct dataset_document *documents;
    size_t room;
    char *types[DATASET_TYPES_MAX]; /* owned */
    int32_t n_types;
    struct buf files; /* the section of source files, as it will stand in the file */
    int64_t n_files;
    struct dataset_counts counts;
};

/* ---- bytes ---- */

/* Appends bytes to the file and to the digest. */
static void dataset_write_put(struct dataset_writer *w, const void *bytes, size_t n)
{
    sha256_update(&w->sha, bytes, n);
    file_writer_write(w->out, bytes, n);
    w->at += (int64_t)n;
}

static void dataset_write_pad_to(struct dataset_writer *w, int64_t multiple)
{
    static const char zeros[8];
    dataset_write_put(w, zeros, (size_t)((multiple - w->at % multiple) % multiple));
}

struct dataset_writer *dataset_write_open(struct ctx *c, const char *path)
{
    struct dataset_header h = {.version = DATASET_VERSION, .byte_order = DATASET_BYTE_ORDER};
    struct dataset_writer *w = mem_alloc(c, 1, sizeof *w);
    if (!w) return NULL;
    w->c = c;
    w->counts.max_token = -1;
    memcpy(h.magic, DATASET_MAGIC, sizeof h.magic);
    sha256_init(&w->sha);
    buf_init(&w->files, c, SIZE_MAX / 4); /* bounded by the paths that a command line holds */
    w->out = file_writer_open(c, path);
    if (w->out) {
        dataset_write_put(w, &h, sizeof h);
        return w;
    }
    dataset_write_abort(w);
    return NULL;
}

void dataset_write_abort(struct dataset_writer *w)
{
    if (!w) return;
    file_writer_abort(w->out);
    for (int32_t i = 0; i < w->n_types; i++) mem_free(w->c, w->types[i]);
    buf_release(&w->files);
    mem_free(w->c, w->documents);
    mem_free(w->c, w);
}

/* ---- documents ---- */

int64_t dataset_write_count(const struct dataset_writer *w)
{
    return w->counts.documents;
}

/* A new entry of the document table, which grows by half. */
static struct dataset_document *new_document(struct dataset_writer *w)
{
    size_t n = (size_t)w->counts.documents;
    if (n == w->room) {
        size_t room = n ? n + n / 2 : 64;
        struct dataset_document *moved = mem_resize(w->c, w->documents, n, room, sizeof *moved);
        if (!moved) return NULL;
        w->documents = moved;
        w->room = room;
    }
    w->counts.documents++;
    return &w->documents[n];
}

int32_t dataset_write_type(struct dataset_writer *w, const char *name)
{
    if (!name) return -1;
    if (strlen(name) > DATASET_TYPE_BYTES || *name == '\0') name = "(other)";
    for (int32_t i = 0; i < w->n_types; i++)
        if (strcmp(w->types[i], name) == 0) return i;
    if (w->n_types == DATASET_TYPES_MAX - 1) name = "(other)"; /* the last place; from then on it is found above or here */
    if (w->n_types == DATASET_TYPES_MAX) return DATASET_TYPES_MAX - 1;
    char *copy = mem_strdup(w->c, name);
    if (!copy) return -1;
    w->types[w->n_types] = copy;
    return w->n_types++;
}

enum status dataset_write_document(struct dataset_writer *w, const struct dataset_document *d, const int32_t *tokens,
                                   const char *trained)
{
    int64_t n_trained = 0;
    struct dataset_document *stored = new_document(w);
    if (!stored) return w->c->status;
    for (int32_t i = 0; i < d->n; i++) {
        n_trained += trained[i] != 0;
        if (tokens[i] > w->counts.max_token) w->counts.max_token = tokens[i];
    }
    BUG_ON(w->c, trained[0] || n_trained < 1, "a document without a target");
    *stored = *d;
    stored->first = w->at;
    stored->n_trained = (int32_t)n_trained;
    dataset_write_put(w, tokens, (size_t)d->n * sizeof *tokens);
    dataset_write_put(w, trained, (size_t)d->n);
    dataset_write_pad_to(w, 4);
    w->counts.tokens += d->n;
    w->counts.trained += n_trained;
    w->counts.masked += d->n - n_trained;
    return w->c->status;
}

/* ---- the end ---- */

/* A string behind its length, in steps of 8 bytes. */
static void append_name(struct buf *b, const char *name, size_t n)
{
    static const char zeros[8];
    buf_append(b, name, n);
    buf_append(b, zeros, (8 - n % 8) % 8);
}

void dataset_write_file(struct dataset_writer *w, const struct dataset_file *file)
{
    struct dataset_file_entry e = {.bytes = file->bytes, .path_bytes = (uint32_t)strlen(file->path)};
    memcpy(e.sha256, file->sha256, sizeof e.sha256);
    buf_append(&w->files, &e, sizeof e);
    append_name(&w->files, file->path, e.path_bytes);
    w->n_files++;
}

/* The section of source types. */
static void put_types(struct dataset_writer *w)
{
    struct buf names;
    buf_init(&names, w->c, DATASET_TYPES_MAX * (size_t)(DATASET_TYPE_BYTES + 16));
    for (int32_t i = 0; i < w->n_types; i++) {
        uint64_t n = strlen(w->types[i]);
        buf_append(&names, &n, sizeof n);
        append_name(&names, w->types[i], n);
    }
    dataset_write_put(w, buf_str(&names), names.len);
    buf_release(&names);
}

/* What the writer has counted itself goes into *counts. */
static void dataset_write_add_counts(struct dataset_writer *w, struct dataset_counts *counts)
{
    counts->documents = w->counts.documents;
    counts->tokens = w->counts.tokens;
    counts->trained = w->counts.trained;
    counts->masked = w->counts.masked;
    counts->max_token = w->counts.max_token;
}

enum status dataset_write_commit(struct dataset_writer *w, int64_t max_length, struct dataset_counts *counts)
{
    struct dataset_footer f = {.max_length = max_length, .n_files = w->n_files, .n_types = w->n_types};
    struct ctx *c = w->c;
    dataset_write_add_counts(w, counts);
    dataset_write_pad_to(w, 8);
    f.files_at = w->at;
    dataset_write_put(w, buf_str(&w->files), w->files.len);
    f.types_at = w->at;
    put_types(w);
    f.table_at = w->at;
    dataset_write_put(w, w->documents, (size_t)w->counts.documents * sizeof *w->documents);
    f.counts = *counts;
    dataset_write_put(w, &f, offsetof(struct dataset_footer, sha256));
    sha256_final(&w->sha, f.sha256);
    file_writer_write(w->out, f.sha256, sizeof f.sha256);
    if (ctx_ok(c)) {
        file_writer_commit(w->out);
        w->out = NULL;
    }
    dataset_write_abort(w);
    return c->status;
}
