/* cuda_rope: rotary embedding, half-split pairing (element j of a head turns with element j + dim / 2). A block turns eight tokens:
 * the angles' cosines and sines are computed once and serve all heads. In place and out of place; sign -1 is the derivative, as
 * the derivative of a rotation is the rotation back. */
#include "backend/cuda/cuda_common.cuh"

enum { ROPE_MAX_HALF = 256 };

/* y[j] = scale (x[j] cos - sign x[j + half] sin), y[j + half] = scale (x[j + half] cos + sign x[j] sin), with the angle
 * position * inv_freq[j]; eight neighbours j a thread. Both halves are read before either is written, so y may be x. */
extern "C" __global__ void __launch_bounds__(ROPE_THREADS) rope(const cuda_rope_args a)
{
    __shared__ float cosine[ROPE_TOKENS * ROPE_MAX_HALF], sine[ROPE_TOKENS * ROPE_MAX_HALF];
    int first = blockIdx.x * ROPE_TOKENS, tokens = min((int)ROPE_TOKENS, a.rows - first), half = a.dim / 2;
    for (int i = threadIdx.x; i < tokens * half; i += ROPE_THREADS) {
        float s, c;
        sincosf((float)a.positions[first + i / half] * a.inv_freq[i % half], &s, &c);
        cosine[i] = c * a.scale;
        sine[i] = s * a.scale * a.sign;
    }
    __syncthreads();
    int octets = half / 8, each = a.heads * octets;
    for (int item = threadIdx.x; item < tokens * each; item += ROPE_THREADS) {
        int token = item / each, head = item % each / octets, j = item % octets * 8;
        const bf16_bits *x = a.x + (first + token) * a.x_stride + head * a.dim + j;
        bf16_bits *y = a.y + (first + token) * a.y_stride + head * a.dim + j;
        const float *cos8 = cosine + token * half + j, *sin8 = sine + token * half + j;
        float p[8], q[8], r[8], s[8];
        octet_widen(octet_load(x), p);
        octet_widen(octet_load(x + half), q);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            r[i] = p[i] * cos8[i] - q[i] * sin8[i];
            s[i] = q[i] * cos8[i] + p[i] * sin8[i];
        }
        octet_store(y, octet_round(r));
        octet_store(y + half, octet_round(s));
    }
}
