/* cpu_backend: memory of the CPU backends. Device memory is the heap's, copies are memcpy and happen at once, so marks and
 * sequences have nothing to do.
 *
 * A counting backend gets address space instead of memory: its blocks are mapped without a reservation, so that nothing is
 * taken from the machine before a page is written. Kernels do not compute; what they write are a few
 * lists of work items (gemm.c, bf16_columns.c), and uploads, as the plans of some kernels read a batch's weights and offsets
 * (cpu_loss.c, cpu_attention.c). All of that is small. */
#include "backend/cpu/cpu_backend.h"

#include <string.h>
#include <sys/mman.h>

#include "backend/cpu/gemm/gemm_small.h"
#include "backend/cpu/gemm_bf16/bf16_layout.h"
#include "base/mem.h"
#include "base/threads.h"

static struct cpu_backend *self(const struct backend *b)
{
    return (struct cpu_backend *)(uintptr_t)b;
}

/* Address space for a counting backend: pages are given as they are written, and few ever are. */
static void *cpu_backend_reserve(struct ctx *c, size_t bytes)
{
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block != MAP_FAILED) return block;
    ctx_fail(c, E_MEMORY, "out of address space: a block of %zu bytes", bytes);
    return NULL;
}

/* Member `alloc`: device memory is the host's, and is counted; host memory is not. */
static void *cpu_alloc(struct backend *b, enum backend_memory kind, size_t bytes)
{
    struct cpu_backend *cpu = self(b);
    bool reserves = b->counting && kind == MEMORY_DEVICE;
    void *block = reserves ? cpu_backend_reserve(b->c, bytes) : mem_alloc_aligned(b->c, bytes);
    if (!block || kind != MEMORY_DEVICE) return block;
    cpu->stats.live_bytes += bytes;
    if (cpu->stats.live_bytes > cpu->stats.peak_bytes) cpu->stats.peak_bytes = cpu->stats.live_bytes;
    return block;
}

/* Member `free`. */
static void cpu_free(struct backend *b, enum backend_memory kind, void *block, size_t bytes)
{
    if (kind == MEMORY_DEVICE) self(b)->stats.live_bytes -= bytes;
    if (b->counting && kind == MEMORY_DEVICE)
        munmap(block, bytes);
    else
        mem_free(b->c, block);
}

static void cpu_upload(struct backend *b, void *to, const void *host, size_t bytes)
{
    (void)b;
    memcpy(to, host, bytes);
}

static void cpu_download(struct backend *b, void *host, const void *from, size_t bytes)
{
    (void)b;
    memcpy(host, from, bytes);
}

/* Calls have done their work when they return, so every mark is reached at once. */
static uint64_t cpu_mark(struct backend *b)
{
    (void)b;
    return 0;
}

static enum status cpu_wait(struct backend *b, uint64_t mark)
{
    (void)mark;
    return b->c->status;
}

/* Rows as stored are read where the file is mapped and take no memory; other forms are made at load. */
static size_t cpu_weight_bytes(struct backend *b, const struct weight_source *source, enum weight_form form)
{
    (void)b;
    return form == WEIGHT_STORED ? 0 : weight_form_bytes(source, form);
}

/* Makes the codes of a form in device memory; rows as stored stay where they are. A counting backend gives the codes their
 * place and reads no row. */
static enum status cpu_weight_prepare(struct backend *b, struct weight *w, const char *name,
                                      const struct weight_source *source, enum weight_form form)
{
    size_t bytes = cpu_weight_bytes(b, source, form);
    void *codes = bytes > 0 ? b->alloc(b, MEMORY_DEVICE, bytes) : NULL;
    if (bytes > 0 && !codes) return b->c->status;
    bool idle = threads_are_idle(b->c);
    threads_idle(b->c, idle || b->counting);
    enum status status = weight_prepare(b->c, w, name, source, form, codes);
    threads_idle(b->c, idle);
    if (status != OK && codes) b->free(b, MEMORY_DEVICE, codes, bytes);
    return status;
}

/* Frees the codes of a form. */
static void cpu_weight_release(struct backend *b, struct weight *w)
{
    size_t bytes = cpu_weight_bytes(b, &w->source, w->form);
    if (bytes > 0) b->free(b, MEMORY_DEVICE, (void *)(uintptr_t)w->data, bytes);
}

/* Members `layout_bytes`, `weight_lay_out` and `weight_drop_layout`: panels of products in bf16. */
static const enum gemm_form layout_form[WEIGHT_PRODUCTS] = {[WEIGHT_FOR_Y] = GEMM_TRANSPOSED, [WEIGHT_FOR_DX] = GEMM_ROWS};

static size_t cpu_layout_bytes(struct backend *b, const struct weight *w)
{
    const struct cpu_kernels *kernels = self(b)->kernels;
    size_t bytes = 0;
    for (int i = 0; i < WEIGHT_PRODUCTS && kernels; i++) bytes += bf16_layout_bytes(kernels, w, layout_form[i]);
    return bytes;
}

static void cpu_weight_drop_layout(struct backend *b, struct weight *w)
{
    for (int i = 0; i < WEIGHT_PRODUCTS; i++) {
        if (!w->laid_out[i]) continue;
        b->free(b, MEMORY_DEVICE, w->laid_out[i], bf16_layout_bytes(self(b)->kernels, w, layout_form[i]));
        w->laid_out[i] = NULL;
    }
}

static enum status cpu_weight_lay_out(struct backend *b, struct weight *w)
{
    const struct cpu_kernels *kernels = self(b)->kernels;
    for (int i = 0; i < WEIGHT_PRODUCTS && ctx_ok(b->c) && cpu_layout_bytes(b, w) > 0; i++) {
        void *panels = b->alloc(b, MEMORY_DEVICE, bf16_layout_bytes(kernels, w, layout_form[i]));
        if (panels) bf16_layout_make(b->c, kernels, w, layout_form[i], panels);
        w->laid_out[i] = panels;
    }
    if (!ctx_ok(b->c)) cpu_weight_drop_layout(b, w);
    return b->c->status;
}

static struct backend_stats cpu_stats(const struct backend *b)
{
    return self(b)->stats;
}

/* Memory that is still handed out is a bug of ours. */
static void cpu_close(struct backend *b)
{
    struct ctx *c = b->c;
    BUG_ON(c, self(b)->stats.live_bytes != 0, "%s is closed with %zu bytes still in use", b->name,
           self(b)->stats.live_bytes);
    mem_free(c, b);
}

struct backend *cpu_backend_new(struct ctx *c, const char *name, const struct cpu_kernels *kernels, bool fast_integers,
                                bool counting)
{
    struct cpu_backend *cpu = mem_alloc(c, 1, sizeof *cpu);
    if (!cpu) return NULL;
    cpu->kernels = kernels;
    cpu->backend = (struct backend){.c = c,
                                    .name = name,
                                    .device = name,
                                    .activations = DTYPE_F32,
                                    .synchronous = true,
                                    .host_memory = !counting,
                                    .counting = counting,
                                    .fast_integers = fast_integers,
                                    .rounded_from = kernels ? GEMM_SMALL_M + 1 : 0,
                                    .fast_bf16 = kernels && kernels->bf16->fast,
                                    .alloc = cpu_alloc,
                                    .free = cpu_free,
                                    .upload = cpu_upload,
                                    .download = cpu_download,
                                    .offload = cpu_download,
                                    .fetch = cpu_upload,
                                    .mark = cpu_mark,
                                    .wait = cpu_wait,
                                    .weight_bytes = cpu_weight_bytes,
                                    .weight_prepare = cpu_weight_prepare,
                                    .weight_release = cpu_weight_release,
                                    .layout_bytes = cpu_layout_bytes,
                                    .weight_lay_out = cpu_weight_lay_out,
                                    .weight_drop_layout = cpu_weight_drop_layout,
                                    .stats = cpu_stats,
                                    .close = cpu_close};
#define OP(NAME, name_, n_in, n_out, params, diff, saves) cpu->backend.kernel[OP_##NAME] = cpu_dispatch_run;
#define VIEW(NAME, name_, n_in, n_out, params, diff, saves)
#include "array/ops.def"
    return &cpu->backend;
}
