/* cuda_common: what several CUDA kernels share: 16-byte groups of bf16 and sums over a block in fixed order. */
#ifndef YA_BACKEND_CUDA_COMMON_CUH
#define YA_BACKEND_CUDA_COMMON_CUH

#include <cuda_bf16.h>
#include <math_constants.h>

#include "backend/cuda/cuda_args.h"

/* Eight bf16 in one 16-byte load or store, the widest that a thread can do: kernels that only move bytes are bound by memory,
 * and narrow accesses do not reach its rate. octet_widen and octet_round convert to and from f32. */
struct __align__(16) octet {
    __nv_bfloat162 pair[4];
};

/* Eight bf16 widened to f32, exact. */
static __device__ __forceinline__ void octet_widen(const octet &from, float to[8])
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float2 f = __bfloat1622float2(from.pair[i]);
        to[2 * i] = f.x;
        to[2 * i + 1] = f.y;
    }
}

/* Eight f32 rounded to the nearest bf16, halves to even. */
static __device__ __forceinline__ octet octet_round(const float from[8])
{
    octet to;
#pragma unroll
    for (int i = 0; i < 4; i++) to.pair[i] = __floats2bfloat162_rn(from[2 * i], from[2 * i + 1]);
    return to;
}

/* By way of a uint4: nvcc copies an octet member by member, in four loads of 4 bytes. */
static __device__ __forceinline__ octet octet_load(const bf16_bits *from)
{
    uint4 words = *reinterpret_cast<const uint4 *>(from);
    octet value;
    memcpy(&value, &words, sizeof(value));
    return value;
}

/* The other direction. */
static __device__ __forceinline__ void octet_store(bf16_bits *to, const octet &value)
{
    uint4 words;
    memcpy(&words, &value, sizeof(words));
    *reinterpret_cast<uint4 *>(to) = words;
}

/* Sum and maximum over the 32 lanes of a warp, given to each of them, in an order that never changes. */
template <typename T> static __device__ __forceinline__ T warp_sum(T x)
{
#pragma unroll
    for (int offset = 16; offset > 0; offset >>= 1) x += __shfl_xor_sync(0xffffffffu, x, offset);
    return x;
}

/* The maximum over a warp. */
static __device__ __forceinline__ float warp_max(float x)
{
#pragma unroll
    for (int offset = 16; offset > 0; offset >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
    return x;
}

/* The sum over all threads of a block, given to each of them. The order depends on the block's size only. */
template <typename T> static __device__ __forceinline__ T block_sum(T x)
{
    __shared__ T part[32];
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, warps = (blockDim.x + 31) >> 5;
    x = warp_sum(x);
    __syncthreads(); /* an earlier call's readers are done */
    if (lane == 0) part[warp] = x;
    __syncthreads();
    return warp_sum(lane < warps ? part[lane] : T(0));
}

/* The same for the maximum. */
static __device__ __forceinline__ float block_max(float x)
{
    __shared__ float part[32];
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, warps = (blockDim.x + 31) >> 5;
    x = warp_max(x);
    __syncthreads();
    if (lane == 0) part[warp] = x;
    __syncthreads();
    return warp_max(lane < warps ? part[lane] : -CUDART_INF_F);
}

/* Sum of four neighbours of `count` arrays, `step` elements apart, in order. */
static __device__ __forceinline__ float4 sum_of_fours(const float *from, int64_t step, int count)
{
    float4 sum = {0, 0, 0, 0};
#pragma unroll 4
    for (int i = 0; i < count; i++) {
        float4 part = *(const float4 *)(from + i * step);
        sum.x += part.x, sum.y += part.y, sum.z += part.z, sum.w += part.w;
    }
    return sum;
}

/* The same where results are few and arrays many: `split` threads of a block of SUM_THREADS, SUM_THREADS / split apart, add a share of the
 * arrays each, and the first of them gets the sum of the shares, in order. All threads of the block must call it. */
static __device__ __forceinline__ float4 split_sum(const float *from, int64_t step, int count, int split)
{
    __shared__ float4 shares[SUM_THREADS];
    int apart = SUM_THREADS / split, share = threadIdx.x / apart, first = (int)((int64_t)count * share / split);
    float4 sum = sum_of_fours(from + first * step, step, (int)((int64_t)count * (share + 1) / split) - first);
    if (split == 1) return sum;
    shares[threadIdx.x] = sum;
    __syncthreads();
    for (int i = 1; share == 0 && i < split; i++) {
        float4 part = shares[threadIdx.x + i * apart];
        sum.x += part.x, sum.y += part.y, sum.z += part.z, sum.w += part.w;
    }
    return sum;
}

#endif
