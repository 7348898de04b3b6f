/* merge: tensors are planned first (names, shapes, the shard of each), then written one after another in pieces of some
 * thousand rows, so that memory does not grow with the model. Rows are made by the thread pool; which thread makes a row
 * does not change it. */
#include "export/merge.h"

#include <stdio.h>
#include <string.h>

#include "array/dtype.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"
#include "export/hf/hf_folder.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "model/weights_names.h"

enum { NAME_BYTES = 128, PIECE_BYTES = 8 << 20, ROWS_A_BLOCK = 16, INDEX_MAX_BYTES = 64 << 20 };
static const size_t default_shard_bytes = 5000000000u;

/* One tensor to write: a matrix or a vector. */
struct item {
    char name[NAME_BYTES];
    const struct weight *weight;
    struct array *vector;
    size_t bytes;
    int shard;
};

struct plan {
    struct ctx *c;
    const struct model *m;
    const char *dir;
    enum tensor_type type;
    size_t shard_bytes, n, n_shards, total_bytes;
    struct item *items;                /* owned */
    struct safetensors_entry *entries; /* owned: scratch for one shard */
    float *rows;                       /* owned: a piece in f32 */
    uint16_t *halves;                  /* owned: the same rounded */
};

/* ---- the plan --------------------------------------------------------------------------------------------------------- */

static struct item *plan_add(struct plan *p, const char *name, int64_t elements)
{
    struct item *item = &p->items[p->n++];
    snprintf(item->name, NAME_BYTES, "%s", name);
    item->bytes = (size_t)elements * (size_t)tensor_type_info(p->type)->bytes;
    p->total_bytes += item->bytes;
    return item;
}

static void plan_matrix(struct plan *p, const struct weight *w)
{
    plan_add(p, w->name, w->rows * w->cols)->weight = w;
}

/* "model.layers.LAYER.PATH.PART", when there is such a vector. */
static void plan_vector(struct plan *p, int64_t layer, const char *path, const char *part, struct array *v)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "model.layers.%lld.%s.%s", (long long)layer, path, part);
    if (v) plan_add(p, name, v->shape[0])->vector = v;
}

static void plan_linear(struct plan *p, int64_t layer, struct llama_block *b, enum lora_place place)
{
    const struct weight *w = llama_block_linear(b, place);
    plan_matrix(p, w);
    plan_vector(p, layer, lora_place_path[place], "bias", w->bias);
}

static void plan_items(struct plan *p)
{
    const struct model *m = p->m;
    const struct weights_names *names = weights_names_of(CONTAINER_SAFETENSORS);
    plan_matrix(p, &m->embed);
    for (int64_t i = 0; i < m->config.n_layers; i++) {
        struct llama_block *b = &m->blocks[i];
        for (int k = 0; k < BLOCK_NORMS; k++)
            plan_vector(p, i, names->norm[k], "weight", *llama_block_norm(b, (enum block_norm)k));
        for (int place = 0; place < LORA_PLACES; place++)
            if (lora_place_exists(&m->config, (enum lora_place)place)) plan_linear(p, i, b, (enum lora_place)place);
    }
    plan_add(p, "model.norm.weight", m->final_norm->shape[0])->vector = m->final_norm;
    if (!m->config.tied_embeddings) plan_matrix(p, &m->head);
}

/* Fills shards in order; a new one begins when the next tensor would not fit. */
static void plan_shards(struct plan *p)
{
    size_t in_shard = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (in_shard > 0 && p->items[i].bytes > p->shard_bytes - in_shard) {
            p->n_shards++;
            in_shard = 0;
        }
        p->items[i].shard = (int)p->n_shards;
        in_shard += p->items[i].bytes < p->shard_bytes - in_shard ? p->items[i].bytes : p->shard_bytes - in_shard;
    }
    p->n_shards++;
}

/* ---- rows ------------------------------------------------------------------------------------------------------------- */

struct rows_job {
    struct plan *p;
    const struct weight *w;
    const float *a, *b; /* the adapter's matrices on the host; NULL without one */
    int64_t first, n;   /* rows of this piece */
};

/* Row i of W + scale * B A. The product is summed over the rank first, so that the base is rounded once. */
static void merged_row(const struct rows_job *job, int64_t i, float *delta, float *out)
{
    const struct weight *w = job->w;
    weight_source_row_f32(&w->source, i, out);
    if (!w->lora) return;
    int64_t rank = w->lora->a->shape[0];
    const float *a = job->a, *b = job->b + i * rank;
    memset(delta, 0, (size_t)w->cols * sizeof *delta);
    for (int64_t r = 0; r < rank; r++)
        for (int64_t j = 0; j < w->cols; j++) delta[j] += b[r] * a[r * w->cols + j];
    for (int64_t j = 0; j < w->cols; j++) out[j] += w->lora->scale * delta[j];
}

static void rows_block(void *arg, int64_t block, int worker)
{
    const struct rows_job *job = arg;
    int64_t cols = job->w->cols, end = (block + 1) * ROWS_A_BLOCK < job->n ? (block + 1) * ROWS_A_BLOCK : job->n;
    float *delta = job->p->rows + (job->n + worker) * cols; /* behind the piece */
    for (int64_t i = block * ROWS_A_BLOCK; i < end; i++) {
        float *row = job->p->rows + i * cols;
        merged_row(job, job->first + i, delta, row);
        if (job->p->type == TENSOR_BF16)
            for (int64_t j = 0; j < cols; j++) job->p->halves[i * cols + j] = f32_to_bf16(row[j]);
    }
}

/* Room for `elements` numbers and, behind them, a row for each worker. */
static enum status make_room(struct plan *p, int64_t elements, int64_t cols)
{
    mem_free(p->c, p->rows);
    mem_free(p->c, p->halves);
    p->rows = mem_alloc(p->c, (size_t)(elements + cols * threads_count(p->c)), sizeof *p->rows);
    p->halves = p->type == TENSOR_BF16 ? mem_alloc(p->c, (size_t)elements, sizeof *p->halves) : NULL;
    return p->c->status;
}

static void write_room(struct plan *p, struct safetensors_writer *out, int64_t elements)
{
    if (p->type == TENSOR_BF16)
        safetensors_write(out, p->halves, (size_t)elements * sizeof *p->halves);
    else
        safetensors_write(out, p->rows, (size_t)elements * sizeof *p->rows);
}

/* A copy of an array's elements on the host, or NULL; owner the caller. */
static float *host_copy(struct ctx *c, struct array *a)
{
    float *values = mem_alloc(c, (size_t)array_size(a), sizeof *values);
    if (values && array_to_host(a, DTYPE_F32, values) == OK) return values;
    mem_free(c, values);
    return NULL;
}

static enum status write_rows(struct plan *p, struct safetensors_writer *out, const struct weight *w, const float *a,
                              const float *b)
{
    int64_t rows = PIECE_BYTES / (w->cols * (int64_t)sizeof *p->rows);
    rows = rows < 1 ? 1 : rows > w->rows ? w->rows : rows;
    TRY(make_room(p, rows * w->cols, w->cols));
    for (int64_t first = 0; first < w->rows && ctx_ok(p->c); first += rows) {
        struct rows_job job = {p, w, a, b, first, w->rows - first < rows ? w->rows - first : rows};
        threads_run(p->c, (job.n + ROWS_A_BLOCK - 1) / ROWS_A_BLOCK, rows_block, &job);
        write_room(p, out, job.n * w->cols);
    }
    return p->c->status;
}

static enum status write_matrix(struct plan *p, struct safetensors_writer *out, const struct weight *w)
{
    float *a = w->lora ? host_copy(p->c, w->lora->a) : NULL, *b = w->lora ? host_copy(p->c, w->lora->b) : NULL;
    if (ctx_ok(p->c)) write_rows(p, out, w, a, b);
    mem_free(p->c, a);
    mem_free(p->c, b);
    return p->c->status;
}

static enum status write_vector(struct plan *p, struct safetensors_writer *out, struct array *v)
{
    int64_t n = v->shape[0];
    TRY(make_room(p, n, 0));
    TRY(array_to_host(v, DTYPE_F32, p->rows));
    for (int64_t i = 0; p->halves && i < n; i++) p->halves[i] = f32_to_bf16(p->rows[i]);
    write_room(p, out, n);
    return p->c->status;
}

/* ---- files ------------------------------------------------------------------------------------------------------------ */

static const char *shard_name(const struct plan *p, size_t shard, char *buf)
{
    if (p->n_shards == 1)
        snprintf(buf, NAME_BYTES, "model.safetensors");
    else
        snprintf(buf, NAME_BYTES, "model-%05zu-of-%05zu.safetensors", shard + 1, p->n_shards);
    return buf;
}

static enum status write_items(struct plan *p, struct safetensors_writer *out, const struct item *first, size_t n)
{
    for (size_t i = 0; i < n; i++)
        TRY(first[i].weight ? write_matrix(p, out, first[i].weight) : write_vector(p, out, first[i].vector));
    return p->c->status;
}

static enum status write_shard(struct plan *p, size_t shard)
{
    char name[NAME_BYTES];
    size_t first = 0, n = 0;
    while (p->items[first].shard != (int)shard) first++;
    for (; first + n < p->n && p->items[first + n].shard == (int)shard; n++) {
        const struct item *item = &p->items[first + n];
        struct safetensors_entry *e = &p->entries[n];
        *e = (struct safetensors_entry){.name = item->name, .type = p->type, .ndim = item->weight ? 2 : 1};
        e->shape[0] = item->weight ? item->weight->rows : item->vector->shape[0];
        if (item->weight) e->shape[1] = item->weight->cols;
    }
    char *path = path_join(p->c, p->dir, shard_name(p, shard, name));
    struct safetensors_writer *out = path ? safetensors_create(p->c, path, p->entries, n, NULL, 0) : NULL;
    mem_free(p->c, path);
    if (!out) return p->c->status;
    if (write_items(p, out, &p->items[first], n) == OK) return safetensors_commit(out);
    safetensors_abort(out);
    return p->c->status;
}

/* model.safetensors.index.json: which file holds which tensor. */
static enum status write_index(struct plan *p)
{
    char name[NAME_BYTES];
    struct buf text;
    buf_init(&text, p->c, INDEX_MAX_BYTES);
    json_t *doc = json_object(), *map = json_object(), *metadata = json_object();
    for (size_t i = 0; i < p->n; i++)
        json_object_set_new(map, p->items[i].name, json_string(shard_name(p, (size_t)p->items[i].shard, name)));
    json_object_set_new(metadata, "total_size", json_integer((json_int_t)p->total_bytes));
    json_object_set_new(doc, "metadata", metadata);
    json_object_set_new(doc, "weight_map", map);
    char *path = path_join(p->c, p->dir, "model.safetensors.index.json");
    if (path && json_write(p->c, doc, true, &text) == OK) file_write_atomic(p->c, path, buf_str(&text), text.len);
    mem_free(p->c, path);
    json_decref(doc);
    buf_release(&text);
    return p->c->status;
}

/* ---- the whole -------------------------------------------------------------------------------------------------------- */

static enum status write_all(struct plan *p)
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
    BUG_ON(c, options->type != TENSOR_BF16 && options->type != TENSOR_F32, "merge to type %d", (int)options->type);
    struct plan p = {.c = c, .m = m, .dir = dir, .type = options->type};
    size_t most = (size_t)m->config.n_layers * (2 * LORA_PLACES + BLOCK_NORMS) + 3;
    p.shard_bytes = options->shard_bytes ? options->shard_bytes : default_shard_bytes;
    p.items = mem_alloc(c, most, sizeof *p.items);
    p.entries = mem_alloc(c, most, sizeof *p.entries);
    if (p.items && p.entries) {
        plan_items(&p);
        plan_shards(&p);
        write_all(&p);
    }
    mem_free(c, p.rows);
    mem_free(c, p.halves);
    mem_free(c, p.entries);
    mem_free(c, p.items);
    return c->status;
}
