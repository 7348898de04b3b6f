/* cuda_vector: y = W x for one vector, as generation needs token by token: the time is that of reading W once. A warp owns a row,
 * or two that share what is read of x where there are rows enough for all processors; its lanes sum every 32nd group of eight
 * columns, so that the order depends on the shape only. */
#include "backend/cuda/cuda_code.cuh"

enum { VECTOR_STEP = 8 * 32 };

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

/* NF4 and Q4_K keep elements i and i + 32 of 64 in the two halves of a byte: four lanes share such 64, each takes eight bytes of
 * codes with sixteen elements, so that what comes once a block costs less. */
template <int CODE> static __device__ __forceinline__ bool vector_has_pairs(int cols)
{
    const int NF4_GROUP = 16384; /* of one offset and step: here a row has one */
    return CODE == CODE_Q4_K || (CODE == CODE_NF4 && cols <= NF4_GROUP);
}

/* The sum over eight codes of level x (NF4) or code x. A code of four bits becomes a float without a conversion: 0x4b000000 is
 * 2^23, whose lowest bit is worth 1, so the bits of 2^23 with the code in them are the number 2^23 + code. */
template <int CODE>
static __device__ __forceinline__ float pairs_dot(const uint32_t word[2], int shift, const float *levels, const float x[8])
{
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        uint32_t code = word[i / 4] >> (i % 4 * 8 + shift) & 15;
        sum = fmaf(CODE == CODE_NF4 ? levels[code] : __uint_as_float(0x4b000000u | code) - 8388608.0f, x[i], sum);
    }
    return sum;
}

/* Adds the products of all whole blocks of 64 elements of the warp's rows. Four lanes share a block, so a warp has eight at a time.
 * NF4: a row begins with its offset and step (f32), then 33 bytes a block, its scale's code and 32 bytes of codes; what the levels
 * sum to is multiplied by the scale, offset + step * code, once. Q4_K: 144 bytes for four blocks, 16 of which hold the scales; an
 * element of a run of 32 is scale * code + minus, so the run's sum is scale * (sum of code x) + minus * (sum of x). */
template <int CODE, int ROWS>
static __device__ __forceinline__ void vector_pairs(float acc[ROWS], const cuda_vector_args &a, const uint8_t *const row[ROWS],
                                                    const float *levels)
{
    int lane = threadIdx.x & 31, at = lane % 4 * 8;
    float offset[ROWS], step[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        if (CODE != CODE_NF4) continue;
        offset[r] = __uint_as_float(code_word(row[r])), step[r] = __uint_as_float(code_word(row[r] + 4));
    }
#pragma unroll 2
    for (int block = lane / 4; block < a.cols / 64; block += 8) {
        float low[8], high[8], low_sum = 0, high_sum = 0;
        octet_widen(octet_load(a.x + block * 64 + at), low);
        octet_widen(octet_load(a.x + block * 64 + 32 + at), high);
#pragma unroll
        for (int i = 0; i < 8; i++) low_sum += low[i], high_sum += high[i];
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            uint32_t word[2];
            if (CODE == CODE_NF4) {
                const uint8_t *p = row[r] + 8 + block * 33;
                code_bytes8(p + 1 + at, word);
                float sum = pairs_dot<CODE>(word, 0, levels, low) + pairs_dot<CODE>(word, 4, levels, high);
                acc[r] = fmaf(offset[r] + step[r] * (float)p[0], sum, acc[r]);
            } else {
                const uint8_t *p = row[r] + block / 4 * 144;
                float scale[2], minus[2];
                code_run_scales(p, block % 4 * 2, &scale[0], &minus[0]);
                code_run_scales(p, block % 4 * 2 + 1, &scale[1], &minus[1]);
                code_bytes8(p + 16 + block % 4 * 32 + at, word);
                acc[r] = fmaf(scale[0], pairs_dot<CODE>(word, 0, levels, low), fmaf(minus[0], low_sum, acc[r]));
                acc[r] = fmaf(scale[1], pairs_dot<CODE>(word, 4, levels, high), fmaf(minus[1], high_sum, acc[r]));
            }
        }
    }
}

/* The rows of one warp: pairs where the code has them, then batches of steps, single steps, and the sum over the lanes. A row past
 * the end reads the last one again and is not written, so that lanes need no branch in the loops. */
template <int CODE, int ROWS>
static __device__ __forceinline__ void vector_rows(const cuda_vector_args &a, const float *levels)
{
    const int BATCH = CODE == CODE_BF16 ? 8 / ROWS : 4;
    int lane = threadIdx.x & 31, first = (blockIdx.x * VECTOR_WARPS + (threadIdx.x >> 5)) * ROWS;
    if (first >= a.rows) return;
    const uint8_t *row[ROWS];
    float acc[ROWS] = {};
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        row[r] = (const uint8_t *)a.w + (first + r < a.rows ? first + r : a.rows - 1) * a.row_bytes;
    int col = lane * 8;
    if (vector_has_pairs<CODE>(a.cols)) {
        vector_pairs<CODE, ROWS>(acc, a, row, levels);
        col += a.cols / 64 * 64;
    }
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
