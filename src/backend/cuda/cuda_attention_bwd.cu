/* cuda_attention_bwd: derivative of cuda_attention, the same bytes on every run: one kernel owns tiles of queries and gives dq,
 * the other owns tiles of keys of one key head, walks over all query heads of its group in order and gives dk and dv. No
 * atomics and no workspace but delta; the price is that scores are computed twice.
 *
 * With P = exp(scale q k - lse), dP = dO v, dS = P (dP - delta): dv = P^T dO, dq = scale dS k, dk = scale dS^T q. */
#include "backend/cuda/cuda_mma.cuh"

/* delta = sum over dim of dO * O: one warp a row and head. */
extern "C" __global__ void __launch_bounds__(128) attention_delta(const cuda_attention_args a)
{
    int item = blockIdx.x * 4 + (threadIdx.x >> 5), lane = threadIdx.x & 31;
    if (item >= a.queries * a.heads) return;
    int row = item / a.heads, head = item % a.heads;
    float sum = 0;
    for (int col = lane * 8; col < a.dim; col += 256) {
        float x[8], y[8];
        octet_widen(octet_load(a.o + row * a.o_stride + head * a.dim + col), x);
        octet_widen(octet_load(a.grad_o + row * a.grad_o_stride + head * a.dim + col), y);
#pragma unroll
        for (int i = 0; i < 8; i++) sum += x[i] * y[i];
    }
    sum = warp_sum(sum);
    if (lane == 0) a.delta[(int64_t)head * a.queries + row] = sum;
}

/* s (16 rows of a tile, BC columns) = rows of a times rows of b, transposed. */
template <int DIM, int BC>
static __device__ __forceinline__ void row_products(float s[BC / 8][4], const bf16_bits *a, int row, const bf16_bits *b)
{
#pragma unroll
    for (int n = 0; n < BC / 8; n++) {
#pragma unroll
        for (int e = 0; e < 4; e++) s[n][e] = 0;
    }
#pragma unroll
    for (int k = 0; k < DIM / 16; k++) {
        uint32_t left[4];
        load_a<DIM>(left, a, row, 16 * k);
#pragma unroll
        for (int n = 0; n < BC / 16; n++) {
            uint32_t right[4];
            load_b_rows<DIM>(right, b, 16 * n, 16 * k);
            mma_bf16(s[2 * n], left, right[0], right[1]);
            mma_bf16(s[2 * n + 1], left, right[2], right[3]);
        }
    }
}

/* o (16 rows, DIM columns) += p (rounded) times the tile b (BC rows). */
template <int DIM, int BC>
static __device__ __forceinline__ void add_weighted(float o[DIM / 8][4], float p[BC / 8][4], const bf16_bits *b)
{
#pragma unroll
    for (int k = 0; k < BC / 16; k++) {
        uint32_t left[4];
        accumulators_as_a(left, p[2 * k], p[2 * k + 1]);
#pragma unroll
        for (int n = 0; n < DIM / 16; n++) {
            uint32_t right[4];
            load_b_cols<DIM>(right, b, 16 * k, 16 * n);
            mma_bf16(o[2 * n], left, right[0], right[1]);
            mma_bf16(o[2 * n + 1], left, right[2], right[3]);
        }
    }
}

template <int DIM>
static __device__ __forceinline__ void store_rows(bf16_bits *to, int64_t stride, float o[DIM / 8][4], int row0, int limit, float by)
{
    int lane = threadIdx.x & 31;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int row = row0 + 8 * h + (lane >> 2);
        if (row >= limit) continue;
        bf16_bits *line = to + row * stride + (lane & 3) * 2;
#pragma unroll
        for (int n = 0; n < DIM / 8; n++) {
            *reinterpret_cast<uint32_t *>(line + 8 * n) = pack_bf16(o[n][2 * h] * by, o[n][2 * h + 1] * by);
        }
    }
}

template <int DIM, int BC, int WARPS> static __device__ __forceinline__ void attention_dq_tile(const cuda_attention_args &a)
{
    const int BR = 16 * WARPS, THREADS = 32 * WARPS, KV = BC * tile<DIM>::STRIDE;
    extern __shared__ __align__(16) bf16_bits shared[];
    bf16_bits *q = shared, *go = q + BR * tile<DIM>::STRIDE, *k = go + BR * tile<DIM>::STRIDE, *v = k + 2 * KV;
    int block = gridDim.x - 1 - blockIdx.x, head = blockIdx.y, group = head / (a.heads / a.groups);
    int r0 = block * BR, r1 = min(r0 + BR, a.queries) - 1, row = 16 * (threadIdx.x >> 5);
    int start = a.first_key[r0], end = a.last_key[r1] + 1, tiles = (end - start + BC - 1) / BC;
    const bf16_bits *keys = a.k + group * DIM, *values = a.v + group * DIM;
    tile_fetch<DIM, BR, THREADS>(q, a.q + head * DIM, a.q_stride, r0, a.queries);
    tile_fetch<DIM, BR, THREADS>(go, a.grad_o + head * DIM, a.grad_o_stride, r0, a.queries);
    tile_fetch<DIM, BC, THREADS>(k, keys, a.k_stride, start, a.keys);
    tile_fetch<DIM, BC, THREADS>(v, values, a.v_stride, start, a.keys);
    fetch_commit();
    float dq[DIM / 8][4] = {}, scale_log2 = a.scale * CUDART_L2E_F, lse_log2[2], delta[2];
    int first_key[2], last_key[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int i = r0 + row + 8 * h + ((threadIdx.x & 31) >> 2);
        bool inside = i < a.queries;
        first_key[h] = inside ? a.first_key[i] : 0;
        last_key[h] = inside ? a.last_key[i] : -1;
        lse_log2[h] = inside ? a.lse[(int64_t)head * a.queries + i] * CUDART_L2E_F : 0.0f;
        delta[h] = inside ? a.delta[(int64_t)head * a.queries + i] : 0.0f;
    }
    for (int t = 0; t < tiles; t++) {
        int now = t & 1, first = start + t * BC;
        fetch_wait<0>();
        __syncthreads();
        if (t + 1 < tiles) {
            tile_fetch<DIM, BC, THREADS>(k + (now ^ 1) * KV, keys, a.k_stride, first + BC, a.keys);
            tile_fetch<DIM, BC, THREADS>(v + (now ^ 1) * KV, values, a.v_stride, first + BC, a.keys);
            fetch_commit();
        }
        float s[BC / 8][4], dp[BC / 8][4];
        row_products<DIM, BC>(s, q, row, k + now * KV);
        row_products<DIM, BC>(dp, go, row, v + now * KV);
#pragma unroll
        for (int n = 0; n < BC / 8; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                int key = first + n * 8 + (threadIdx.x & 3) * 2 + (e & 1), h = e >> 1;
                float p = exp2f(fmaf(s[n][e], scale_log2, -lse_log2[h]));
                s[n][e] = key < first_key[h] || key > last_key[h] ? 0.0f : p * (dp[n][e] - delta[h]);
            }
        }
        add_weighted<DIM, BC>(dq, s, k + now * KV);
    }
    store_rows<DIM>(a.dq + head * DIM, a.dq_stride, dq, r0 + row, a.queries, a.scale);
}

/* lse and delta of one tile of queries. Beyond the last query exp2 gives 0, whatever the scores: lse is infinite there. */
template <int BQ>
static __device__ __forceinline__ void fetch_row_values(float *to, const cuda_attention_args &a, int head, int first)
{
    if (threadIdx.x >= BQ) return;
    int i = first + threadIdx.x;
    bool inside = i < a.queries;
    to[threadIdx.x] = inside ? a.lse[(int64_t)head * a.queries + i] * CUDART_L2E_F : CUDART_INF_F;
    to[BQ + threadIdx.x] = inside ? a.delta[(int64_t)head * a.queries + i] : 0.0f;
}

/* P^T and dS^T of one tile, from scores^T and dP^T in place. */
template <int BQ>
static __device__ __forceinline__ void transposed_gradients(float s[BQ / 8][4], float dp[BQ / 8][4], const float *values,
                                                            const int first_query[2], const int last_query[2], int first,
                                                            float scale_log2)
{
#pragma unroll
    for (int n = 0; n < BQ / 8; n++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int column = n * 8 + (threadIdx.x & 3) * 2 + (e & 1), h = e >> 1, query = first + column;
            float p = exp2f(fmaf(s[n][e], scale_log2, -values[column]));
            p = query < first_query[h] || query > last_query[h] ? 0.0f : p;
            s[n][e] = p;
            dp[n][e] = p * (dp[n][e] - values[BQ + column]);
        }
    }
}

template <int DIM, int BQ, int WARPS> static __device__ __forceinline__ void attention_dkv_tile(const cuda_attention_args &a)
{
    const int BK = 16 * WARPS, THREADS = 32 * WARPS, Q = BQ * tile<DIM>::STRIDE;
    extern __shared__ __align__(16) bf16_bits shared[];
    bf16_bits *k = shared, *v = k + BK * tile<DIM>::STRIDE, *q = v + BK * tile<DIM>::STRIDE, *go = q + 2 * Q;
    float *values = (float *)(go + 2 * Q);
    int group = blockIdx.y, ratio = a.heads / a.groups, c0 = blockIdx.x * BK, c1 = min(c0 + BK, a.keys) - 1;
    int row = 16 * (threadIdx.x >> 5), start = a.first_query[c0], end = a.last_query[c1] + 1;
    int tiles = max(0, (end - start + BQ - 1) / BQ), all = tiles * ratio;
    tile_fetch<DIM, BK, THREADS>(k, a.k + group * DIM, a.k_stride, c0, a.keys);
    tile_fetch<DIM, BK, THREADS>(v, a.v + group * DIM, a.v_stride, c0, a.keys);
    float dk[DIM / 8][4] = {}, dv[DIM / 8][4] = {}, scale_log2 = a.scale * CUDART_L2E_F;
    int first_query[2], last_query[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int j = c0 + row + 8 * h + ((threadIdx.x & 31) >> 2);
        first_query[h] = j < a.keys ? a.first_query[j] : 0;
        last_query[h] = j < a.keys ? a.last_query[j] : -1;
    }
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
        float s[BQ / 8][4], dp[BQ / 8][4];
        row_products<DIM, BQ>(s, k, row, q + now * Q);
        row_products<DIM, BQ>(dp, v, row, go + now * Q);
        transposed_gradients<BQ>(s, dp, values + now * 2 * BQ, first_query, last_query, start + t % tiles * BQ, scale_log2);
        add_weighted<DIM, BQ>(dv, s, go + now * Q);
        add_weighted<DIM, BQ>(dk, dp, q + now * Q);
    }
    store_rows<DIM>(a.dk + group * DIM, a.dk_stride, dk, c0 + row, a.keys, a.scale);
    store_rows<DIM>(a.dv + group * DIM, a.dv_stride, dv, c0 + row, a.keys, 1.0f);
}

#define ATTENTION_BWD_KERNELS(DIM)                                                                                          \
    extern "C" __global__ void __launch_bounds__(128, 2) attention_dq_##DIM(const cuda_attention_args a)                    \
    {                                                                                                                       \
        attention_dq_tile<DIM, 64, 4>(a);                                                                                   \
    }                                                                                                                       \
    extern "C" __global__ void __launch_bounds__(256, 1) attention_dkv_##DIM(const cuda_attention_args a)                   \
    {                                                                                                                       \
        attention_dkv_tile<DIM, 64, 8>(a);                                                                                  \
    }
ATTENTION_BWD_KERNELS(16)
ATTENTION_BWD_KERNELS(32)
ATTENTION_BWD_KERNELS(64)
ATTENTION_BWD_KERNELS(96)
ATTENTION_BWD_KERNELS(128)
