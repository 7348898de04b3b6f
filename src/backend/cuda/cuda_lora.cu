/* cuda_lora: gradients of adapters, dA = alpha (dy B)^T x and dB = alpha dy^T h: products of two tall matrices (tokens along the
 * long side) with one side of rank <= 96, of one adapter or of several that share x.
 *
 * The result is small and the sum over tokens long, so the sum is what is cut: a block owns 128 columns of the wide matrix and a
 * slice of the tokens, reads each element once, and writes f32 partial sums; a second kernel adds the slices in order and adds
 * the total to the gradient. Atomics would save it, but then the order of additions and the last bits would change from run to
 * run. Within a block, 64 tokens are multiplied while the next 64 are copied to the other buffer. */
#include "backend/cuda/cuda_mma.cuh"

/* The sums of one block. Each of its eight warps owns 16 columns of a, which are rows of the result, and all of RANK. */
template <int RANK> static __device__ __forceinline__ void tall_slice(const cuda_tall_args &a)
{
    const int LEFT = TALL_ROWS * tile<TALL_COLS>::STRIDE, RIGHT = TALL_ROWS * tile<RANK>::STRIDE;
    DYNAMIC_SHARED(bf16_bits, shared);
    bf16_bits *left = shared, *right = shared + 2 * LEFT;
    int col0 = blockIdx.x * TALL_COLS, slice = blockIdx.y, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    int steps = (a.rows + TALL_ROWS - 1) / TALL_ROWS;
    int from = (int)((int64_t)steps * slice / a.slices), to = (int)((int64_t)steps * (slice + 1) / a.slices);
    float acc[RANK / 8][4] = {};
    /* Columns past the end are read from the last full group: the rows of the result that they make are not stored. */
    const bf16_bits *wide = a.a;
    for (int t = from - 1; t < to; t++) {
        fetch_wait<0>();
        __syncthreads();
        if (t + 1 < to) {
            bf16_bits *l = left + ((t + 1) & 1) * LEFT;
#pragma unroll
            for (int i = 0; i < TALL_ROWS * TALL_COLS / 8 / TALL_THREADS; i++) {
                int item = i * TALL_THREADS + threadIdx.x, row = item / (TALL_COLS / 8), chunk = item % (TALL_COLS / 8);
                int token = (t + 1) * TALL_ROWS + row, col = col0 + chunk * 8;
                bool inside = token < a.rows && col < a.n;
                const bf16_bits *source = wide + (inside ? token * a.a_stride + col : 0);
                fetch_octet(l + row * tile<TALL_COLS>::STRIDE + chunk * 8, source, inside);
            }
            tile_fetch<RANK, TALL_ROWS, TALL_THREADS>(right + ((t + 1) & 1) * RIGHT, a.b, a.b_stride, (t + 1) * TALL_ROWS, a.rows);
            fetch_commit();
        }
        if (t < from) continue;
        const bf16_bits *l = left + (t & 1) * LEFT, *r = right + (t & 1) * RIGHT;
#pragma unroll
        for (int k = 0; k < TALL_ROWS / 16; k++) {
            /* A = left^T: 16 columns of the tile by 16 tokens. ldmatrix.trans turns each 8 x 8 block. */
            uint32_t x[4];
            int token = 16 * k + (lane & 7) + (lane >> 4) * 8, col = 16 * warp + ((lane >> 3) & 1) * 8;
            ldmatrix_trans(x, shared_address(l + token * tile<TALL_COLS>::STRIDE + col));
#pragma unroll
            for (int n = 0; n < RANK / 16; n++) {
                uint32_t y[4];
                load_b_cols<RANK>(y, r, 16 * k, 16 * n);
                mma_bf16(acc[2 * n], x, y[0], y[1]);
                mma_bf16(acc[2 * n + 1], x, y[2], y[3]);
            }
        }
    }
#pragma unroll
    for (int n = 0; n < RANK / 8; n++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int row = col0 + 16 * warp + 8 * (e >> 1) + (lane >> 2), col = 8 * n + (lane & 3) * 2 + (e & 1);
            if (row >= a.n) continue;
            int64_t at = a.transposed ? (int64_t)col * a.n + row : (int64_t)row * a.r + col; /* as the result lies */
            a.partial[(int64_t)slice * a.n * a.r + at] = acc[n][e];
        }
    }
}

#define TALL_KERNEL(RANK)                                                                                                   \
    extern "C" __global__ void __launch_bounds__(TALL_THREADS) tall_product_##RANK(const cuda_tall_args a)                  \
    {                                                                                                                       \
        tall_slice<RANK>(a);                                                                                                \
    }
TALL_KERNEL(16)
TALL_KERNEL(32)
TALL_KERNEL(48)
TALL_KERNEL(64)
TALL_KERNEL(96)

/* Adds the slices of four neighbouring elements, `split` threads together, and gives the sums to the adapter that they belong to. */
extern "C" __global__ void __launch_bounds__(SUM_THREADS) tall_total(const cuda_tall_args a)
{
    int64_t count = (int64_t)a.n * a.r, i = ((int64_t)blockIdx.x * (SUM_THREADS / a.split) + threadIdx.x % (SUM_THREADS / a.split)) * 4;
    float4 sum = split_sum(a.partial + (i < count ? i : 0), count, a.slices, a.split);
    if (i >= count || (int)threadIdx.x >= SUM_THREADS / a.split) return;
    int line = a.transposed ? a.n : a.r, row = (int)(i / line), col = (int)(i % line), part = 0; /* of the result */
    int rank = a.transposed ? row : col;
    while (part + 1 < a.parts && rank >= a.first[part + 1]) part++;
    if (!a.out[part]) return;
    if (a.transposed) row -= a.first[part];
    else col -= a.first[part];
    float *to = a.out[part] + row * a.out_stride + col, alpha = a.alpha[part];
    to[0] += alpha * sum.x, to[1] += alpha * sum.y, to[2] += alpha * sum.z, to[3] += alpha * sum.w;
}
