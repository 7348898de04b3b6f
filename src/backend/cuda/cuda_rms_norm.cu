/* cuda_rms_norm: RMS normalisation with an optional residual sum, forward and backward. One block a row, or for rows of up to 1024
 * elements a warp, eight rows a block; the row stays in registers between the two passes, so each element is read once and written
 * once. */
#include "backend/cuda/cuda_common.cuh"

/* What shares a row: THREADS is 32 or NORM_THREADS. */
template <int THREADS> struct norm_team {
    static __device__ __forceinline__ int64_t row()
    {
        return THREADS == 32 ? (int64_t)blockIdx.x * NORM_ROWS + (threadIdx.x >> 5) : blockIdx.x;
    }
    static __device__ __forceinline__ int member()
    {
        return THREADS == 32 ? threadIdx.x & 31 : threadIdx.x;
    }
    static __device__ __forceinline__ float sum(float x)
    {
        if constexpr (THREADS == 32) return warp_sum(x);
        else return block_sum(x);
    }
};

/* Gains of eight columns: they begin at a multiple of 16 bytes. */
static __device__ __forceinline__ void norm_gains(const float *gain, int col, float out[8])
{
    float4 low = *reinterpret_cast<const float4 *>(gain + col), high = *reinterpret_cast<const float4 *>(gain + col + 4);
    out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
    out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
}

/* OCTETS: groups of eight elements a thread holds; a row has at most 8 * OCTETS * THREADS elements. */
template <int OCTETS, int THREADS> static __device__ __forceinline__ void rms_norm_row(const cuda_rms_norm_args &a)
{
    typedef norm_team<THREADS> team;
    int64_t row = team::row();
    if (row >= a.rows) return;
    float x[OCTETS][8], squares = 0;
    octet own[OCTETS], other[OCTETS];
#pragma unroll
    for (int j = 0; j < OCTETS; j++) { /* all loads first, so that they are on their way together */
        int col = (j * THREADS + team::member()) * 8;
        if (col >= a.cols) continue;
        own[j] = octet_load(a.x + row * a.x_stride + col);
        if (a.residual) other[j] = octet_load(a.residual + row * a.residual_stride + col);
    }
#pragma unroll
    for (int j = 0; j < OCTETS; j++) {
        int col = (j * THREADS + team::member()) * 8;
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
    float rstd = rsqrtf(team::sum(squares) / a.cols + a.eps);
    if (team::member() == 0) a.rstd[row] = rstd;
#pragma unroll
    for (int j = 0; j < OCTETS; j++) {
        int col = (j * THREADS + team::member()) * 8;
        if (col >= a.cols) continue;
        float gain[8];
        norm_gains(a.gain, col, gain);
#pragma unroll
        for (int i = 0; i < 8; i++) x[j][i] *= rstd * gain[i];
        octet_store(a.y + row * a.y_stride + col, octet_round(x[j]));
    }
}

/* dx = rstd (g - xhat mean(g xhat)) + dsum with g = gain dy and xhat = x rstd: the derivative of x rstd(x) times the gain. */
template <int OCTETS, int THREADS> static __device__ __forceinline__ void rms_norm_bwd_row(const cuda_rms_norm_bwd_args &a)
{
    typedef norm_team<THREADS> team;
    int64_t row = team::row();
    if (row >= a.rows) return;
    float rstd = a.rstd[row], xhat[OCTETS][8], g[OCTETS][8], dot = 0;
#pragma unroll
    for (int j = 0; j < OCTETS; j++) {
        int col = (j * THREADS + team::member()) * 8;
        if (col >= a.cols) continue;
        octet_widen(octet_load(a.x + row * a.x_stride + col), xhat[j]);
        octet_widen(octet_load(a.dy + row * a.dy_stride + col), g[j]);
        float gain[8];
        norm_gains(a.gain, col, gain);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            xhat[j][i] *= rstd;
            g[j][i] *= gain[i];
            dot += g[j][i] * xhat[j][i];
        }
    }
    float mean = team::sum(dot) / a.cols;
#pragma unroll
    for (int j = 0; j < OCTETS; j++) {
        int col = (j * THREADS + team::member()) * 8;
        if (col >= a.cols) continue;
        float sum[8] = {0};
        if (a.dsum) octet_widen(octet_load(a.dsum + row * a.dsum_stride + col), sum);
#pragma unroll
        for (int i = 0; i < 8; i++) sum[i] += rstd * (g[j][i] - xhat[j][i] * mean);
        octet_store(a.dx + row * a.dx_stride + col, octet_round(sum));
    }
}

#define NORM_KERNELS(SUFFIX, OCTETS, THREADS)                                                                               \
    extern "C" __global__ void __launch_bounds__(NORM_THREADS) rms_norm_##SUFFIX(const cuda_rms_norm_args a)                \
    {                                                                                                                       \
        rms_norm_row<OCTETS, THREADS>(a);                                                                                   \
    }                                                                                                                       \
    extern "C" __global__ void __launch_bounds__(NORM_THREADS) rms_norm_bwd_##SUFFIX(const cuda_rms_norm_bwd_args a)        \
    {                                                                                                                       \
        rms_norm_bwd_row<OCTETS, THREADS>(a);                                                                               \
    }
NORM_KERNELS(warp, 4, 32)
NORM_KERNELS(1, 1, NORM_THREADS)
NORM_KERNELS(2, 2, NORM_THREADS)
NORM_KERNELS(4, 4, NORM_THREADS)
NORM_KERNELS(8, 8, NORM_THREADS)
