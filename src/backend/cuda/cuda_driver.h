/* cuda_driver: the functions of NVIDIA's driver and of cuBLASLt, found at run time. The program links to neither, so that
 * one binary serves machines with and without a card; a missing library is an answer with a message. Prototypes come from
 * the toolkit's headers at build time. */
#ifndef YA_BACKEND_CUDA_DRIVER_H
#define YA_BACKEND_CUDA_DRIVER_H

#include <cublasLt.h>
#include <cuda.h>

#include "base/ctx.h"

/* Several names are macros of cuda.h for a newer version of the function (cuMemAlloc is cuMemAlloc_v2): member and symbol
 * both carry the name after expansion. */
#define CUDA_DRIVER_CALLS(X)                                                                                                \
    X(cuInit)                                                                                                               \
    X(cuDriverGetVersion)                                                                                                   \
    X(cuGetErrorString)                                                                                                     \
    X(cuDeviceGet)                                                                                                          \
    X(cuDeviceGetCount)                                                                                                     \
    X(cuDeviceGetName)                                                                                                      \
    X(cuDeviceGetAttribute)                                                                                                 \
    X(cuDevicePrimaryCtxRetain)                                                                                             \
    X(cuDevicePrimaryCtxRelease)                                                                                            \
    X(cuCtxSetCurrent)                                                                                                      \
    X(cuModuleLoadData)                                                                                                     \
    X(cuModuleUnload)                                                                                                       \
    X(cuModuleGetFunction)                                                                                                  \
    X(cuFuncSetAttribute)                                                                                                   \
    X(cuLaunchKernel)                                                                                                       \
    X(cuTensorMapEncodeTiled)                                                                                               \
    X(cuMemAlloc)                                                                                                           \
    X(cuMemFree)                                                                                                            \
    X(cuMemGetInfo)                                                                                                         \
    X(cuMemAllocHost)                                                                                                       \
    X(cuMemFreeHost)                                                                                                        \
    X(cuMemcpyHtoDAsync)                                                                                                    \
    X(cuMemcpyDtoHAsync)                                                                                                    \
    X(cuMemcpyDtoDAsync)                                                                                                    \
    X(cuMemsetD8Async)                                                                                                      \
    X(cuStreamCreate)                                                                                                       \
    X(cuMemGetAllocationGranularity)                                                                                        \
    X(cuMemAddressReserve)                                                                                                  \
    X(cuMemAddressFree)                                                                                                     \
    X(cuMemCreate)                                                                                                          \
    X(cuMemRelease)                                                                                                         \
    X(cuMemMap)                                                                                                             \
    X(cuMemUnmap)                                                                                                           \
    X(cuMemSetAccess)                                                                                                       \
    X(cuStreamDestroy)                                                                                                      \
    X(cuStreamSynchronize)                                                                                                  \
    X(cuEventCreate)                                                                                                        \
    X(cuEventDestroy)                                                                                                       \
    X(cuEventRecord)                                                                                                        \
    X(cuEventSynchronize)                                                                                                   \
    X(cuEventElapsedTime)                                                                                                   \
    X(cuStreamBeginCapture)                                                                                                 \
    X(cuStreamEndCapture)                                                                                                   \
    X(cuGraphInstantiate)                                                                                                   \
    X(cuGraphExecUpdate)                                                                                                    \
    X(cuGraphExecDestroy)                                                                                                   \
    X(cuGraphLaunch)                                                                                                        \
    X(cuGraphDestroy)

#define CUDA_LT_CALLS(X)                                                                                                    \
    X(cublasLtCreate)                                                                                                       \
    X(cublasLtDestroy)                                                                                                      \
    X(cublasLtGetVersion)                                                                                                   \
    X(cublasLtMatmul)                                                                                                       \
    X(cublasLtMatmulDescCreate)                                                                                             \
    X(cublasLtMatmulDescDestroy)                                                                                            \
    X(cublasLtMatmulDescSetAttribute)                                                                                       \
    X(cublasLtMatrixLayoutCreate)                                                                                           \
    X(cublasLtMatrixLayoutDestroy)                                                                                          \
    X(cublasLtMatmulPreferenceCreate)                                                                                       \
    X(cublasLtMatmulPreferenceDestroy)                                                                                      \
    X(cublasLtMatmulPreferenceSetAttribute)                                                                                 \
    X(cublasLtMatmulAlgoGetHeuristic)                                                                                       \
    X(cublasLtMatmulAlgoConfigGetAttribute)

struct cuda_driver {
    void *libcuda, *libcublaslt; /* dlopen's handles */
#define CUDA_MEMBER(name) __typeof__(name) *name;
    CUDA_DRIVER_CALLS(CUDA_MEMBER)
    CUDA_LT_CALLS(CUDA_MEMBER)
#undef CUDA_MEMBER
};

/* Opens both libraries and starts the driver. Each is looked for under the path in an environment variable (YA_LIBCUDA,
 * YA_LIBCUBLASLT), else under its usual names. E_UNSUPPORTED with what is missing and what to do; *d is zeroed then. */
enum status cuda_driver_open(struct ctx *c, struct cuda_driver *d);
/* Whether the driver's library opens; not whether it works. Records nothing. */
bool cuda_driver_is_installed(void);
/* Closes the libraries and zeroes *d; a zeroed *d is accepted. No pointer from it may be called afterwards. */
void cuda_driver_close(struct cuda_driver *d);

#endif
