/* cuda_mma: tiles of bf16 in shared memory and the tensor cores' m16n8k16 product (sm_80 and later).
 *
 * Fragments as the PTX manual draws them, with g = lane / 4 and t = lane % 4: an accumulator tile of 16 x 8 f32 has c[0], c[1]
 * at row g, columns 2t and 2t + 1, and c[2], c[3] at row g + 8. Two such tiles side by side, rounded to bf16, are just the
 * A operand of 16 x 16 of a next product, so probabilities never pass through shared memory. */
#ifndef YA_BACKEND_CUDA_MMA_CUH
#define YA_BACKEND_CUDA_MMA_CUH

#include "backend/cuda/cuda_common.cuh"

/* Rows of DIM elements lie DIM + 8 apart: DIM is a multiple of 16, so the distance is an odd number of 16-byte chunks and eight
 * rows read at one column fall into different banks. */
template <int DIM> struct tile {
    static const int STRIDE = DIM + 8;
};

static __device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

static __device__ __forceinline__ void mma_bf16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

static __device__ __forceinline__ void ldmatrix(uint32_t r[4], uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

static __device__ __forceinline__ void ldmatrix_trans(uint32_t r[4], uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

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
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(s + row * tile<DIM>::STRIDE + chunk * 8)),
                     "l"(source), "r"(inside ? 16 : 0)
                     : "memory");
    }
}

static __device__ __forceinline__ void fetch_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int PENDING> static __device__ __forceinline__ void fetch_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

#endif
