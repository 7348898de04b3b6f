/* cuda_weight: frozen matrices in device memory. NF4, int8 and the blocks that cuda_code.cuh reads stay compressed there;
 * all else is bf16: rows are widened to f32 by the codecs and rounded, a piece at a time on the host's threads, into the
 * page-locked stage, while the piece before is on its way.
 *
 * Weights lie one behind the other in one stretch of addresses (virtual memory management of the driver), in the order in
 * which they are prepared: q, k and v of a block, or gate and up, are then one matrix, and their product is one call. */
#include <string.h>

#include "array/codec/quant.h"
#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/cuda_graph.h"
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
    TRY(cuda_graph_send(d)); /* the driver maps no memory while it records */
    if (a->backed + ARENA_CHUNK > a->reserved)
        return ctx_fail(d->c, E_FIT, "CUDA: the weights are larger than the memory of %s", d->name);
    void *chunks = mem_resize(d->c, a->chunks, n, n + 1, sizeof(*a->chunks));
    if (!chunks) return d->c->status;
    a->chunks = chunks;
    CUresult made = d->driver.cuMemCreate(&a->chunks[n], ARENA_CHUNK, &properties, 0);
    if (made == CUDA_ERROR_OUT_OF_MEMORY)
        return ctx_fail(d->c, E_FIT,
                        "CUDA: the weights do not fit on %s: %.1f MiB of them are there and %.1f MiB are free. In 4 bits "
                        "(--base-type nf4) they take about a quarter of bf16; --device takes another device",
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

/* ---- codes ------------------------------------------------------------------------------------------------------------ */

/* Only the types that cuda_code.cuh reads stay as they are; every other one is widened to bf16 when it is prepared. */
enum cuda_code cuda_code_of(enum weight_form form, enum tensor_type type)
{
    if (form == WEIGHT_NF4) return CODE_NF4;
    if (form == WEIGHT_INT8) return CODE_INT8;
    switch (type) {
    case TENSOR_Q4_0:
        return CODE_Q4_0;
    case TENSOR_Q5_0:
        return CODE_Q5_0;
    case TENSOR_Q8_0:
        return CODE_Q8_0;
    case TENSOR_Q4_K:
        return CODE_Q4_K;
    case TENSOR_Q5_K:
        return CODE_Q5_K;
    case TENSOR_Q6_K:
        return CODE_Q6_K;
    default:
        return CODE_BF16;
    }
}

/* Bytes of a row on the card. */
static size_t row_bytes_of(const struct weight_source *s, enum weight_form form)
{
    if (cuda_code_of(form, s->type) == CODE_BF16) return (size_t)s->cols * 2;
    return form == WEIGHT_STORED ? s->row_bytes : weight_form_bytes(s, form) / (size_t)s->rows;
}

/* ---- rows ------------------------------------------------------------------------------------------------------------- */

/* Rows on their way to the card. */
struct weight_piece {
    const struct weight *host; /* in the form that the card gets, or wider where that is bf16 */
    bool narrows;
    size_t row_bytes;
    int64_t first, rows;
    char *to;
    float *wide; /* a row for each worker */
};

static void narrow_row(const struct weight *w, int64_t row, float *wide, uint16_t *to)
{
    weight_row_f32(w, row, wide);
    for (int64_t i = 0; i < w->cols; i++) to[i] = f32_to_bf16(wide[i]);
}

/* ROWS_A_BLOCK rows into the stage: bf16 is copied, everything else is rounded. */
static void piece_block(void *arg, int64_t block, int worker)
{
    const struct weight_piece *p = arg;
    int64_t end = (block + 1) * ROWS_A_BLOCK < p->rows ? (block + 1) * ROWS_A_BLOCK : p->rows;
    for (int64_t i = block * ROWS_A_BLOCK; i < end; i++) {
        char *to = p->to + (size_t)i * p->row_bytes;
        if (p->narrows)
            narrow_row(p->host, p->first + i, p->wide + worker * p->host->cols, (uint16_t *)(void *)to);
        else
            memcpy(to, weight_row(p->host, p->first + i), p->row_bytes);
    }
}

/* Queues all rows of `host` to device memory at `to`: threads copy, or widen and round, a piece into the stage while the
 * card copies the one before. */
static enum status send_rows(struct cuda_backend *b, const struct weight *host, CUdeviceptr to)
{
    struct ctx *c = b->backend.c;
    bool narrows = cuda_code_of(host->form, host->type) == CODE_BF16 && host->type != TENSOR_BF16;
    size_t row = row_bytes_of(&host->source, host->form), bytes = 0;
    float *wide = mem_alloc(c, (size_t)threads_count(c) * (size_t)host->cols, sizeof(*wide));
    for (int64_t first = 0; wide && first < host->rows && ctx_ok(c);) {
        void *part = cuda_stage_take(b, row * (size_t)(host->rows - first), &bytes);
        if (!part) break;
        if (bytes < row) { /* what is left of this part of the stage is too short */
            b->stage.used += bytes;
            continue;
        }
        struct weight_piece p = {host, narrows, row, first, (int64_t)(bytes / row), part, wide};
        threads_run(c, (p.rows + ROWS_A_BLOCK - 1) / ROWS_A_BLOCK, piece_block, &p);
        cuda_stage_send(b, to + (size_t)first * row, part, (size_t)p.rows * row);
        first += p.rows;
    }
    mem_free(c, wide);
    return c->status;
}

/* ---- the backend's part ---------------------------------------------------------------------------------------------- */

/* In bf16, rows of zeros behind the last one make their number a multiple of 8: the loss reads logits 16 bytes at a time.
 * Compressed rows are widened before that. What follows begins at a multiple of 16 bytes. */
size_t cuda_weight_bytes(struct backend *b, const struct weight_source *source, enum weight_form form)
{
    (void)b;
    size_t row = row_bytes_of(source, form);
    if (cuda_code_of(form, source->type) == CODE_BF16) return (size_t)cuda_padded(source->rows) * row;
    return ((size_t)source->rows * row + 15) / 16 * 16;
}

/* Refuses what has no kernel: rows that are not a multiple of 8 elements, sizes over the kernels' 32 bits. */
static enum status check_source(struct cuda_backend *b, const char *name, const struct weight_source *s)
{
    struct ctx *c = b->backend.c;
    if (s->cols % 8 != 0)
        return ctx_fail(c, E_UNSUPPORTED, "%s has rows of %lld elements; on %s they must be a multiple of 8", name,
                        (long long)s->cols, b->backend.name);
    if ((size_t)s->cols * 2 > CUDA_STAGE_BYTES / CUDA_STAGE_PIECES || s->rows > INT32_MAX - 8)
        return ctx_fail(c, E_UNSUPPORTED, "%s: %lld rows of %lld elements are more than %s takes", name, (long long)s->rows,
                        (long long)s->cols, b->backend.name);
    return OK;
}

/* The rows of `host` into memory of the arena. 0 on failure. */
static CUdeviceptr send(struct cuda_backend *b, const struct weight *host)
{
    size_t bytes = cuda_weight_bytes(&b->backend, &host->source, host->form);
    size_t filled = (size_t)host->rows * row_bytes_of(&host->source, host->form);
    CUdeviceptr at = arena_take(b, bytes);
    if (!at) return 0;
    if (send_rows(b, host, at) == OK && cuda_zero(b->d, at + filled, bytes - filled) == OK) return at;
    arena_release(b, bytes);
    return 0;
}

enum status cuda_weight_prepare(struct backend *base, struct weight *w, const char *name, const struct weight_source *source,
                                enum weight_form form)
{
    struct cuda_backend *b = cuda_backend_of(base);
    struct weight host;
    void *codes = NULL;
    TRY(check_source(b, name, source));
    cuda_bind(b);
    BUG_ON(base->c, base->counting, "%s: a counting backend prepares no weights", name);
    if (form != WEIGHT_STORED) {
        codes = mem_alloc(base->c, weight_form_bytes(source, form), 1);
        if (!codes) return base->c->status;
    }
    enum status status = weight_prepare(base->c, &host, name, source, form, codes);
    CUdeviceptr at = status == OK ? send(b, &host) : 0;
    mem_free(base->c, codes); /* its copies are out of the stage's memory */
    if (!at) return base->c->status;
    *w = host;
    w->row_map = NULL; /* rows were sent in Hugging Face order */
    w->data = (const void *)at;
    w->row_bytes = row_bytes_of(source, form);
    return OK;
}

void cuda_weight_release(struct backend *b, struct weight *w)
{
    arena_release(cuda_backend_of(b), cuda_weight_bytes(b, &w->source, w->form));
}

enum status cuda_weight_widen(struct cuda_backend *b, const struct weight *w, const int32_t *ids, int64_t rows,
                              bf16_bits *to)
{
    const struct cuda_widen_args a = {.from = w->data,
                                      .ids = ids,
                                      .to = to,
                                      .fault = b->fault ? &b->fault->row_fault : NULL,
                                      .row_bytes = (int64_t)w->row_bytes,
                                      .to_stride = w->cols,
                                      .limit = w->rows,
                                      .rows = (int)rows,
                                      .cols = (int)w->cols};
    return cuda_widen(b->d, &a, cuda_weight_code(w));
}
