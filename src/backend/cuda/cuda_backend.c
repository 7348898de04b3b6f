/* cuda_backend: opening and closing, memory, the table. See cuda_backend.h. */
#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/cuda_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

typedef enum status (*cuda_row)(struct cuda_backend *b, const struct op_call *call);

/* The rows that are done; all others are refused by the front end with their names. */
static const cuda_row rows[OP_COUNT] = {
    [OP_ADD] = cuda_row_binary,
    [OP_SUB] = cuda_row_binary,
    [OP_MUL] = cuda_row_binary,
    [OP_CAST] = cuda_row_cast,
    [OP_COPY] = cuda_row_copy,
    [OP_TAKE] = cuda_row_take,
    [OP_TAKE_BWD] = cuda_row_take_bwd,
    [OP_EMBED] = cuda_row_embed,
    [OP_RMS_NORM] = cuda_row_rms_norm,
    [OP_RMS_NORM_BWD] = cuda_row_rms_norm_bwd,
    [OP_LINEAR] = cuda_row_linear,
    [OP_LINEAR_BWD] = cuda_row_linear_bwd,
    [OP_ROPE] = cuda_row_rope,
    [OP_ATTENTION] = cuda_row_attention,
    [OP_ATTENTION_BWD] = cuda_row_attention_bwd,
    [OP_SWIGLU] = cuda_row_swiglu,
    [OP_SWIGLU_BWD] = cuda_row_swiglu_bwd,
    [OP_LINEAR_CROSS_ENTROPY] = cuda_row_cross_entropy,
    [OP_FILL] = cuda_row_fill,
    [OP_CHECK_IDS] = cuda_row_check_ids,
    [OP_ACCUMULATE] = cuda_row_accumulate,
    [OP_SUM_SQUARES] = cuda_row_sum_squares,
    [OP_ADAMW] = cuda_row_adamw,
};

/* Scratch that the row takes lives until its work is queued: the pool's next user of the memory is queued behind it. */
static enum status cuda_backend_run(struct backend *base, const struct op_call *call)
{
    int mark = scope_open(base->c);
    cuda_bind(cuda_backend_of(base));
    enum status status = rows[call->op](cuda_backend_of(base), call);
    cuda_adapters_called(cuda_backend_of(base), call);
    scope_close(base->c, mark);
    return status;
}

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

/* Address space without memory behind it, for a counting backend: nothing may read or write it, and nothing does. */
static void *cuda_backend_reserve(struct ctx *c, size_t bytes)
{
    void *block = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block != MAP_FAILED) return block;
    ctx_fail(c, E_MEMORY, "out of address space: a block of %zu bytes", bytes);
    return NULL;
}

/* Page-locked memory for arrays of the host, which the card copies to without a detour. */
static void *host_alloc(struct cuda_backend *b, size_t bytes)
{
    void *block = NULL;
    if (b->backend.counting) return mem_alloc_aligned(b->backend.c, bytes);
    cuda_check(b->d, b->d->driver.cuMemAllocHost(&block, bytes), "taking page-locked memory");
    return block;
}

static void host_free(struct cuda_backend *b, void *block)
{
    cuda_wait(b->d); /* a copy out of it may be queued or recorded */
    b->d->driver.cuMemFreeHost(block);
}

/* A block that is in use from now on; NULL: none. */
static void *device_taken(struct cuda_backend *b, void *block, size_t bytes)
{
    if (!block) return NULL;
    b->stats.live_bytes += bytes;
    if (b->stats.live_bytes > b->stats.peak_bytes) b->stats.peak_bytes = b->stats.live_bytes;
    return block;
}

void *cuda_device_take(struct cuda_backend *b, size_t bytes)
{
    bool counting = b->backend.counting;
    void *block = counting ? cuda_backend_reserve(b->backend.c, bytes) : (void *)cuda_try_alloc(b->d, bytes);
    return device_taken(b, block, bytes);
}

void cuda_device_give(struct cuda_backend *b, void *block, size_t bytes)
{
    b->stats.live_bytes -= bytes;
    if (b->backend.counting)
        munmap(block, bytes);
    else
        cuda_free(b->d, (CUdeviceptr)block);
}

/* Member `alloc`; only device memory is counted. Adapters that are kept packed give way to arrays. */
static void *cuda_backend_alloc(struct backend *base, enum backend_memory kind, size_t bytes)
{
    struct cuda_backend *b = cuda_backend_of(base);
    cuda_bind(b);
    if (kind != MEMORY_DEVICE) return host_alloc(b, bytes);
    void *block = cuda_device_take(b, bytes);
    if (!block && ctx_ok(base->c) && cuda_adapters_give_back(b)) block = cuda_device_take(b, bytes);
    if (block || base->counting) return block;
    return device_taken(b, (void *)cuda_alloc(b->d, bytes), bytes); /* which says what does not fit */
}

static void cuda_backend_free(struct backend *base, enum backend_memory kind, void *block, size_t bytes)
{
    struct cuda_backend *b = cuda_backend_of(base);
    cuda_bind(b);
    if (kind == MEMORY_DEVICE) {
        cuda_adapters_freed(b, block, bytes);
        cuda_device_give(b, block, bytes);
    } else if (base->counting) {
        mem_free(base->c, block);
    } else {
        host_free(b, block);
    }
}

static struct backend_stats cuda_backend_stats(const struct backend *b)
{
    return cuda_backend_of(b)->stats;
}

static size_t cuda_backend_free_bytes(struct backend *b)
{
    if (b->counting) return SIZE_MAX;
    cuda_bind(cuda_backend_of(b));
    return cuda_free_bytes(cuda_backend_of(b)->d);
}

/* ---- opening and closing --------------------------------------------------------------------------------------------- */

/* Waits for queued work and frees in the reverse order of opening; accepts one that is half open. */
static void cuda_backend_close(struct backend *base)
{
    struct cuda_backend *b = cuda_backend_of(base);
    struct ctx *c = base->c;
    if (b->d) {
        cuda_bind(b);
        cuda_adapters_drop(b);
    }
    BUG_ON(c, b->stats.live_bytes != 0, "%s is closed with %zu bytes still in use", base->name, b->stats.live_bytes);
    if (b->d && !b->d->counting) {
        cuda_wait(b->d);
        if (b->step) b->d->driver.cuMemFree(b->step);
        if (b->partial) b->d->driver.cuMemFree(b->partial);
        cuda_weights_close(b);
        cuda_copies_close(b);
    }
    cuda_close(b->d);
    if (b->entered) cuda_graphs_leave();
    mem_free(c, b);
}

/* What cuda_backend_open makes beside the struct; on failure cuda_backend_close frees what is there. */
static enum status cuda_backend_open_parts(struct cuda_backend *b, int index)
{
    struct ctx *c = b->backend.c;
    bool counting = b->backend.counting;
    if (!counting) cuda_graphs_enter();
    b->entered = !counting;
    b->d = counting ? cuda_open_counting(c) : cuda_open(c, index);
    if (!b->d) return c->status;
    snprintf(b->device, sizeof(b->device), "cuda:%d", index);
    snprintf(b->name, sizeof(b->name), "%s (%s)", b->device, b->d->name);
    if (counting) return OK;
    const char *timed = getenv("YA_CUDA_TIMED");
    b->d->timed = timed && *timed && *timed != '0';
    const char *graphs = getenv("YA_CUDA_GRAPHS");
    if (!graphs || strcmp(graphs, "0") != 0) TRY(cuda_graphs_open(b->d));
    TRY(cuda_copies_open(b));
    b->step = cuda_alloc(b->d, sizeof(struct cuda_adamw_step));
    b->partial = cuda_alloc(b->d, CUDA_SUM_BLOCKS * sizeof(double));
    return c->status;
}

struct backend *cuda_backend_open(struct ctx *c, int index, bool counting)
{
    struct cuda_backend *b = mem_alloc(c, 1, sizeof(*b));
    if (!b) return NULL;
    b->backend = (struct backend){.c = c,
                                  .name = b->name,
                                  .device = b->device,
                                  .activations = DTYPE_BF16,
                                  .counting = counting,
                                  .fast_bf16 = true,
                                  .alloc = cuda_backend_alloc,
                                  .free = cuda_backend_free,
                                  .upload = cuda_backend_upload,
                                  .download = cuda_backend_download,
                                  .offload = cuda_backend_offload,
                                  .fetch = cuda_backend_fetch,
                                  .mark = cuda_backend_mark,
                                  .wait = cuda_backend_wait,
                                  .weight_bytes = cuda_weight_bytes,
                                  .weight_prepare = cuda_weight_prepare,
                                  .weight_release = cuda_weight_release,
                                  .stats = cuda_backend_stats,
                                  .free_bytes = cuda_backend_free_bytes,
                                  .close = cuda_backend_close};
    /* every row that this backend has goes through one function, which looks the row up again */
    for (int op = 0; op < OP_COUNT; op++)
        if (rows[op]) b->backend.kernel[op] = cuda_backend_run;
    if (cuda_backend_open_parts(b, index) == OK) return &b->backend;
    cuda_backend_close(&b->backend);
    return NULL;
}
