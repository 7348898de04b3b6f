/* cuda_device: one opened card: its context, its queue (a stream), the loaded kernels and cuBLASLt. Everything is queued on
 * the one stream; the first failure stays in the ctx and makes later calls return at once. */
#ifndef YA_BACKEND_CUDA_DEVICE_H
#define YA_BACKEND_CUDA_DEVICE_H

#include "backend/cuda/cuda_driver.h"
#include "backend/cuda/cuda_kernel_list.h"

enum cuda_kernel {
#define CUDA_ID(name, file) CUDA_##name,
    CUDA_KERNELS(CUDA_ID)
#undef CUDA_ID
        CUDA_KERNEL_COUNT
};

enum { CUDA_MAX_MODULES = 16, CUDA_WORKSPACE_BYTES = 64 << 20 };

struct cuda_gemm_plan; /* cuda_gemm.c */

struct cuda {
    struct ctx *c;
    bool counting; /* no card is open: launches and products return at once */
    struct cuda_driver driver;
    CUdevice device;
    CUcontext context;
    CUstream stream;
    CUmodule module[CUDA_MAX_MODULES];
    CUfunction kernel[CUDA_KERNEL_COUNT];
    char name[128];
    int major, minor;    /* compute capability */
    int processors;      /* streaming multiprocessors */
    size_t shared_bytes; /* shared memory that a block can have */
    cublasLtHandle_t lt;
    CUdeviceptr workspace; /* CUDA_WORKSPACE_BYTES, for cuBLASLt */
    struct cuda_gemm_plan *plans;
    int n_plans;
    bool timed; /* products take the fastest of cuBLASLt's algorithms, by trial; else the one that it proposes first */
};

/* Opens card `index`. NULL with E_UNSUPPORTED (no driver, no such card, a card older than compute capability 8.0). */
struct cuda *cuda_open(struct ctx *c, int index);
/* What stands for a card when memory is counted: nothing is opened and nothing runs. NULL with E_MEMORY. */
struct cuda *cuda_open_counting(struct ctx *c);
void cuda_close(struct cuda *d);
/* Cards that the driver shows; 0 without a driver, without cuBLASLt or without a card. Records no error. `told` (may be
 * NULL) hears by LOG_INFO why there are none where a driver is installed: whoever has a card wants to know that it is not
 * used. */
int cuda_count(struct ctx *told);

/* Records a driver error with the name of what was tried; returns the ctx's status. */
enum status cuda_check(struct cuda *d, CUresult result, const char *what);

/* Bytes of the card's memory that nobody has taken. */
size_t cuda_free_bytes(struct cuda *d);
/* Device memory, at least 256-byte aligned, contents undefined. 0 with E_FIT when the card has no more. */
CUdeviceptr cuda_alloc(struct cuda *d, size_t bytes);
void cuda_free(struct cuda *d, CUdeviceptr block);
void cuda_upload(struct cuda *d, CUdeviceptr to, const void *from, size_t bytes); /* host reusable on return */
void cuda_download(struct cuda *d, void *to, CUdeviceptr from, size_t bytes);     /* there on return */
enum status cuda_wait(struct cuda *d);                                            /* all queued work is done */
enum status cuda_zero(struct cuda *d, CUdeviceptr to, size_t bytes);              /* queued */

/* Queues a kernel. `args` points to its argument struct (cuda_args.h). */
struct cuda_grid {
    unsigned x, y, threads, shared;
};
enum status cuda_launch(struct cuda *d, enum cuda_kernel kernel, struct cuda_grid grid, const void *args);

#endif
