/* backend_wrap, the forwarding half of every wrapper: see backend_wrap.h. */
#include "backend/backend_wrap.h"

struct backend *backend_wrap_inner(const struct backend *b)
{
    return ((const struct backend_wrap *)b)->inner;
}

enum status backend_wrap_run(struct backend *b, const struct op_call *call)
{
    struct backend *inner = backend_wrap_inner(b);
    return inner->kernel[call->op](inner, call);
}

/* Each function below hands its call on to the same member of the inner backend. */
static void *wrap_alloc(struct backend *b, enum backend_memory kind, size_t bytes)
{
    struct backend *inner = backend_wrap_inner(b);
    return inner->alloc(inner, kind, bytes);
}

static void wrap_free(struct backend *b, enum backend_memory kind, void *block, size_t bytes)
{
    struct backend *inner = backend_wrap_inner(b);
    inner->free(inner, kind, block, bytes);
}

static void wrap_upload(struct backend *b, void *to, const void *host, size_t bytes)
{
    struct backend *inner = backend_wrap_inner(b);
    inner->upload(inner, to, host, bytes);
}

static void wrap_download(struct backend *b, void *host, const void *from, size_t bytes)
{
    struct backend *inner = backend_wrap_inner(b);
    inner->download(inner, host, from, bytes);
}

static void wrap_offload(struct backend *b, void *block, const void *from, size_t bytes)
{
    struct backend *inner = backend_wrap_inner(b);
    inner->offload(inner, block, from, bytes);
}

static void wrap_fetch(struct backend *b, void *to, const void *block, size_t bytes)
{
    struct backend *inner = backend_wrap_inner(b);
    inner->fetch(inner, to, block, bytes);
}

static uint64_t wrap_mark(struct backend *b)
{
    struct backend *inner = backend_wrap_inner(b);
    return inner->mark(inner);
}

static enum status wrap_wait(struct backend *b, uint64_t mark)
{
    struct backend *inner = backend_wrap_inner(b);
    return inner->wait(inner, mark);
}

static size_t wrap_weight_bytes(struct backend *b, const struct weight_source *source, enum weight_form form)
{
    struct backend *inner = backend_wrap_inner(b);
    return inner->weight_bytes(inner, source, form);
}

static enum status wrap_weight_prepare(struct backend *b, struct weight *w, const char *name,
                                       const struct weight_source *source, enum weight_form form)
{
    struct backend *inner = backend_wrap_inner(b);
    return inner->weight_prepare(inner, w, name, source, form);
}

static void wrap_weight_release(struct backend *b, struct weight *w)
{
    struct backend *inner = backend_wrap_inner(b);
    inner->weight_release(inner, w);
}

static size_t wrap_layout_bytes(struct backend *b, const struct weight *w)
{
    struct backend *inner = backend_wrap_inner(b);
    return inner->layout_bytes(inner, w);
}

static enum status wrap_weight_lay_out(struct backend *b, struct weight *w)
{
    struct backend *inner = backend_wrap_inner(b);
    return inner->weight_lay_out(inner, w);
}

static void wrap_weight_drop_layout(struct backend *b, struct weight *w)
{
    struct backend *inner = backend_wrap_inner(b);
    inner->weight_drop_layout(inner, w);
}

static struct backend_stats wrap_stats(const struct backend *b)
{
    struct backend *inner = backend_wrap_inner(b);
    return inner->stats(inner);
}

static size_t wrap_free_bytes(struct backend *b)
{
    struct backend *inner = backend_wrap_inner(b);
    return inner->free_bytes(inner);
}

static void wrap_close(struct backend *b)
{
    struct backend *inner = backend_wrap_inner(b);
    inner->close(inner);
}

/* What the inner backend says of itself (name, activations, ..) is copied, its members are replaced. Rows that it refuses
 * (NULL) stay refused, and so does free_bytes, whose absence says that device memory is the process's own. */
void backend_wrap_init(struct backend_wrap *w, struct backend *inner)
{
    struct backend *b = &w->backend;
    w->inner = inner;
    *b = *inner;
    b->alloc = wrap_alloc;
    b->free = wrap_free;
    b->upload = wrap_upload;
    b->download = wrap_download;
    b->offload = wrap_offload;
    b->fetch = wrap_fetch;
    b->mark = wrap_mark;
    b->wait = wrap_wait;
    b->weight_bytes = wrap_weight_bytes;
    b->weight_prepare = wrap_weight_prepare;
    b->weight_release = wrap_weight_release;
    if (inner->layout_bytes) {
        b->layout_bytes = wrap_layout_bytes;
        b->weight_lay_out = wrap_weight_lay_out;
        b->weight_drop_layout = wrap_weight_drop_layout;
    }
    b->stats = wrap_stats;
    if (inner->free_bytes) b->free_bytes = wrap_free_bytes;
    b->close = wrap_close;
    for (int op = 0; op < OP_COUNT; op++)
        if (inner->kernel[op]) b->kernel[op] = backend_wrap_run;
}
