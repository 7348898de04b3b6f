/* cuda_adapters: the groups of adapters that are kept packed, and when they are made again. See cuda_adapters.h.
 *
 * A group is known by all that its packed matrices are made of: addresses, ranks, shapes and scales. A group that is met for
 * the first time is packed alone and appended. Rejected: having the optimizer write bf16 as well, which would tie it to the
 * layout of a product, and would miss adapters that are loaded; a version for each adapter, since all change at once. */
#include "backend/cuda/cuda_adapters.h"

#include <stddef.h>
#include <string.h>

#include "array/array.h"
#include "backend/cuda/cuda_backend.h"

/* Memory is taken in multiples of what the driver gives at least, so that what is counted is what is taken. */
enum { CHUNK_BYTES = 2 << 20, CHUNK_ALIGN = 256 };

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

/* Frees the chunks but that of the matrix at `but` (NULL: all), which becomes the only one. For when no group is kept. */
static void chunks_free(struct cuda_backend *b, const void *but)
{
    struct cuda_adapters *s = &b->adapters;
    int kept = 0;
    for (int i = 0; i < s->n_chunks; i++) {
        const struct adapter_stretch k = s->chunk[i];
        if (but && (const char *)but >= k.at && (const char *)but < k.at + k.bytes) {
            s->chunk[kept++] = k;
            continue;
        }
        b->stats.kept_bytes -= k.bytes;
        cuda_device_give(b, k.at, k.bytes);
    }
    s->n_chunks = kept;
    s->used = kept ? s->chunk[0].bytes : 0;
    s->table = NULL;
    s->sent = 0;
}

/* One more chunk, of `bytes` at least. False where there is none. */
static bool chunk_add(struct cuda_backend *b, size_t bytes)
{
    struct cuda_adapters *s = &b->adapters;
    struct adapter_stretch *k = &s->chunk[s->n_chunks];
    if (s->n_chunks == ADAPTER_CHUNKS) return false;
    k->bytes = (bytes + CHUNK_BYTES - 1) / CHUNK_BYTES * CHUNK_BYTES;
    k->at = cuda_device_take(b, k->bytes);
    if (!k->at) return false;
    b->stats.kept_bytes += k->bytes;
    s->n_chunks++;
    s->used = 0;
    return true;
}

/* The next `bytes` of the last chunk, or of a new one. NULL where there is no memory: that is no error. */
static void *chunk_take(struct cuda_backend *b, size_t bytes)
{
    struct cuda_adapters *s = &b->adapters;
    bytes = (bytes + CHUNK_ALIGN - 1) / CHUNK_ALIGN * CHUNK_ALIGN;
    bool room = s->n_chunks > 0 && s->used + bytes <= s->chunk[s->n_chunks - 1].bytes;
    if (!room && !chunk_add(b, bytes)) return NULL;
    void *at = s->chunk[s->n_chunks - 1].at + s->used;
    s->used += bytes;
    return at;
}

/* ---- groups ---------------------------------------------------------------------------------------------------------- */

/* The matrices' elements. */
static int64_t elements_a(const struct cuda_pack_args *k)
{
    return (int64_t)k->first[k->parts] * k->cols;
}

static int64_t elements_b(const struct cuda_pack_args *k)
{
    return (int64_t)k->first[k->parts] * k->row[k->parts];
}

/* Whether two groups are made of the same: all but the places that they are packed to. */
static bool same_group(const struct cuda_pack_args *x, const struct cuda_pack_args *y)
{
    return memcmp(x, y, offsetof(struct cuda_pack_args, cols) + sizeof(x->cols)) == 0;
}

/* Which of the kept groups this is; -1: none. Forward asks for the group behind the last one, backward for the one before
 * it. */
static int group_find(const struct cuda_adapters *s, const struct cuda_pack_args *k)
{
    for (int i = 0; i < s->n_groups; i++) {
        int at = (s->last + s->n_groups - 1 + i) % s->n_groups;
        if (same_group(&s->group[at], k)) return at;
    }
    return -1;
}

/* Has the block of an array watched. False where it has none of its own, or where too many are watched. */
static bool block_watch(struct cuda_adapters *s, const struct array *a)
{
    const struct storage *of = a->storage;
    if (!of->persistent) return false;
    for (int i = 0; i < s->n_blocks; i++)
        if (s->block[i].at == of->data) return true;
    if (s->n_blocks == ADAPTER_BLOCKS) return false;
    s->block[s->n_blocks++] = (struct adapter_stretch){of->data, of->taken};
    return true;
}

/* Appends a group, not packed yet. False where it cannot be kept. */
static bool group_add(struct cuda_backend *b, const struct linear_view *v, const struct cuda_pack_args *k)
{
    struct cuda_adapters *s = &b->adapters;
    if (s->full || s->n_groups == ADAPTER_GROUPS) return false;
    for (int i = 0; i < k->parts; i++)
        if (k->from_a[i] && (!block_watch(s, v->slot[i].a) || !block_watch(s, v->slot[i].b))) return false;
    if (!s->table) s->table = chunk_take(b, sizeof(s->group));
    bf16_bits *to = s->table ? chunk_take(b, (size_t)(elements_a(k) + elements_b(k)) * sizeof(*to)) : NULL;
    s->full = !to;
    if (!to) return false;
    struct cuda_pack_args *g = &s->group[s->n_groups++];
    *g = *k;
    g->a = to;
    g->b = to + elements_a(k);
    return true;
}

/* ---- packing --------------------------------------------------------------------------------------------------------- */

static enum status pack_into_scratch(struct cuda_backend *b, struct cuda_pack_args *k)
{
    k->a = cuda_scratch(b, DTYPE_BF16, elements_a(k));
    k->b = cuda_scratch(b, DTYPE_BF16, elements_b(k));
    return k->a && k->b ? cuda_pack(b->d, k) : b->backend.c->status;
}

/* Packs a group that is met for the first time, or forgets it again: what is in the list has been packed. */
static enum status pack_new(struct cuda_backend *b)
{
    struct cuda_adapters *s = &b->adapters;
    enum status status = cuda_pack(b->d, &s->group[s->n_groups - 1]);
    if (status != OK) s->n_groups--;
    return status;
}

/* Packs all groups in one launch. */
static enum status pack_all(struct cuda_backend *b)
{
    struct cuda_adapters *s = &b->adapters;
    if (s->sent != s->n_groups) {
        cuda_backend_upload(&b->backend, s->table, s->group, (size_t)s->n_groups * sizeof(*s->group));
        TRY(b->backend.c->status);
        s->sent = s->n_groups;
    }
    TRY(cuda_pack_all(b->d, s->group, s->table, s->n_groups));
    s->stale = false;
    return OK;
}

enum status cuda_adapters_pack(struct cuda_backend *b, const struct linear_view *v, struct cuda_pack_args *k)
{
    struct cuda_adapters *s = &b->adapters;
    int at = group_find(s, k);
    if (at < 0) {
        if (!group_add(b, v, k)) return pack_into_scratch(b, k);
        at = s->n_groups - 1;
        TRY(pack_new(b));
    } else if (s->stale) {
        TRY(pack_all(b));
    }
    s->last = at;
    k->a = s->group[at].a;
    k->b = s->group[at].b;
    s->busy = k->a;
    return OK;
}

/* ---- what happens to adapters ---------------------------------------------------------------------------------------- */

/* Whether any watched block has a byte of these. */
static bool watches(const struct cuda_adapters *s, const void *at, size_t bytes)
{
    for (int i = 0; i < s->n_blocks; i++) {
        const struct adapter_stretch k = s->block[i];
        if ((const char *)at < k.at + k.bytes && (const char *)at + bytes > k.at) return true;
    }
    return false;
}

void cuda_adapters_written(struct cuda_backend *b, const void *at, size_t bytes)
{
    if (watches(&b->adapters, at, bytes)) b->adapters.stale = true;
}

/* A view reaches no further than its storage, so where it begins says which block it is of. */
static void array_named(struct cuda_backend *b, const struct array *a)
{
    if (a) cuda_adapters_written(b, a->data, 1);
}

void cuda_adapters_called(struct cuda_backend *b, const struct op_call *call)
{
    struct cuda_adapters *s = &b->adapters;
    bool product = call->op == OP_LINEAR || call->op == OP_LINEAR_BWD;
    for (int i = 0; i < OP_MAX_OUT; i++) array_named(b, call->out[i]);
    for (int i = 0; i < OP_MAX_IN && !product; i++) array_named(b, call->in[i]);
    s->busy = NULL;
    if (s->n_groups == 0 && s->n_chunks > 0) chunks_free(b, NULL); /* of a call that ran while all was given back */
}

void cuda_adapters_freed(struct cuda_backend *b, const void *block, size_t bytes)
{
    if (watches(&b->adapters, block, bytes)) cuda_adapters_drop(b);
}

bool cuda_adapters_give_back(struct cuda_backend *b)
{
    struct cuda_adapters *s = &b->adapters;
    if (s->n_groups == 0) return false;
    chunks_free(b, s->busy);
    s->n_groups = s->last = 0;
    s->full = true;
    return true;
}

/* Adapters of blocks that still live are met again at their next product. */
void cuda_adapters_drop(struct cuda_backend *b)
{
    struct cuda_adapters *s = &b->adapters;
    chunks_free(b, s->busy);
    s->n_groups = s->n_blocks = s->last = 0;
    s->stale = s->full = false;
}
