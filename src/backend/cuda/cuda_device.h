/* cuda_device: one opened card: its context, its queue (a stream), the loaded kernels and cuBLASLt. Everything is queued on
 * the one stream; the first failure stays in the ctx and makes later calls return at once. */
#ifndef YA_BACKEND_CUDA_DEVICE_H
#define YA_BACKEND_CUDA_DEVICE_H

#include "backend/cuda/cuda_driver.h"

/* Kernels by the name they have in the modules. */
#define CUDA_KERNELS(X)                                                                                                     \
    X(rms_norm_1)                                                                                                           \
    X(rms_norm_2)                                                                                                           \
    X(rms_norm_4)                                                                                                           \
    X(rms_norm_8)                                                                                                           \
    X(rms_norm_bwd_1)                                                                                                       \
    X(rms_norm_bwd_2)                                                                                                       \
    X(rms_norm_bwd_4)                                                                                                       \
    X(rms_norm_bwd_8)                                                                                                       \
    X(rope)                                                                                                                 \
    X(swiglu)                                                                                                               \
    X(swiglu_bwd)                                                                                                           \
    X(move_bf16_bf16)                                                                                                       \
    X(move_bf16_f32)                                                                                                        \
    X(move_f32_bf16)                                                                                                        \
    X(move_f32_f32)                                                                                                         \
    X(fill_32)                                                                                                              \
    X(fill_16)                                                                                                              \
    X(move_rows_by_id)                                                                                                      \
    X(softmax_loss)                                                                                                         \
    X(loss_stats)                                                                                                           \
    X(sum_squares_partial)                                                                                                  \
    X(sum_squares_total)                                                                                                    \
    X(adamw)                                                                                                                \
    X(tall_product_16)                                                                                                      \
    X(tall_product_32)                                                                                                      \
    X(tall_total)                                                                                                           \
    X(attention_bounds)                                                                                                     \
    X(attention_delta)                                                                                                      \
    X(attention_16)                                                                                                         \
    X(attention_32)                                                                                                         \
    X(attention_64)                                                                                                         \
    X(attention_96)                                                                                                         \
    X(attention_128)                                                                                                        \
    X(attention_dq_16)                                                                                                      \
    X(attention_dq_32)                                                                                                      \
    X(attention_dq_64)                                                                                                      \
    X(attention_dq_96)                                                                                                      \
    X(attention_dq_128)                                                                                                     \
    X(attention_dkv_16)                                                                                                     \
    X(attention_dkv_32)                                                                                                     \
    X(attention_dkv_64)                                                                                                     \
    X(attention_dkv_96)                                                                                                     \
    X(attention_dkv_128)

enum cuda_kernel {
#define CUDA_ID(name) CUDA_##name,
    CUDA_KERNELS(CUDA_ID)
#undef CUDA_ID
        CUDA_KERNEL_COUNT
};

enum { CUDA_MAX_MODULES = 16, CUDA_GEMM_PLANS = 256, CUDA_WORKSPACE_BYTES = 64 << 20 };

struct cuda_gemm_plan; /* cuda_gemm.c */

struct cuda {
    struct ctx *c;
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
};

/* Opens card `index`. NULL with E_UNSUPPORTED (no driver, no such card, a card older than compute capability 8.0). */
struct cuda *cuda_open(struct ctx *c, int index);
void cuda_close(struct cuda *d);

/* Records a driver error with the name of what was tried; returns the ctx's status. */
enum status cuda_check(struct cuda *d, CUresult result, const char *what);

/* Device memory, at least 256-byte aligned, contents undefined. 0 with E_MEMORY. */
CUdeviceptr cuda_alloc(struct cuda *d, size_t bytes);
void cuda_free(struct cuda *d, CUdeviceptr block);
void cuda_upload(struct cuda *d, CUdeviceptr to, const void *from, size_t bytes); /* host reusable on return */
void cuda_download(struct cuda *d, void *to, CUdeviceptr from, size_t bytes);     /* there on return */
enum status cuda_wait(struct cuda *d);                                            /* all queued work is done */

/* Queues a kernel. `args` points to its argument struct (cuda_args.h). */
struct cuda_grid {
    unsigned x, y, threads, shared;
};
enum status cuda_launch(struct cuda *d, enum cuda_kernel kernel, struct cuda_grid grid, const void *args);

#endif
