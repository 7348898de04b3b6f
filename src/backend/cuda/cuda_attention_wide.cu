/* cuda_attention_wide: attention as cuda_attention and cuda_attention_bwd have it, by wgmma, for heads of 64 and 128 on cards of
 * compute capability 9.0. A block has two groups of four warps, with 64 rows each: queries in attention_wide and attention_wide_dq,
 * keys in attention_wide_dkv. The algorithms are the same, step by step; what differs is the instruction and the layout of tiles.
 *
 * wgmma runs beside the warps: products are queued between wgmma_begin and wgmma_wait, and until the wait their accumulators must
 * not be touched. The compiler does not know that an asm statement goes on working, so wgmma_hold on every accumulator before and
 * after pins them: without it, it moves their uses across the wait. wgmma_see makes what this thread copied to shared memory
 * visible to the tensor cores, which read it through another path than ordinary loads. */
#include "backend/cuda/cuda_attention.cuh"
#include "backend/cuda/cuda_wgmma.cuh"

enum { WIDE_THREADS = 256, WIDE_ROWS = 128 };

/* These kernels are only launched on cards that have wgmma (cuda_kernels.c); in the code for other cards their bodies are empty,
 * which keeps the program small. The emulator of the tests compiles them for the host, with the bodies. */
#if HAVE_WGMMA || !defined(__CUDA_ARCH__)
#define WIDE_BODY(CALL) CALL

/* The 64 rows of this thread's group; within them the warp's 16. */
static __device__ __forceinline__ int wide_group()
{
    return 64 * (threadIdx.x >> 7);
}
static __device__ __forceinline__ int wide_row()
{
    return wide_group() + 16 * ((threadIdx.x >> 5) & 3);
}

/* Forward, as attention_tile in cuda_attention.cu. */
template <int DIM, int BC> static __device__ __forceinline__ void wide_forward(const cuda_attention_args &a)
{
    DYNAMIC_SHARED(bf16_bits, shared);
    bf16_bits *q = wide_begin(shared), *k = q + WIDE_ROWS * DIM, *v = k + 2 * BC * DIM;
    int block = gridDim.x - 1 - blockIdx.x, head = blockIdx.y, group = head / (a.heads / a.groups); /* long rows first */
    int r0 = block * WIDE_ROWS, r1 = min(r0 + WIDE_ROWS, a.queries) - 1, row = wide_row();
    int start = a.first_key[r0], end = a.last_key[r1] + 1, tiles = (end - start + BC - 1) / BC;
    const bf16_bits *keys = a.k + group * DIM, *values = a.v + group * DIM;
    wide_fetch<DIM, WIDE_ROWS, WIDE_THREADS>(q, a.q + head * DIM, a.q_stride, r0, a.queries);
    wide_fetch<DIM, BC, WIDE_THREADS>(k, keys, a.k_stride, start, a.keys);
    wide_fetch<DIM, BC, WIDE_THREADS>(v, values, a.v_stride, start, a.keys);
    fetch_commit();
    float o[1][DIM / 8][4] = {}, top[1][2] = {{-CUDART_INF_F, -CUDART_INF_F}}, sum[1][2] = {};
    int all_first = a.first_key[r1], all_last = a.last_key[r0]; /* keys between these are seen by every row */
    for (int t = 0; t < tiles; t++) {
        int now = t & 1, first = start + t * BC;
        fetch_wait<0>();
        wgmma_see();
        __syncthreads(); /* tile t is there, and nobody reads the other buffer any more */
        if (t + 1 < tiles) {
            wide_fetch<DIM, BC, WIDE_THREADS>(k + (now ^ 1) * BC * DIM, keys, a.k_stride, first + BC, a.keys);
            wide_fetch<DIM, BC, WIDE_THREADS>(v + (now ^ 1) * BC * DIM, values, a.v_stride, first + BC, a.keys);
            fetch_commit();
        }
        float s[1][BC / 8][4];
        uint32_t p[BC / 16][4];
        wgmma_hold<BC / 8>(s[0]);
        wgmma_begin();
        wide_scores<DIM, BC, WIDE_ROWS>(s[0], q, wide_group(), k + now * BC * DIM);
        wgmma_wait();
        wgmma_hold<BC / 8>(s[0]);
        if (first < all_first || first + BC - 1 > all_last || r1 - r0 + 1 < WIDE_ROWS) {
            mask_rows<BC, 1>(s, a.first_key, a.last_key, r0 + row, a.queries, first, -CUDART_INF_F);
        }
        online_softmax<DIM, BC, 1>(s, o, top, sum, a.scale * CUDART_L2E_F);
        wide_round<BC>(p, s[0]);
        wgmma_hold<DIM / 8>(o[0]);
        wgmma_begin();
        wide_weighted<DIM, BC>(o[0], p, v + now * BC * DIM);
        wgmma_wait();
        wgmma_hold<DIM / 8>(o[0]);
    }
    store_output<DIM, 1>(a, o, top, sum, head, r0 + row);
}

/* dq of 128 queries, as attention_dq_tile in cuda_attention_bwd.cu. */
template <int DIM, int BC> static __device__ __forceinline__ void wide_dq(const cuda_attention_args &a)
{
    DYNAMIC_SHARED(bf16_bits, shared);
    bf16_bits *q = wide_begin(shared), *go = q + WIDE_ROWS * DIM, *k = go + WIDE_ROWS * DIM, *v = k + 2 * BC * DIM;
    int block = gridDim.x - 1 - blockIdx.x, head = blockIdx.y, group = head / (a.heads / a.groups);
    int r0 = block * WIDE_ROWS, r1 = min(r0 + WIDE_ROWS, a.queries) - 1, row = wide_row();
    int start = a.first_key[r0], end = a.last_key[r1] + 1, tiles = (end - start + BC - 1) / BC;
    int all_first = a.first_key[r1], all_last = a.last_key[r0];
    const bf16_bits *keys = a.k + group * DIM, *values = a.v + group * DIM;
    wide_fetch<DIM, WIDE_ROWS, WIDE_THREADS>(q, a.q + head * DIM, a.q_stride, r0, a.queries);
    wide_fetch<DIM, WIDE_ROWS, WIDE_THREADS>(go, a.grad_o + head * DIM, a.grad_o_stride, r0, a.queries);
    wide_fetch<DIM, BC, WIDE_THREADS>(k, keys, a.k_stride, start, a.keys);
    wide_fetch<DIM, BC, WIDE_THREADS>(v, values, a.v_stride, start, a.keys);
    fetch_commit();
    query_rows<1> rows;
    query_rows_load<1>(rows, a, head, r0 + row);
    float dq[DIM / 8][4] = {}, scale_log2 = a.scale * CUDART_L2E_F;
    for (int t = 0; t < tiles; t++) {
        int now = t & 1, first = start + t * BC;
        fetch_wait<0>();
        wgmma_see();
        __syncthreads();
        if (t + 1 < tiles) {
            wide_fetch<DIM, BC, WIDE_THREADS>(k + (now ^ 1) * BC * DIM, keys, a.k_stride, first + BC, a.keys);
            wide_fetch<DIM, BC, WIDE_THREADS>(v + (now ^ 1) * BC * DIM, values, a.v_stride, first + BC, a.keys);
            fetch_commit();
        }
        float s[1][BC / 8][4], dp[1][BC / 8][4];
        uint32_t ds[BC / 16][4];
        wgmma_hold<BC / 8>(s[0]);
        wgmma_hold<BC / 8>(dp[0]);
        wgmma_begin();
        wide_scores<DIM, BC, WIDE_ROWS>(s[0], q, wide_group(), k + now * BC * DIM);
        wide_scores<DIM, BC, WIDE_ROWS>(dp[0], go, wide_group(), v + now * BC * DIM);
        wgmma_wait();
        wgmma_hold<BC / 8>(s[0]);
        wgmma_hold<BC / 8>(dp[0]);
        score_gradients<BC, 1>(s, dp, rows, scale_log2);
        if (first < all_first || first + BC - 1 > all_last) {
            mask_rows<BC, 1>(s, a.first_key, a.last_key, r0 + row, a.queries, first, 0.0f);
        }
        wide_round<BC>(ds, s[0]);
        wgmma_hold<DIM / 8>(dq);
        wgmma_begin();
        wide_weighted<DIM, BC>(dq, ds, k + now * BC * DIM);
        wgmma_wait();
        wgmma_hold<DIM / 8>(dq);
    }
    store_rows<DIM>(a.dq + head * DIM, a.dq_stride, dq, r0 + row, a.queries, a.scale);
}

/* dk and dv of 128 keys, as attention_dkv_tile in cuda_attention_bwd.cu. */
template <int DIM, int BQ> static __device__ __forceinline__ void wide_dkv(const cuda_attention_args &a)
{
    DYNAMIC_SHARED(bf16_bits, shared);
    bf16_bits *k = wide_begin(shared), *v = k + WIDE_ROWS * DIM, *q = v + WIDE_ROWS * DIM, *go = q + 2 * BQ * DIM;
    float *values = (float *)(go + 2 * BQ * DIM);
    int group = blockIdx.y, ratio = a.heads / a.groups, c0 = blockIdx.x * WIDE_ROWS, c1 = min(c0 + WIDE_ROWS, a.keys) - 1;
    int row = wide_row(), start = a.first_query[c0], end = a.last_query[c1] + 1;
    int tiles = max(0, (end - start + BQ - 1) / BQ), all = tiles * ratio;
    int all_first = a.first_query[c1], all_last = a.last_query[c0]; /* queries between these see every key of the tile */
    wide_fetch<DIM, WIDE_ROWS, WIDE_THREADS>(k, a.k + group * DIM, a.k_stride, c0, a.keys);
    wide_fetch<DIM, WIDE_ROWS, WIDE_THREADS>(v, a.v + group * DIM, a.v_stride, c0, a.keys);
    float dk[DIM / 8][4] = {}, dv[DIM / 8][4] = {}, scale_log2 = a.scale * CUDART_L2E_F;
    for (int t = -1; t < all; t++) { /* each turn fetches tile t + 1 and works on tile t */
        fetch_wait<0>();
        wgmma_see();
        __syncthreads();
        if (t + 1 < all) {
            int other = (t + 1) & 1, head = group * ratio + (t + 1) / tiles, first = start + (t + 1) % tiles * BQ;
            wide_fetch<DIM, BQ, WIDE_THREADS>(q + other * BQ * DIM, a.q + head * DIM, a.q_stride, first, a.queries);
            wide_fetch<DIM, BQ, WIDE_THREADS>(go + other * BQ * DIM, a.grad_o + head * DIM, a.grad_o_stride, first, a.queries);
            fetch_commit();
            fetch_row_values<BQ>(values + other * 2 * BQ, a, head, first);
        }
        if (t < 0) continue;
        int now = t & 1, first = start + t % tiles * BQ;
        float s[1][BQ / 8][4], dp[1][BQ / 8][4];
        uint32_t p[BQ / 16][4], ds[BQ / 16][4];
        wgmma_hold<BQ / 8>(s[0]);
        wgmma_hold<BQ / 8>(dp[0]);
        wgmma_begin();
        wide_scores<DIM, BQ, WIDE_ROWS>(s[0], k, wide_group(), q + now * BQ * DIM);
        wide_scores<DIM, BQ, WIDE_ROWS>(dp[0], v, wide_group(), go + now * BQ * DIM);
        wgmma_wait();
        wgmma_hold<BQ / 8>(s[0]);
        wgmma_hold<BQ / 8>(dp[0]);
        transposed_gradients<BQ>(s[0], dp[0], values + now * 2 * BQ, scale_log2);
        if (first < all_first || first + BQ - 1 > all_last) {
            mask_rows<BQ, 1>(s, a.first_query, a.last_query, c0 + row, a.keys, first, 0.0f);
            mask_rows<BQ, 1>(dp, a.first_query, a.last_query, c0 + row, a.keys, first, 0.0f);
        }
        wide_round<BQ>(p, s[0]);
        wide_round<BQ>(ds, dp[0]);
        wgmma_hold<DIM / 8>(dv);
        wgmma_hold<DIM / 8>(dk);
        wgmma_begin();
        wide_weighted<DIM, BQ>(dv, p, go + now * BQ * DIM);
        wide_weighted<DIM, BQ>(dk, ds, q + now * BQ * DIM);
        wgmma_wait();
        wgmma_hold<DIM / 8>(dv);
        wgmma_hold<DIM / 8>(dk);
    }
    store_rows<DIM>(a.dk + group * DIM, a.dk_stride, dk, c0 + row, a.keys, a.scale);
    store_rows<DIM>(a.dv + group * DIM, a.dv_stride, dv, c0 + row, a.keys, 1.0f);
}

#else
#define WIDE_BODY(CALL)
#endif

#define WIDE_KERNELS(DIM)                                                                                                   \
    extern "C" __global__ void __launch_bounds__(WIDE_THREADS, 1) attention_wide_##DIM(const cuda_attention_args a)         \
    {                                                                                                                       \
        WIDE_BODY((wide_forward<DIM, 128>(a));)                                                                             \
    }                                                                                                                       \
    extern "C" __global__ void __launch_bounds__(WIDE_THREADS, 1) attention_wide_dq_##DIM(const cuda_attention_args a)      \
    {                                                                                                                       \
        WIDE_BODY((wide_dq<DIM, 64>(a));)                                                                                   \
    }                                                                                                                       \
    extern "C" __global__ void __launch_bounds__(WIDE_THREADS, 1) attention_wide_dkv_##DIM(const cuda_attention_args a)     \
    {                                                                                                                       \
        WIDE_BODY((wide_dkv<DIM, 64>(a));)                                                                                  \
    }
WIDE_KERNELS(64)
WIDE_KERNELS(128)
