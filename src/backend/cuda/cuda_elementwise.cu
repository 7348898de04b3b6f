/* cuda_elementwise: copies, conversions between bf16 and f32, sums in place, fills and rows by index. */
#include "backend/cuda/cuda_common.cuh"

static __device__ __forceinline__ float as_float(float x)
{
    return x;
}
static __device__ __forceinline__ float as_float(__nv_bfloat16 x)
{
    return __bfloat162float(x);
}
static __device__ __forceinline__ void put(float *to, float x)
{
    *to = x;
}
static __device__ __forceinline__ void put(__nv_bfloat16 *to, float x)
{
    *to = __float2bfloat16_rn(x);
}

/* Eight neighbours a thread where a row allows it. The compiler joins their loads: rows start at multiples of 16 bytes. */
template <typename FROM, typename TO> static __device__ __forceinline__ void move_rows(const cuda_move_args &a)
{
    int64_t groups = (a.cols + 7) / 8, all = a.rows * groups;
    for (int64_t i = (int64_t)blockIdx.x * ELEMENT_THREADS + threadIdx.x; i < all; i += (int64_t)gridDim.x * ELEMENT_THREADS) {
        int64_t row = i / groups;
        int col = (int)(i % groups) * 8;
        const FROM *from = (const FROM *)a.from + row * a.from_stride + col;
        TO *to = (TO *)a.to + row * a.to_stride + col;
        struct __align__(16) from8 {
            FROM x[8];
        };
        struct __align__(16) to8 {
            TO x[8];
        };
        if (col + 8 <= a.cols) {
            from8 f = *(const from8 *)from;
            to8 t;
            if (a.add) t = *(const to8 *)to;
#pragma unroll
            for (int k = 0; k < 8; k++) put(&t.x[k], as_float(f.x[k]) + (a.add ? as_float(t.x[k]) : 0.0f));
            *(to8 *)to = t;
            continue;
        }
        for (int k = 0; k < a.cols - col; k++) put(&to[k], as_float(from[k]) + (a.add ? as_float(to[k]) : 0.0f));
    }
}

#define MOVE_KERNEL(NAME, FROM, TO)                                                                                         \
    extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) NAME(const cuda_move_args a)                                 \
    {                                                                                                                       \
        move_rows<FROM, TO>(a);                                                                                             \
    }
MOVE_KERNEL(move_bf16_bf16, __nv_bfloat16, __nv_bfloat16)
MOVE_KERNEL(move_bf16_f32, __nv_bfloat16, float)
MOVE_KERNEL(move_f32_bf16, float, __nv_bfloat16)
MOVE_KERNEL(move_f32_f32, float, float)

/* The sum of two activations, in f32, rounded once. */
extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) add_bf16(const cuda_add_args a)
{
    int64_t groups = (a.cols + 7) / 8, all = a.rows * groups;
    for (int64_t i = (int64_t)blockIdx.x * ELEMENT_THREADS + threadIdx.x; i < all; i += (int64_t)gridDim.x * ELEMENT_THREADS) {
        int64_t row = i / groups;
        int col = (int)(i % groups) * 8;
        float x[8], y[8];
        octet_widen(octet_load(a.a + row * a.a_stride + col), x);
        octet_widen(octet_load(a.b + row * a.b_stride + col), y);
#pragma unroll
        for (int k = 0; k < 8; k++) x[k] += y[k];
        octet_store(a.to + row * a.to_stride + col, octet_round(x));
    }
}

extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) add_bias(const cuda_bias_args a)
{
    int col = blockIdx.x * ELEMENT_THREADS + threadIdx.x;
    for (int64_t row = blockIdx.y; row < a.rows && col < a.cols; row += gridDim.y) {
        __nv_bfloat16 *y = (__nv_bfloat16 *)a.y + row * a.y_stride + col;
        *y = __float2bfloat16_rn(__bfloat162float(*y) + a.bias[col]);
    }
}

extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) fill_32(const cuda_fill_args a)
{
    int64_t step = (int64_t)gridDim.x * ELEMENT_THREADS;
    for (int64_t i = (int64_t)blockIdx.x * ELEMENT_THREADS + threadIdx.x; i < a.count; i += step) ((uint32_t *)a.to)[i] = a.word;
}

extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) fill_16(const cuda_fill_args a)
{
    int64_t step = (int64_t)gridDim.x * ELEMENT_THREADS;
    for (int64_t i = (int64_t)blockIdx.x * ELEMENT_THREADS + threadIdx.x; i < a.count; i += step) {
        ((uint16_t *)a.to)[i] = (uint16_t)a.word;
    }
}

/* One block for each row; look-up of embeddings, and its opposite (struct cuda_rows_args). */
extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) move_rows_by_id(const cuda_rows_args a)
{
    int64_t row = blockIdx.x;
    int32_t id = a.ids[row];
    if (id < 0 || id >= a.limit) {
        if (threadIdx.x == 0) atomicCAS(a.fault, 0, (int32_t)row + 1);
        return;
    }
    const bf16_bits *from = a.table + (a.scatter ? row : id) * a.table_stride;
    bf16_bits *to = a.to + (a.scatter ? id : row) * a.to_stride;
    for (int col = threadIdx.x * 8; col < a.cols; col += ELEMENT_THREADS * 8) octet_store(to + col, octet_load(from + col));
}
