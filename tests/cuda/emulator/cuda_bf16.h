/* cuda_bf16: the few words of CUDA C++ that the kernels use, for a C++ compiler: see emulator.cc. */
#ifndef EMULATOR_CUDA_BF16_H
#define EMULATOR_CUDA_BF16_H

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __constant__
#define __grid_constant__
#define __shared__ static /* blocks run one after the other */

using std::max;
using std::min;

struct emulated_index {
    unsigned x, y;
};
/* A block's place in the grid, which remembers whether the kernel has asked for it. */
struct emulated_place {
    unsigned value;
    mutable bool read;
    operator unsigned() const
    {
        read = true;
        return value;
    }
};
struct emulated_block_index {
    emulated_place x, y;
};
struct emulated_thread {
    emulated_index index;
    int lane, warp;
};
extern emulated_thread *emulated_current;
extern emulated_block_index emulated_block;
extern emulated_index emulated_block_dim, emulated_grid_dim;
#define threadIdx (emulated_current->index)
#define blockIdx  emulated_block
#define blockDim  emulated_block_dim
#define gridDim   emulated_grid_dim

void __syncthreads();
/* Every lane of the warp gives `mine` (at most 64 bytes); on return `all` points to what the 32 lanes gave. */
const unsigned char (*emulated_gather(const void *mine, size_t bytes))[64];

template <typename T> T __shfl_xor_sync(unsigned, T x, int mask)
{
    const unsigned char(*all)[64] = emulated_gather(&x, sizeof(x));
    T other;
    memcpy(&other, all[emulated_current->lane ^ mask], sizeof(other));
    return other;
}

template <typename T> T __shfl_sync(unsigned, T x, int lane)
{
    const unsigned char(*all)[64] = emulated_gather(&x, sizeof(x));
    T other;
    memcpy(&other, all[lane], sizeof(other));
    return other;
}

inline void __syncwarp()
{
    char nothing = 0;
    emulated_gather(&nothing, 1);
}

struct float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct __nv_bfloat16 {
    uint16_t bits;
};
struct __nv_bfloat162 {
    __nv_bfloat16 x, y;
};

inline float __bfloat162float(__nv_bfloat16 b)
{
    uint32_t word = (uint32_t)b.bits << 16;
    float f;
    memcpy(&f, &word, 4);
    return f;
}
inline __nv_bfloat16 __float2bfloat16_rn(float f)
{
    uint32_t word;
    memcpy(&word, &f, 4);
    if (f != f) return {(uint16_t)0x7fff};
    return {(uint16_t)((word + 0x7fff + (word >> 16 & 1)) >> 16)};
}
inline float2 __bfloat1622float2(__nv_bfloat162 p)
{
    return {__bfloat162float(p.x), __bfloat162float(p.y)};
}
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y)
{
    return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 b)
{
    return b.bits;
}
/* The low word of high:low shifted right by shift % 32 bits. */
inline uint32_t __funnelshift_r(uint32_t low, uint32_t high, int shift)
{
    return (uint32_t)(((uint64_t)high << 32 | low) >> (shift & 31));
}
/* Byte i of the result is byte (selector >> 4 i & 7) of b:a. */
inline uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t selector)
{
    uint64_t both = (uint64_t)b << 32 | a;
    uint32_t out = 0;
    for (int i = 0; i < 4; i++) out |= (uint32_t)(both >> 8 * (selector >> 4 * i & 7) & 255) << 8 * i;
    return out;
}
inline float __uint_as_float(uint32_t word)
{
    float f;
    memcpy(&f, &word, 4);
    return f;
}
inline float __expf(float x)
{
    return expf(x);
}
inline float rsqrtf(float x)
{
    return 1.0f / sqrtf(x);
}
inline int atomicCAS(int *at, int expected, int value)
{
    int old = *at;
    if (old == expected) *at = value;
    return old;
}
using std::isfinite;

#endif
