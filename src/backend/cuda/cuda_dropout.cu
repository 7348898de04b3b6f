/* cuda_dropout: the mask of array/dropout.c on the card: Philox 4x32-10 (Salmon et al. 2011), counter (token, slot, channel / 4),
 * so that CPU and card drop the same channels. */
#include "backend/cuda/cuda_common.cuh"

/* Ten rounds over the counter x with the key (k0, k1): four random 32-bit integers. */
static __device__ __forceinline__ void philox(uint32_t x[4], uint32_t k0, uint32_t k1)
{
#pragma unroll
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * x[0], b = (uint64_t)0xCD9E8D57u * x[2];
        x[0] = (uint32_t)(b >> 32) ^ x[1] ^ k0;
        x[1] = (uint32_t)b;
        x[2] = (uint32_t)(a >> 32) ^ x[3] ^ k1;
        x[3] = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) dropout(const cuda_dropout_args a)
{
    int col = (blockIdx.x * ELEMENT_THREADS + threadIdx.x) * 8;
    for (int64_t row = blockIdx.y; row < a.rows && col < a.cols; row += gridDim.y) {
        uint64_t token = (uint64_t)(a.first_token + row);
        float x[8], y[8];
        octet_widen(octet_load(a.from + row * a.from_stride + col), x);
        if (a.add) octet_widen(octet_load(a.to + row * a.to_stride + col), y);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            uint32_t n[4] = {(uint32_t)token, (uint32_t)(token >> 32), a.slot, (uint32_t)(col / 4 + half)};
            philox(n, a.key[0], a.key[1]);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                float kept = n[i] >= a.threshold ? x[4 * half + i] * a.scale : 0.0f;
                x[4 * half + i] = a.add ? y[4 * half + i] + kept : kept;
            }
        }
        octet_store(a.to + row * a.to_stride + col, octet_round(x));
    }
}
