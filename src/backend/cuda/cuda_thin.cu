/* cuda_thin: products of activations with the thin matrices of adapters, in one pass over the activations: z = x A^T in forward;
 * in backward u = dy B, and with it dB = alpha dy^T z. Adapters that share an input go together: all A as one matrix below x, and
 * the parts of dy side by side. Also the kernel that rounds adapters to bf16 and joins them (adapter_pack).
 *
 * Reading the activations is what takes the time. A block owns a chunk of at most 576 columns and a slice of the tokens, and takes
 * 16 tokens at a time into one of several buffers while it multiplies those of another. Each of its nine warps owns 64 of the
 * columns: it keeps its part of the thin matrix and of dB in registers, and the warps' parts of the result are added through shared
 * memory. So the result is summed over chunks and dB over slices: where there are several, they are written as partial sums in f32,
 * which a second kernel adds in order. Those are a quarter of the activations' bytes or less, and mostly stay in the cache. */
#include "backend/cuda/cuda_mma.cuh"

/* What a block works on, and its place in the arguments. */
struct thin_block {
    int part, chunk, col0, cols; /* its adapter; its chunk of all; its columns of dy */
};

static __device__ __forceinline__ thin_block thin_block_of(const cuda_thin_args &a)
{
    thin_block b = {0, (int)blockIdx.x, 0, 0};
    while (b.chunk >= a.chunk[b.part + 1]) b.part++;
    b.col0 = a.column[b.part] + (b.chunk - a.chunk[b.part]) * a.width[b.part];
    b.cols = min(a.width[b.part], a.column[b.part + 1] - b.col0);
    return b;
}

/* Elements of one buffer: 16 tokens of the chunk, and with DB of z. */
template <int R, bool DB> struct thin_shape {
    static const int WIDE = THIN_TOKENS * tile<THIN_COLS>::STRIDE, STAGE = WIDE + (DB ? THIN_TOKENS * tile<R>::STRIDE : 0);
};

/* Starts copying the tokens of step t into its buffer: the chunk's columns, and z where dB is wanted. */
template <int R, bool DB>
static __device__ __forceinline__ void thin_fetch(bf16_bits *stage, const cuda_thin_args &a, const thin_block &b, int t)
{
#pragma unroll
    for (int i = 0; i < THIN_TOKENS * THIN_COLS / 8 / THIN_THREADS; i++) {
        int item = i * THIN_THREADS + threadIdx.x, row = item / (THIN_COLS / 8), col = item % (THIN_COLS / 8) * 8;
        int token = t * THIN_TOKENS + row;
        bool inside = token < a.rows && col < b.cols;
        fetch_octet(stage + row * tile<THIN_COLS>::STRIDE + col, a.wide + (inside ? token * a.wide_stride + b.col0 + col : 0), inside);
    }
    if (DB && a.z[b.part])
        tile_fetch<R, THIN_TOKENS, THIN_THREADS>(stage + thin_shape<R, DB>::WIDE, a.z[b.part], a.z_stride, t * THIN_TOKENS, a.rows);
}

/* This warp's part of the thin matrix as right operands: for each 16 of its 64 columns, R / 8 times two registers (cuda_mma.cuh). The
 * matrix is (r, columns) with ROWS, else (columns, r). */
template <int R, bool ROWS>
static __device__ __forceinline__ void thin_load(uint32_t right[4][R / 8][2], const cuda_thin_args &a, const thin_block &b)
{
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    int64_t of_column = ROWS ? 1 : a.thin_stride, of_rank = ROWS ? a.thin_stride : 1;
#pragma unroll
    for (int k = 0; k < 4; k++) {
#pragma unroll
        for (int n = 0; n < R / 8; n++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int col = 64 * warp + 16 * k + 8 * half + (lane & 3) * 2;
                const bf16_bits *from = a.thin + (b.col0 + col) * of_column + (a.first[b.part] + 8 * n + (lane >> 2)) * of_rank;
                uint32_t low = col < b.cols ? from[0] : 0, high = col + 1 < b.cols ? from[of_column] : 0;
                right[k][n][half] = low | high << 16;
            }
        }
    }
}

/* The result for 16 tokens: the sum of the warps' parts, in bf16 where there is one chunk, else as a partial sum. */
template <int R>
static __device__ __forceinline__ void thin_store_out(const float *sums, const cuda_thin_args &a, const thin_block &b, int t)
{
    for (int item = threadIdx.x; item < THIN_TOKENS * (R / 2); item += THIN_THREADS) {
        int row = item / (R / 2), col = item % (R / 2) * 2, token = t * THIN_TOKENS + row;
        if (token >= a.rows) continue;
        float2 sum = {0, 0};
#pragma unroll
        for (int w = 0; w < THIN_WARPS; w++) {
            float2 part = *(const float2 *)(sums + (w * THIN_TOKENS + row) * R + col);
            sum.x += part.x, sum.y += part.y;
        }
        if (a.chunk[b.part + 1] - a.chunk[b.part] == 1)
            *reinterpret_cast<uint32_t *>(a.out + token * a.out_stride + a.first[b.part] + col) = pack_bf16(sum.x, sum.y);
        else
            *(float2 *)(a.partial_out + ((int64_t)b.chunk * a.rows + token) * R + col) = sum;
    }
}

/* The products of one step: this warp's part of the result into `sums`, and what the step adds to dB. */
template <int R, bool DB>
static __device__ __forceinline__ void thin_step(const bf16_bits *stage, float *sums, const uint32_t right[4][R / 8][2],
                                                 float db[4][R / 8][4], bool wants_db)
{
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    float u[R / 8][4] = {};
#pragma unroll
    for (int k = 0; k < 4; k++) {
        uint32_t left[4];
        load_a<THIN_COLS>(left, stage, 0, 64 * warp + 16 * k);
#pragma unroll
        for (int n = 0; n < R / 8; n++) mma_bf16(u[n], left, right[k][n][0], right[k][n][1]);
    }
#pragma unroll
    for (int n = 0; n < R / 8; n++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float *to = sums + (warp * THIN_TOKENS + 8 * h + (lane >> 2)) * R + 8 * n + (lane & 3) * 2;
            *(float2 *)to = float2{u[n][2 * h], u[n][2 * h + 1]};
        }
    }
    if (!DB || !wants_db) return;
#pragma unroll
    for (int n = 0; n < R / 16; n++) {
        uint32_t z[4];
        load_b_cols<R>(z, stage + thin_shape<R, DB>::WIDE, 0, 16 * n);
#pragma unroll
        for (int m = 0; m < 4; m++) { /* dy^T: 16 columns by 16 tokens */
            uint32_t left[4];
            int token = (lane & 7) + (lane >> 4) * 8, col = 64 * warp + 16 * m + ((lane >> 3) & 1) * 8;
            ldmatrix_trans(left, shared_address(stage + token * tile<THIN_COLS>::STRIDE + col));
            mma_bf16(db[m][2 * n], left, z[0], z[1]);
            mma_bf16(db[m][2 * n + 1], left, z[2], z[3]);
        }
    }
}

/* This block's part of dB. */
template <int R>
static __device__ __forceinline__ void thin_store_db(float db[4][R / 8][4], const cuda_thin_args &a, const thin_block &b)
{
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    float *to = a.partial_db + (int64_t)blockIdx.y * a.column[a.parts] * R;
#pragma unroll
    for (int m = 0; m < 4; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int col = 64 * warp + 16 * m + 8 * h + (lane >> 2);
            if (col >= b.cols) continue;
#pragma unroll
            for (int n = 0; n < R / 8; n++) {
                float2 pair = {db[m][n][2 * h], db[m][n][2 * h + 1]};
                *(float2 *)(to + (int64_t)(b.col0 + col) * R + 8 * n + (lane & 3) * 2) = pair;
            }
        }
    }
}

template <int R, bool ROWS, bool DB> static __device__ __forceinline__ void thin_pass(const cuda_thin_args &a)
{
    const int STAGE = thin_shape<R, DB>::STAGE, SUMS = THIN_WARPS * THIN_TOKENS * R;
    DYNAMIC_SHARED(bf16_bits, shared);
    float *sums = (float *)(shared + THIN_STAGES * STAGE);
    thin_block b = thin_block_of(a);
    bool wants_db = DB && a.z[b.part];
    int steps = (a.rows + THIN_TOKENS - 1) / THIN_TOKENS, slice = blockIdx.y;
    int from = (int)((int64_t)steps * slice / a.slices), to = (int)((int64_t)steps * (slice + 1) / a.slices);
    uint32_t right[4][R / 8][2];
    float db[4][R / 8][4] = {};
    for (int i = 0; i < THIN_STAGES - 1; i++) {
        if (from + i < to) thin_fetch<R, DB>(shared + i * STAGE, a, b, from + i);
        fetch_commit();
    }
    thin_load<R, ROWS>(right, a, b);
    for (int t = from; t < to; t++) {
        int at = (t - from) % THIN_STAGES, next = t + THIN_STAGES - 1;
        fetch_wait<THIN_STAGES - 2>();
        __syncthreads(); /* step t is there, and nobody reads the buffer that is overwritten next */
        if (next < to) thin_fetch<R, DB>(shared + (next - from) % THIN_STAGES * STAGE, a, b, next);
        fetch_commit();
        if (t > from) thin_store_out<R>(sums + ((t - 1) & 1) * SUMS, a, b, t - 1);
        thin_step<R, DB>(shared + at * STAGE, sums + (t & 1) * SUMS, right, db, wants_db);
    }
    __syncthreads();
    if (to > from) thin_store_out<R>(sums + ((to - 1) & 1) * SUMS, a, b, to - 1);
    if (wants_db) thin_store_db<R>(db, a, b);
}

#define THIN_KERNEL(NAME, R, ROWS, DB)                                                                                      \
    extern "C" __global__ void __launch_bounds__(THIN_THREADS) NAME(const cuda_thin_args a)                                 \
    {                                                                                                                       \
        thin_pass<R, ROWS, DB>(a);                                                                                          \
    }
THIN_KERNEL(thin_16, 16, true, false)
THIN_KERNEL(thin_32, 32, true, false)
THIN_KERNEL(thin_48, 48, true, false)
THIN_KERNEL(thin_64, 64, true, false)
THIN_KERNEL(thin_96, 96, true, false)
THIN_KERNEL(thin_columns_16, 16, false, false)
THIN_KERNEL(thin_columns_32, 32, false, false)
THIN_KERNEL(thin_columns_64, 64, false, false)
THIN_KERNEL(thin_gradient_16, 16, false, true)
THIN_KERNEL(thin_gradient_32, 32, false, true)

/* Adds the partial sums, four ranks a thread. Row y of the grid below `parts` is the result of adapter y, above it dB of adapter
 * y - parts, whose slices `split` threads share. */
extern "C" __global__ void __launch_bounds__(SUM_THREADS) thin_total(const cuda_thin_args a)
{
    int r = a.r, part = blockIdx.y % a.parts, fours = r / 4, split = (int)blockIdx.y < a.parts ? 1 : a.split;
    int64_t i = (int64_t)blockIdx.x * (SUM_THREADS / split) + threadIdx.x % (SUM_THREADS / split), row = i / fours;
    int col = (int)(i % fours) * 4, chunks = a.chunk[part + 1] - a.chunk[part], columns = a.column[part + 1] - a.column[part];
    if ((int)blockIdx.y < a.parts) {
        if (chunks < 2 || row >= a.rows) return;
        float4 s = sum_of_fours(a.partial_out + ((int64_t)a.chunk[part] * a.rows + row) * r + col, (int64_t)a.rows * r, chunks);
        uint32_t *to = reinterpret_cast<uint32_t *>(a.out + row * a.out_stride + a.first[part] + col);
        to[0] = pack_bf16(s.x, s.y), to[1] = pack_bf16(s.z, s.w);
        return;
    }
    if (chunks == 0 || !a.z[part]) return; /* the whole block */
    bool inside = row < columns;
    int64_t at = (a.column[part] + (inside ? row : 0)) * r + col;
    float4 s = split_sum(a.partial_db + at, (int64_t)a.column[a.parts] * r, a.slices, split);
    if (!inside || (int)threadIdx.x >= SUM_THREADS / split) return;
    float *to = a.db[part] + row * r + col;
    to[0] += a.alpha[part] * s.x, to[1] += a.alpha[part] * s.y, to[2] += a.alpha[part] * s.z, to[3] += a.alpha[part] * s.w;
}

/* Eight f32 times `by` as bf16. */
static __device__ __forceinline__ void pack_eight(bf16_bits *to, const float *from, float by)
{
    float4 x = *(const float4 *)from, y = *(const float4 *)(from + 4);
    const float values[8] = {by * x.x, by * x.y, by * x.z, by * x.w, by * y.x, by * y.y, by * y.z, by * y.w};
    octet_store(to, octet_round(values));
}

/* Eight neighbouring elements of row `row` of b (struct cuda_pack_args), from rank `rank` on. */
static __device__ __forceinline__ void pack_b(const cuda_pack_args &k, int row, int rank)
{
    int r = k.first[k.parts], part = 0;
    while (part + 1 < k.parts && row >= k.row[part + 1]) part++;
    int width = k.first[part + 1] - k.first[part], col = rank - k.first[part];
    bf16_bits *to = k.b + (int64_t)row * r + rank;
    if (col >= 0 && col < width) pack_eight(to, k.from_b[part] + (row - k.row[part]) * (int64_t)width + col, k.scale[part]);
    else *reinterpret_cast<uint4 *>(to) = uint4{0, 0, 0, 0};
}

/* The same of row `rank` of a, from column `col` on. */
static __device__ __forceinline__ void pack_a(const cuda_pack_args &k, int rank, int col)
{
    int part = 0;
    while (part + 1 < k.parts && rank >= k.first[part + 1]) part++;
    const float *from = k.from_a[part] + (rank - k.first[part]) * (int64_t)k.cols;
    pack_eight(k.a + (int64_t)rank * k.cols + col, from + col, 1.0f);
}

/* All of a group: the blocks along x deal out its groups of eight elements, those of a and then those of b. */
static __device__ __forceinline__ void pack_group(const cuda_pack_args &k)
{
    int r = k.first[k.parts], wide = k.cols / 8, narrow = r / 8, of_a = r * wide, total = of_a + k.row[k.parts] * narrow;
    for (int i = blockIdx.x * ELEMENT_THREADS + threadIdx.x; i < total; i += gridDim.x * ELEMENT_THREADS) {
        if (i < of_a) pack_a(k, i / wide, i % wide * 8);
        else pack_b(k, (i - of_a) / narrow, (i - of_a) % narrow * 8);
    }
}

extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) adapter_pack(const cuda_pack_args a)
{
    pack_group(a);
}

/* Many groups, one a row of the grid; small ones leave blocks of their row without work. */
extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) adapter_pack_all(const cuda_pack_all_args a)
{
    pack_group(a.group[blockIdx.y]);
}
