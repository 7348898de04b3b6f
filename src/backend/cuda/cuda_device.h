/* cuda_device: one opened card: its context, its queue (a stream), the loaded kernels and cuBLASLt. Everything is queued
 * on the one stream; the first failure stays in the ctx and makes later calls return at once.
 *
 * A kernel is known by an enumerator made from cuda_kernel_list.h: CUDA_rope is the kernel `rope` of cuda_rope.cu. */
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

enum { CUDA_MAX_MODULES = 24, CUDA_WORKSPACE_BYTES = 64 << 20, CUDA_PRODUCTS_KNOWN = 256 };

struct cuda_gemm_plan; /* cuda_gemm.c */
struct cuda_graphs;    /* cuda_graph.c */

struct cuda {
    struct ctx *c;
    bool counting; /* no card is open: launches and products return at once */
    struct cuda_driver driver;
    CUdevice device;
    CUcontext context;
    CUstream stream;
    CUmodule module[CUDA_MAX_MODULES];
    CUfunction kernel[CUDA_KERNEL_COUNT];
    unsigned shared[CUDA_KERNEL_COUNT]; /* bytes of shared memory that the kernel was allowed beyond the usual 48 KiB */
    char name[128];
    int major, minor;    /* compute capability */
    int processors;      /* streaming multiprocessors */
    size_t shared_bytes; /* shared memory that a block can have */
    cublasLtHandle_t lt;
    CUdeviceptr workspace; /* CUDA_WORKSPACE_BYTES, for cuBLASLt */
    struct cuda_gemm_plan *plans;
    int n_plans;
    struct cuda_graphs *graphs;             /* NULL: every call is queued by itself */
    bool launched[CUDA_KERNEL_COUNT];       /* at least once */
    uint64_t products[CUDA_PRODUCTS_KNOWN]; /* tags of cuBLASLt's algorithms that were queued at least once */
    int n_products;
    bool timed; /* products take the fastest of cuBLASLt's algorithms, by trial; else the one that it proposes first */
};

/* Opens card `index`: loads the libraries, takes the card's primary context, loads every kernel and starts cuBLASLt. The
 * caller closes the result. NULL with E_UNSUPPORTED (no driver, no such card, a card older than compute capability 8.0),
 * E_FIT (no memory on the card) or E_MEMORY (none on the host). */
struct cuda *cuda_open(struct ctx *c, int index);
/* Stands for a card when memory is counted: nothing is opened, and launches and products do nothing. NULL with
 * E_MEMORY. */
struct cuda *cuda_open_counting(struct ctx *c);
/* Waits for queued work and frees all that cuda_open took; NULL is accepted. Blocks of cuda_alloc must be freed before. */
void cuda_close(struct cuda *d);
/* Number of cards that the driver shows; 0 without a driver, without cuBLASLt or without a card. Records no error. Where a
 * driver is installed but no card can be used, the reason is logged to `told` (LOG_INFO; NULL: nowhere), so that somebody
 * with a card learns why it is idle. */
int cuda_count(struct ctx *told);

/* backend_card of a card that the driver shows. Records no error. */
bool cuda_card(int index, char *out, size_t out_bytes);

/* Records a failed call of the driver (E_FIT when it is out of memory, else E_IO) with `what`, which says what was tried;
 * returns the ctx's status. */
enum status cuda_check(struct cuda *d, CUresult result, const char *what);

/* Bytes of the card's memory that no process has taken; 0 with E_IO when the driver does not say. */
size_t cuda_free_bytes(struct cuda *d);
/* Device memory, at least 256-byte aligned, contents undefined. 0 with E_FIT when the card has no more. */
CUdeviceptr cuda_alloc(struct cuda *d, size_t bytes);
/* The same for what can be done without: 0 is no error. */
CUdeviceptr cuda_try_alloc(struct cuda *d, size_t bytes);
/* Frees a block of cuda_alloc, after queued work that uses it; 0 is accepted. */
void cuda_free(struct cuda *d, CUdeviceptr block);

/* Copies between host and card: after cuda_upload the host may reuse `from`; after cuda_download the bytes are in `to`. */
void cuda_upload(struct cuda *d, CUdeviceptr to, const void *from, size_t bytes);
void cuda_download(struct cuda *d, void *to, CUdeviceptr from, size_t bytes);
/* Returns when all queued work is done; a kernel that failed is reported here, with E_IO. */
enum status cuda_wait(struct cuda *d);
/* Queues the filling of device memory with zero bytes. */
enum status cuda_zero(struct cuda *d, CUdeviceptr to, size_t bytes);

/* What a launch needs beside arguments: blocks along x and y, threads of a block, bytes of its dynamic shared memory. */
struct cuda_grid {
    unsigned x, y, threads, shared;
};
/* Queues a kernel. `args` points to its argument struct (cuda_args.h), which is copied: the caller may reuse it on return.
 * E_UNSUPPORTED when a block needs more shared memory than the card has, E_IO when the launch fails. */
enum status cuda_launch(struct cuda *d, enum cuda_kernel kernel, struct cuda_grid grid, const void *args);

#endif
