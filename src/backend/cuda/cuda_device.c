/* cuda_device: opening and closing a card, plain device memory, and launches. */
#include "backend/cuda/cuda_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/cuda_gemm.h"
#include "backend/cuda/cuda_graph.h"
#include "backend/cuda/cuda_modules.h"

/* More streaming multiprocessors than any card has. Scratch of tall products grows with their number (cuda_tall_slices),
 * so a counting backend plans at least as much as a real card takes. */
enum { CUDA_COUNTED_PROCESSORS = 264 };

static const char *const KERNEL_NAMES[CUDA_KERNEL_COUNT] = {
#define CUDA_NAME(name, file) #name,
    CUDA_KERNELS(CUDA_NAME)
#undef CUDA_NAME
};
static const char *const KERNEL_FILES[CUDA_KERNEL_COUNT] = {
#define CUDA_FILE(name, file) #file,
    CUDA_KERNELS(CUDA_FILE)
#undef CUDA_FILE
};

enum status cuda_check(struct cuda *d, CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS) return d->c->status;
    const char *text = NULL;
    d->driver.cuGetErrorString(result, &text);
    enum status status = result == CUDA_ERROR_OUT_OF_MEMORY ? E_FIT : E_IO;
    return ctx_fail(d->c, status, "CUDA: %s failed: %s (%d)", what, text ? text : "unknown error", (int)result);
}

/* One property of the card; 0 with the failure in the ctx. */
static int device_attribute(struct cuda *d, CUdevice_attribute attribute)
{
    int value = 0;
    cuda_check(d, d->driver.cuDeviceGetAttribute(&value, attribute, d->device), "asking for a property of the card");
    return value;
}

/* Finds card `index` and what it can do; refuses cards without bf16 products. */
static enum status device_find(struct cuda *d, int index)
{
    int count = 0;
    TRY(cuda_check(d, d->driver.cuDeviceGetCount(&count), "counting cards"));
    if (index < 0 || index >= count) {
        return ctx_fail(d->c, E_UNSUPPORTED, "CUDA: there is no card %d: this machine has %d", index, count);
    }
    TRY(cuda_check(d, d->driver.cuDeviceGet(&d->device, index), "opening the card"));
    d->driver.cuDeviceGetName(d->name, sizeof(d->name), d->device);
    d->major = device_attribute(d, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    d->minor = device_attribute(d, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    d->processors = device_attribute(d, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    d->shared_bytes = (size_t)device_attribute(d, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    if (ctx_ok(d->c) && d->major < 8) {
        return ctx_fail(d->c, E_UNSUPPORTED, "CUDA: %s has compute capability %d.%d; bf16 products need 8.0 or later",
                        d->name, d->major, d->minor);
    }
    return d->c->status;
}

/* Finds one kernel in the module of its .cu file. */
static enum status device_load_kernel(struct cuda *d, int kernel)
{
    int i = 0;
    while (i < CUDA_MODULE_COUNT && strcmp(CUDA_MODULES[i].name, KERNEL_FILES[kernel]) != 0) i++;
    BUG_ON(d->c, i == CUDA_MODULE_COUNT, "there is no module %s", KERNEL_FILES[kernel]);
    return cuda_check(d, d->driver.cuModuleGetFunction(&d->kernel[kernel], d->module[i], KERNEL_NAMES[kernel]),
                      KERNEL_NAMES[kernel]);
}

/* Loads every module and finds every kernel, so that nothing is missing later. */
static enum status device_load_kernels(struct cuda *d)
{
    BUG_ON(d->c, CUDA_MODULE_COUNT > CUDA_MAX_MODULES, "%d modules", CUDA_MODULE_COUNT);
    for (int i = 0; i < CUDA_MODULE_COUNT; i++) {
        TRY(cuda_check(d, d->driver.cuModuleLoadData(&d->module[i], CUDA_MODULES[i].image), "loading the kernels"));
    }
    for (int k = 0; k < CUDA_KERNEL_COUNT; k++) TRY(device_load_kernel(d, k));
    return OK;
}

/* All steps of opening; cuda_close undoes those that were made. */
static enum status device_start(struct cuda *d, int index)
{
    TRY(cuda_driver_open(d->c, &d->driver));
    TRY(device_find(d, index));
    CUresult started = d->driver.cuDevicePrimaryCtxRetain(&d->context, d->device);
    if (started == CUDA_ERROR_OUT_OF_MEMORY) /* some hundred MiB, before any of ours */
        return ctx_fail(
            d->c, E_FIT,
            "CUDA: %s has not enough free memory to start on: other programs hold it (nvidia-smi names them). Wait "
            "until they end, or take another device (--device)",
            d->name);
    TRY(cuda_check(d, started, "starting the card"));
    TRY(cuda_check(d, d->driver.cuCtxSetCurrent(d->context), "starting the card"));
    TRY(cuda_check(d, d->driver.cuStreamCreate(&d->stream, CU_STREAM_NON_BLOCKING), "making a queue"));
    TRY(device_load_kernels(d));
    if (d->driver.cublasLtCreate(&d->lt) != CUBLAS_STATUS_SUCCESS) {
        return ctx_fail(d->c, E_UNSUPPORTED, "CUDA: cuBLASLt does not start on %s", d->name);
    }
    d->workspace = cuda_alloc(d, CUDA_WORKSPACE_BYTES);
    return d->c->status;
}

struct cuda *cuda_open(struct ctx *c, int index)
{
    struct cuda *d = calloc(1, sizeof(*d));
    if (!d) {
        ctx_fail(c, E_MEMORY, "CUDA: no memory for the card's description");
        return NULL;
    }
    d->c = c;
    if (device_start(d, index) == OK) return d;
    cuda_close(d);
    return NULL;
}

void cuda_close(struct cuda *d)
{
    if (!d) return;
    const struct cuda_driver *f = &d->driver;
    cuda_gemm_forget(d);
    if (d->stream) f->cuStreamSynchronize(d->stream);
    cuda_graphs_close(d);
    if (d->workspace) f->cuMemFree(d->workspace);
    if (d->lt) f->cublasLtDestroy(d->lt);
    for (int i = 0; i < CUDA_MAX_MODULES; i++) {
        if (d->module[i]) f->cuModuleUnload(d->module[i]);
    }
    if (d->stream) f->cuStreamDestroy(d->stream);
    if (d->context) f->cuDevicePrimaryCtxRelease(d->device);
    cuda_driver_close(&d->driver);
    free(d);
}

struct cuda *cuda_open_counting(struct ctx *c)
{
    struct cuda *d = calloc(1, sizeof(*d));
    if (!d) {
        ctx_fail(c, E_MEMORY, "CUDA: no memory for the card's description");
        return NULL;
    }
    *d = (struct cuda){.c = c, .counting = true, .name = "no card", .processors = CUDA_COUNTED_PROCESSORS};
    return d;
}

int cuda_count(struct ctx *told)
{
    struct ctx *c = ctx_new(NULL); /* the answer is a number: what is missing is told when a card is asked for by name */
    struct cuda_driver driver;
    int count = 0;
    if (!c) return 0;
    if (cuda_driver_open(c, &driver) == OK) {
        if (driver.cuDeviceGetCount(&count) != CUDA_SUCCESS) count = 0;
        cuda_driver_close(&driver);
    } else if (told && cuda_driver_is_installed()) {
        ctx_log(told, LOG_INFO, "device: cpu, although an NVIDIA driver is installed. %s", c->message);
    }
    ctx_clear(c);
    ctx_free(c);
    return count;
}

bool cuda_card(int index, char *out, size_t out_bytes)
{
    struct ctx *c = ctx_new(NULL);
    struct cuda_driver driver;
    CUdevice device;
    char name[128];
    int major = 0, minor = 0;
    if (!c) return false;
    bool found = cuda_driver_open(c, &driver) == OK;
    if (found) {
        found = driver.cuDeviceGet(&device, index) == CUDA_SUCCESS &&
                driver.cuDeviceGetName(name, sizeof name, device) == CUDA_SUCCESS &&
                driver.cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device) == CUDA_SUCCESS &&
                driver.cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device) == CUDA_SUCCESS;
        cuda_driver_close(&driver);
    }
    if (found) snprintf(out, out_bytes, "%s, compute capability %d.%d", name, major, minor);
    ctx_clear(c);
    ctx_free(c);
    return found;
}

size_t cuda_free_bytes(struct cuda *d)
{
    size_t available = 0, total = 0;
    cuda_check(d, d->driver.cuMemGetInfo(&available, &total), "asking for free memory");
    return available;
}

/* Graphs, which can be made again, give way to memory that is asked for. */
static CUresult alloc_or_trim(struct cuda *d, CUdeviceptr *block, size_t bytes)
{
    CUresult result = d->driver.cuMemAlloc(block, bytes);
    if (result != CUDA_ERROR_OUT_OF_MEMORY) return result;
    cuda_graphs_trim(d);
    return d->driver.cuMemAlloc(block, bytes);
}

CUdeviceptr cuda_try_alloc(struct cuda *d, size_t bytes)
{
    CUdeviceptr block = 0;
    return ctx_ok(d->c) && alloc_or_trim(d, &block, bytes) == CUDA_SUCCESS ? block : 0;
}

CUdeviceptr cuda_alloc(struct cuda *d, size_t bytes)
{
    CUdeviceptr block = 0;
    if (!ctx_ok(d->c)) return 0;
    CUresult result = alloc_or_trim(d, &block, bytes);
    if (result == CUDA_SUCCESS) return block;
    size_t available = 0, total = 0;
    d->driver.cuMemGetInfo(&available, &total);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
        ctx_fail(d->c, E_FIT, "CUDA: %.1f MiB more do not fit on %s: %.1f of its %.1f MiB are free", (double)bytes / 0x1p20,
                 d->name, (double)available / 0x1p20, (double)total / 0x1p20);
    }
    cuda_check(d, result, "allocating memory");
    return 0;
}

void cuda_free(struct cuda *d, CUdeviceptr block)
{
    if (!block) return;
    cuda_graph_send(d); /* what is recorded may use it */
    cuda_check(d, d->driver.cuMemFree(block), "freeing memory");
}

void cuda_upload(struct cuda *d, CUdeviceptr to, const void *from, size_t bytes)
{
    if (!ctx_ok(d->c) || cuda_graph_send(d) != OK) return;
    /* From pageable memory the call returns only when the bytes have been taken; recorded, it would take them later. */
    cuda_check(d, d->driver.cuMemcpyHtoDAsync(to, from, bytes, d->stream), "copying to the card");
}

void cuda_download(struct cuda *d, void *to, CUdeviceptr from, size_t bytes)
{
    if (!ctx_ok(d->c) || cuda_graph_send(d) != OK) return;
    cuda_check(d, d->driver.cuMemcpyDtoHAsync(to, from, bytes, d->stream), "copying from the card");
    cuda_wait(d);
}

enum status cuda_wait(struct cuda *d)
{
    cuda_graph_send_last(d);
    return cuda_check(d, d->driver.cuStreamSynchronize(d->stream), "work on the card");
}

enum status cuda_zero(struct cuda *d, CUdeviceptr to, size_t bytes)
{
    if (!ctx_ok(d->c) || d->counting) return d->c->status;
    if (cuda_queue_begin(d, CUDA_TAG_ZERO, true) == OK)
        cuda_check(d, d->driver.cuMemsetD8Async(to, 0, bytes, d->stream), "filling memory");
    cuda_queue_end(d);
    return d->c->status;
}

enum status cuda_launch(struct cuda *d, enum cuda_kernel kernel, struct cuda_grid g, const void *args)
{
    if (!ctx_ok(d->c) || d->counting) return d->c->status;
    if (g.shared > d->shared_bytes) {
        return ctx_fail(d->c, E_UNSUPPORTED, "CUDA: %s needs %u bytes of shared memory a block; %s has %zu",
                        KERNEL_NAMES[kernel], g.shared, d->name, d->shared_bytes);
    }
    const unsigned FREE_SHARED = 48 << 10; /* more has to be asked for, once */
    if (g.shared > FREE_SHARED && g.shared > d->shared[kernel]) {
        d->driver.cuFuncSetAttribute(d->kernel[kernel], CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)g.shared);
        d->shared[kernel] = g.shared;
    }
    void *list[] = {(void *)args};
    bool known = d->launched[kernel];
    d->launched[kernel] = true;
    if (cuda_queue_begin(d, (uint64_t)kernel, known) == OK)
        cuda_check(
            d, d->driver.cuLaunchKernel(d->kernel[kernel], g.x, g.y, 1, g.threads, 1, 1, g.shared, d->stream, list, NULL),
            KERNEL_NAMES[kernel]);
    cuda_queue_end(d);
    return d->c->status;
}
