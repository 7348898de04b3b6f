/* cuda_attention_bwd: derivative of cuda_attention, the same bytes on every run: one kernel owns tiles of queries and gives dq,
 * the other owns tiles of keys of one key head, walks over all query heads of its group in order and gives dk and dv. No
 * atomics and no workspace but delta; the price is that scores are computed twice.
 *
 * With P = exp(scale q k^T - lse), dP = dO v^T, delta = dO . O for each query and dS = P (dP - delta) (Dao 2023, section 3.2):
 * dv = P^T dO, dq = scale dS k, dk = scale dS^T q. P is computed anew from lse, which forward kept, so no matrix of queries by
 * keys is ever stored. The second kernel works on transposes, S^T = k q^T: then P^T and dS^T lie in registers as left operands
 * of the products that give dv and dk, and lse and delta belong to columns, which all lanes read from shared memory. */
#include "backend/cuda/cuda_attention.cuh"

/* delta = sum over dim of dO * O: eight elements a lane, so that a warp has several heads of a row. */
extern "C" __global__ void __launch_bounds__(DELTA_THREADS) attention_delta(const cuda_attention_args a)
{
    int lanes = a.dim <= 16 ? 2 : a.dim <= 32 ? 4 : a.dim <= 64 ? 8 : 16, col = threadIdx.x % lanes * 8;
    int64_t item = (int64_t)blockIdx.x * (DELTA_THREADS / lanes) + threadIdx.x / lanes, row = item / a.heads;
    int head = (int)(item % a.heads);
    float sum = 0;
    if (row < a.queries && col < a.dim) {
        float x[8], y[8];
        octet_widen(octet_load(a.o + row * a.o_stride + head * a.dim + col), x);
        octet_widen(octet_load(a.grad_o + row * a.grad_o_stride + head * a.dim + col), y);
#pragma unroll
        for (int i = 0; i < 8; i++) sum += x[i] * y[i];
    }
    for (int offset = lanes / 2; offset > 0; offset >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    if (col == 0 && row < a.queries) a.delta[head * (int64_t)a.queries + row] = sum;
}

/* dq of a tile of queries: q and dO stay in shared memory, tiles of BC keys and values pass by in two buffers. */
template <int DIM, int BC, int MT, int WARPS> static __device__ __forceinline__ void attention_dq_tile(const cuda_attention_args &a)
{
    const int BR = 16 * MT * WARPS, THREADS = 32 * WARPS, KV = BC * tile<DIM>::STRIDE;
    DYNAMIC_SHARED(bf16_bits, shared);
    bf16_bits *q = shared, *go = q + BR * tile<DIM>::STRIDE, *k = go + BR * tile<DIM>::STRIDE, *v = k + 2 * KV;
    int block = gridDim.x - 1 - blockIdx.x, head = blockIdx.y, group = head / (a.heads / a.groups);
    int r0 = block * BR, r1 = min(r0 + BR, a.queries) - 1, row = 16 * MT * (threadIdx.x >> 5);
    int start = a.first_key[r0], end = a.last_key[r1] + 1, tiles = (end - start + BC - 1) / BC;
    int all_first = a.first_key[r1], all_last = a.last_key[r0]; /* keys between these are seen by every row */
    const bf16_bits *keys = a.k + group * DIM, *values = a.v + group * DIM;
    tile_fetch<DIM, BR, THREADS>(q, a.q + head * DIM, a.q_stride, r0, a.queries);
    tile_fetch<DIM, BR, THREADS>(go, a.grad_o + head * DIM, a.grad_o_stride, r0, a.queries);
    tile_fetch<DIM, BC, THREADS>(k, keys, a.k_stride, start, a.keys);
    tile_fetch<DIM, BC, THREADS>(v, values, a.v_stride, start, a.keys);
    fetch_commit();
    query_rows<MT> rows;
    query_rows_load<MT>(rows, a, head, r0 + row);
    float dq[MT][DIM / 8][4] = {}, scale_log2 = a.scale * CUDART_L2E_F;
    for (int t = 0; t < tiles; t++) {
        int now = t & 1, first = start + t * BC;
        fetch_wait<0>();
        __syncthreads();
        if (t + 1 < tiles) {
            tile_fetch<DIM, BC, THREADS>(k + (now ^ 1) * KV, keys, a.k_stride, first + BC, a.keys);
            tile_fetch<DIM, BC, THREADS>(v + (now ^ 1) * KV, values, a.v_stride, first + BC, a.keys);
            fetch_commit();
        }
        float s[MT][BC / 8][4], dp[MT][BC / 8][4];
        scores<DIM, BC, MT>(s, q, row, k + now * KV);
        scores<DIM, BC, MT>(dp, go, row, v + now * KV);
        row_probabilities<BC, MT>(s, s, rows, scale_log2);
        row_gradients<BC, MT>(s, dp, rows);
        if (first < all_first || first + BC - 1 > all_last) {
            mask_rows<BC, MT>(s, a.first_key, a.last_key, r0 + row, a.queries, first, 0.0f);
        }
        weighted_rows<DIM, BC, MT>(dq, s, k + now * KV);
    }
#pragma unroll
    for (int m = 0; m < MT; m++) {
        store_rows<DIM>(a.dq + head * DIM, a.dq_stride, dq[m], r0 + row + 16 * m, a.queries, a.scale);
    }
}

/* dk and dv of a tile of keys of one key head: k and v stay in shared memory; tiles of BQ queries and their dO, of every query
 * head of the group one after the other, pass by in two buffers. Sums go in that fixed order. */
template <int DIM, int BQ, int WARPS> static __device__ __forceinline__ void attention_dkv_tile(const cuda_attention_args &a)
{
    const int BK = 16 * WARPS, THREADS = 32 * WARPS, Q = BQ * tile<DIM>::STRIDE;
    DYNAMIC_SHARED(bf16_bits, shared);
    bf16_bits *k = shared, *v = k + BK * tile<DIM>::STRIDE, *q = v + BK * tile<DIM>::STRIDE, *go = q + 2 * Q;
    float *values = (float *)(go + 2 * Q);
    int group = blockIdx.y, ratio = a.heads / a.groups, c0 = blockIdx.x * BK, c1 = min(c0 + BK, a.keys) - 1;
    int row = 16 * (threadIdx.x >> 5), start = a.first_query[c0], end = a.last_query[c1] + 1;
    int tiles = max(0, (end - start + BQ - 1) / BQ), all = tiles * ratio;
    int all_first = a.first_query[c1], all_last = a.last_query[c0]; /* queries between these see every key of the tile */
    tile_fetch<DIM, BK, THREADS>(k, a.k + group * DIM, a.k_stride, c0, a.keys);
    tile_fetch<DIM, BK, THREADS>(v, a.v + group * DIM, a.v_stride, c0, a.keys);
    float dk[1][DIM / 8][4] = {}, dv[1][DIM / 8][4] = {}, scale_log2 = a.scale * CUDART_L2E_F;
    for (int t = -1; t < all; t++) { /* each turn fetches tile t + 1 and works on tile t */
        fetch_wait<0>();
        __syncthreads();
        if (t + 1 < all) {
            int other = (t + 1) & 1, head = group * ratio + (t + 1) / tiles, first = start + (t + 1) % tiles * BQ;
            tile_fetch<DIM, BQ, THREADS>(q + other * Q, a.q + head * DIM, a.q_stride, first, a.queries);
            tile_fetch<DIM, BQ, THREADS>(go + other * Q, a.grad_o + head * DIM, a.grad_o_stride, first, a.queries);
            fetch_commit();
            fetch_row_values<BQ>(values + other * 2 * BQ, a, head, first);
        }
        if (t < 0) continue;
        int now = t & 1;
        int first = start + t % tiles * BQ;
        float s[1][BQ / 8][4], dp[1][BQ / 8][4];
        scores<DIM, BQ, 1>(s, k, row, q + now * Q);
        scores<DIM, BQ, 1>(dp, v, row, go + now * Q);
        transposed_probabilities<BQ>(s[0], s[0], values + now * 2 * BQ, scale_log2);
        transposed_gradients<BQ>(dp[0], s[0], dp[0], values + now * 2 * BQ);
        if (first < all_first || first + BQ - 1 > all_last) {
            mask_rows<BQ, 1>(s, a.first_query, a.last_query, c0 + row, a.keys, first, 0.0f);
            mask_rows<BQ, 1>(dp, a.first_query, a.last_query, c0 + row, a.keys, first, 0.0f);
        }
        weighted_rows<DIM, BQ, 1>(dv, s, go + now * Q);
        weighted_rows<DIM, BQ, 1>(dk, dp, q + now * Q);
    }
    store_rows<DIM>(a.dk + group * DIM, a.dk_stride, dk[0], c0 + row, a.keys, a.scale);
    store_rows<DIM>(a.dv + group * DIM, a.dv_stride, dv[0], c0 + row, a.keys, 1.0f);
}

#define ATTENTION_BWD_KERNELS(DIM)                                                                                          \
    extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 2) attention_dq_##DIM(const cuda_attention_args a)      \
    {                                                                                                                       \
        attention_dq_tile<DIM, DQ_KEYS, ATTENTION_ROWS / (16 * ATTENTION_WARPS), ATTENTION_WARPS>(a);                       \
    }                                                                                                                       \
    extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 2) attention_dkv_##DIM(const cuda_attention_args a)     \
    {                                                                                                                       \
        attention_dkv_tile<DIM, DKV_QUERIES, DKV_ROWS / 16>(a);                                                             \
    }
ATTENTION_BWD_KERNELS(16)
ATTENTION_BWD_KERNELS(32)
ATTENTION_BWD_KERNELS(64)
ATTENTION_BWD_KERNELS(96)
ATTENTION_BWD_KERNELS(128)
