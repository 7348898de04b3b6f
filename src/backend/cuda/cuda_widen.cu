/* cuda_widen: compressed weights as bf16, all rows ahead of a product or those that ids name. A thread owns eight neighbours, of four-bit codes two eights. */
#include "backend/cuda/cuda_code.cuh"

/* Where row r of the result lies: it is row ids[r] of the table, or row r. False, with r told in *fault, for an id beyond it. */
static __device__ __forceinline__ bool widen_source(const cuda_widen_args &a, int row, const uint8_t **from)
{
    int64_t id = a.ids ? a.ids[row] : row;
    bool inside = id >= 0 && id < a.limit;
    if (!inside) *a.fault = 1 + row;
    *from = (const uint8_t *)a.from + (inside ? id : 0) * a.row_bytes;
    return inside;
}

template <int CODE>
static __device__ __forceinline__ void widen_store(const cuda_widen_args &a, int row, int col, const typename code<CODE>::loaded &c,
                                                   const float *levels)
{
    float x[8];
    code_widen<CODE>(c, levels, x);
    octet_store(a.to + row * a.to_stride + col, octet_round(x));
}

template <int CODE> static __device__ __forceinline__ void widen_rows(const cuda_widen_args &a)
{
    const float *levels = code_levels<CODE>();
    int col = (blockIdx.x * ELEMENT_THREADS + threadIdx.x) * 8;
    for (int row = blockIdx.y; row < a.rows && col < a.cols; row += gridDim.y) {
        const uint8_t *from;
        if (widen_source(a, row, &from)) widen_store<CODE>(a, row, col, code_load<CODE>(from, col, a.cols), levels);
    }
}

/* Codes of four bits: a thread owns two eights of elements that share eight bytes, which halves what is done for addresses and
 * scales; this, and not memory, is what takes the time. The last columns of a row, less than 64, go as in widen_rows. */
template <int CODE> static __device__ __forceinline__ void widen_pairs(const cuda_widen_args &a)
{
    const float *levels = code_levels<CODE>();
    int thread = blockIdx.x * ELEMENT_THREADS + threadIdx.x, unit = thread / 4 * 64, at = thread % 4 * 8;
    for (int row = blockIdx.y; row < a.rows && unit < a.cols; row += gridDim.y) {
        const uint8_t *from;
        if (!widen_source(a, row, &from)) continue;
        if (unit + 64 <= a.cols) {
            codes8 c[2];
            codes_pair<CODE>(from, unit, at, c);
            widen_store<CODE>(a, row, unit + at, c[0], levels);
            widen_store<CODE>(a, row, unit + 32 + at, c[1], levels);
        } else {
            for (int col = unit + at; col < a.cols; col += 32) widen_store<CODE>(a, row, col, code_load<CODE>(from, col, a.cols), levels);
        }
    }
}

#define WIDEN_KERNEL(NAME, CODE, HOW)                                                                                       \
    extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) NAME(const cuda_widen_args a)                               \
    {                                                                                                                       \
        HOW<CODE>(a);                                                                                                       \
    }
WIDEN_KERNEL(widen_nf4, CODE_NF4, widen_pairs)
WIDEN_KERNEL(widen_int8, CODE_INT8, widen_rows)
WIDEN_KERNEL(widen_q4_0, CODE_Q4_0, widen_rows)
WIDEN_KERNEL(widen_q5_0, CODE_Q5_0, widen_rows)
WIDEN_KERNEL(widen_q8_0, CODE_Q8_0, widen_rows)
WIDEN_KERNEL(widen_q4_k, CODE_Q4_K, widen_pairs)
WIDEN_KERNEL(widen_q5_k, CODE_Q5_K, widen_rows)
WIDEN_KERNEL(widen_q6_k, CODE_Q6_K, widen_rows)
