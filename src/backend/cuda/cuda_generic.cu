/* cuda_generic: rows over arrays of any strides and types, one element for each thread; sums of rows by index; the search for ids
 * that are out of range. A training step spends next to nothing here, so these kernels are simple and not tuned. */
#include "backend/cuda/cuda_common.cuh"

/* Conversions as array/dtype.c does them: floats towards zero and saturating to integers, NaN to 0. */
static __device__ double element_read(const void *p, int64_t at, int type)
{
    switch (type) {
    case CUDA_BOOL:
    case CUDA_U8:
        return ((const uint8_t *)p)[at];
    case CUDA_I32:
        return ((const int32_t *)p)[at];
    case CUDA_I64:
        return (double)((const int64_t *)p)[at];
    case CUDA_BF16:
        return __bfloat162float(((const __nv_bfloat16 *)p)[at]);
    case CUDA_F32:
        return ((const float *)p)[at];
    default:
        return ((const double *)p)[at];
    }
}

static __device__ double element_saturate(double x, double low, double high)
{
    return x != x ? 0.0 : x < low ? low : x > high ? high : x;
}

/* The inverse of element_read. */
static __device__ void element_write(void *p, int64_t at, int type, double x)
{
    switch (type) {
    case CUDA_BOOL:
        ((uint8_t *)p)[at] = x != 0.0;
        break;
    case CUDA_U8:
        ((uint8_t *)p)[at] = (uint8_t)element_saturate(x, 0.0, 255.0);
        break;
    case CUDA_I32:
        ((int32_t *)p)[at] = (int32_t)element_saturate(x, -2147483648.0, 2147483647.0);
        break;
    case CUDA_I64:
        ((int64_t *)p)[at] = (int64_t)element_saturate(x, -9223372036854775808.0, 9223372036854774784.0);
        break;
    case CUDA_BF16:
        ((__nv_bfloat16 *)p)[at] = __float2bfloat16_rn((float)x);
        break;
    case CUDA_F32:
        ((float *)p)[at] = (float)x;
        break;
    default:
        ((double *)p)[at] = x;
    }
}

/* Copies an element of 1, 2, 4 or 8 bytes without looking at its type. */
static __device__ void bits_copy(void *to, int64_t to_at, const void *from, int64_t from_at, int bytes)
{
    switch (bytes) {
    case 1:
        ((uint8_t *)to)[to_at] = ((const uint8_t *)from)[from_at];
        break;
    case 2:
        ((uint16_t *)to)[to_at] = ((const uint16_t *)from)[from_at];
        break;
    case 4:
        ((uint32_t *)to)[to_at] = ((const uint32_t *)from)[from_at];
        break;
    default:
        ((uint64_t *)to)[to_at] = ((const uint64_t *)from)[from_at];
    }
}

/* The value of one element of the result, in f64, which holds every type but large i64 exactly. */
static __device__ double strided_value(const cuda_strided_args &a, int64_t a_at, int64_t b_at)
{
    if (a.op == STRIDED_FILL) return a.value;
    double x = element_read(a.a, a_at, a.a_type);
    if (a.op == STRIDED_CAST) return x;
    double y = element_read(a.b, b_at, a.b_type);
    return a.op == STRIDED_ADD ? x + y : a.op == STRIDED_SUB ? x - y : x * y;
}

/* Thread i makes elements i, i + step, ... of the result in row-major order; the index is taken apart from the last axis on, and
 * each array has its own strides (0 along axes that are broadcast). */
extern "C" __global__ void __launch_bounds__(GENERIC_THREADS) strided(const cuda_strided_args a)
{
    int64_t step = (int64_t)gridDim.x * GENERIC_THREADS;
    for (int64_t i = (int64_t)blockIdx.x * GENERIC_THREADS + threadIdx.x; i < a.count; i += step) {
        int64_t left = i, a_at = 0, b_at = 0, to_at = 0;
        for (int d = a.ndim - 1; d >= 0; d--) {
            int64_t place = left % a.shape[d];
            left /= a.shape[d];
            a_at += place * a.a_stride[d];
            b_at += place * a.b_stride[d];
            to_at += place * a.to_stride[d];
        }
        if (a.op == STRIDED_BITS) bits_copy(a.to, to_at, a.a, a_at, a.bytes);
        else element_write(a.to, to_at, a.to_type, strided_value(a, a_at, b_at));
    }
}

/* One block for each row of the result; it looks through all ids, which for the few thousand of a batch costs less than sorting. */
extern "C" __global__ void __launch_bounds__(GENERIC_THREADS) sum_rows_by_id(const cuda_rows_sum_args a)
{
    int row = blockIdx.x;
    for (int col = threadIdx.x * 8; col < a.cols; col += GENERIC_THREADS * 8) {
        float sum[8] = {0};
        for (int i = 0; i < a.rows; i++) {
            if (a.ids[i] != row) continue;
            float x[8];
            octet_widen(octet_load(a.from + i * a.from_stride + col), x);
#pragma unroll
            for (int k = 0; k < 8; k++) sum[k] += x[k];
        }
        octet_store(a.to + row * a.to_stride + col, octet_round(sum));
    }
}

/* Whichever thread finds a fault first writes it down; which of several is reported may differ from run to run. */
extern "C" __global__ void __launch_bounds__(GENERIC_THREADS) check_ids(const cuda_check_ids_args a)
{
    int64_t i = (int64_t)blockIdx.x * GENERIC_THREADS + threadIdx.x;
    if (i >= a.count || (a.weights && a.weights[i] == 0.0f)) return;
    int64_t id = a.type == CUDA_I64   ? ((const int64_t *)a.ids)[i]
                 : a.type == CUDA_I32 ? ((const int32_t *)a.ids)[i]
                                      : ((const uint8_t *)a.ids)[i];
    if (id >= 0 && id < a.limit) return;
    if (atomicCAS(&a.fault->taken, 0, 1) != 0) return;
    a.fault->index = i;
    a.fault->value = id;
    a.fault->limit = a.limit;
    a.fault->what = a.what;
}
