/* walled: device memory is one range of addresses of its own. Blocks are cut from its front one after another and kept for
 * the next request of the same size, so one mprotect call makes all of them accessible, and one makes them inaccessible
 * again. Slots nest (a kernel asks for scratch): only the outermost one does either. */
#include "backend/walled.h"

#include <string.h>
#include <sys/mman.h>

#include "backend/backend_wrap.h"
#include "base/mem.h"

enum { WALLED_PAGE = 4096 };
/* Of address space; memory is taken as blocks are written. More than any test needs: blocks never move to another range. */
static const size_t walled_bytes = (size_t)32 << 30;

/* A block that was freed and waits for a request of its size. */
struct walled_block {
    void *at;
    size_t bytes;
    bool used;
};

struct walled {
    struct backend_wrap wrap; /* first */
    char *base;
    size_t end; /* bytes of it that blocks were cut from */
    int depth;  /* slots that are running */
    struct walled_block *blocks;
    size_t n_blocks, capacity;
    struct backend_stats stats;
};

/* ---- the wall ----------------------------------------------------------------------------------------------------- */

/* Makes all blocks accessible, or none. */
static void protect(struct walled *w, int protection)
{
    BUG_ON(w->wrap.backend.c, w->end > 0 && mprotect(w->base, w->end, protection) != 0,
           "walled: the pages of %zu bytes cannot be protected", w->end);
}

/* The outermost slot that runs opens the wall; returns the backend's own struct. */
static struct walled *enter(struct backend *b)
{
    struct walled *w = (struct walled *)b;
    if (w->depth++ == 0) protect(w, PROT_READ | PROT_WRITE);
    return w;
}

/* The other half of `enter`: the outermost slot closes the wall behind it. */
static void walled_leave(struct walled *w)
{
    if (--w->depth == 0) protect(w, PROT_NONE);
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

/* A new block from the front of the range, in whole pages; all blocks are listed so that a free one is found again. */
static void *cut_block(struct walled *w, size_t bytes)
{
    struct ctx *c = w->wrap.backend.c;
    size_t pages = (bytes + WALLED_PAGE - 1) / WALLED_PAGE * WALLED_PAGE;
    if (pages < bytes || pages > walled_bytes - w->end) {
        ctx_fail(c, E_MEMORY, "out of memory: a block of %zu bytes behind the wall", bytes);
        return NULL;
    }
    if (w->n_blocks == w->capacity) {
        size_t capacity = w->capacity ? 2 * w->capacity : 256;
        struct walled_block *blocks = mem_resize(c, w->blocks, w->capacity, capacity, sizeof *blocks);
        if (!blocks) return NULL;
        w->blocks = blocks;
        w->capacity = capacity;
    }
    char *at = w->base + w->end;
    w->end += pages;
    BUG_ON(c, mprotect(at, pages, w->depth > 0 ? PROT_READ | PROT_WRITE : PROT_NONE) != 0, "walled: mprotect");
    w->blocks[w->n_blocks++] = (struct walled_block){at, bytes, true};
    return at;
}

/* A free block of the same size, else a new one. Host memory is not walled. */
static void *walled_alloc(struct backend *b, enum backend_memory kind, size_t bytes)
{
    struct walled *w = (struct walled *)b;
    if (kind != MEMORY_DEVICE) return w->wrap.inner->alloc(w->wrap.inner, kind, bytes);
    void *at = NULL;
    for (size_t i = 0; i < w->n_blocks && !at; i++) {
        struct walled_block *k = &w->blocks[i];
        if (k->used || k->bytes != bytes) continue;
        k->used = true;
        at = k->at;
    }
    if (!at) at = cut_block(w, bytes);
    if (!at) return NULL;
    w->stats.live_bytes += bytes;
    if (w->stats.live_bytes > w->stats.peak_bytes) w->stats.peak_bytes = w->stats.live_bytes;
    return at;
}

/* Marks the block free; its pages stay reserved. */
static void walled_free(struct backend *b, enum backend_memory kind, void *block, size_t bytes)
{
    struct walled *w = (struct walled *)b;
    if (kind != MEMORY_DEVICE) {
        w->wrap.inner->free(w->wrap.inner, kind, block, bytes);
        return;
    }
    for (size_t i = 0; i < w->n_blocks; i++) {
        struct walled_block *k = &w->blocks[i];
        if (k->at != block) continue;
        BUG_ON(b->c, !k->used || k->bytes != bytes, "walled: a block of %zu bytes is freed as one of %zu", k->bytes, bytes);
        k->used = false;
        w->stats.live_bytes -= bytes;
        return;
    }
    BUG_ON(b->c, true, "walled: a block of %zu bytes that it never gave", bytes);
}

/* ---- slots that reach behind the wall ------------------------------------------------------------------------------ */

/* Kernels get this backend, not the inner one: their scratch comes from behind the wall too. */
static enum status walled_run(struct backend *b, const struct op_call *call)
{
    struct walled *w = enter(b);
    enum status status = backend_wrap_run(b, call);
    walled_leave(w);
    return status;
}

static void walled_upload(struct backend *b, void *to, const void *host, size_t bytes)
{
    struct walled *w = enter(b);
    w->wrap.inner->upload(w->wrap.inner, to, host, bytes);
    walled_leave(w);
}

static void walled_download(struct backend *b, void *host, const void *from, size_t bytes)
{
    struct walled *w = enter(b);
    w->wrap.inner->download(w->wrap.inner, host, from, bytes);
    walled_leave(w);
}

/* Every form lies behind the wall, rows that the CPU would read in the file included. */
static size_t walled_weight_bytes(struct backend *b, const struct weight_source *source, enum weight_form form)
{
    (void)b;
    return weight_form_bytes(source, form);
}

/* Prepared weights lie behind the wall too, also rows as stored, which other CPU backends read in the mapped file. */
static enum status walled_weight_prepare(struct backend *b, struct weight *w, const char *name,
                                         const struct weight_source *source, enum weight_form form)
{
    size_t bytes = weight_form_bytes(source, form);
    void *rows = walled_alloc(b, MEMORY_DEVICE, bytes);
    if (!rows) return b->c->status;
    struct walled *wall = enter(b);
    enum status status = weight_prepare(b->c, w, name, source, form, rows);
    if (status == OK && form == WEIGHT_STORED) {
        memcpy(rows, source->data, bytes);
        w->data = rows;
    }
    walled_leave(wall);
    if (status != OK) walled_free(b, MEMORY_DEVICE, rows, bytes);
    return status;
}

static void walled_weight_release(struct backend *b, struct weight *w)
{
    walled_free(b, MEMORY_DEVICE, (void *)(uintptr_t)w->data, weight_form_bytes(&w->source, w->form));
}

static struct backend_stats walled_stats(const struct backend *b)
{
    return ((const struct walled *)b)->stats;
}

static void walled_close(struct backend *b)
{
    struct walled *w = (struct walled *)b;
    struct ctx *c = b->c;
    BUG_ON(c, w->stats.live_bytes != 0, "walled: closed with %zu bytes still in use", w->stats.live_bytes);
    w->wrap.inner->close(w->wrap.inner);
    munmap(w->base, walled_bytes);
    mem_free(c, w->blocks);
    mem_free(c, w);
}

/* host_memory becomes false, so that nothing above takes the device memory for the host's. The inner backend's own memory is
 * used for MEMORY_HOST alone. */
struct backend *walled_open(struct backend *inner)
{
    if (!inner) return NULL;
    struct ctx *c = inner->c;
    struct walled *w = mem_alloc(c, 1, sizeof *w);
    void *base = w ? mmap(NULL, walled_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) : MAP_FAILED;
    if (base == MAP_FAILED) {
        ctx_fail(c, E_MEMORY, "out of address space: %zu bytes for the walled backend", walled_bytes);
        mem_free(c, w);
        inner->close(inner);
        return NULL;
    }
    backend_wrap_init(&w->wrap, inner);
    struct backend *b = &w->wrap.backend;
    w->base = base;
    b->name = b->device = "walled";
    b->host_memory = false;
    b->alloc = walled_alloc;
    b->free = walled_free;
    b->upload = walled_upload;
    b->download = walled_download;
    b->offload = walled_download; /* the same to a processor */
    b->fetch = walled_upload;
    b->weight_bytes = walled_weight_bytes;
    b->weight_prepare = walled_weight_prepare;
    b->weight_release = walled_weight_release;
    b->layout_bytes = NULL;
    b->weight_lay_out = NULL;
    b->weight_drop_layout = NULL;
    b->stats = walled_stats;
    b->close = walled_close;
    for (int op = 0; op < OP_COUNT; op++)
        if (inner->kernel[op]) b->kernel[op] = walled_run;
    return b;
}
