/* emulated_driver: the functions of NVIDIA's driver and of cuBLASLt that the backend calls, on the host and with the
 * kernels of emulator.cc, in one shared object: a program that finds it under YA_LIBCUDA and YA_LIBCUBLASLT runs whole
 * without a card. Work happens at once, or, where it was captured, when its graph is launched (emulated_graph.c); events
 * have nothing to do; new memory is full of NaN. YA_EMULATED_BYTES says how much memory the card seems to have (default 4
 * GiB). */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cublasLt.h>
#include <cuda.h>

#include "backend/cuda/cuda_kernel_list.h"
#include "emulated_graph.h"
#include "emulated_tiles.h"

void emulator_launch(int kernel, unsigned x, unsigned y, unsigned threads, unsigned shared, const void *args);
size_t emulator_args_bytes(int kernel);

#define EXPORT __attribute__((visibility("default")))

static const char *const KERNELS[] = {
#define EMULATED_NAME(name, file) #name,
    CUDA_KERNELS(EMULATED_NAME)
#undef EMULATED_NAME
};
enum { N_KERNELS = sizeof(KERNELS) / sizeof(*KERNELS) };

static size_t taken;

static size_t card_bytes(void)
{
    const char *text = getenv("YA_EMULATED_BYTES");
    return text ? strtoull(text, NULL, 10) : (size_t)4 << 30;
}

/* ---- the card --------------------------------------------------------------------------------------------------------- */

EXPORT CUresult cuInit(unsigned flags)
{
    (void)flags;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDriverGetVersion(int *version)
{
    *version = 13000;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGetErrorString(CUresult error, const char **text)
{
    *text = error == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory" : "an error of the emulator";
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetCount(int *count)
{
    *count = 1;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGet(CUdevice *device, int index)
{
    *device = index;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetName(char *name, int bytes, CUdevice device)
{
    (void)device;
    snprintf(name, (size_t)bytes, "emulator");
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    (void)device;
    *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR            ? 9
             : attribute == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT              ? 3
             : attribute == CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN ? 227 << 10
                                                                                  : 0;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    (void)device;
    *context = (CUcontext)1;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
    (void)device;
    return CUDA_SUCCESS;
}
static _Thread_local CUcontext current; /* as the driver keeps it: a thread has none until it sets one */
EXPORT CUresult cuCtxSetCurrent(CUcontext context)
{
    current = context;
    return CUDA_SUCCESS;
}

/* ---- kernels ---------------------------------------------------------------------------------------------------------- */

EXPORT CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    (void)image;
    *module = (CUmodule)1;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuModuleUnload(CUmodule module)
{
    (void)module;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    (void)module;
    for (size_t i = 0; i < N_KERNELS; i++) {
        if (strcmp(KERNELS[i], name) != 0) continue;
        *function = (CUfunction)(i + 1);
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_NOT_FOUND;
}
EXPORT CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value)
{
    (void)function, (void)attribute, (void)value;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned ty,
                               unsigned tz, unsigned shared, CUstream stream, void **params, void **extra)
{
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    (void)stream, (void)extra;
    if (x == 0 || y == 0 || z != 1 || ty != 1 || tz != 1 || x > 0x7fffffff || y > 65535) return CUDA_ERROR_INVALID_VALUE;
    static bool met[N_KERNELS];
    int kernel = (int)(size_t)function - 1;
    if (emulated_is_recording() && !met[kernel]) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED; /* it is loaded first */
    met[kernel] = true;
    return emulated_queue(&(struct emulated_work){.kind = EMULATED_KERNEL,
                                                  .kernel = kernel,
                                                  .x = x,
                                                  .y = y,
                                                  .threads = threads,
                                                  .shared = shared,
                                                  .args = params[0],
                                                  .args_bytes = emulator_args_bytes(kernel)});
}

EXPORT CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *address,
                                       const cuuint64_t *size, const cuuint64_t *bytes, const cuuint32_t *box,
                                       const cuuint32_t *steps, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                       CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill)
{
    return emulated_encode_tiled(map, type, rank, address, size, bytes, box, steps, interleave, swizzle, promotion, fill);
}

/* ---- memory ----------------------------------------------------------------------------------------------------------- */

/* The size stands in front of a block. */
EXPORT CUresult cuMemAlloc(CUdeviceptr *block, size_t bytes)
{
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (bytes > card_bytes() - taken) return CUDA_ERROR_OUT_OF_MEMORY;
    char *made = aligned_alloc(256, (bytes + 511) / 256 * 256);
    if (!made) return CUDA_ERROR_OUT_OF_MEMORY;
    *(size_t *)made = bytes;
    memset(made + 256, 0xff, bytes);
    taken += bytes;
    *block = (CUdeviceptr)(made + 256);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemFree(CUdeviceptr block)
{
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    if (emulated_is_recording()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED; /* recorded work may use it */
    char *made = (char *)block - 256;
    taken -= *(size_t *)made;
    free(made);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemGetInfo(size_t *available, size_t *total)
{
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    *total = card_bytes();
    *available = *total - taken;
    return CUDA_SUCCESS;
}
/* Page-locked memory, which a recorded copy may read and write when its graph is launched; other memory of the host may be
 * gone by then. */
enum { MOST_PINNED = 4096 };
static struct {
    char *from;
    size_t bytes;
} pinned[MOST_PINNED];
static int n_pinned;

static bool is_pinned(const void *at, size_t bytes)
{
    for (int i = 0; i < n_pinned; i++)
        if ((const char *)at >= pinned[i].from && (const char *)at + bytes <= pinned[i].from + pinned[i].bytes) return true;
    return false;
}

EXPORT CUresult cuMemAllocHost(void **block, size_t bytes)
{
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    *block = n_pinned < MOST_PINNED ? aligned_alloc(4096, (bytes + 4095) / 4096 * 4096) : NULL;
    if (!*block) return CUDA_ERROR_OUT_OF_MEMORY;
    pinned[n_pinned].from = *block;
    pinned[n_pinned++].bytes = bytes;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemFreeHost(void *block)
{
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    if (emulated_is_recording()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED; /* recorded work may use it */
    int i = 0;
    while (i < n_pinned && pinned[i].from != block) i++;
    if (i == n_pinned) return CUDA_ERROR_INVALID_VALUE;
    pinned[i] = pinned[--n_pinned];
    free(block);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemGetAllocationGranularity(size_t *bytes, const CUmemAllocationProp *properties,
                                              CUmemAllocationGranularity_flags option)
{
    (void)properties, (void)option;
    *bytes = 2 << 20;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemAddressReserve(CUdeviceptr *at, size_t bytes, size_t alignment, CUdeviceptr wanted,
                                    unsigned long long flags)
{
    (void)alignment, (void)wanted, (void)flags;
    void *made = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *at = (CUdeviceptr)made;
    return made == MAP_FAILED ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}
EXPORT CUresult cuMemAddressFree(CUdeviceptr at, size_t bytes)
{
    munmap((void *)at, bytes);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t bytes, const CUmemAllocationProp *properties,
                            unsigned long long flags)
{
    (void)properties, (void)flags;
    if (bytes % (2 << 20)) return CUDA_ERROR_INVALID_VALUE;
    if (bytes > card_bytes() - taken) return CUDA_ERROR_OUT_OF_MEMORY;
    taken += bytes;
    *handle = bytes;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
    taken -= handle;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemMap(CUdeviceptr at, size_t bytes, size_t offset, CUmemGenericAllocationHandle handle,
                         unsigned long long flags)
{
    (void)offset, (void)flags, (void)at;
    if (emulated_is_recording()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    return bytes == handle ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
EXPORT CUresult cuMemUnmap(CUdeviceptr at, size_t bytes)
{
    return mprotect((void *)at, bytes, PROT_NONE) == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
EXPORT CUresult cuMemSetAccess(CUdeviceptr at, size_t bytes, const CUmemAccessDesc *access, size_t n)
{
    (void)access, (void)n;
    if (mprotect((void *)at, bytes, PROT_READ | PROT_WRITE) != 0) return CUDA_ERROR_INVALID_VALUE;
    memset((void *)at, 0xff, bytes);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    if (emulated_is_recording() && !is_pinned(from, bytes)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    (void)stream;
    return emulated_queue(&(struct emulated_work){.kind = EMULATED_MOVE, .to = (void *)to, .from = from, .bytes = bytes});
}
EXPORT CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    if (emulated_is_recording() && !is_pinned(to, bytes)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    (void)stream;
    return emulated_queue(
        &(struct emulated_work){.kind = EMULATED_MOVE, .to = to, .from = (const void *)from, .bytes = bytes});
}
EXPORT CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    (void)stream;
    return emulated_queue(
        &(struct emulated_work){.kind = EMULATED_MOVE, .to = (void *)to, .from = (const void *)from, .bytes = bytes});
}
EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream)
{
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    (void)stream;
    return emulated_queue(&(struct emulated_work){.kind = EMULATED_SET, .to = (void *)to, .value = value, .bytes = bytes});
}

/* ---- streams and events ---------------------------------------------------------------------------------------------- */

EXPORT CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    (void)flags;
    *stream = (CUstream)1;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamDestroy(CUstream stream)
{
    (void)stream;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamSynchronize(CUstream stream)
{
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    if (emulated_is_recording()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    (void)stream;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuEventCreate(CUevent *event, unsigned flags)
{
    (void)flags;
    *event = (CUevent)1;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuEventDestroy(CUevent event)
{
    (void)event;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuEventRecord(CUevent event, CUstream stream)
{
    (void)event, (void)stream;
    return emulated_is_recording() ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}
EXPORT CUresult cuEventSynchronize(CUevent event)
{
    (void)event;
    return emulated_is_recording() ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}
EXPORT CUresult cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to)
{
    (void)from, (void)to;
    *milliseconds = 1;
    return CUDA_SUCCESS;
}

/* ---- cuBLASLt --------------------------------------------------------------------------------------------------------- */

struct emulated_desc {
    cublasOperation_t a, b;
};

EXPORT cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    *handle = (cublasLtHandle_t)1;
    return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    (void)handle;
    return CUBLAS_STATUS_SUCCESS;
}
EXPORT size_t cublasLtGetVersion(void)
{
    return 1;
}
EXPORT cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute, cudaDataType scale)
{
    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    *desc = calloc(1, sizeof(struct emulated_desc));
    return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    free(desc);
    return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                                                     const void *value, size_t bytes)
{
    struct emulated_desc *d = (void *)desc;
    cublasOperation_t *slot = attribute == CUBLASLT_MATMUL_DESC_TRANSA   ? &d->a
                              : attribute == CUBLASLT_MATMUL_DESC_TRANSB ? &d->b
                                                                         : NULL;
    if (!slot || bytes != sizeof(*slot)) return CUBLAS_STATUS_NOT_SUPPORTED;
    memcpy(slot, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows,
                                                 uint64_t cols, int64_t stride)
{
    if (stride < (int64_t)rows || (type != CUDA_R_16BF && type != CUDA_R_32F)) return CUBLAS_STATUS_INVALID_VALUE;
    struct emulated_layout *l = malloc(sizeof(*l));
    *l = (struct emulated_layout){type, rows, cols, stride};
    *layout = (void *)l;
    return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    free(layout);
    return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    *preference = malloc(1);
    return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    free(preference);
    return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                           cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                                                           size_t bytes)
{
    (void)preference, (void)attribute, (void)value, (void)bytes;
    return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                                     cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                                     cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                                     cublasLtMatmulPreference_t preference, int wanted,
                                                     cublasLtMatmulHeuristicResult_t results[], int *found)
{
    (void)handle, (void)desc, (void)a, (void)b, (void)d, (void)preference;
    *found = wanted > 0;
    if (wanted <= 0) return CUBLAS_STATUS_SUCCESS;
    memset(&results[0], 0, sizeof(results[0])); /* state: success */
    /* one of three algorithms, which all compute alike, by the number of rows */
    results[0].algo.data[0] = 1 + ((const struct emulated_layout *)(const void *)c)->cols % 3;
    return CUBLAS_STATUS_SUCCESS;
}
EXPORT cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                           cublasLtMatmulAlgoConfigAttributes_t attribute, void *value,
                                                           size_t bytes, size_t *written)
{
    (void)algo, (void)attribute;
    memset(value, 0, bytes);
    *written = bytes;
    return CUBLAS_STATUS_SUCCESS;
}

static float element(const struct emulated_layout *l, const void *data, uint64_t row, uint64_t col)
{
    int64_t at = (int64_t)col * l->stride + (int64_t)row;
    uint32_t word = l->type == CUDA_R_32F ? ((const uint32_t *)data)[at] : (uint32_t)((const uint16_t *)data)[at] << 16;
    float f;
    memcpy(&f, &word, 4);
    return f;
}

static void put(const struct emulated_layout *l, void *data, uint64_t row, uint64_t col, float f)
{
    int64_t at = (int64_t)col * l->stride + (int64_t)row;
    uint32_t word;
    memcpy(&word, &f, 4);
    if (l->type == CUDA_R_32F)
        ((uint32_t *)data)[at] = word;
    else
        ((uint16_t *)data)[at] = f != f ? 0x7fff : (uint16_t)((word + 0x7fff + (word >> 16 & 1)) >> 16);
}

/* op(m) as lines of `depth` f32: line i is row i of op(a), or column i of op(b). */
static float *lines_of(const struct emulated_layout *l, const void *data, bool swap, uint64_t n, uint64_t depth)
{
    float *lines = malloc(n * depth * sizeof(*lines));
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t k = 0; k < depth; k++) lines[i * depth + k] = swap ? element(l, data, k, i) : element(l, data, i, k);
    return lines;
}

static void do_product(const struct emulated_work *w)
{
    const struct emulated_layout *x = &w->product.la, *y = &w->product.lb, *z = &w->product.lc;
    uint64_t depth = w->product.a_transposed ? x->rows : x->cols;
    float *left = lines_of(x, w->product.a, w->product.a_transposed, z->rows, depth);
    float *right = lines_of(y, w->product.b, !w->product.b_transposed, z->cols, depth);
    float by = w->product.alpha, keep = w->product.beta;
    for (uint64_t j = 0; j < z->cols; j++) {
        for (uint64_t i = 0; i < z->rows; i++) {
            float sum = 0;
            for (uint64_t k = 0; k < depth; k++) sum += left[i * depth + k] * right[j * depth + k];
            put(z, w->product.d, i, j, by * sum + (keep != 0 ? keep * element(z, w->product.c, i, j) : 0));
        }
    }
    free(left);
    free(right);
}

EXPORT cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha, const void *a,
                                     cublasLtMatrixLayout_t la, const void *b, cublasLtMatrixLayout_t lb, const void *beta,
                                     const void *c, cublasLtMatrixLayout_t lc, void *d, cublasLtMatrixLayout_t ld,
                                     const cublasLtMatmulAlgo_t *algo, void *workspace, size_t bytes, CUstream stream)
{
    (void)handle, (void)ld, (void)workspace, (void)bytes, (void)stream;
    static bool met[4];
    int algorithm = (int)algo->data[0];
    if (algorithm < 1 || algorithm > 3) return CUBLAS_STATUS_INVALID_VALUE;
    if (emulated_is_recording() && !met[algorithm]) return CUBLAS_STATUS_EXECUTION_FAILED; /* its kernel is loaded first */
    met[algorithm] = true;
    const struct emulated_desc *op = (void *)desc;
    const struct emulated_layout *x = (void *)la, *y = (void *)lb, *z = (void *)lc;
    uint64_t depth = op->a == CUBLAS_OP_T ? x->rows : x->cols;
    if ((op->a == CUBLAS_OP_T ? x->cols : x->rows) != z->rows || (op->b == CUBLAS_OP_T ? y->rows : y->cols) != z->cols ||
        (op->b == CUBLAS_OP_T ? y->cols : y->rows) != depth)
        return CUBLAS_STATUS_INVALID_VALUE;
    emulated_queue(&(struct emulated_work){.kind = EMULATED_PRODUCT,
                                           .product = {op->a == CUBLAS_OP_T, op->b == CUBLAS_OP_T, *x, *y, *z, a, b, c, d,
                                                       *(const float *)alpha, *(const float *)beta, algorithm}});
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- doing what was queued -------------------------------------------------------------------------------------------- */

static size_t launched[N_KERNELS];

/* How often the kernel of that name ran, for tests; of NULL: all of them. */
EXPORT size_t emulated_kernel_launches(const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < N_KERNELS; i++)
        if (!name || strcmp(KERNELS[i], name) == 0) n += launched[i];
    return n;
}

void emulated_do(const struct emulated_work *w)
{
    switch (w->kind) {
    case EMULATED_KERNEL:
        launched[w->kernel]++;
        emulator_launch(w->kernel, w->x, w->y, w->threads, w->shared, w->args);
        break;
    case EMULATED_MOVE:
        memmove(w->to, w->from, w->bytes);
        break;
    case EMULATED_SET:
        memset(w->to, w->value, w->bytes);
        break;
    case EMULATED_PRODUCT:
        do_product(w);
        break;
    }
}
