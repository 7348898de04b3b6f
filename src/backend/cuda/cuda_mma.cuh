/* cuda_mma: tiles of bf16 in shared memory and the tensor cores' m16n8k16 product (sm_80 and later).
 *
 * Fragments as the PTX manual draws them, with g = lane / 4 and t = lane % 4: an accumulator tile of 16 x 8 f32 has c[0], c[1]
 * at row g, columns 2t and 2t + 1, and c[2], c[3] at row g + 8. Two such tiles side by side, rounded to bf16, are just the
 * A operand of 16 x 16 of a next product, so probabilities never pass through shared memory. */
#ifndef YA_BACKEND_CUDA_MMA_CUH
#define YA_BACKEND_CUDA_MMA_CUH

#include "backend/cuda/cuda_common.cuh"
#include "backend/cuda/cuda_ptx.cuh"

/* Rows of DIM elements lie DIM + TILE_PAD (8) apart: DIM is a multiple of 16, so the distance is an odd number of 16-byte chunks and eight
 * rows read at one column fall into different banks. */
template <int DIM> struct tile {
    static const int STRIDE = DIM + TILE_PAD;
};

/* The A operand: rows [row, row + 16), columns [col, col + 16) of a tile. */
template <int DIM> static __device__ __forceinline__ void load_a(uint32_t r[4], const bf16_bits *s, int row, int col)
{
    int lane = threadIdx.x & 31;
    ldmatrix(r, shared_address(s + (row + (lane & 15)) * tile<DIM>::STRIDE + col + (lane >> 4) * 8));
}

/* B of a product with the transposed tile (n = tile row, k = tile column): r[0], r[1] for n in [row, row + 8), r[2], r[3] for
 * the eight after; k in [col, col + 16). */
template <int DIM> static __device__ __forceinline__ void load_b_rows(uint32_t r[4], const bf16_bits *s, int row, int col)
{
    int lane = threadIdx.x & 31;
    ldmatrix(r, shared_address(s + (row + (lane & 7) + (lane >> 4) * 8) * tile<DIM>::STRIDE + col + ((lane >> 3) & 1) * 8));
}

/* B of a product with the tile as it is (k = tile row, n = tile column): r[0], r[1] for n in [col, col + 8), r[2], r[3] for the
 * eight after; k in [row, row + 16). */
template <int DIM> static __device__ __forceinline__ void load_b_cols(uint32_t r[4], const bf16_bits *s, int row, int col)
{
    int lane = threadIdx.x & 31;
    ldmatrix_trans(r, shared_address(s + (row + (lane & 15)) * tile<DIM>::STRIDE + col + (lane >> 4) * 8));
}

/* Two f32 rounded to bf16 in one register, `low` in the lower half. */
static __device__ __forceinline__ uint32_t pack_bf16(float low, float high)
{
    __nv_bfloat162 p = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<uint32_t *>(&p);
}

/* Accumulator tiles 2j and 2j + 1 as the A operand for k in [16j, 16j + 16). */
static __device__ __forceinline__ void accumulators_as_a(uint32_t a[4], const float left[4], const float right[4])
{
    a[0] = pack_bf16(left[0], left[1]);
    a[1] = pack_bf16(left[2], left[3]);
    a[2] = pack_bf16(right[0], right[1]);
    a[3] = pack_bf16(right[2], right[3]);
}

/* Starts copying rows [first, first + ROWS) of a matrix of `limit` rows into a tile; rows past the end become zeros. */
template <int DIM, int ROWS, int THREADS>
static __device__ __forceinline__ void tile_fetch(bf16_bits *s, const bf16_bits *from, int64_t stride, int first, int limit)
{
    const int CHUNKS = DIM / 8;
#pragma unroll
    for (int i = 0; i < (ROWS * CHUNKS + THREADS - 1) / THREADS; i++) {
        int item = i * THREADS + threadIdx.x;
        if (ROWS * CHUNKS % THREADS != 0 && item >= ROWS * CHUNKS) break;
        int row = item / CHUNKS, chunk = item % CHUNKS;
        bool inside = first + row < limit;
        const bf16_bits *source = from + (int64_t)(inside ? first + row : 0) * stride + chunk * 8;
        fetch_octet(s + row * tile<DIM>::STRIDE + chunk * 8, source, inside);
    }
}

/* s = rows [row, row + 16 MT) of the tile a times the BC rows of the tile b, transposed. */
template <int DIM, int BC, int MT>
static __device__ __forceinline__ void scores(float s[MT][BC / 8][4], const bf16_bits *a, int row, const bf16_bits *b)
{
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int n = 0; n < BC / 8; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) s[m][n][e] = 0;
        }
    }
#pragma unroll
    for (int k = 0; k < DIM / 16; k++) {
        uint32_t left[MT][4];
#pragma unroll
        for (int m = 0; m < MT; m++) load_a<DIM>(left[m], a, row + 16 * m, 16 * k);
#pragma unroll
        for (int n = 0; n < BC / 16; n++) {
            uint32_t right[4];
            load_b_rows<DIM>(right, b, 16 * n, 16 * k);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                mma_bf16(s[m][2 * n], left[m], right[0], right[1]);
                mma_bf16(s[m][2 * n + 1], left[m], right[2], right[3]);
            }
        }
    }
}

/* o += p (accumulators, rounded) times the tile b (BC rows, DIM columns). */
template <int DIM, int BC, int MT>
static __device__ __forceinline__ void weighted_rows(float o[MT][DIM / 8][4], float p[MT][BC / 8][4], const bf16_bits *b)
{
#pragma unroll
    for (int k = 0; k < BC / 16; k++) {
        uint32_t left[MT][4];
#pragma unroll
        for (int m = 0; m < MT; m++) accumulators_as_a(left[m], p[m][2 * k], p[m][2 * k + 1]);
#pragma unroll
        for (int n = 0; n < DIM / 16; n++) {
            uint32_t right[4];
            load_b_cols<DIM>(right, b, 16 * k, 16 * n);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                mma_bf16(o[m][2 * n], left[m], right[0], right[1]);
                mma_bf16(o[m][2 * n + 1], left[m], right[2], right[3]);
            }
        }
    }
}

/* Elements of rows [row0, row0 + 16 MT) outside their row's [first, last] become `value`; columns count from `start`, rows past
 * `limit` have none inside. Bounds are read here and not kept: few tiles need them, and registers are short. */
template <int BC, int MT>
static __device__ __forceinline__ void mask_rows(float s[MT][BC / 8][4], const int32_t *first, const int32_t *last, int row0,
                                                 int limit, int start, float value)
{
    int lane = threadIdx.x & 31;
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int row = row0 + 16 * m + 8 * h + (lane >> 2), low = row < limit ? first[row] : 0, high = row < limit ? last[row] : -1;
#pragma unroll
            for (int n = 0; n < BC / 8; n++) {
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    int column = start + n * 8 + (lane & 3) * 2 + e;
                    if (column < low || column > high) s[m][n][2 * h + e] = value;
                }
            }
        }
    }
}

#endif
