/* safetensors: one file or a sharded set with its index, read by mapping and written atomically. Rules of the format plus
 * stricter ones (docs/io.md): no holes, no overlap, shape x dtype = bytes, end at end of file, duplicate keys refused at
 * every level, header cap 100,000,000 bytes, metadata values strings ("__metadata__": null is accepted), shard names single
 * path components. */
#ifndef YA_IO_SAFETENSORS_H
#define YA_IO_SAFETENSORS_H

#include "base/file.h"
#include "io/tensor.h"

struct safetensors;

/* Opens a .safetensors file. Owner of the result: the caller. NULL with E_INPUT (any rule broken: the message names file,
 * tensor and rule), E_IO or E_MEMORY. */
struct safetensors *safetensors_open(struct ctx *c, const char *path);
/* Opens a folder: model.safetensors.index.json with its shards when present, else model.safetensors. Errors as above, and
 * E_INPUT when index and files do not agree. */
struct safetensors *safetensors_open_dir(struct ctx *c, const char *dir);
void safetensors_close(struct safetensors *s); /* accepts NULL; views are gone then */
/* E_IO when a mapped file became shorter or could not be read: file_check of every shard. */
enum status safetensors_check(struct ctx *c, const struct safetensors *s);

/* Tensors of all files: how many, number i in the order of names, and the one of a name (NULL when there is none). Views are
 * owned by s. */
size_t safetensors_count(const struct safetensors *s);
const struct tensor_view *safetensors_tensor(const struct safetensors *s, size_t i);
const struct tensor_view *safetensors_find(const struct safetensors *s, const char *name);
/* Metadata of the first file: the value of a key (NULL when absent), how many pairs there are, and pair i in the order of
 * keys (its key; NULL beyond the last). */
const char *safetensors_metadata(const struct safetensors *s, const char *key);
size_t safetensors_metadata_count(const struct safetensors *s);
const char *safetensors_metadata_at(const struct safetensors *s, size_t i, const char **value);

/* Writer: declare every tensor in the order wanted, then write their bytes in the same order in any number of pieces. */
struct safetensors_writer;
struct safetensors_entry {
    const char *name;
    enum tensor_type type;
    int ndim;
    int64_t shape[TENSOR_MAX_DIMS];
};
/* metadata: n_metadata pairs key, value ("format","pt" is always written). The file appears at commit (file_writer). */
struct safetensors_writer *safetensors_create(struct ctx *c, const char *path, const struct safetensors_entry *entries,
                                              size_t n, const char *const *metadata, size_t n_metadata);
/* Appends n bytes of data. A failure stays in the ctx and shows at commit; more bytes than were declared are a BUG_ON. */
void safetensors_write(struct safetensors_writer *w, const void *bytes, size_t n);
/* The same for n bytes that are 0, which take no space where the file system has holes (file_writer_skip). */
void safetensors_skip(struct safetensors_writer *w, size_t n);
/* Finishes the file, or gives it up; both free w. Commit: E_IO, and a BUG_ON when bytes are missing. Abort accepts NULL. */
enum status safetensors_commit(struct safetensors_writer *w);
void safetensors_abort(struct safetensors_writer *w);

#endif
