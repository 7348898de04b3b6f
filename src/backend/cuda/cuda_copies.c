/* cuda_copies: bytes to and from the card. Uploads go through page-locked memory of our own, so that the host need not
 * wait for the queue: a copy out of pageable memory may wait.
 *
 * The stage is a ring of four pieces. An upload copies into the piece in use and queues its transfer; when a piece is
 * full, an event is recorded behind its last transfer, and before the ring comes round to the piece again the host waits
 * for that event. So an upload waits only when four pieces' worth of transfers are under way. */
#include <string.h>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/cuda_graph.h"

enum { STAGE_PIECE = CUDA_STAGE_BYTES / CUDA_STAGE_PIECES, STAGE_ALIGN = 256 };

enum status cuda_copies_open(struct cuda_backend *b)
{
    struct cuda *d = b->d;
    void *host = NULL, *fault = NULL;
    if (d->counting) return OK;
    TRY(cuda_check(d, d->driver.cuMemAllocHost(&host, CUDA_STAGE_BYTES), "taking page-locked memory"));
    b->stage.host = host;
    TRY(cuda_check(d, d->driver.cuMemAllocHost(&fault, sizeof(*b->fault)), "taking page-locked memory"));
    b->fault = fault;
    memset(b->fault, 0, sizeof(*b->fault));
    for (int i = 0; i < CUDA_STAGE_PIECES; i++)
        TRY(cuda_check(d, d->driver.cuEventCreate(&b->stage.copied[i], CU_EVENT_DISABLE_TIMING), "making an event"));
    return OK;
}

void cuda_copies_close(struct cuda_backend *b)
{
    struct cuda *d = b->d;
    for (int i = 0; i < CUDA_STAGE_PIECES; i++)
        if (b->stage.copied[i]) d->driver.cuEventDestroy(b->stage.copied[i]);
    if (b->fault) d->driver.cuMemFreeHost(b->fault);
    if (b->stage.host) d->driver.cuMemFreeHost(b->stage.host);
}

/* ---- uploads ---------------------------------------------------------------------------------------------------------- */

/* The next piece, when what was last copied out of it has arrived. */
static enum status stage_turn(struct cuda_backend *b)
{
    struct cuda_stage *s = &b->stage;
    struct cuda *d = b->d;
    TRY(cuda_graph_send(d));
    TRY(cuda_check(d, d->driver.cuEventRecord(s->copied[s->piece], d->stream), "recording an event"));
    s->queued[s->piece] = true;
    s->piece = (s->piece + 1) % CUDA_STAGE_PIECES;
    s->used = 0;
    if (!s->queued[s->piece]) return OK;
    s->queued[s->piece] = false;
    return cuda_check(d, d->driver.cuEventSynchronize(s->copied[s->piece]), "copying to the card");
}

void *cuda_stage_take(struct cuda_backend *b, size_t most, size_t *bytes)
{
    struct cuda_stage *s = &b->stage;
    if (!ctx_ok(b->backend.c)) return NULL;
    if (s->used + STAGE_ALIGN > STAGE_PIECE && stage_turn(b) != OK) return NULL;
    size_t left = STAGE_PIECE - s->used;
    *bytes = most < left ? most : left;
    return s->host + (size_t)s->piece * STAGE_PIECE + s->used;
}

void cuda_stage_send(struct cuda_backend *b, CUdeviceptr to, const void *part, size_t bytes)
{
    struct cuda *d = b->d;
    if (cuda_queue_begin(d, CUDA_TAG_COPY, true) == OK)
        cuda_check(d, d->driver.cuMemcpyHtoDAsync(to, part, bytes, d->stream), "copying to the card");
    cuda_queue_end(d);
    b->stage.used += (bytes + STAGE_ALIGN - 1) / STAGE_ALIGN * STAGE_ALIGN;
}

void cuda_backend_upload(struct backend *base, void *to, const void *host, size_t bytes)
{
    struct cuda_backend *b = cuda_backend_of(base);
    cuda_adapters_written(b, to, bytes);
    if (base->counting) return;
    cuda_bind(b);
    for (size_t done = 0, n = 0; done < bytes; done += n) {
        void *part = cuda_stage_take(b, bytes - done, &n);
        if (!part) return;
        memcpy(part, (const char *)host + done, n);
        cuda_stage_send(b, (CUdeviceptr)to + done, part, n);
    }
}

/* ---- downloads and waiting ------------------------------------------------------------------------------------------- */

void cuda_backend_download(struct backend *base, void *host, const void *from, size_t bytes)
{
    struct cuda_backend *b = cuda_backend_of(base);
    if (base->counting) return;
    cuda_bind(b);
    cuda_download(b->d, host, (CUdeviceptr)from, bytes);
}

void cuda_backend_offload(struct backend *base, void *block, const void *from, size_t bytes)
{
    struct cuda *d = cuda_backend_of(base)->d;
    if (base->counting) return;
    cuda_bind(cuda_backend_of(base));
    if (cuda_queue_begin(d, CUDA_TAG_OFFLOAD, true) == OK)
        cuda_check(d, d->driver.cuMemcpyDtoHAsync(block, (CUdeviceptr)from, bytes, d->stream), "copying from the card");
    cuda_queue_end(d);
}

void cuda_backend_fetch(struct backend *base, void *to, const void *block, size_t bytes)
{
    struct cuda *d = cuda_backend_of(base)->d;
    cuda_adapters_written(cuda_backend_of(base), to, bytes);
    if (base->counting) return;
    cuda_bind(cuda_backend_of(base));
    if (cuda_queue_begin(d, CUDA_TAG_COPY, true) == OK)
        cuda_check(d, d->driver.cuMemcpyHtoDAsync((CUdeviceptr)to, block, bytes, d->stream), "copying to the card");
    cuda_queue_end(d);
}

/* Waiting is for all that is queued: the host waits once a step, when it reads the step's losses. */
uint64_t cuda_backend_mark(struct backend *b)
{
    (void)b;
    return 0;
}

/* Ids out of range are found by the card (CHECK_IDS) and told here. */
static enum status check_fault(struct cuda_backend *b)
{
    struct cuda_fault f = *b->fault;
    struct ctx *c = b->backend.c;
    if (!f.taken && !f.row_fault) return c->status;
    memset(b->fault, 0, sizeof(*b->fault));
    if (f.taken)
        return ctx_fail(c, E_SHAPE, "%s: ids[%lld] = %lld is not in [0, %lld)", (const char *)(uintptr_t)f.what,
                        (long long)f.index, (long long)f.value, (long long)f.limit);
    return ctx_fail(c, E_SHAPE, "row %d of a look-up has an id that is out of range", f.row_fault - 1);
}

enum status cuda_backend_wait(struct backend *base, uint64_t mark)
{
    struct cuda_backend *b = cuda_backend_of(base);
    (void)mark;
    if (base->counting) return base->c->status;
    cuda_bind(b);
    cuda_wait(b->d);
    return check_fault(b);
}
