/* safetensors_index: model.safetensors.index.json, which says in which file of a sharded set each tensor lies. Only the
 * reader of safetensors uses it. Refused: shard names that are not plain *.safetensors file names (a path could leave the
 * folder), more than SAFETENSORS_SHARD_CAP of them, a tensor listed twice. Everything but weight_map is skipped: total_size
 * is wrong in too many published models to be believed. */
#ifndef YA_IO_SAFETENSORS_INDEX_H
#define YA_IO_SAFETENSORS_INDEX_H

#include "base/map.h"
#include "io/json_scan.h"

enum { SAFETENSORS_SHARD_CAP = 1024 };

struct safetensors_index_entry {
    const char *name;
    uint32_t shard; /* position in files */
};

struct safetensors_index {
    struct ctx *c;
    const char *dir, *path; /* as given to read */
    const char **files;     /* shard file names in order of appearance */
    size_t n_files;
    struct safetensors_index_entry *entries; /* sorted by name */
    size_t n_entries, room;                  /* room: entries that there is memory for */
    char *text, *pool;                       /* owned: the file, and the names in it */
    size_t pool_used;
    struct map *ids;       /* file name -> position in files */
    struct json_scan scan; /* of text, while it is read */
    bool has_map;          /* weight_map was met */
};

/* Reads the index at `path`; dir, which is kept for messages and for whoever opens the files, and path must outlive it.
 * E_INPUT for what is refused, E_IO, E_MEMORY. Release in every case. */
enum status safetensors_index_read(struct safetensors_index *x, struct ctx *c, const char *dir, const char *path);
/* Frees names and entries, also after a failure. */
void safetensors_index_release(struct safetensors_index *x);

#endif
