/* cuda_rope: rotary embedding, half-split pairing (element j of a head turns with element j + dim / 2). One block for each token:
 * the angles' cosines and sines are computed once and serve all heads. In place and out of place; sign -1 is the derivative, as
 * the derivative of a rotation is the rotation back. */
#include "backend/cuda/cuda_common.cuh"

enum { ROPE_THREADS = 256, ROPE_MAX_HALF = 256 };

extern "C" __global__ void __launch_bounds__(ROPE_THREADS) rope(const cuda_rope_args a)
{
    __shared__ float cosine[ROPE_MAX_HALF], sine[ROPE_MAX_HALF];
    int64_t row = blockIdx.x;
    int half = a.dim / 2;
    for (int j = threadIdx.x; j < half; j += ROPE_THREADS) {
        float s, c;
        sincosf((float)a.positions[row] * a.inv_freq[j], &s, &c);
        cosine[j] = c * a.scale;
        sine[j] = s * a.scale * a.sign;
    }
    __syncthreads();
    int octets = half / 8;
    for (int item = threadIdx.x; item < a.heads * octets; item += ROPE_THREADS) {
        int head = item / octets, j = (item - head * octets) * 8;
        const bf16_bits *x = a.x + row * a.x_stride + head * a.dim + j;
        bf16_bits *y = a.y + row * a.y_stride + head * a.dim + j;
        float p[8], q[8], r[8], s[8];
        octet_widen(octet_load(x), p);
        octet_widen(octet_load(x + half), q);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            r[i] = p[i] * cosine[j + i] - q[i] * sine[j + i];
            s[i] = q[i] * cosine[j + i] + p[i] * sine[j + i];
        }
        octet_store(y, octet_round(r));
        octet_store(y + half, octet_round(s));
    }
}
