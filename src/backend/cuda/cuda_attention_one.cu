/* cuda_attention_one: attention of one query, as generation has it: the time is that of reading keys and values once. Blocks own a
 * piece of the keys of a key head and serve all its query heads (at most 8), a warp a key at a time; a second kernel adds what the
 * pieces found in their order. */
#include "backend/cuda/cuda_mma.cuh"

/* What a warp, a block or all blocks have seen of a head: the largest score, the sum of 2^(score - largest), the values under those
 * weights. Scores are in powers of two. */
template <int EACH> struct one_sum {
    float most, weight, value[EACH];
};

template <int EACH> static __device__ __forceinline__ void one_add(one_sum<EACH> &to, float most, float weight, const float *value)
{
    float larger = fmaxf(to.most, most);
    if (larger == -CUDART_INF_F) return;
    float mine = exp2_fast(to.most - larger), theirs = exp2_fast(most - larger);
    to.most = larger;
    to.weight = to.weight * mine + weight * theirs;
#pragma unroll
    for (int i = 0; i < EACH; i++) to.value[i] = to.value[i] * mine + value[i] * theirs;
}

/* EACH elements at once: 2 or 4. */
template <int EACH> static __device__ __forceinline__ void one_load(const bf16_bits *from, float out[EACH])
{
    const uint32_t *words = (const uint32_t *)from;
    uint32_t word[EACH / 2];
#pragma unroll
    for (int i = 0; i < EACH / 2; i++) word[i] = words[i];
#pragma unroll
    for (int i = 0; i < EACH; i++) out[i] = __uint_as_float(i % 2 ? word[i / 2] & 0xffff0000u : word[i / 2] << 16);
}

/* partial: for each piece and head `dim` values, then the largest score and the weight. */
template <int DIM> static __device__ __forceinline__ void attention_one(const cuda_attention_one_args &one)
{
    const int EACH = DIM / 32;
    const cuda_attention_args &a = one.attention;
    __shared__ float shared[ONE_WARPS][DIM + 2];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, group = blockIdx.y, heads = a.heads / a.groups;
    int from = a.first_key[0] + blockIdx.x * one.piece, last = min(a.last_key[0] + 1, from + one.piece);
    float q[ONE_HEADS][EACH];
    one_sum<EACH> sum[ONE_HEADS];
    const float LOG2E = 1.44269504f;
#pragma unroll
    for (int h = 0; h < ONE_HEADS; h++) {
        sum[h].most = -CUDART_INF_F, sum[h].weight = 0;
#pragma unroll
        for (int i = 0; i < EACH; i++) sum[h].value[i] = q[h][i] = 0;
        if (h < heads) one_load<EACH>(a.q + (group * heads + h) * DIM + lane * EACH, q[h]);
    }
    for (int key = from + warp; key < last; key += ONE_WARPS) {
        float k[EACH], v[EACH];
        one_load<EACH>(a.k + key * a.k_stride + group * DIM + lane * EACH, k);
        one_load<EACH>(a.v + key * a.v_stride + group * DIM + lane * EACH, v);
#pragma unroll
        for (int h = 0; h < ONE_HEADS; h++) {
            if (h >= heads) break;
            float score = 0;
#pragma unroll
            for (int i = 0; i < EACH; i++) score = fmaf(q[h][i], k[i], score);
            one_add<EACH>(sum[h], warp_sum(score) * a.scale * LOG2E, 1, v);
        }
    }
#pragma unroll
    for (int h = 0; h < ONE_HEADS; h++) {
        if (h >= heads) break;
        __syncthreads(); /* the head before has been read */
#pragma unroll
        for (int i = 0; i < EACH; i++) shared[warp][lane * EACH + i] = sum[h].value[i];
        if (lane == 0) shared[warp][DIM] = sum[h].most, shared[warp][DIM + 1] = sum[h].weight;
        __syncthreads();
        if (warp != 0) continue;
        for (int w = 1; w < ONE_WARPS; w++) one_add<EACH>(sum[h], shared[w][DIM], shared[w][DIM + 1], &shared[w][lane * EACH]);
        float *out = one.partial + ((int64_t)blockIdx.x * a.heads + group * heads + h) * (DIM + 2);
#pragma unroll
        for (int i = 0; i < EACH; i++) out[lane * EACH + i] = sum[h].value[i];
        if (lane == 0) out[DIM] = sum[h].most, out[DIM + 1] = sum[h].weight;
    }
}

/* A warp a head. */
template <int DIM> static __device__ __forceinline__ void attention_one_total(const cuda_attention_one_args &one)
{
    const int EACH = DIM / 32;
    const cuda_attention_args &a = one.attention;
    int lane = threadIdx.x & 31, head = blockIdx.x * ONE_WARPS + (threadIdx.x >> 5);
    if (head >= a.heads) return;
    one_sum<EACH> sum;
    sum.most = -CUDART_INF_F, sum.weight = 0;
#pragma unroll
    for (int i = 0; i < EACH; i++) sum.value[i] = 0;
    for (int p = 0; p < one.pieces; p++) {
        const float *in = one.partial + ((int64_t)p * a.heads + head) * (DIM + 2);
        one_add<EACH>(sum, in[DIM], in[DIM + 1], in + lane * EACH);
    }
    uint32_t *o = (uint32_t *)(a.o + head * DIM + lane * EACH);
#pragma unroll
    for (int i = 0; i < EACH / 2; i++) o[i] = pack_bf16(sum.value[2 * i] / sum.weight, sum.value[2 * i + 1] / sum.weight);
    if (lane == 0) a.lse[head] = (sum.most + log2f(sum.weight)) * 0.693147181f;
}

#define ONE_KERNELS(DIM)                                                                                                    \
    extern "C" __global__ void __launch_bounds__(ONE_THREADS) attention_one_##DIM(const cuda_attention_one_args a)          \
    {                                                                                                                       \
        attention_one<DIM>(a);                                                                                              \
    }                                                                                                                       \
    extern "C" __global__ void __launch_bounds__(ONE_THREADS) attention_one_total_##DIM(const cuda_attention_one_args a)    \
    {                                                                                                                       \
        attention_one_total<DIM>(a);                                                                                        \
    }
ONE_KERNELS(64)
ONE_KERNELS(128)
