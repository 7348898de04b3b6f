/* merge: see merge.h. Tensors are planned first (the shard of each), then written one after another from their producer
 * (merged.h). */
#include "export/merge.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "export/hf/hf_folder.h"
#include "io/json.h"
#include "io/safetensors.h"

enum { NAME_BYTES = 128 };
static const size_t default_shard_bytes = 5000000000u;

struct merge_plan {
    struct ctx *c;
    const struct model *m;
    const char *dir;
    enum tensor_type type;
    size_t shard_bytes, n_shards, total_bytes;
    struct merged *list;
    int *shard;                        /* owned: of each tensor */
    struct safetensors_entry *entries; /* owned: scratch for one shard */
};

/* ---- the plan --------------------------------------------------------------------------------------------------------- */

static size_t plan_tensor_bytes(const struct merge_plan *p, size_t i)
{
    const struct merged_tensor *t = merged_at(p->list, i);
    return (size_t)(t->rows * t->cols) * (size_t)tensor_type_info(p->type)->bytes;
}

/* Fills shards in order; a new one begins when the next tensor would not fit. */
static void plan_shards(struct merge_plan *p)
{
    size_t in_shard = 0;
    for (size_t i = 0; i < merged_count(p->list); i++) {
        size_t bytes = plan_tensor_bytes(p, i);
        if (in_shard > 0 && bytes > p->shard_bytes - in_shard) {
            p->n_shards++;
            in_shard = 0;
        }
        p->shard[i] = (int)p->n_shards;
        in_shard += bytes < p->shard_bytes - in_shard ? bytes : p->shard_bytes - in_shard;
        p->total_bytes += bytes;
    }
    p->n_shards++;
}

/* ---- files ------------------------------------------------------------------------------------------------------------ */

static const char *shard_name(const struct merge_plan *p, size_t shard, char *buf)
{
    if (p->n_shards == 1)
        snprintf(buf, NAME_BYTES, "model.safetensors");
    else
        snprintf(buf, NAME_BYTES, "model-%05zu-of-%05zu.safetensors", shard + 1, p->n_shards);
    return buf;
}

static void merge_write_bytes(void *user, const void *bytes, size_t n)
{
    safetensors_write(user, bytes, n);
}

static enum status merge_write_tensors(struct merge_plan *p, struct safetensors_writer *out, size_t first, size_t n)
{
    struct merged_sink sink = {.write = merge_write_bytes, .user = out};
    for (size_t i = first; i < first + n; i++) {
        const struct merged_tensor *t = merged_at(p->list, i);
        merged_plain_sink(&sink, p->type, t->cols);
        TRY(merged_stream(p->list, t, &sink));
    }
    return p->c->status;
}

/* One file. plan_shards gave neighbours of the list to a shard, so its tensors are `n` from `first` on. */
static enum status write_shard(struct merge_plan *p, size_t shard)
{
    char name[NAME_BYTES];
    size_t first = 0, n = 0, all = merged_count(p->list);
    while (p->shard[first] != (int)shard) first++;
    for (; first + n < all && p->shard[first + n] == (int)shard; n++) {
        const struct merged_tensor *t = merged_at(p->list, first + n);
        struct safetensors_entry *e = &p->entries[n];
        *e = (struct safetensors_entry){.name = t->name, .type = p->type, .ndim = t->weight ? 2 : 1};
        e->shape[0] = t->weight ? t->rows : t->cols;
        if (t->weight) e->shape[1] = t->cols;
    }
    char *path = path_join(p->c, p->dir, shard_name(p, shard, name));
    struct safetensors_writer *out = path ? safetensors_create(p->c, path, p->entries, n, NULL, 0) : NULL;
    mem_free(p->c, path);
    if (!out) return p->c->status;
    if (merge_write_tensors(p, out, first, n) == OK) return safetensors_commit(out);
    safetensors_abort(out);
    return p->c->status;
}

/* model.safetensors.index.json: which file holds which tensor. */
static enum status write_index(struct merge_plan *p)
{
    char name[NAME_BYTES];
    json_t *doc = json_object(), *map = json_object(), *metadata = json_object();
    for (size_t i = 0; i < merged_count(p->list); i++)
        json_object_set_new(map, merged_at(p->list, i)->name, json_string(shard_name(p, (size_t)p->shard[i], name)));
    json_object_set_new(metadata, "total_size", json_integer((json_int_t)p->total_bytes));
    json_object_set_new(doc, "metadata", metadata);
    json_object_set_new(doc, "weight_map", map);
    enum status status = hf_folder_write_json(p->c, p->dir, "model.safetensors.index.json", doc);
    json_decref(doc);
    return status;
}

/* ---- the whole -------------------------------------------------------------------------------------------------------- */

static enum status merge_write_all(struct merge_plan *p)
{
    TRY(dir_make_empty(p->c, p->dir));
    TRY(hf_folder_check(p->m)); /* before gigabytes are written */
    for (size_t i = 0; i < p->n_shards; i++) TRY(write_shard(p, i));
    if (p->n_shards > 1) TRY(write_index(p));
    TRY(weights_check(p->m->files)); /* what was written came from an intact file */
    return hf_folder_write(p->m, p->dir, p->type);
}

enum status merge_write(struct model *m, const char *dir, const struct merge_options *options)
{
    struct ctx *c = m->c;
    bool plain = options->type == TENSOR_BF16 || options->type == TENSOR_F16 || options->type == TENSOR_F32;
    BUG_ON(c, !plain, "merge to type %d", (int)options->type);
    struct merge_plan p = {.c = c, .m = m, .dir = dir, .type = options->type, .list = merged_open(m)};
    if (!p.list) return c->status;
    p.shard_bytes = options->shard_bytes ? options->shard_bytes : default_shard_bytes;
    p.shard = mem_alloc(c, merged_count(p.list), sizeof *p.shard);
    p.entries = mem_alloc(c, merged_count(p.list), sizeof *p.entries);
    if (p.shard && p.entries) {
        merged_set_progress(p.list, options->report, options->report_user);
        plan_shards(&p);
        merge_write_all(&p);
    }
    mem_free(c, p.entries);
    mem_free(c, p.shard);
    merged_close(p.list);
    return c->status;
}
