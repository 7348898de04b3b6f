/* cuda_rms_norm: RMS normalisation with an optional residual sum, forward and backward. One block a row; the row stays in
 * registers between the two passes, so each element is read once and written once. */
#include "backend/cuda/cuda_common.cuh"

enum { NORM_THREADS = 256 };

/* OCTETS: groups of eight elements a thread holds; a row has at most 8 * OCTETS * NORM_THREADS elements. */
template <int OCTETS> static __device__ __forceinline__ void rms_norm_row(const cuda_rms_norm_args &a)
{
    int64_t row = blockIdx.x;
    float x[OCTETS][8], squares = 0;
    octet own[OCTETS], other[OCTETS];
#pragma unroll
    for (int j = 0; j < OCTETS; j++) { /* all loads first, so that they are on their way together */
        int col = (j * NORM_THREADS + threadIdx.x) * 8;
        if (col >= a.cols) continue;
        own[j] = octet_load(a.x + row * a.x_stride + col);
        if (a.residual) other[j] = octet_load(a.residual + row * a.residual_stride + col);
    }
#pragma unroll
    for (int j = 0; j < OCTETS; j++) {
        int col = (j * NORM_THREADS + threadIdx.x) * 8;
        if (col >= a.cols) continue;
        octet_widen(own[j], x[j]);
        if (a.residual) {
            float r[8];
            octet_widen(other[j], r);
#pragma unroll
            for (int i = 0; i < 8; i++) x[j][i] += r[i];
            /* What is normalised is what later layers and the backward pass read: the rounded sum. */
            octet sum = octet_round(x[j]);
            octet_store(a.sum + row * a.sum_stride + col, sum);
            octet_widen(sum, x[j]);
        }
#pragma unroll
        for (int i = 0; i < 8; i++) squares += x[j][i] * x[j][i];
    }
    float rstd = rsqrtf(block_sum(squares) / a.cols + a.eps);
    if (threadIdx.x == 0) a.rstd[row] = rstd;
#pragma unroll
    for (int j = 0; j < OCTETS; j++) {
        int col = (j * NORM_THREADS + threadIdx.x) * 8;
        if (col >= a.cols) continue;
#pragma unroll
        for (int i = 0; i < 8; i++) x[j][i] *= rstd * a.gain[col + i];
        octet_store(a.y + row * a.y_stride + col, octet_round(x[j]));
    }
}

/* dx = rstd (g - xhat mean(g xhat)) + dsum with g = gain dy and xhat = x rstd: the derivative of x rstd(x) times the gain. */
template <int OCTETS> static __device__ __forceinline__ void rms_norm_bwd_row(const cuda_rms_norm_bwd_args &a)
{
    int64_t row = blockIdx.x;
    float rstd = a.rstd[row], xhat[OCTETS][8], g[OCTETS][8], dot = 0;
#pragma unroll
    for (int j = 0; j < OCTETS; j++) {
        int col = (j * NORM_THREADS + threadIdx.x) * 8;
        if (col >= a.cols) continue;
        octet_widen(octet_load(a.x + row * a.x_stride + col), xhat[j]);
        octet_widen(octet_load(a.dy + row * a.dy_stride + col), g[j]);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            xhat[j][i] *= rstd;
            g[j][i] *= a.gain[col + i];
            dot += g[j][i] * xhat[j][i];
        }
    }
    float mean = block_sum(dot) / a.cols;
#pragma unroll
    for (int j = 0; j < OCTETS; j++) {
        int col = (j * NORM_THREADS + threadIdx.x) * 8;
        if (col >= a.cols) continue;
        float sum[8] = {0};
        if (a.dsum) octet_widen(octet_load(a.dsum + row * a.dsum_stride + col), sum);
#pragma unroll
        for (int i = 0; i < 8; i++) sum[i] += rstd * (g[j][i] - xhat[j][i] * mean);
        octet_store(a.dx + row * a.dx_stride + col, octet_round(sum));
    }
}

#define NORM_KERNELS(OCTETS)                                                                                                \
    extern "C" __global__ void __launch_bounds__(NORM_THREADS) rms_norm_##OCTETS(const cuda_rms_norm_args a)                \
    {                                                                                                                       \
        rms_norm_row<OCTETS>(a);                                                                                            \
    }                                                                                                                       \
    extern "C" __global__ void __launch_bounds__(NORM_THREADS) rms_norm_bwd_##OCTETS(const cuda_rms_norm_bwd_args a)        \
    {                                                                                                                       \
        rms_norm_bwd_row<OCTETS>(a);                                                                                        \
    }
NORM_KERNELS(1)
NORM_KERNELS(2)
NORM_KERNELS(4)
NORM_KERNELS(8)
