/* cuda_thin: products of a wide matrix of activations with a thin one of an adapter: z = x A^T, u = dy B; and the kernel that
 * rounds adapters to bf16 and joins those that share an input (adapter_pack).
 *
 * Reading the wide matrix is what takes the time, so it is read once: a block owns 32 of its rows and all of their columns, in
 * pieces of 128 columns. Four buffers hold pieces; three are being copied while the fourth is multiplied, which covers the
 * latency of device memory. The result has only R columns, too few for four warps, so the warps split the depth instead: each
 * multiplies 32 of a piece's 128 columns, and at the end their four sums are added in order. */
#include "backend/cuda/cuda_mma.cuh"

enum { THIN_ROWS = 32, THIN_DEPTH = 128, THIN_STAGES = 4, THIN_WARPS = 4, THIN_THREADS = 32 * THIN_WARPS };

/* Starts copying a piece of a matrix into shared memory, rows STRIDE elements apart; zeros beyond the matrix's edges. */
template <int ROWS, int COLS, int STRIDE>
static __device__ __forceinline__ void piece_fetch(bf16_bits *to, const bf16_bits *from, int64_t stride, int row0, int rows,
                                                   int col0, int cols)
{
    for (int item = threadIdx.x; item < ROWS * (COLS / 8); item += THIN_THREADS) {
        int row = item / (COLS / 8), col = item % (COLS / 8) * 8;
        bool inside = row0 + row < rows && col0 + col < cols;
        fetch_octet(to + row * STRIDE + col, from + (inside ? (row0 + row) * stride + col0 + col : 0), inside);
    }
}

/* Elements of one buffer: a piece of the wide matrix and what it is multiplied with, (R, 128) or with COLUMNS (128, R). */
template <int R, bool COLUMNS> struct thin_shape {
    static const int WIDE = THIN_ROWS * tile<THIN_DEPTH>::STRIDE;
    static const int THIN = COLUMNS ? THIN_DEPTH * tile<R>::STRIDE : R * tile<THIN_DEPTH>::STRIDE;
};

/* Starts copying both pieces for the depths [depth0, depth0 + 128) into one buffer. */
template <int R, bool COLUMNS>
static __device__ __forceinline__ void thin_fetch(bf16_bits *stage, const cuda_thin_args &a, int row0, int depth0)
{
    piece_fetch<THIN_ROWS, THIN_DEPTH, tile<THIN_DEPTH>::STRIDE>(stage, a.wide, a.wide_stride, row0, a.rows, depth0, a.depth);
    bf16_bits *thin = stage + thin_shape<R, COLUMNS>::WIDE;
    if (COLUMNS) piece_fetch<THIN_DEPTH, R, tile<R>::STRIDE>(thin, a.thin, a.thin_stride, depth0, a.depth, 0, R);
    else piece_fetch<R, THIN_DEPTH, tile<THIN_DEPTH>::STRIDE>(thin, a.thin, a.thin_stride, 0, R, depth0, a.depth);
}

/* This warp's share of a piece: 32 of its 128 columns. */
template <int R, bool COLUMNS> static __device__ __forceinline__ void thin_step(float acc[2][R / 8][4], const bf16_bits *stage)
{
    const bf16_bits *thin = stage + thin_shape<R, COLUMNS>::WIDE;
    int warp = threadIdx.x >> 5;
#pragma unroll
    for (int k = 32 * warp; k < 32 * warp + 32; k += 16) {
        uint32_t x[2][4];
        load_a<THIN_DEPTH>(x[0], stage, 0, k);
        load_a<THIN_DEPTH>(x[1], stage, 16, k);
#pragma unroll
        for (int n = 0; n < R / 16; n++) {
            uint32_t y[4];
            if (COLUMNS) load_b_cols<R>(y, thin, k, 16 * n);
            else load_b_rows<THIN_DEPTH>(y, thin, 16 * n, k);
#pragma unroll
            for (int m = 0; m < 2; m++) {
                mma_bf16(acc[m][2 * n], x[m], y[0], y[1]);
                mma_bf16(acc[m][2 * n + 1], x[m], y[2], y[3]);
            }
        }
    }
}

/* The warps' sums through shared memory, added in the order of the warps. */
template <int R> static __device__ __forceinline__ void thin_store(float acc[2][R / 8][4], float *sums, const cuda_thin_args &a, int row0)
{
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
#pragma unroll
    for (int m = 0; m < 2; m++) {
#pragma unroll
        for (int n = 0; n < R / 8; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                int row = 16 * m + 8 * (e >> 1) + (lane >> 2), col = 8 * n + (lane & 3) * 2 + (e & 1);
                sums[(warp * THIN_ROWS + row) * R + col] = acc[m][n][e];
            }
        }
    }
    __syncthreads();
    for (int item = threadIdx.x; item < THIN_ROWS * (R / 2); item += THIN_THREADS) {
        int row = item / (R / 2), col = item % (R / 2) * 2;
        if (row0 + row >= a.rows) continue;
        float x = 0, y = 0;
#pragma unroll
        for (int w = 0; w < THIN_WARPS; w++) {
            x += sums[(w * THIN_ROWS + row) * R + col];
            y += sums[(w * THIN_ROWS + row) * R + col + 1];
        }
        *reinterpret_cast<uint32_t *>(a.out + (row0 + row) * a.out_stride + col) = pack_bf16(x, y);
    }
}

/* One block: a pipeline over pieces of the depth. fetch_commit runs in every turn, even where nothing is copied, so that
 * fetch_wait can count groups. */
template <int R, bool COLUMNS> static __device__ __forceinline__ void thin_rows(const cuda_thin_args &a)
{
    const int STAGE = thin_shape<R, COLUMNS>::WIDE + thin_shape<R, COLUMNS>::THIN;
    DYNAMIC_SHARED(bf16_bits, shared);
    int row0 = blockIdx.x * THIN_ROWS, steps = (a.depth + THIN_DEPTH - 1) / THIN_DEPTH;
    float acc[2][R / 8][4] = {};
    for (int t = 0; t < THIN_STAGES - 1; t++) {
        if (t < steps) thin_fetch<R, COLUMNS>(shared + t * STAGE, a, row0, t * THIN_DEPTH);
        fetch_commit();
    }
    for (int t = 0; t < steps; t++) {
        fetch_wait<THIN_STAGES - 2>();
        __syncthreads(); /* piece t is there, and nobody reads the one that is overwritten next */
        int next = t + THIN_STAGES - 1;
        if (next < steps) thin_fetch<R, COLUMNS>(shared + next % THIN_STAGES * STAGE, a, row0, next * THIN_DEPTH);
        fetch_commit();
        thin_step<R, COLUMNS>(acc, shared + t % THIN_STAGES * STAGE);
    }
    fetch_wait<0>();
    __syncthreads();
    thin_store<R>(acc, (float *)shared, a, row0);
}

#define THIN_KERNEL(NAME, R, COLUMNS)                                                                                       \
    extern "C" __global__ void __launch_bounds__(THIN_THREADS) NAME(const cuda_thin_args a)                                 \
    {                                                                                                                       \
        thin_rows<R, COLUMNS>(a);                                                                                           \
    }
THIN_KERNEL(thin_16, 16, false)
THIN_KERNEL(thin_32, 32, false)
THIN_KERNEL(thin_48, 48, false)
THIN_KERNEL(thin_64, 64, false)
THIN_KERNEL(thin_96, 96, false)
THIN_KERNEL(thin_columns_16, 16, true)
THIN_KERNEL(thin_columns_32, 32, true)
THIN_KERNEL(thin_columns_64, 64, true)

/* Each thread writes two neighbouring elements (struct cuda_pack_args); the first threads write a, those after them b. */
extern "C" __global__ void __launch_bounds__(256) adapter_pack(const cuda_pack_args a)
{
    int r = a.first[a.parts], rows = a.row[a.parts];
    int64_t i = ((int64_t)blockIdx.x * 256 + threadIdx.x) * 2, of_a = (int64_t)r * a.cols;
    float x = 0, y = 0;
    int part = 0;
    if (i < of_a) {
        int rank = (int)(i / a.cols);
        while (part + 1 < a.parts && rank >= a.first[part + 1]) part++;
        const float *from = a.from_a[part] + (rank - a.first[part]) * (int64_t)a.cols + i % a.cols;
        x = from[0], y = from[1];
        *reinterpret_cast<uint32_t *>(a.a + i) = pack_bf16(x, y);
        return;
    }
    i -= of_a;
    if (i >= (int64_t)rows * r) return;
    int row = (int)(i / r), rank = (int)(i % r);
    while (part + 1 < a.parts && row >= a.row[part + 1]) part++;
    int width = a.first[part + 1] - a.first[part], col = rank - a.first[part];
    if (col >= 0 && col < width && a.from_b[part]) {
        const float *from = a.from_b[part] + (row - a.row[part]) * (int64_t)width + col;
        x = a.scale[part] * from[0], y = a.scale[part] * from[1];
    }
    *reinterpret_cast<uint32_t *>(a.b + i) = pack_bf16(x, y);
}
