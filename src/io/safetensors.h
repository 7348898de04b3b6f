/* safetensors: one file or a sharded set with its index, read by mapping and written atomically. Rules of the format plus
 * stricter ones (docs/io.md): no holes, no overlap, shape x dtype = bytes, end at end of file, duplicate keys refused at
 * every level, header cap 100,000,000 bytes, metadata values strings ("__metadata__": null is accepted), shard names single
 * path components. */
#ifndef YA_IO_SAFETENSORS_H
#define YA_IO_SAFETENSORS_H

#include "base/file.h"
#include "io/tensor.h"

struct safetensors;

/* A .safetensors file. */
struct safetensors *safetensors_open(struct ctx *c, const char *path);
/* A folder: model.safetensors.index.json with its shards when present, else model.safetensors. */
struct safetensors *safetensors_open_dir(struct ctx *c, const char *dir);
void safetensors_close(struct safetensors *s);
enum status safetensors_check(struct ctx *c, const struct safetensors *s); /* file_check of every shard */

size_t safetensors_count(const struct safetensors *s);
const struct tensor_view *safetensors_tensor(const struct safetensors *s, size_t i); /* in name order */
const struct tensor_view *safetensors_find(const struct safetensors *s, const char *name);
const char *safetensors_metadata(const struct safetensors *s, const char *key); /* NULL when absent; of the first file */
size_t safetensors_metadata_count(const struct safetensors *s);
/* Pair i in order of keys; NULL beyond the last. */
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
void safetensors_write(struct safetensors_writer *w, const void *bytes, size_t n);
enum status safetensors_commit(struct safetensors_writer *w); /* E_IO; BUG_ON when bytes are missing; frees w */
void safetensors_abort(struct safetensors_writer *w);

#endif
