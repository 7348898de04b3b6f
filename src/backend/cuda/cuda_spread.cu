/* cuda_spread: out (tokens, cols) = thin (tokens, R) times an adapter's matrix: z B^T in forward, u A in backward. The reduction is
 * so short that writing the result is what takes the time; a block makes 64 x 256 of it and writes it by whole lines of 128 bytes,
 * through shared memory, since accumulators lie scattered over the lanes. */
#include "backend/cuda/cuda_mma.cuh"

/* This warp's 32 x 64 results through its own part of shared memory to the rows of `out`. */
static __device__ __forceinline__ void spread_store(float acc[2][8][4], bf16_bits *stage, const cuda_spread_args &a, int row0, int col0)
{
    int lane = threadIdx.x & 31;
#pragma unroll
    for (int m = 0; m < 2; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            bf16_bits *line = stage + (16 * m + 8 * h + (lane >> 2)) * tile<SPREAD_WARP_COLS>::STRIDE + (lane & 3) * 2;
#pragma unroll
            for (int n = 0; n < 8; n++)
                *reinterpret_cast<uint32_t *>(line + 8 * n) = pack_bf16(acc[m][n][2 * h], acc[m][n][2 * h + 1]);
        }
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < SPREAD_WARP_ROWS / 4; i++) {
        int row = 4 * i + (lane >> 3), col = (lane & 7) * 8;
        if (row0 + row < a.rows && col0 + col < a.cols)
            octet_store(a.out + (row0 + row) * a.out_stride + col0 + col, octet_load(stage + row * tile<SPREAD_WARP_COLS>::STRIDE + col));
    }
}

/* COLUMNS: the matrix is (R, cols), else (cols, R). */
template <int R, bool COLUMNS> static __device__ __forceinline__ void spread(const cuda_spread_args &a)
{
    DYNAMIC_SHARED(bf16_bits, shared);
    bf16_bits *thin = shared, *wide = thin + SPREAD_ROWS * tile<R>::STRIDE;
    bf16_bits *stage = wide + (COLUMNS ? R * tile<SPREAD_COLS>::STRIDE : SPREAD_COLS * tile<R>::STRIDE);
    int row0 = blockIdx.y * SPREAD_ROWS, col0 = blockIdx.x * SPREAD_COLS, warp = threadIdx.x >> 5;
    int row = warp / 4 * SPREAD_WARP_ROWS, col = warp % 4 * SPREAD_WARP_COLS;
    tile_fetch<R, SPREAD_ROWS, SPREAD_THREADS>(thin, a.thin, a.thin_stride, row0, a.rows);
    if (COLUMNS) {
        for (int item = threadIdx.x; item < R * (SPREAD_COLS / 8); item += SPREAD_THREADS) {
            int r = item / (SPREAD_COLS / 8), c = item % (SPREAD_COLS / 8) * 8;
            bool inside = col0 + c < a.cols;
            fetch_octet(wide + r * tile<SPREAD_COLS>::STRIDE + c, a.wide + (inside ? r * a.wide_stride + col0 + c : 0), inside);
        }
    } else tile_fetch<R, SPREAD_COLS, SPREAD_THREADS>(wide, a.wide, a.wide_stride, col0, a.cols);
    fetch_commit();
    fetch_wait<0>();
    __syncthreads();
    float acc[2][8][4] = {};
#pragma unroll
    for (int k = 0; k < R; k += 16) {
        uint32_t left[2][4];
        load_a<R>(left[0], thin, row, k);
        load_a<R>(left[1], thin, row + 16, k);
#pragma unroll
        for (int n = 0; n < 4; n++) {
            uint32_t right[4];
            if (COLUMNS) load_b_cols<SPREAD_COLS>(right, wide, k, col + 16 * n);
            else load_b_rows<R>(right, wide, col + 16 * n, k);
#pragma unroll
            for (int m = 0; m < 2; m++) {
                mma_bf16(acc[m][2 * n], left[m], right[0], right[1]);
                mma_bf16(acc[m][2 * n + 1], left[m], right[2], right[3]);
            }
        }
    }
    spread_store(acc, stage + warp * SPREAD_WARP_ROWS * tile<SPREAD_WARP_COLS>::STRIDE, a, row0 + row, col0 + col);
}

#define SPREAD_KERNELS(R)                                                                                                   \
    extern "C" __global__ void __launch_bounds__(SPREAD_THREADS) spread_##R(const cuda_spread_args a)                       \
    {                                                                                                                       \
        spread<R, false>(a);                                                                                                \
    }                                                                                                                       \
    extern "C" __global__ void __launch_bounds__(SPREAD_THREADS) spread_columns_##R(const cuda_spread_args a)               \
    {                                                                                                                       \
        spread<R, true>(a);                                                                                                 \
    }
SPREAD_KERNELS(16)
SPREAD_KERNELS(32)
SPREAD_KERNELS(48)
SPREAD_KERNELS(64)
SPREAD_KERNELS(96)
