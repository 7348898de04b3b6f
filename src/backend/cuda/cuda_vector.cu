/* cuda_vector: y = W x for one vector, as generation needs token by token: the time is that of reading W once. A warp owns a row,
 * or two that share what is read of x where there are rows enough for all processors; its lanes sum every 32nd group of eight
 * columns, so that the order depends on the shape only. */
#include "backend/cuda/cuda_code.cuh"

enum { VECTOR_THREADS = 128, VECTOR_STEP = 8 * 32 };

/* BATCH steps from `col` on, whose loads are under way together. */
template <int CODE, int BATCH, int ROWS>
static __device__ __forceinline__ void vector_steps(float acc[ROWS], const cuda_vector_args &a,
                                                    const uint8_t *const row[ROWS], int col, const float *levels)
{
    typename code<CODE>::loaded loaded[BATCH][ROWS];
#pragma unroll
    for (int b = 0; b < BATCH; b++) {
#pragma unroll
        for (int r = 0; r < ROWS; r++) loaded[b][r] = code_load<CODE>(row[r], col + b * VECTOR_STEP, a.cols);
    }
#pragma unroll
    for (int b = 0; b < BATCH; b++) {
        float x[8], w[8];
        octet_widen(octet_load(a.x + col + b * VECTOR_STEP), x);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            code_widen<CODE>(loaded[b][r], levels, w);
#pragma unroll
            for (int i = 0; i < 8; i++) acc[r] = fmaf(w[i], x[i], acc[r]);
        }
    }
}

template <int CODE, int ROWS>
static __device__ __forceinline__ void vector_rows(const cuda_vector_args &a, const float *levels)
{
    const int BATCH = CODE == CODE_BF16 ? 8 / ROWS : 4;
    int lane = threadIdx.x & 31, first = (blockIdx.x * (VECTOR_THREADS / 32) + (threadIdx.x >> 5)) * ROWS;
    if (first >= a.rows) return;
    const uint8_t *row[ROWS];
    float acc[ROWS] = {};
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        row[r] = (const uint8_t *)a.w + (first + r < a.rows ? first + r : a.rows - 1) * a.row_bytes;
    int col = lane * 8;
    for (; col + (BATCH - 1) * VECTOR_STEP < a.cols; col += BATCH * VECTOR_STEP)
        vector_steps<CODE, BATCH, ROWS>(acc, a, row, col, levels);
    for (; col < a.cols; col += VECTOR_STEP) vector_steps<CODE, 1, ROWS>(acc, a, row, col, levels);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        float sum = warp_sum(acc[r]);
        if (lane != 0 || first + r >= a.rows) continue;
        __nv_bfloat16 *y = (__nv_bfloat16 *)a.y + first + r;
        *y = __float2bfloat16_rn(a.add ? sum + __bfloat162float(*y) : sum);
    }
}

#define VECTOR_KERNEL(NAME, CODE)                                                                                           \
    extern "C" __global__ void __launch_bounds__(VECTOR_THREADS) NAME(const cuda_vector_args a)                             \
    {                                                                                                                       \
        const float *levels = code_levels<CODE>();                                                                          \
        if (a.rows_a_warp == 1) vector_rows<CODE, 1>(a, levels);                                                            \
        else vector_rows<CODE, 2>(a, levels);                                                                               \
    }
VECTOR_KERNEL(vector_bf16, CODE_BF16)
VECTOR_KERNEL(vector_nf4, CODE_NF4)
VECTOR_KERNEL(vector_int8, CODE_INT8)
VECTOR_KERNEL(vector_q4_0, CODE_Q4_0)
VECTOR_KERNEL(vector_q5_0, CODE_Q5_0)
VECTOR_KERNEL(vector_q8_0, CODE_Q8_0)
VECTOR_KERNEL(vector_q4_k, CODE_Q4_K)
VECTOR_KERNEL(vector_q5_k, CODE_Q5_K)
VECTOR_KERNEL(vector_q6_k, CODE_Q6_K)
