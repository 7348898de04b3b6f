/* cuda_weight: frozen matrices in device memory, in bf16. Rows are widened to f32 by the codecs and rounded, a piece at a
 * time on the host's threads, into the page-locked stage, while the piece before is on its way.
 *
 * Weights lie one behind the other in one stretch of addresses (virtual memory management of the driver), in the order in
 * which they are prepared: q, k and v of a block, or gate and up, are then one matrix, and their product is one call. */
#include <string.h>

#include "array/codec/quant.h"
#include "backend/cuda/cuda_backend.h"
#include "base/checked.h"
#include "base/mem.h"
#include "base/threads.h"

enum { ARENA_CHUNK = 32 << 20, ROWS_A_BLOCK = 8 };

/* ---- the arena's memory ---------------------------------------------------------------------------------------------- */

/* Ordinary memory of this card. */
static CUmemAllocationProp arena_properties(const struct cuda *d)
{
    return (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                 .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = d->device}};
}

/* Reserves as many addresses as the card has bytes; they cost nothing until chunks are mapped behind them. */
static enum status arena_open(struct cuda_backend *b)
{
    struct cuda *d = b->d;
    size_t available = 0, total = 0;
    if (b->arena.base) return OK;
    TRY(cuda_check(d, d->driver.cuMemGetInfo(&available, &total), "asking for memory"));
    size_t bytes = (total + ARENA_CHUNK - 1) / ARENA_CHUNK * ARENA_CHUNK;
    TRY(cuda_check(d, d->driver.cuMemAddressReserve(&b->arena.base, bytes, 0, 0, 0), "reserving addresses for weights"));
    b->arena.reserved = bytes;
    return OK;
}

/* Backs one more chunk of the stretch. */
static enum status arena_grow(struct cuda_backend *b)
{
    struct cuda_arena *a = &b->arena;
    struct cuda *d = b->d;
    const CUmemAllocationProp properties = arena_properties(d);
    const CUmemAccessDesc access = {.location = properties.location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    size_t n = a->n_chunks;
    if (a->backed + ARENA_CHUNK > a->reserved)
        return ctx_fail(d->c, E_FIT, "CUDA: the weights are larger than the memory of %s", d->name);
    void *chunks = mem_resize(d->c, a->chunks, n, n + 1, sizeof(*a->chunks));
    if (!chunks) return d->c->status;
    a->chunks = chunks;
    CUresult made = d->driver.cuMemCreate(&a->chunks[n], ARENA_CHUNK, &properties, 0);
    if (made == CUDA_ERROR_OUT_OF_MEMORY)
        return ctx_fail(d->c, E_FIT, "CUDA: the weights do not fit on %s: %.1f MiB of them are there and %.1f MiB are free",
                        d->name, (double)a->used / 0x1p20, (double)cuda_free_bytes(d) / 0x1p20);
    TRY(cuda_check(d, made, "taking memory for weights"));
    a->n_chunks++;
    TRY(cuda_check(d, d->driver.cuMemMap(a->base + a->backed, ARENA_CHUNK, 0, a->chunks[n], 0),
                   "mapping memory for weights"));
    a->backed += ARENA_CHUNK;
    return cuda_check(d, d->driver.cuMemSetAccess(a->base + a->backed - ARENA_CHUNK, ARENA_CHUNK, &access, 1),
                      "opening memory for weights");
}

/* The next `bytes`, a multiple of 16 long. 0 on failure. */
static CUdeviceptr arena_take(struct cuda_backend *b, size_t bytes)
{
    struct cuda_arena *a = &b->arena;
    if (arena_open(b) != OK) return 0;
    while (a->used + bytes > a->backed)
        if (arena_grow(b) != OK) return 0;
    CUdeviceptr at = a->base + a->used;
    a->used += bytes;
    a->live += bytes;
    b->stats.live_bytes += bytes;
    if (b->stats.live_bytes > b->stats.peak_bytes) b->stats.peak_bytes = b->stats.live_bytes;
    return at;
}

/* Single weights are not given back: models are opened and closed whole, and when the last weight is gone the arena starts
 * again from its beginning. Its chunks stay mapped for the next model. */
static void arena_release(struct cuda_backend *b, size_t bytes)
{
    b->arena.live -= bytes;
    b->stats.live_bytes -= bytes;
    if (b->arena.live == 0) b->arena.used = 0;
}

void cuda_weights_close(struct cuda_backend *b)
{
    struct cuda_arena *a = &b->arena;
    const struct cuda_driver *f = &b->d->driver;
    if (a->backed) f->cuMemUnmap(a->base, a->backed);
    for (size_t i = 0; i < a->n_chunks; i++) f->cuMemRelease(a->chunks[i]);
    if (a->base) f->cuMemAddressFree(a->base, a->reserved);
    mem_free(b->backend.c, a->chunks);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------ */

/* Rows on their way to the card. */
struct weight_piece {
    const struct weight_source *source;
    int64_t first, rows; /* of the source */
    uint16_t *to;
    float *wide; /* a row for each worker */
};

static void narrow_row(const struct weight_source *s, int64_t row, float *wide, uint16_t *to)
{
    weight_source_row_f32(s, row, wide);
    for (int64_t i = 0; i < s->cols; i++) to[i] = f32_to_bf16(wide[i]);
}

static void piece_block(void *arg, int64_t block, int worker)
{
    const struct weight_piece *p = arg;
    int64_t end = (block + 1) * ROWS_A_BLOCK < p->rows ? (block + 1) * ROWS_A_BLOCK : p->rows;
    for (int64_t i = block * ROWS_A_BLOCK; i < end; i++) {
        uint16_t *to = p->to + i * p->source->cols;
        if (p->source->type == TENSOR_BF16)
            memcpy(to, weight_source_row(p->source, p->first + i), (size_t)p->source->cols * 2);
        else
            narrow_row(p->source, p->first + i, p->wide + worker * p->source->cols, to);
    }
}

/* Queues all rows of `s` to device memory at `to`: threads widen and round a piece into the stage while the card copies
 * the one before. */
static enum status send_rows(struct cuda_backend *b, const struct weight_source *s, CUdeviceptr to)
{
    struct ctx *c = b->backend.c;
    size_t row = (size_t)s->cols * 2, bytes = 0;
    float *wide = mem_alloc(c, (size_t)threads_count(c) * (size_t)s->cols, sizeof(*wide));
    for (int64_t first = 0; wide && first < s->rows && ctx_ok(c);) {
        void *part = cuda_stage_take(b, row * (size_t)(s->rows - first), &bytes);
        if (!part) break;
        if (bytes < row) { /* what is left of this part of the stage is too short */
            b->stage.used += bytes;
            continue;
        }
        struct weight_piece p = {s, first, (int64_t)(bytes / row), part, wide};
        threads_run(c, (p.rows + ROWS_A_BLOCK - 1) / ROWS_A_BLOCK, piece_block, &p);
        cuda_stage_send(b, to + (size_t)first * row, part, (size_t)p.rows * row);
        first += p.rows;
    }
    mem_free(c, wide);
    return c->status;
}

/* ---- the backend's part ---------------------------------------------------------------------------------------------- */

/* Rows of zeros behind the last one make their number a multiple of 8: the loss reads logits 16 bytes at a time. */
size_t cuda_weight_bytes(struct backend *b, const struct weight_source *source, enum weight_form form)
{
    (void)b;
    (void)form;
    return (size_t)cuda_padded(source->rows) * (size_t)source->cols * 2;
}

/* Refuses what has no kernel: quantised forms, rows that are not a multiple of 8 elements, sizes over the kernels' 32
 * bits. */
static enum status check_form(struct cuda_backend *b, const char *name, const struct weight_source *s, enum weight_form form)
{
    struct ctx *c = b->backend.c;
    if (form != WEIGHT_STORED)
        return ctx_fail(c, E_UNSUPPORTED,
                        "%s: --base-type nf4 and int8 are not made on %s yet: leave it out, or use --device "
                        "cpu",
                        name, b->backend.name);
    if (s->cols % 8 != 0)
        return ctx_fail(c, E_UNSUPPORTED, "%s has rows of %lld elements; on %s they must be a multiple of 8", name,
                        (long long)s->cols, b->backend.name);
    if ((size_t)s->cols * 2 > CUDA_STAGE_BYTES / CUDA_STAGE_PIECES || s->rows > INT32_MAX - 8)
        return ctx_fail(c, E_UNSUPPORTED, "%s: %lld rows of %lld elements are more than %s takes", name, (long long)s->rows,
                        (long long)s->cols, b->backend.name);
    return OK;
}

enum status cuda_weight_prepare(struct backend *base, struct weight *w, const char *name, const struct weight_source *source,
                                enum weight_form form)
{
    struct cuda_backend *b = cuda_backend_of(base);
    TRY(check_form(b, name, source, form));
    BUG_ON(base->c, base->counting, "%s: a counting backend prepares no weights", name);
    size_t bytes = cuda_weight_bytes(base, source, form), filled = (size_t)source->rows * (size_t)source->cols * 2;
    CUdeviceptr at = arena_take(b, bytes);
    if (!at) return base->c->status;
    if (send_rows(b, source, at) != OK || cuda_zero(b->d, at + filled, bytes - filled) != OK) {
        arena_release(b, bytes);
        return base->c->status;
    }
    *w = (struct weight){.name = name,
                         .source = *source,
                         .form = form,
                         .type = source->type,
                         .rows = source->rows,
                         .cols = source->cols,
                         .data = (const void *)at,
                         .row_bytes = (size_t)source->cols * 2};
    return OK;
}

void cuda_weight_release(struct backend *b, struct weight *w)
{
    arena_release(cuda_backend_of(b), cuda_weight_bytes(b, &w->source, w->form));
}
