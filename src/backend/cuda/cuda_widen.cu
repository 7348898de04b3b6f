/* cuda_widen: compressed weights as bf16, all rows ahead of a product or those that ids name. A thread owns eight neighbours. */
#include "backend/cuda/cuda_code.cuh"

template <int CODE> static __device__ __forceinline__ void widen_rows(const cuda_widen_args &a)
{
    const float *levels = code_levels<CODE>();
    int col = (blockIdx.x * ELEMENT_THREADS + threadIdx.x) * 8;
    for (int row = blockIdx.y; row < a.rows && col < a.cols; row += gridDim.y) {
        int64_t from = a.ids ? a.ids[row] : row;
        if (from < 0 || from >= a.limit) {
            *a.fault = 1 + row;
            continue;
        }
        float x[8];
        code_widen<CODE>(code_load<CODE>((const uint8_t *)a.from + from * a.row_bytes, col, a.cols), levels, x);
        octet_store(a.to + row * a.to_stride + col, octet_round(x));
    }
}

#define WIDEN_KERNEL(NAME, CODE)                                                                                            \
    extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) NAME(const cuda_widen_args a)                               \
    {                                                                                                                       \
        widen_rows<CODE>(a);                                                                                                \
    }
WIDEN_KERNEL(widen_nf4, CODE_NF4)
WIDEN_KERNEL(widen_int8, CODE_INT8)
WIDEN_KERNEL(widen_q4_0, CODE_Q4_0)
WIDEN_KERNEL(widen_q5_0, CODE_Q5_0)
WIDEN_KERNEL(widen_q8_0, CODE_Q8_0)
WIDEN_KERNEL(widen_q4_k, CODE_Q4_K)
WIDEN_KERNEL(widen_q5_k, CODE_Q5_K)
WIDEN_KERNEL(widen_q6_k, CODE_Q6_K)
