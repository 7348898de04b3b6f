/* dataset: the mapped cache. dataset_open believes nothing: the digest finds accidents, and because whoever can write the
 * file can also write its digest, every number that is later used as an index or a weight is checked as well. After that the
 * accessors are plain pointers. */
#include "data/dataset.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "data/dataset_layout.h"

struct dataset {
    struct ctx *c;
    struct file_map *map;
    const uint8_t *bytes;
    struct dataset_footer footer;
    const struct dataset_document *documents; /* in the map */
    struct dataset_file *files;               /* (n_files) paths owned */
    char *types[DATASET_TYPES_MAX];           /* (n_types) owned */
};

/* A cache that cannot be believed is built again: deleting it is safe, because it holds nothing but rows in another form. */
static enum status fail(const struct dataset *d, const char *what, int64_t value)
{
    return ctx_fail(d->c, E_INPUT, "%s: not a valid data cache: %s (%lld); delete it and start the run again",
                    file_map_path(d->map), what, (long long)value);
}

/* Header, footer and digest: whether these are the bytes that some dataset_write_commit wrote. */
static enum status check_frame(struct dataset *d)
{
    size_t size = file_map_size(d->map), at = size - sizeof d->footer;
    struct dataset_header h;
    if (size < sizeof h + sizeof d->footer || size > INT64_MAX) return fail(d, "size in bytes", (int64_t)size);
    memcpy(&h, d->bytes, sizeof h);
    memcpy(&d->footer, d->bytes + at, sizeof d->footer);
    if (memcmp(h.magic, DATASET_MAGIC, sizeof h.magic) != 0) return fail(d, "no magic at offset", 0);
    if (h.version != DATASET_VERSION) return fail(d, "version", h.version);
    if (h.byte_order != DATASET_BYTE_ORDER) return fail(d, "byte order of another machine", h.byte_order);
    struct sha256 s;
    uint8_t digest[32];
    sha256_init(&s);
    sha256_update(&s, d->bytes, size - sizeof digest);
    sha256_final(&s, digest);
    if (memcmp(digest, d->footer.sha256, sizeof digest) != 0)
        return fail(d, "SHA-256 differs over bytes", (int64_t)size - 32);
    return OK;
}

/* The sections follow each other without gaps, so offsets and counts prove each other. */
static enum status check_sections(struct dataset *d)
{
    const struct dataset_footer *f = &d->footer;
    size_t end = file_map_size(d->map) - sizeof *f, table_bytes;
    int64_t header = (int64_t)sizeof(struct dataset_header);
    if (f->n_files < 1 || f->n_files > DATASET_FILES_MAX) return fail(d, "number of files", f->n_files);
    if (f->max_length < 2 || f->max_length > DATASET_LENGTH_MAX) return fail(d, "maximal length", f->max_length);
    if (f->files_at < header || f->files_at % 8 != 0) return fail(d, "offset of the files", f->files_at);
    if (f->n_types < 0 || f->n_types > DATASET_TYPES_MAX) return fail(d, "number of source types", f->n_types);
    if (f->types_at < f->files_at || f->types_at % 8 != 0) return fail(d, "offset of the types", f->types_at);
    if (f->table_at < f->types_at || f->table_at % 8 != 0) return fail(d, "offset of the table", f->table_at);
    if (f->counts.documents < 1 || !checked_mul((size_t)f->counts.documents, sizeof *d->documents, &table_bytes) ||
        (uint64_t)f->table_at > end || end - (size_t)f->table_at != table_bytes)
        return fail(d, "number of documents", f->counts.documents);
    d->documents = (const struct dataset_document *)(d->bytes + f->table_at);
    return OK;
}

/* The names and digests of the source files. */
static enum status read_files(struct dataset *d)
{
    const struct dataset_footer *f = &d->footer;
    d->files = mem_alloc(d->c, (size_t)f->n_files, sizeof *d->files);
    if (!d->files) return d->c->status;
    size_t at = (size_t)f->files_at, end = (size_t)f->types_at;
    for (int64_t i = 0; i < f->n_files; i++) {
        struct dataset_file_entry e;
        if (end - at < sizeof e) return fail(d, "cut in file", i);
        memcpy(&e, d->bytes + at, sizeof e);
        at += sizeof e;
        if (e.path_bytes > end - at || memchr(d->bytes + at, 0, e.path_bytes)) return fail(d, "path of file", i);
        struct dataset_file *file = &d->files[i];
        file->bytes = e.bytes;
        memcpy(file->sha256, e.sha256, sizeof e.sha256);
        if (strspn(file->sha256, "0123456789abcdef") != 64) return fail(d, "digest of file", i);
        file->path = mem_strndup(d->c, (const char *)d->bytes + at, e.path_bytes);
        if (!file->path) return d->c->status;
        at += e.path_bytes;
        at += (8 - at % 8) % 8; /* stays within end, which is a multiple of 8 */
    }
    return at == end ? OK : fail(d, "bytes behind the files", (int64_t)(end - at));
}

/* The names of source types. */
static enum status dataset_read_types(struct dataset *d)
{
    size_t at = (size_t)d->footer.types_at, end = (size_t)d->footer.table_at;
    for (int64_t i = 0; i < d->footer.n_types; i++) {
        uint64_t n;
        if (end - at < sizeof n) return fail(d, "cut in source type", i);
        memcpy(&n, d->bytes + at, sizeof n);
        at += sizeof n;
        if (n < 1 || n > DATASET_TYPE_BYTES || n > end - at || memchr(d->bytes + at, 0, n))
            return fail(d, "name of source type", i);
        d->types[i] = mem_strndup(d->c, (const char *)d->bytes + at, n);
        if (!d->types[i]) return d->c->status;
        at += (n + 7) / 8 * 8; /* stays within end, which is a multiple of 8 */
    }
    return at == end ? OK : fail(d, "bytes behind the source types", (int64_t)(end - at));
}

/* A score in [0, max], or NaN for none. */
static bool is_score(double v, double max)
{
    return isnan(v) || (v >= 0 && v <= max);
}

/* Row, file, length and weights of document i, which must begin at `first`. */
static enum status check_entry(const struct dataset *d, int64_t i, int64_t first)
{
    const struct dataset_document *e = &d->documents[i];
    if (e->first != first || e->n < 2 || e->n > d->footer.max_length ||
        dataset_document_bytes(e->n) > d->footer.files_at - first)
        return fail(d, "place or length of document", i);
    if (e->file < 0 || e->file >= d->footer.n_files || e->row < 1 || e->source_type < -1 ||
        e->source_type >= d->footer.n_types)
        return fail(d, "source of document", i);
    if (!is_score(e->auth_weight, 0.99) || !is_score(e->prov_entropy, DBL_MAX) ||
        !(e->loss_weight > 0 && e->loss_weight <= RECORDS_LOSS_WEIGHT_MAX))
        return fail(d, "scores or weight of document", i);
    return OK;
}

/* Every id and mask byte of document i; the sums go to *seen. */
static enum status dataset_check_tokens(const struct dataset *d, int64_t i, struct dataset_counts *seen)
{
    const int32_t n = d->documents[i].n, *tokens = dataset_tokens(d, i);
    const uint8_t *trained = dataset_trained(d, i);
    int64_t n_trained = 0;
    for (int32_t t = 0; t < n; t++) {
        if (tokens[t] < 0 || trained[t] > (t > 0 ? CHAT_WEIGHT_STEPS : 0)) return fail(d, "tokens of document", i);
        n_trained += trained[t] != 0;
        if (tokens[t] > seen->max_token) seen->max_token = tokens[t];
    }
    if (n_trained < 1 || n_trained != d->documents[i].n_trained) return fail(d, "trained tokens of document", i);
    seen->tokens += n;
    seen->trained += n_trained;
    seen->masked += n - n_trained;
    return OK;
}

/* All documents: each begins where the one before it ends, and their sums are the counts in the footer. */
static enum status check_documents(const struct dataset *d)
{
    const struct dataset_counts *c = &d->footer.counts;
    struct dataset_counts seen = {.max_token = -1};
    int64_t at = (int64_t)sizeof(struct dataset_header);
    for (int64_t i = 0; i < c->documents; i++) {
        TRY(check_entry(d, i, at));
        TRY(dataset_check_tokens(d, i, &seen));
        at += dataset_document_bytes(d->documents[i].n);
    }
    if ((at + 7) / 8 * 8 != d->footer.files_at) return fail(d, "bytes behind the documents", d->footer.files_at - at);
    if (seen.tokens != c->tokens || seen.trained != c->trained || seen.masked != c->masked || seen.max_token != c->max_token)
        return fail(d, "counts of tokens", c->tokens);
    return OK;
}

/* Counts that no document proves, such as skipped rows, are held to what is possible. */
static enum status check_counts(const struct dataset *d)
{
    const struct dataset_counts *c = &d->footer.counts;
    int64_t bad = 0;
    for (int i = 0; i < FAULT_COUNT; i++) {
        if (c->bad[i] < 0 || c->bad[i] > c->rows) return fail(d, "count of bad rows", c->bad[i]);
        bad += c->bad[i];
    }
    const int64_t of_rows[] = {c->bad_rows, c->unweighted_rows, c->split_rows, c->truncated_rows, c->scored_rows};
    for (size_t i = 0; i < sizeof of_rows / sizeof of_rows[0]; i++)
        if (of_rows[i] < 0 || of_rows[i] > c->rows) return fail(d, "count of rows", of_rows[i]);
    if (bad != c->bad_rows || c->left_out_tokens < 0) return fail(d, "count of bad rows", c->bad_rows);
    return OK;
}

struct dataset *dataset_open(struct ctx *c, const char *cache_path)
{
    struct dataset *d = mem_alloc(c, 1, sizeof *d);
    if (!d) return NULL;
    d->c = c;
    d->map = file_map_open(c, cache_path);
    d->bytes = d->map ? file_map_data(d->map) : NULL;
    if (d->map && check_frame(d) == OK && check_sections(d) == OK && check_counts(d) == OK && read_files(d) == OK &&
        dataset_read_types(d) == OK && check_documents(d) == OK && file_check(c, d->map) == OK)
        return d;
    dataset_close(d);
    return NULL;
}

void dataset_close(struct dataset *d)
{
    if (!d) return;
    for (int64_t i = 0; d->files && i < d->footer.n_files; i++) mem_free(d->c, (void *)d->files[i].path);
    mem_free(d->c, d->files);
    for (size_t i = 0; i < DATASET_TYPES_MAX; i++) mem_free(d->c, d->types[i]);
    file_map_close(d->map);
    mem_free(d->c, d);
}

const struct dataset_counts *dataset_counts(const struct dataset *d)
{
    return &d->footer.counts;
}

int64_t dataset_max_length(const struct dataset *d)
{
    return d->footer.max_length;
}

int64_t dataset_n_documents(const struct dataset *d)
{
    return d->footer.counts.documents;
}

const struct dataset_document *dataset_document(const struct dataset *d, int64_t i)
{
    BUG_ON(d->c, i < 0 || i >= d->footer.counts.documents, "document %lld", (long long)i);
    return &d->documents[i];
}

const int32_t *dataset_tokens(const struct dataset *d, int64_t i)
{
    return (const int32_t *)(d->bytes + dataset_document(d, i)->first);
}

double dataset_trained_weight(const struct dataset *d, int64_t i)
{
    const uint8_t *trained = dataset_trained(d, i);
    double sum = 0;
    for (int32_t t = 0; t < dataset_document(d, i)->n; t++) sum += chat_weight(trained[t]);
    return sum;
}

const uint8_t *dataset_trained(const struct dataset *d, int64_t i)
{
    const struct dataset_document *e = dataset_document(d, i);
    return d->bytes + e->first + 4 * (int64_t)e->n;
}

size_t dataset_n_files(const struct dataset *d)
{
    return (size_t)d->footer.n_files;
}

struct dataset_file dataset_file(const struct dataset *d, size_t i)
{
    BUG_ON(d->c, i >= (size_t)d->footer.n_files, "file %zu", i);
    return d->files[i];
}

size_t dataset_n_types(const struct dataset *d)
{
    return (size_t)d->footer.n_types;
}

const char *dataset_type(const struct dataset *d, size_t i)
{
    BUG_ON(d->c, i >= (size_t)d->footer.n_types, "source type %zu", i);
    return d->types[i];
}

enum status dataset_check(struct ctx *c, const struct dataset *d)
{
    return file_check(c, d->map);
}
