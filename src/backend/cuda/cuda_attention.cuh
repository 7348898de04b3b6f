/* cuda_attention: what the kernels of attention share, whichever tensor core instruction they use: the online softmax, the
 * gradients of scores, results on their way out. A warp's 16 rows of scores lie in its registers as m16n8 accumulators do. */
#ifndef YA_BACKEND_CUDA_ATTENTION_CUH
#define YA_BACKEND_CUDA_ATTENTION_CUH

#include "backend/cuda/cuda_mma.cuh"

/* One step of the online softmax: scores s of one tile become exponentials p relative to the row's maximum so far (p may be s).
 * With the old maximum m, the new one m' and r = exp(m - m'), the row's sum becomes sum r + sum of exp(s - m'), and its output o r
 * (output_shrink), to which the caller adds P v. After the last tile o / sum is the result, as if all scores had been known at
 * once.
 *
 * Scores are still without the factor scale * log2(e), which is applied inside: then exp is one exp2. A row is shared by four
 * neighbouring lanes, so two shuffles give its maximum; `sum` stays a lane's own part until store_output adds the four. A row
 * that has seen no key yet has the maximum -inf; its offset is 0, so that -inf - -inf never occurs. Maxima and sums run in four chains, as each step of one would wait for the last. */
template <int BC, int MT>
static __device__ __forceinline__ void online_softmax(float p[MT][BC / 8][4], float s[MT][BC / 8][4], float shrink[MT][2],
                                                      float top[MT][2], float sum[MT][2], float scale_log2)
{
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float mosts[4] = {top[m][h], top[m][h], top[m][h], top[m][h]}, totals[4] = {};
#pragma unroll
            for (int n = 0; n < BC / 8; n++) mosts[n & 3] = fmaxf(mosts[n & 3], fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
            float most = fmaxf(fmaxf(mosts[0], mosts[1]), fmaxf(mosts[2], mosts[3]));
            most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
            most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
            float offset = most == -CUDART_INF_F ? 0.0f : most * scale_log2;
            shrink[m][h] = exp2_fast(top[m][h] * scale_log2 - offset);
#pragma unroll
            for (int n = 0; n < BC / 8; n++) {
#pragma unroll
                for (int e = 2 * h; e < 2 * h + 2; e++)
                    totals[n & 3] += p[m][n][e] = exp2_fast(fmaf(s[m][n][e], scale_log2, -offset));
            }
            sum[m][h] = sum[m][h] * shrink[m][h] + ((totals[0] + totals[1]) + (totals[2] + totals[3]));
            top[m][h] = most;
        }
    }
}

/* The outputs so far, relative to the new maxima. */
template <int DIM, int MT> static __device__ __forceinline__ void output_shrink(float o[MT][DIM / 8][4], const float shrink[MT][2])
{
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int n = 0; n < DIM / 8; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) o[m][n][e] *= shrink[m][e >> 1];
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

/* P from the scores s; both may be the same. */
template <int BC, int MT>
static __device__ __forceinline__ void row_probabilities(float p[MT][BC / 8][4], float s[MT][BC / 8][4], const query_rows<MT> &r,
                                                         float scale_log2)
{
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int n = 0; n < BC / 8; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) p[m][n][e] = exp2_fast(fmaf(s[m][n][e], scale_log2, -r.lse_log2[m][e >> 1]));
        }
    }
}

/* dS = P (dP - delta) in place of P; dp holds dP = dO v^T. */
template <int BC, int MT>
static __device__ __forceinline__ void row_gradients(float p[MT][BC / 8][4], float dp[MT][BC / 8][4], const query_rows<MT> &r)
{
#pragma unroll
    for (int m = 0; m < MT; m++) {
#pragma unroll
        for (int n = 0; n < BC / 8; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) p[m][n][e] *= dp[m][n][e] - r.delta[m][e >> 1];
        }
    }
}

/* lse and delta of query i of one tile. Beyond the last query exp2 gives 0, whatever the scores: lse is infinite there. */
template <int BQ>
static __device__ __forceinline__ void row_values(float *to, const cuda_attention_args &a, int head, int first, int i)
{
    bool inside = first + i < a.queries;
    int64_t at = (int64_t)head * a.queries + first + i;
    to[i] = inside ? a.lse[at] * CUDART_L2E_F : CUDART_INF_F;
    to[BQ + i] = inside ? a.delta[at] : 0.0f;
}

/* The same for the whole tile, by the first BQ threads. */
template <int BQ>
static __device__ __forceinline__ void fetch_row_values(float *to, const cuda_attention_args &a, int head, int first)
{
    if (threadIdx.x < BQ) row_values<BQ>(to, a, head, first, threadIdx.x);
}

/* P^T of one tile from scores^T; both may be the same. */
template <int BQ>
static __device__ __forceinline__ void transposed_probabilities(float p[BQ / 8][4], float s[BQ / 8][4], const float *values,
                                                                float scale_log2)
{
#pragma unroll
    for (int n = 0; n < BQ / 8; n++) {
        float2 lse = *(const float2 *)(values + n * 8 + (threadIdx.x & 3) * 2);
#pragma unroll
        for (int e = 0; e < 4; e++) p[n][e] = exp2_fast(fmaf(s[n][e], scale_log2, -(e & 1 ? lse.y : lse.x)));
    }
}

/* dS^T of one tile from P^T and dP^T; it may replace either. */
template <int BQ>
static __device__ __forceinline__ void transposed_gradients(float ds[BQ / 8][4], float p[BQ / 8][4], float dp[BQ / 8][4],
                                                            const float *values)
{
#pragma unroll
    for (int n = 0; n < BQ / 8; n++) {
        float2 delta = *(const float2 *)(values + BQ + n * 8 + (threadIdx.x & 3) * 2);
#pragma unroll
        for (int e = 0; e < 4; e++) ds[n][e] = p[n][e] * (dp[n][e] - (e & 1 ? delta.y : delta.x));
    }
}

#endif
