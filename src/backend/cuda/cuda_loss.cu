/* cuda_loss: softmax cross-entropy over one chunk of logits. A row is read twice: once for maximum and sum together (the online
 * softmax of Milakov & Gimelshein 2018), once to become the gradient in place.
 *
 * A block owns a row. Each thread runs over its share, groups of eight logits, with a pair (m, s): the maximum so far and the sum
 * of exp(x - m). Two pairs join as m = max(m1, m2), s = s1 exp(m1 - m) + s2 exp(m2 - m), which is associative up to rounding; the
 * joins form a fixed tree, so a rerun gives the same bits. Then nll = m + log s - x[target], and the gradient is
 * weight * (exp(x - m) / s - onehot(target)). Logits are bf16, all arithmetic is f32. */
#include "backend/cuda/cuda_common.cuh"

/* Maximum m, and sum s of exponentials relative to it; (-inf, 0) for no logits. */
struct running {
    float m, s;
};

/* Joins two pairs; (-inf, 0) is the neutral one. */
static __device__ __forceinline__ running running_join(running a, running b)
{
    float m = fmaxf(a.m, b.m);
    if (m == -CUDART_INF_F) return running{m, 0.0f};
    return running{m, a.s * __expf(a.m - m) + b.s * __expf(b.m - m)};
}

/* The pair of a whole warp, in each of its lanes. */
static __device__ __forceinline__ running running_warp(running r)
{
#pragma unroll
    for (int offset = 16; offset > 0; offset >>= 1) {
        running other = {__shfl_xor_sync(0xffffffffu, r.m, offset), __shfl_xor_sync(0xffffffffu, r.s, offset)};
        /* Both partners must join in the same order to get the same bits. */
        r = (threadIdx.x & offset) ? running_join(other, r) : running_join(r, other);
    }
    return r;
}

/* Adds eight logits. `left`: how many of them belong to the vocabulary; those behind are padding. */
static __device__ __forceinline__ running running_octet(running r, const octet &from, int left)
{
    float x[8], m = r.m;
    octet_widen(from, x);
#pragma unroll
    for (int i = 0; i < 8; i++) x[i] = i < left ? x[i] : -CUDART_INF_F;
#pragma unroll
    for (int i = 0; i < 8; i++) m = fmaxf(m, x[i]);
    float s = m == -CUDART_INF_F ? 0.0f : r.s * __expf(r.m - m);
#pragma unroll
    for (int i = 0; i < 8; i++) s += m == -CUDART_INF_F ? 0.0f : __expf(x[i] - m);
    return running{m, s};
}

/* The pair of a whole row, given to every thread of the block. */
static __device__ running running_row(const bf16_bits *logits, int vocab)
{
    __shared__ running part[LOSS_THREADS / 32];
    running r = {-CUDART_INF_F, 0.0f};
    for (int v = threadIdx.x * 8; v < vocab; v += LOSS_THREADS * 8) r = running_octet(r, octet_load(logits + v), vocab - v);
    r = running_warp(r);
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    if (lane == 0) part[warp] = r;
    __syncthreads();
    return running_warp(lane < LOSS_THREADS / 32 ? part[lane] : running{-CUDART_INF_F, 0.0f});
}

/* One row (struct cuda_softmax_loss_args). Rows of weight 0 are not read: their targets may be anything. */
extern "C" __global__ void __launch_bounds__(LOSS_THREADS) softmax_loss(const cuda_softmax_loss_args a)
{
    int64_t row = blockIdx.x;
    bf16_bits *logits = a.logits + row * a.stride;
    float weight = a.weights[row];
    int32_t target = a.targets[row];
    int padded = (a.vocab + 7) / 8 * 8;
    if (weight != 0.0f && (target < 0 || target >= a.vocab)) {
        if (threadIdx.x == 0) atomicCAS(a.fault, 0, (int32_t)row + 1);
        weight = 0.0f;
    }
    if (weight == 0.0f) {
        if (threadIdx.x == 0) a.nll[row] = 0.0f;
        const float zero[8] = {0};
        for (int v = threadIdx.x * 8; a.want_grad && v < padded; v += LOSS_THREADS * 8) octet_store(logits + v, octet_round(zero));
        return;
    }
    float at_target = __bfloat162float(reinterpret_cast<const __nv_bfloat16 *>(logits)[target]);
    running r = running_row(logits, a.vocab); /* its barrier also keeps the read above ahead of the writes below */
    if (threadIdx.x == 0) a.nll[row] = r.m - at_target + logf(r.s);
    if (!a.want_grad) return;
    float factor = weight / r.s;
    for (int v = threadIdx.x * 8; v < a.vocab; v += LOSS_THREADS * 8) {
        float x[8];
        octet_widen(octet_load(logits + v), x);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            x[i] = v + i < a.vocab ? factor * __expf(x[i] - r.m) - (v + i == target ? weight : 0.0f) : 0.0f;
        }
        octet_store(logits + v, octet_round(x));
    }
}

/* The sums over all rows of a batch, by one block in fixed order and in f64 (struct cuda_loss_stats_args). */
extern "C" __global__ void __launch_bounds__(LOSS_THREADS) loss_stats(const cuda_loss_stats_args a)
{
    double weighted = 0, unweighted = 0, count = 0;
    for (int i = threadIdx.x; i < a.rows; i += LOSS_THREADS) {
        if (a.weights[i] == 0.0f) continue;
        weighted += (double)a.weights[i] * a.nll[i];
        unweighted += a.nll[i];
        count += 1;
    }
    weighted = block_sum(weighted);
    unweighted = block_sum(unweighted);
    count = block_sum(count);
    if (threadIdx.x != 0) return;
    a.stats[0] = weighted;
    a.stats[1] = unweighted;
    a.stats[2] = count;
    if (a.loss) *a.loss = (float)weighted;
}

/* Log-probabilities from what the loss is made of; -0 becomes 0, for rows that were skipped. */
extern "C" __global__ void __launch_bounds__(LOSS_THREADS) negate(const cuda_negate_args a)
{
    int i = blockIdx.x * LOSS_THREADS + threadIdx.x;
    if (i < a.count) a.to[i] = 0.0f - a.from[i];
}
