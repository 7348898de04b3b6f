/* dataset_write: the writing side of the cache file (dataset_layout.h), in one pass and atomically. */
#ifndef YA_DATA_DATASET_WRITE_H
#define YA_DATA_DATASET_WRITE_H

#include "data/dataset.h"

struct dataset_writer; /* opaque */

/* Owner of the result: the caller, until dataset_write_commit or dataset_write_abort. NULL with E_IO, E_MEMORY. */
struct dataset_writer *dataset_write_open(struct ctx *c, const char *path);

/* Index of a source type's name, which is added when it is new; -1 for NULL. Beyond DATASET_TYPES_MAX names, and beyond
 * DATASET_TYPE_BYTES, names are counted as one, "(other)". */
int32_t dataset_write_type(struct dataset_writer *w, const char *name);

/* Adds a document: d's scores, weight, row, file, source type and n count; `first` and `n_trained` are filled in. trained
 * (n) is as dataset_trained gives it; at least one is not 0. */
enum status dataset_write_document(struct dataset_writer *w, const struct dataset_document *d, const int32_t *tokens,
                                   const char *trained);
/* Adds the next source file; all of them after the last document. */
void dataset_write_file(struct dataset_writer *w, const struct dataset_file *file);

/* Puts the rest of *counts beside what the writer has counted itself (documents, tokens, trained, masked, max_token), which
 * *counts then holds too, and finishes the file. Frees w in any case. */
enum status dataset_write_commit(struct dataset_writer *w, int64_t max_length, struct dataset_counts *counts);
void dataset_write_abort(struct dataset_writer *w); /* accepts NULL */
/* Documents so far. */
int64_t dataset_write_count(const struct dataset_writer *w);

#endif
