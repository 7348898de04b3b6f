/* coreml_blob: the weights file of an ML program ("MIL blob storage", version 2, after the public StorageFormat.hpp of
 * coremltools): a header of 64 bytes, then for each tensor, from a multiple of 64 on, a header of 64 bytes and its data.
 * A program names a tensor by the offset of its header.
 *
 * Offsets are known before anything is written: the list is made while the program is built, and the data streams through
 * afterwards, so memory does not grow with the model. */
#ifndef YA_EXPORT_COREML_BLOB_H
#define YA_EXPORT_COREML_BLOB_H

#include "export/coreml/mil.h"
#include "export/merged.h"

/* What a blob holds of a tensor of the merged model. */
enum coreml_part {
    COREML_F16,   /* its elements */
    COREML_I8,    /* its elements in steps of the row's scale */
    COREML_SCALE, /* the largest magnitude of each row by 127, f16 */
    COREML_INDEX, /* for each element the nearest of the row's 16 values, u4 */
    COREML_TABLE  /* 16 values a row, f16 */
};

/* Rows of up to so many elements, an even number, can be given tables. */
enum { COREML_TABLE_COLS = 1 << 15 };

struct coreml_blob {
    uint64_t offset, bytes; /* of the header; of the data */
    enum mil_dtype dtype;
    const struct merged_tensor *t; /* where its data comes from; NULL: `data` */
    enum coreml_part part;
    int64_t first, rows; /* the rows of t that it holds */
    void *data;          /* owned: a table that the writer computed */
};

struct coreml_blobs {
    struct ctx *c;
    struct coreml_blob *list; /* owned */
    size_t n, most;
    uint64_t end; /* bytes of the file so far */
};

/* Adds rows [first, first + rows) of a part of a tensor, or a table (taken over, also on failure; dtype F16 or F32). Returns
 * the offset of the blob's header. E_MEMORY. */
uint64_t coreml_blobs_add(struct coreml_blobs *b, const struct merged_tensor *t, enum coreml_part part, int64_t first,
                          int64_t rows);
uint64_t coreml_blobs_add_data(struct coreml_blobs *b, enum mil_dtype dtype, void *data, uint64_t bytes);
void coreml_blobs_release(struct coreml_blobs *b);

/* Writes the file; tensors are made by `g`, the list that they are from. E_IO, E_NUMERIC, E_MEMORY. */
enum status coreml_blobs_write(const struct coreml_blobs *b, struct merged *g, const char *path);

/* The data of the blob at `offset` of a weights file of n bytes, which must have this type and `bytes` bytes. NULL with
 * E_INPUT. A view on the file, aligned to 64 bytes there. */
const void *coreml_blob_data(struct ctx *c, const char *name, const uint8_t *file, size_t n, uint64_t offset,
                             enum mil_dtype dtype, uint64_t bytes);

#endif
