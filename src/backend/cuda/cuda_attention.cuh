/* cuda_attention: what the kernels of attention share, whichever tensor core instruction they use: the online softmax, the
 * gradients of scores, results on their way out. A warp's 16 rows of scores lie in its registers as m16n8 accumulators do. */
#ifndef YA_BACKEND_CUDA_ATTENTION_CUH
#define YA_BACKEND_CUDA_ATTENTION_CUH

#include "backend/cuda/cuda_mma.cuh"

/* One step of the online softmax: scores s of one tile become exponentials relative to the row's maximum so far. With the old
 * maximum m, the new one m' and r = exp(m - m'), the row's sum becomes sum r + sum of exp(s - m'), and its output o r, to which
 * the caller adds P v. After the last tile o / sum is the result, as if all scores had been known at once.
 *
 * Scores are still without the factor scale * log2(e), which is applied inside: then exp is one exp2. A row is shared by four
 * neighbouring lanes, so two shuffles give its maximum; `sum` stays a lane's own part until store_output adds the four. A row
 * that has seen no key yet has the maximum -inf; its offset is 0, so that -inf - -inf never occurs. */
template <int DIM, int BC, int MT>
static __device__ __forceinline__ void online_softmax(float s[MT][BC / 8][4], float o[MT][DIM / 8][4], float top[MT][2],
                                                      float sum[MT][2], float scale_log2)
{
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float most = top[m][h];
#pragma unroll
            for (int n = 0; n < BC / 8; n++) most = fmaxf(most, fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
            most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
            most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
            float offset = most == -CUDART_INF_F ? 0.0f : most * scale_log2;
            float shrink = exp2_fast(top[m][h] * scale_log2 - offset), total = 0;
#pragma unroll
            for (int n = 0; n < BC / 8; n++) {
#pragma unroll
                for (int e = 2 * h; e < 2 * h + 2; e++) total += s[m][n][e] = exp2_fast(fmaf(s[m][n][e], scale_log2, -offset));
            }
            sum[m][h] = sum[m][h] * shrink + total;
            top[m][h] = most;
#pragma unroll
            for (int n = 0; n < DIM / 8; n++) {
                o[m][n][2 * h] *= shrink;
                o[m][n][2 * h + 1] *= shrink;
            }
        }
    }
}

/* Divides the outputs by their sums, rounds and stores them, and stores lse = scale * maximum + log(sum) for backward. */
template <int DIM, int MT>
static __device__ __forceinline__ void store_output(const cuda_attention_args &a, float o[MT][DIM / 8][4], float top[MT][2],
                                                    float sum[MT][2], int head, int row0)
{
    int lane = threadIdx.x & 31;
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int row = row0 + 16 * m + 8 * h + (lane >> 2);
            float total = sum[m][h];
            total += __shfl_xor_sync(0xffffffffu, total, 1);
            total += __shfl_xor_sync(0xffffffffu, total, 2);
            if (row >= a.queries) continue;
            float inverse = 1.0f / total;
            bf16_bits *to = a.o + (int64_t)row * a.o_stride + head * DIM + (lane & 3) * 2;
#pragma unroll
            for (int n = 0; n < DIM / 8; n++) {
                *reinterpret_cast<uint32_t *>(to + 8 * n) = pack_bf16(o[m][n][2 * h] * inverse, o[m][n][2 * h + 1] * inverse);
            }
            if ((lane & 3) == 0) a.lse[(int64_t)head * a.queries + row] = top[m][h] * a.scale + logf(total);
        }
    }
}

/* Stores a warp's 16 rows of accumulators times `by`, in bf16; rows from `limit` on are left out. */
template <int DIM>
static __device__ __forceinline__ void store_rows(bf16_bits *to, int64_t stride, float o[DIM / 8][4], int row0, int limit, float by)
{
    int lane = threadIdx.x & 31;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int row = row0 + 8 * h + (lane >> 2);
        if (row >= limit) continue;
        bf16_bits *line = to + row * stride + (lane & 3) * 2;
#pragma unroll
        for (int n = 0; n < DIM / 8; n++) {
            *reinterpret_cast<uint32_t *>(line + 8 * n) = pack_bf16(o[n][2 * h] * by, o[n][2 * h + 1] * by);
        }
    }
}

/* What a thread keeps of its rows of queries in backward: lse in units of log2, so that P = exp2(s scale_log2 - lse_log2), and
 * delta = dO . O. */
template <int MT> struct query_rows {
    float lse_log2[MT][2], delta[MT][2];
};

/* Loads them; rows past the last query get 0. */
template <int MT>
static __device__ __forceinline__ void query_rows_load(query_rows<MT> &r, const cuda_attention_args &a, int head, int row0)
{
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int i = row0 + 16 * m + 8 * h + ((threadIdx.x & 31) >> 2);
            bool inside = i < a.queries;
            r.lse_log2[m][h] = inside ? a.lse[(int64_t)head * a.queries + i] * CUDART_L2E_F : 0.0f;
            r.delta[m][h] = inside ? a.delta[(int64_t)head * a.queries + i] : 0.0f;
        }
    }
}

/* dS = P (dP - delta) in place of the scores s; dp holds dP = dO v^T. */
template <int BC, int MT>
static __device__ __forceinline__ void score_gradients(float s[MT][BC / 8][4], float dp[MT][BC / 8][4], const query_rows<MT> &r,
                                                       float scale_log2)
{
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int n = 0; n < BC / 8; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                float p = exp2_fast(fmaf(s[m][n][e], scale_log2, -r.lse_log2[m][e >> 1]));
                s[m][n][e] = p * (dp[m][n][e] - r.delta[m][e >> 1]);
            }
        }
    }
}

/* lse and delta of one tile of queries. Beyond the last query exp2 gives 0, whatever the scores: lse is infinite there. */
template <int BQ>
static __device__ __forceinline__ void fetch_row_values(float *to, const cuda_attention_args &a, int head, int first)
{
    if (threadIdx.x >= BQ) return;
    int i = first + threadIdx.x;
    bool inside = i < a.queries;
    to[threadIdx.x] = inside ? a.lse[(int64_t)head * a.queries + i] * CUDART_L2E_F : CUDART_INF_F;
    to[BQ + threadIdx.x] = inside ? a.delta[(int64_t)head * a.queries + i] : 0.0f;
}

/* P^T and dS^T of one tile, from scores^T and dP^T in place. */
template <int BQ>
static __device__ __forceinline__ void transposed_gradients(float s[BQ / 8][4], float dp[BQ / 8][4], const float *values,
                                                            float scale_log2)
{
#pragma unroll
    for (int n = 0; n < BQ / 8; n++) {
        int column = n * 8 + (threadIdx.x & 3) * 2;
        float2 lse = *(const float2 *)(values + column), delta = *(const float2 *)(values + BQ + column);
#pragma unroll
        for (int e = 0; e < 4; e++) {
            s[n][e] = exp2_fast(fmaf(s[n][e], scale_log2, -(e & 1 ? lse.y : lse.x)));
            dp[n][e] = s[n][e] * (dp[n][e] - (e & 1 ? delta.y : delta.x));
        }
    }
}

#endif
