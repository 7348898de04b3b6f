/* cuda_attention: causal attention over packed segments, grouped query heads, forward. Online softmax over tiles of keys (Dao
 * 2023, FlashAttention-2); products on the tensor cores by mma.sync, so every card from sm_80 on runs it.
 *
 * A block owns BR queries of one head, and each of its warps 16 * MT of them. The queries' tile is copied to shared memory once.
 * Then the block walks over the keys that any of its queries sees, BC at a time: S = q k^T in registers, softmax as far as the
 * keys seen until now allow it (online_softmax), o += P v. S and P never leave registers. Keys and values of the next tile are
 * copied into a second buffer by cp.async while the present one is multiplied; one barrier a tile is enough, as it both makes
 * tile t visible and ends the reading of the buffer that tile t + 1 overwrites.
 *
 * Segments are handled by bounds, not by masks in memory: each query knows the first and the last key that it sees, and because
 * both ascend, the tile's first and last row bound all others. Only tiles at an edge are masked. */
#include "backend/cuda/cuda_attention.cuh"

/* Thread i finds the segments of query i and of key i by bisection, and from them the bounds of both (cuda_args.h). When a
 * segment has more keys than queries (generation with a cache), its queries are the last of its positions: `shift` keys precede
 * the first query's own. */
extern "C" __global__ void attention_bounds(const cuda_attention_bounds_args a)
{
    int i = blockIdx.x * BOUNDS_THREADS + threadIdx.x;
    int low = 0, high = a.segments - 1;
    if (i < a.queries) {
        while (low < high) {
            int middle = (low + high) / 2;
            if (a.cu_q[middle + 1] > i) high = middle;
            else low = middle + 1;
        }
        int k0 = a.cu_k[low], shift = (a.cu_k[low + 1] - k0) - (a.cu_q[low + 1] - a.cu_q[low]);
        int last = k0 + (i - a.cu_q[low]) + shift;
        a.last_key[i] = last;
        a.first_key[i] = a.window > 0 ? max(k0, last - a.window + 1) : k0;
    }
    low = 0, high = a.segments - 1;
    if (i < a.keys) {
        while (low < high) {
            int middle = (low + high) / 2;
            if (a.cu_k[middle + 1] > i) high = middle;
            else low = middle + 1;
        }
        int q0 = a.cu_q[low], q1 = a.cu_q[low + 1];
        int same = q0 + (i - a.cu_k[low]) - ((a.cu_k[low + 1] - a.cu_k[low]) - (q1 - q0)); /* the query whose last key it is */
        a.first_query[i] = i < a.cu_k[a.segments] ? max(q0, same) : a.queries;
        int last = a.window > 0 ? min(q1 - 1, same + a.window - 1) : q1 - 1;
        a.last_query[i] = i < a.cu_k[a.segments] ? last : a.queries - 1;
    }
}

/* One block. DIM: elements of a head; BC: keys of a tile; MT: groups of 16 queries that a warp owns. The last tiles of queries
 * see the most keys, so they start first and short ones fill the gaps at the end. */
template <int DIM, int BC, int MT, int WARPS> static __device__ __forceinline__ void attention_tile(const cuda_attention_args &a)
{
    const int BR = 16 * MT * WARPS, THREADS = 32 * WARPS, KV = BC * tile<DIM>::STRIDE;
    DYNAMIC_SHARED(bf16_bits, shared);
    bf16_bits *q = shared, *k = q + BR * tile<DIM>::STRIDE, *v = k + 2 * KV;
    int block = gridDim.x - 1 - blockIdx.x, head = blockIdx.y, group = head / (a.heads / a.groups);
    int r0 = block * BR, r1 = min(r0 + BR, a.queries) - 1, row = 16 * MT * (threadIdx.x >> 5);
    int start = a.first_key[r0], end = a.last_key[r1] + 1, tiles = (end - start + BC - 1) / BC;
    const bf16_bits *keys = a.k + group * DIM, *values = a.v + group * DIM;
    tile_fetch<DIM, BR, THREADS>(q, a.q + head * DIM, a.q_stride, r0, a.queries);
    tile_fetch<DIM, BC, THREADS>(k, keys, a.k_stride, start, a.keys);
    tile_fetch<DIM, BC, THREADS>(v, values, a.v_stride, start, a.keys);
    fetch_commit();
    float o[MT][DIM / 8][4] = {}, top[MT][2], sum[MT][2];
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            top[m][h] = -CUDART_INF_F;
            sum[m][h] = 0;
        }
    }
    int all_first = a.first_key[r1], all_last = a.last_key[r0]; /* keys between these are seen by every row */
    for (int t = 0; t < tiles; t++) {
        int now = t & 1, first = start + t * BC;
        fetch_wait<0>();
        __syncthreads(); /* tile t is there, and nobody reads the other buffer any more */
        if (t + 1 < tiles) {
            tile_fetch<DIM, BC, THREADS>(k + (now ^ 1) * KV, keys, a.k_stride, first + BC, a.keys);
            tile_fetch<DIM, BC, THREADS>(v + (now ^ 1) * KV, values, a.v_stride, first + BC, a.keys);
            fetch_commit();
        }
        float s[MT][BC / 8][4];
        scores<DIM, BC, MT>(s, q, row, k + now * KV);
        if (first < all_first || first + BC - 1 > all_last || r1 - r0 + 1 < BR) {
            mask_rows<BC, MT>(s, a.first_key, a.last_key, r0 + row, a.queries, first, -CUDART_INF_F);
        }
        float shrink[MT][2];
        online_softmax<BC, MT>(s, s, shrink, top, sum, a.scale * CUDART_L2E_F);
        output_shrink<DIM, MT>(o, shrink);
        weighted_rows<DIM, BC, MT>(o, s, v + now * KV);
    }
    store_output<DIM, MT>(a, o, top, sum, head, r0 + row);
}

/* Three blocks of 128 threads on a multiprocessor leave each thread 65,536 / (128 * 3) = 168 registers (in steps of 8); heads of
 * more than 64 elements have longer outputs in registers and get two blocks. */
#define ATTENTION_KERNEL(DIM)                                                                                               \
    extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, DIM <= 64 ? 3 : 2) attention_##DIM(const cuda_attention_args a) \
    {                                                                                                                       \
        attention_tile<DIM, ATTENTION_KEYS, ATTENTION_ROWS / (16 * ATTENTION_WARPS), ATTENTION_WARPS>(a);                   \
    }
ATTENTION_KERNEL(16)
ATTENTION_KERNEL(32)
ATTENTION_KERNEL(64)
ATTENTION_KERNEL(96)
ATTENTION_KERNEL(128)
