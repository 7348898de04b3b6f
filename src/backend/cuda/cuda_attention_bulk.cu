/* cuda_attention_bulk: attention for heads of 64 and 128 on cards of compute capability 9.0: forward as cuda_attention has it, and
 * the derivative as cuda_attention_bwd: one kernel gives dq, one dk and dv, in a fixed order and without a workspace.
 *
 * A block has three groups of four warps. Two multiply, 64 rows each, by wgmma. Of the third one warp works: it has the copy
 * engine bring tiles of 64 rows into a ring of buffers in shared memory, ahead of the others. Each buffer has two barriers:
 * `full` (its bytes are there) and `empty` (all eight warps have read it), so that no group waits for the other.
 *
 * Tensor cores and arithmetic run beside each other within a group: products are queued in groups that end in their order, and
 * while one is made, the scores of the one before become probabilities. wgmma_hold pins accumulators that are read after a wait
 * (cuda_wgmma.cuh). */
#include "backend/cuda/cuda_attention.cuh"
#include "backend/cuda/cuda_wgmma.cuh"

/* Blocks are ordered by tile, not by head: those of long rows of all heads begin first, and what is left at the end is short. */
enum { BULK_READERS = 8 /* warps */, BULK_LANES = 32 * BULK_READERS };

#if HAVE_WGMMA || !defined(__CUDA_ARCH__)
#define BULK_BODY(CALL) CALL

/* A ring of buffers with two tiles each, and the barriers. Behind them lie each buffer's row values (dkv only). */
template <int DIM, int STAGES> struct bulk_ring {
    static const int OWNED = BULK_ROWS * DIM, TILE = BULK_TILE * DIM;
    bf16_bits *first, *second; /* what the block owns, (128, DIM) each */
    bf16_bits *stage;
    float *values; /* 2 * 64 for each buffer */
    uint64_t *full, *empty, *owned;
};

/* Lays the ring out in shared memory and makes its barriers; `producers` threads of the copying warp arrive at `full`, `readers`
 * warps or lanes of those that multiply at `empty`. */
template <int DIM, int STAGES>
static __device__ __forceinline__ bulk_ring<DIM, STAGES> bulk_begin(bf16_bits *shared, int producers, int readers)
{
    bulk_ring<DIM, STAGES> r;
    r.first = wide_begin(shared), r.second = r.first + r.OWNED, r.stage = r.second + r.OWNED;
    r.values = (float *)(r.stage + STAGES * 2 * r.TILE);
    r.full = (uint64_t *)(r.values + STAGES * 2 * BULK_TILE), r.empty = r.full + STAGES, r.owned = r.empty + STAGES;
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) barrier_make(r.full + i, producers), barrier_make(r.empty + i, readers);
        barrier_make(r.owned, 1);
        barrier_begin();
    }
    __syncthreads();
    return r;
}

/* Copies ROWS rows of one head: boxes of 64 rows and 64 columns. */
template <int DIM, int ROWS>
static __device__ __forceinline__ void bulk_fetch(bf16_bits *to, const cuda_tile_map *from, int head, int row, uint64_t *barrier)
{
#pragma unroll
    for (int half = 0; half < DIM / 64; half++) {
#pragma unroll
        for (int i = 0; i < ROWS; i += 64) box_fetch(to + (half * ROWS + i) * 64, from, head * DIM + half * 64, row + i, barrier);
    }
}

/* This thread's group of four warps among those that multiply, the same for a whole warp. */
static __device__ __forceinline__ int bulk_group()
{
    return __shfl_sync(0xffffffffu, (int)threadIdx.x >> 7, 0);
}

/* A warp has read a buffer. */
static __device__ __forceinline__ void bulk_release(uint64_t *empty)
{
    __syncwarp();
    if ((threadIdx.x & 31) == 0) barrier_arrive(empty);
}

/* ---- forward ------------------------------------------------------------------------------------------------------------ */

/* Keys and values of forward: a ring of tiles of 128 rows, keys and values in turn, so that a tile of keys is free for the next
 * copy as soon as its scores are made. */
template <int DIM, int TILES> struct forward_ring {
    static const int TILE = BULK_ROWS * DIM;
    bf16_bits *q, *tile;
    uint64_t *full, *empty, *owned;
};

template <int DIM, int TILES> static __device__ __forceinline__ forward_ring<DIM, TILES> forward_begin(bf16_bits *shared)
{
    forward_ring<DIM, TILES> r;
    r.q = wide_begin(shared), r.tile = r.q + r.TILE;
    r.full = (uint64_t *)(r.tile + TILES * r.TILE), r.empty = r.full + TILES, r.owned = r.empty + TILES;
    if (threadIdx.x == 0) {
        for (int i = 0; i < TILES; i++) barrier_make(r.full + i, 1), barrier_make(r.empty + i, BULK_READERS);
        barrier_make(r.owned, 1);
        barrier_begin();
    }
    __syncthreads();
    return r;
}

/* One thread: q, then keys and values tile by tile. */
template <int DIM, int TILES>
static __device__ __forceinline__ void forward_copy(const cuda_attention_bulk_args &b, const forward_ring<DIM, TILES> &r, int query,
                                                    int start, int tiles)
{
    int head = blockIdx.x, group = head / (b.attention.heads / b.attention.groups);
    barrier_expect(r.owned, r.TILE * 2);
    bulk_fetch<DIM, BULK_ROWS>(r.q, &b.q, head, query, r.owned);
    for (int i = 0; i < 2 * tiles; i++) {
        int at = i % TILES, turn = i / TILES;
        if (turn > 0) barrier_wait(r.empty + at, (turn - 1) & 1);
        barrier_expect(r.full + at, r.TILE * 2);
        bulk_fetch<DIM, BULK_ROWS>(r.tile + at * r.TILE, i & 1 ? &b.v : &b.k, group, start + (i >> 1) * BULK_ROWS, r.full + at);
    }
}

/* Waits for tile i of the ring and returns it. */
template <int DIM, int TILES>
static __device__ __forceinline__ const bf16_bits *forward_tile(const forward_ring<DIM, TILES> &r, int i)
{
    barrier_wait(r.full + i % TILES, i / TILES & 1);
    return r.tile + i % TILES * r.TILE;
}

/* P v of a tile is queued in the turn after it, behind the next scores, and runs while those become probabilities. */
template <int DIM, int TILES>
static __device__ __forceinline__ void forward_products(const cuda_attention_args &a, const forward_ring<DIM, TILES> &r, int r0, int r1,
                                                        int start, int tiles)
{
    const int BC = BULK_ROWS;
    int group = 64 * bulk_group(), row = r0 + group + 16 * ((threadIdx.x >> 5) & 3);
    int all_first = a.first_key[r1], all_last = a.last_key[r0]; /* keys between these are seen by every row */
    float o[1][DIM / 8][4] = {}, top[1][2] = {{-CUDART_INF_F, -CUDART_INF_F}}, sum[1][2] = {};
    uint32_t p[BC / 16][4] = {};
    barrier_wait(r.owned, 0);
    for (int t = 0; t < tiles; t++) {
        int first = start + t * BC;
        float s[1][BC / 8][4], weights[1][BC / 8][4], shrink[1][2];
        const bf16_bits *k = forward_tile(r, 2 * t), *v = t > 0 ? forward_tile(r, 2 * t - 1) : k; /* p is 0 in the first turn */
        wgmma_begin();
        wide_scores<DIM, BC, BULK_ROWS>(s[0], r.q, group, k);
        wgmma_commit();
        wide_weighted<DIM, BC>(o[0], p, v);
        wgmma_commit();
        wgmma_pending<1>();
        wgmma_hold<BC / 8>(s[0]);
        bulk_release(r.empty + 2 * t % TILES);
        if (first < all_first || first + BC - 1 > all_last || r1 - r0 + 1 < BULK_ROWS) {
            mask_rows<BC, 1>(s, a.first_key, a.last_key, row, a.queries, first, -CUDART_INF_F);
        }
        online_softmax<BC, 1>(weights, s, shrink, top, sum, a.scale * CUDART_L2E_F);
        wgmma_pending<0>();
        wgmma_hold<DIM / 8>(o[0]);
        if (t > 0) bulk_release(r.empty + (2 * t - 1) % TILES);
        output_shrink<DIM, 1>(o, shrink);
        wide_round<BC>(p, weights[0]);
    }
    if (tiles > 0) {
        const bf16_bits *v = forward_tile(r, 2 * tiles - 1);
        wgmma_begin();
        wide_weighted<DIM, BC>(o[0], p, v);
        wgmma_wait();
    }
    wgmma_hold<DIM / 8>(o[0]);
    store_output<DIM, 1>(a, o, top, sum, blockIdx.x, row);
}

template <int DIM, int TILES> static __device__ __forceinline__ void bulk_forward(const cuda_attention_bulk_args &b)
{
    DYNAMIC_SHARED(bf16_bits, shared);
    const cuda_attention_args &a = b.attention;
    const forward_ring<DIM, TILES> r = forward_begin<DIM, TILES>(shared);
    int r0 = (gridDim.y - 1 - blockIdx.y) * BULK_ROWS, r1 = min(r0 + BULK_ROWS, a.queries) - 1; /* long rows first */
    int start = a.first_key[r0], tiles = (a.last_key[r1] + 1 - start + BULK_ROWS - 1) / BULK_ROWS;
    if (bulk_group() == 2) {
        registers_give<24>();
        if (threadIdx.x == 256) forward_copy<DIM, TILES>(b, r, r0, start, tiles);
    } else {
        registers_take<240>();
        forward_products<DIM, TILES>(a, r, r0, r1, start, tiles);
    }
}

/* ---- dk and dv of 128 keys --------------------------------------------------------------------------------------------- */

/* The tiles of queries that a block of keys walks over: `tiles` of each of the group's heads. */
struct bulk_walk {
    int start, tiles, all, head; /* head: the first of the group */
};

/* The copying warp of dkv: buffers hold q, dO, lse and delta of one tile of queries. */
template <int DIM, int STAGES>
static __device__ __forceinline__ void bulk_dkv_copy(const cuda_attention_bulk_args &b, const bulk_ring<DIM, STAGES> &r,
                                                     const bulk_walk &w, int key)
{
    int lane = threadIdx.x & 31, head = w.head, tile = 0;
    if (lane == 0) {
        barrier_expect(r.owned, 2 * r.OWNED * 2);
        bulk_fetch<DIM, BULK_ROWS>(r.first, &b.k, blockIdx.x, key, r.owned);
        bulk_fetch<DIM, BULK_ROWS>(r.second, &b.v, blockIdx.x, key, r.owned);
    }
    for (int t = 0; t < w.all; t++) {
        int at = t % STAGES, turn = t / STAGES, row = w.start + tile * BULK_TILE;
        bf16_bits *q = r.stage + at * 2 * r.TILE;
        float *values = r.values + at * 2 * BULK_TILE;
        if (turn > 0) barrier_wait(r.empty + at, (turn - 1) & 1);
        if (lane == 0) {
            barrier_expect(r.full + at, 2 * r.TILE * 2);
            bulk_fetch<DIM, BULK_TILE>(q, &b.q, head, row, r.full + at);
            bulk_fetch<DIM, BULK_TILE>(q + r.TILE, &b.grad_o, head, row, r.full + at);
        }
        for (int i = lane; i < BULK_TILE; i += 32) row_values<BULK_TILE>(values, b.attention, head, row, i);
        barrier_arrive(r.full + at);
        if (++tile == w.tiles) tile = 0, head++;
    }
}

/* dK of a tile is queued in the turn after it, so that its product runs beside the next scores. No product is under way where the
 * loop turns: the compiler would then wait for each of them. */
template <int DIM, int STAGES>
static __device__ __forceinline__ void bulk_dkv_products(const cuda_attention_args &a, const bulk_ring<DIM, STAGES> &r,
                                                         const bulk_walk &w, int c0, int c1)
{
    const int BQ = BULK_TILE;
    int group = 64 * bulk_group(), row = group + 16 * ((threadIdx.x >> 5) & 3);
    int all_first = a.first_query[c1], all_last = a.last_query[c0], tile = 0; /* queries between these see every key */
    float dk[DIM / 8][4] = {}, dv[DIM / 8][4] = {}, scale_log2 = a.scale * CUDART_L2E_F;
    uint32_t ds[BQ / 16][4] = {};
    const bf16_bits *before = r.stage; /* the queries that ds belongs to */
    barrier_wait(r.owned, 0);
    for (int t = 0; t < w.all; t++) {
        int at = t % STAGES, first = w.start + tile * BQ;
        const bf16_bits *q = r.stage + at * 2 * r.TILE, *go = q + r.TILE;
        const float *values = r.values + at * 2 * BQ;
        bool masked = first < all_first || first + BQ - 1 > all_last;
        float s[1][BQ / 8][4], dp[1][BQ / 8][4], weights[1][BQ / 8][4];
        uint32_t p[BQ / 16][4];
        if (++tile == w.tiles) tile = 0;
        barrier_wait(r.full + at, t / STAGES & 1);
        wgmma_begin();
        wide_weighted<DIM, BQ>(dk, ds, before);
        wide_scores<DIM, BQ, BULK_ROWS>(s[0], r.first, group, q);
        wgmma_commit();
        wide_scores<DIM, BQ, BULK_ROWS>(dp[0], r.second, group, go);
        wgmma_commit();
        wgmma_pending<1>(); /* the scores are there, and the tile before is done */
        wgmma_hold<BQ / 8>(s[0]);
        if (t > 0) barrier_arrive(r.empty + (t - 1) % STAGES); /* every lane, for it has read row values */
        transposed_probabilities<BQ>(weights[0], s[0], values, scale_log2);
        if (masked) mask_rows<BQ, 1>(weights, a.first_query, a.last_query, c0 + row, a.keys, first, 0.0f);
        wide_round<BQ>(p, weights[0]);
        wgmma_begin();
        wide_weighted<DIM, BQ>(dv, p, go);
        wgmma_commit();
        wgmma_pending<1>(); /* dP is there */
        wgmma_hold<BQ / 8>(dp[0]);
        transposed_gradients<BQ>(weights[0], weights[0], dp[0], values);
        if (masked) mask_rows<BQ, 1>(weights, a.first_query, a.last_query, c0 + row, a.keys, first, 0.0f);
        wgmma_pending<0>();
        wide_round<BQ>(ds, weights[0]);
        before = q;
    }
    if (w.all > 0) {
        wgmma_begin();
        wide_weighted<DIM, BQ>(dk, ds, before);
        wgmma_wait();
    }
    wgmma_hold<DIM / 8>(dk);
    wgmma_hold<DIM / 8>(dv);
    store_rows<DIM>(a.dk + blockIdx.x * DIM, a.dk_stride, dk, c0 + row, a.keys, a.scale);
    store_rows<DIM>(a.dv + blockIdx.x * DIM, a.dv_stride, dv, c0 + row, a.keys, 1.0f);
}

template <int DIM, int STAGES> static __device__ __forceinline__ void bulk_dkv(const cuda_attention_bulk_args &b)
{
    DYNAMIC_SHARED(bf16_bits, shared);
    const cuda_attention_args &a = b.attention;
    const bulk_ring<DIM, STAGES> r = bulk_begin<DIM, STAGES>(shared, 33, BULK_LANES);
    int ratio = a.heads / a.groups, c0 = blockIdx.y * BULK_ROWS, c1 = min(c0 + BULK_ROWS, a.keys) - 1;
    bulk_walk w = {a.first_query[c0], 0, 0, (int)blockIdx.x * ratio};
    w.tiles = max(0, (a.last_query[c1] + 1 - w.start + BULK_TILE - 1) / BULK_TILE);
    w.all = w.tiles * ratio;
    if (bulk_group() == 2) {
        registers_give<24>();
        if (threadIdx.x < 256 + 32) bulk_dkv_copy<DIM, STAGES>(b, r, w, c0);
    } else {
        registers_take<240>();
        bulk_dkv_products<DIM, STAGES>(a, r, w, c0, c1);
    }
}

/* ---- dq of 128 queries ------------------------------------------------------------------------------------------------- */

/* The copying warp of dq: one thread of it. Buffers hold keys and values of one tile. */
template <int DIM, int STAGES>
static __device__ __forceinline__ void bulk_dq_copy(const cuda_attention_bulk_args &b, const bulk_ring<DIM, STAGES> &r, int query,
                                                    int start, int tiles)
{
    int head = blockIdx.x, group = head / (b.attention.heads / b.attention.groups);
    barrier_expect(r.owned, 2 * r.OWNED * 2);
    bulk_fetch<DIM, BULK_ROWS>(r.first, &b.q, head, query, r.owned);
    bulk_fetch<DIM, BULK_ROWS>(r.second, &b.grad_o, head, query, r.owned);
    for (int t = 0; t < tiles; t++) {
        int at = t % STAGES, turn = t / STAGES;
        bf16_bits *k = r.stage + at * 2 * r.TILE;
        if (turn > 0) barrier_wait(r.empty + at, (turn - 1) & 1);
        barrier_expect(r.full + at, 2 * r.TILE * 2);
        bulk_fetch<DIM, BULK_TILE>(k, &b.k, group, start + t * BULK_TILE, r.full + at);
        bulk_fetch<DIM, BULK_TILE>(k + r.TILE, &b.v, group, start + t * BULK_TILE, r.full + at);
    }
}

/* As in bulk_dkv_products: what a tile adds to dq is queued in the turn after it. */
template <int DIM, int STAGES>
static __device__ __forceinline__ void bulk_dq_products(const cuda_attention_args &a, const bulk_ring<DIM, STAGES> &r, int r0, int r1,
                                                        int start, int tiles)
{
    const int BC = BULK_TILE;
    int group = 64 * bulk_group(), row = r0 + group + 16 * ((threadIdx.x >> 5) & 3);
    int all_first = a.first_key[r1], all_last = a.last_key[r0]; /* keys between these are seen by every row */
    float dq[DIM / 8][4] = {}, scale_log2 = a.scale * CUDART_L2E_F;
    uint32_t ds[BC / 16][4] = {};
    const bf16_bits *before = r.stage; /* the keys that ds belongs to */
    query_rows<1> rows;
    query_rows_load<1>(rows, a, blockIdx.x, row);
    barrier_wait(r.owned, 0);
    for (int t = 0; t < tiles; t++) {
        int at = t % STAGES, first = start + t * BC;
        const bf16_bits *k = r.stage + at * 2 * r.TILE;
        float s[1][BC / 8][4], dp[1][BC / 8][4], weights[1][BC / 8][4];
        barrier_wait(r.full + at, t / STAGES & 1);
        wgmma_begin();
        wide_weighted<DIM, BC>(dq, ds, before);
        wide_scores<DIM, BC, BULK_ROWS>(s[0], r.first, group, k);
        wgmma_commit();
        wide_scores<DIM, BC, BULK_ROWS>(dp[0], r.second, group, k + r.TILE);
        wgmma_commit();
        wgmma_pending<1>(); /* the scores are there, and the tile before is done */
        wgmma_hold<BC / 8>(s[0]);
        if (t > 0) bulk_release(r.empty + (t - 1) % STAGES);
        row_probabilities<BC, 1>(weights, s, rows, scale_log2);
        wgmma_pending<0>();
        wgmma_hold<BC / 8>(dp[0]);
        row_gradients<BC, 1>(weights, dp, rows);
        if (first < all_first || first + BC - 1 > all_last) {
            mask_rows<BC, 1>(weights, a.first_key, a.last_key, row, a.queries, first, 0.0f);
        }
        wide_round<BC>(ds, weights[0]);
        before = k;
    }
    if (tiles > 0) {
        wgmma_begin();
        wide_weighted<DIM, BC>(dq, ds, before);
        wgmma_wait();
    }
    wgmma_hold<DIM / 8>(dq);
    store_rows<DIM>(a.dq + blockIdx.x * DIM, a.dq_stride, dq, row, a.queries, a.scale);
}

template <int DIM, int STAGES> static __device__ __forceinline__ void bulk_dq(const cuda_attention_bulk_args &b)
{
    DYNAMIC_SHARED(bf16_bits, shared);
    const cuda_attention_args &a = b.attention;
    const bulk_ring<DIM, STAGES> r = bulk_begin<DIM, STAGES>(shared, 1, BULK_READERS);
    int r0 = (gridDim.y - 1 - blockIdx.y) * BULK_ROWS, r1 = min(r0 + BULK_ROWS, a.queries) - 1; /* long rows first */
    int start = a.first_key[r0], tiles = (a.last_key[r1] + 1 - start + BULK_TILE - 1) / BULK_TILE;
    if (bulk_group() == 2) {
        registers_give<24>();
        if (threadIdx.x == 256) bulk_dq_copy<DIM, STAGES>(b, r, r0, start, tiles);
    } else {
        registers_take<240>();
        bulk_dq_products<DIM, STAGES>(a, r, r0, r1, start, tiles);
    }
}

#else
#define BULK_BODY(CALL)
#endif

#define BULK_KERNELS(DIM)                                                                                                   \
    extern "C" __global__ void __launch_bounds__(BULK_THREADS, 1)                                                           \
        attention_bulk_##DIM(const __grid_constant__ cuda_attention_bulk_args a)                                            \
    {                                                                                                                       \
        BULK_BODY((bulk_forward<DIM, BULK_FORWARD_TILES>(a));)                                                              \
    }                                                                                                                       \
    extern "C" __global__ void __launch_bounds__(BULK_THREADS, 1)                                                           \
        attention_bulk_dq_##DIM(const __grid_constant__ cuda_attention_bulk_args a)                                         \
    {                                                                                                                       \
        BULK_BODY((bulk_dq<DIM, BULK_STAGES>(a));)                                                                          \
    }                                                                                                                       \
    extern "C" __global__ void __launch_bounds__(BULK_THREADS, 1)                                                           \
        attention_bulk_dkv_##DIM(const __grid_constant__ cuda_attention_bulk_args a)                                        \
    {                                                                                                                       \
        BULK_BODY((bulk_dkv<DIM, BULK_STAGES>(a));)                                                                         \
    }
BULK_KERNELS(64)
BULK_KERNELS(128)
