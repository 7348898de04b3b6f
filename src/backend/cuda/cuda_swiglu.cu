/* cuda_swiglu: silu(gate) * up and its derivative. gate and up may be columns of one merged product. */
#include "backend/cuda/cuda_common.cuh"

static __device__ __forceinline__ float logistic(float x)
{
    return 1.0f / (1.0f + __expf(-x));
}

/* Rows along y of the grid, groups of eight columns along x. */
extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) swiglu(const cuda_swiglu_args a)
{
    int col = (blockIdx.x * ELEMENT_THREADS + threadIdx.x) * 8;
    if (col >= a.cols) return;
    for (int64_t row = blockIdx.y; row < a.rows; row += gridDim.y) {
        float g[8], u[8];
        octet_widen(octet_load(a.gate + row * a.gate_stride + col), g);
        octet_widen(octet_load(a.up + row * a.up_stride + col), u);
#pragma unroll
        for (int i = 0; i < 8; i++) u[i] *= g[i] * logistic(g[i]);
        octet_store(a.y + row * a.y_stride + col, octet_round(u));
    }
}

/* d silu(g) / dg = s (1 + g (1 - s)) with s = logistic(g). */
extern "C" __global__ void __launch_bounds__(ELEMENT_THREADS) swiglu_bwd(const cuda_swiglu_args a)
{
    int col = (blockIdx.x * ELEMENT_THREADS + threadIdx.x) * 8;
    if (col >= a.cols) return;
    for (int64_t row = blockIdx.y; row < a.rows; row += gridDim.y) {
        float g[8], u[8], d[8], y[8];
        octet_widen(octet_load(a.gate + row * a.gate_stride + col), g);
        octet_widen(octet_load(a.up + row * a.up_stride + col), u);
        octet_widen(octet_load(a.dy + row * a.dy_stride + col), d);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            float s = logistic(g[i]), silu = g[i] * s;
            y[i] = silu * u[i];
            g[i] = d[i] * u[i] * s * (1.0f + g[i] * (1.0f - s));
            u[i] = d[i] * silu;
        }
        if (a.y) octet_store(a.y + row * a.y_stride + col, octet_round(y));
        octet_store(a.dgate + row * a.dgate_stride + col, octet_round(g));
        octet_store(a.dup + row * a.dup_stride + col, octet_round(u));
    }
}
