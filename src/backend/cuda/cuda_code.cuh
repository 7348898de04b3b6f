/* cuda_code: frozen weights as the card holds them, eight elements at a time. Every compressed code gives an element as
 *
 *   scale * (code - zero) + offset
 *
 * with codes of one byte, as array/codec/quant.h does: a product of scale and code is exact in f32, so that the fused
 * multiply-add rounds as the host's two operations do. NF4's codes choose one of 16 levels instead.
 *
 * Rows of blocks begin at any address, since blocks have odd lengths. */
#ifndef YA_BACKEND_CUDA_CODE_CUH
#define YA_BACKEND_CUDA_CODE_CUH

#include "backend/cuda/cuda_ptx.cuh"

static __constant__ const float NF4_LEVELS[16] = {
#include "array/codec/nf4_levels.def"
};

/* Levels of NF4 in shared memory, where lanes read different ones at once. All threads of a block call this first. */
template <int CODE> static __device__ __forceinline__ const float *code_levels()
{
    __shared__ float levels[16];
    if (CODE != CODE_NF4) return nullptr;
    if (threadIdx.x < 16) levels[threadIdx.x] = NF4_LEVELS[threadIdx.x];
    __syncthreads();
    return levels;
}

/* Eight codes a byte each, and what makes elements of them. */
struct codes8 {
    uint32_t word[2];
    float scale, offset;
};

/* Four bytes at any address, by aligned words: only words that hold a wanted byte are read. */
static __device__ __forceinline__ uint32_t code_word(const uint8_t *p)
{
    const uint32_t *q = (const uint32_t *)(p - ((uintptr_t)p & 3)); /* still known to be global memory */
    int shift = (int)((uintptr_t)p & 3) * 8;
    uint32_t next = shift ? q[1] : 0;
    return __funnelshift_r(q[0], next, shift);
}

/* The eight bytes at p, which need not be aligned, from two or three aligned words. */
static __device__ __forceinline__ void code_bytes8(const uint8_t *p, uint32_t out[2])
{
    const uint32_t *q = (const uint32_t *)(p - ((uintptr_t)p & 3)); /* still known to be global memory */
    int shift = (int)((uintptr_t)p & 3) * 8;
    uint32_t middle = q[1], last = shift ? q[2] : 0;
    out[0] = __funnelshift_r(q[0], middle, shift);
    out[1] = __funnelshift_r(middle, last, shift);
}

/* The binary16 value in the two bytes at p, which need not be aligned; the file stores the low byte first. */
static __device__ __forceinline__ float code_half(const uint8_t *p)
{
    return half_widen((uint16_t)(p[0] | p[1] << 8));
}

/* Bits 0 to 3 as bit 4 of four bytes. */
static __device__ __forceinline__ uint32_t code_spread(uint32_t bits)
{
    return (bits & 1) << 4 | (bits & 2) << 11 | (bits & 4) << 18 | (bits & 8) << 25;
}

/* Eight four-bit codes, one from each of the eight bytes at p: the low halves for shift 0, the high ones for shift 4. */
static __device__ __forceinline__ void code_nibbles(const uint8_t *p, int shift, codes8 *out)
{
    code_bytes8(p, out->word);
    out->word[0] = out->word[0] >> shift & 0x0f0f0f0fu;
    out->word[1] = out->word[1] >> shift & 0x0f0f0f0fu;
}

/* NF4 (array/codec/nf4.h): the block that holds column `col`, with its scale in *scale. */
static __device__ __forceinline__ const uint8_t *nf4_block(const uint8_t *row, int col, float *scale)
{
    const int BLOCK = 64, GROUP = 256 * BLOCK, GROUP_BYTES = 8 + 256 * 33;
    const uint8_t *group = row + (int64_t)(col / GROUP) * GROUP_BYTES, *block = group + 8 + col % GROUP / BLOCK * 33;
    float offset = __uint_as_float(code_word(group)), step = __uint_as_float(code_word(group + 4));
    *scale = offset + step * (float)block[0];
    return block;
}

/* Blocks of 64, the last of a row shorter. */
static __device__ __forceinline__ codes8 codes_nf4(const uint8_t *row, int col, int cols)
{
    const int BLOCK = 64;
    codes8 c;
    const uint8_t *block = nf4_block(row, col, &c.scale);
    int left = cols - col / BLOCK * BLOCK, n = left < BLOCK ? left : BLOCK, half = n / 2, at = col % BLOCK;
    c.offset = 0;
    if (n == BLOCK) {
        code_nibbles(block + 1 + at % 32, at / 32 * 4, &c);
        return c;
    }
    c.word[0] = c.word[1] = 0;
    for (int i = 0; i < 8; i++) {
        int e = at + i;
        uint32_t code = e < half ? block[1 + e] & 15u : block[1 + e - half] >> 4;
        c.word[i / 4] |= code << i % 4 * 8;
    }
    return c;
}

/* A row is its f32 scale and then one signed byte for each column: array/codec/int8.h. */
static __device__ __forceinline__ codes8 codes_int8(const uint8_t *row, int col)
{
    codes8 c;
    code_bytes8(row + 4 + col, c.word);
    c.word[0] ^= 0x80808080u, c.word[1] ^= 0x80808080u; /* code + 128 */
    c.scale = __uint_as_float(code_word(row));
    c.offset = -0.0f;
    return c;
}

/* Types with blocks of 32. */
template <int CODE> static __device__ __forceinline__ codes8 codes_small(const uint8_t *row, int col)
{
    const int BYTES = CODE == CODE_Q4_0 ? 18 : CODE == CODE_Q5_0 ? 22 : 34;
    codes8 c;
    const uint8_t *block = row + (int64_t)(col / 32) * BYTES;
    int at = col % 32;
    c.scale = code_half(block);
    c.offset = -0.0f;
    if (CODE == CODE_Q8_0) {
        code_bytes8(block + 2 + at, c.word);
        c.word[0] ^= 0x80808080u, c.word[1] ^= 0x80808080u;
        return c;
    }
    code_nibbles(block + (CODE == CODE_Q4_0 ? 2 : 6) + at % 16, at / 16 * 4, &c);
    if (CODE == CODE_Q5_0) {
        uint32_t bits = code_word(block + 2) >> at;
        c.word[0] |= code_spread(bits), c.word[1] |= code_spread(bits >> 4);
    }
    return c;
}

/* Q4_K and Q5_K: blocks of 256 in runs of 32, each with a scale and an offset of 6 bits. */
static __device__ __forceinline__ void code_run_scales(const uint8_t *block, int run, float *scale, float *offset)
{
    const uint8_t *s = block + 4;
    int factor = run < 4 ? s[run] & 63 : (s[run + 4] & 15) | s[run - 4] >> 6 << 4;
    int minus = run < 4 ? s[run + 4] & 63 : s[run + 4] >> 4 | s[run] >> 6 << 4;
    *scale = code_half(block) * (float)factor;
    *offset = -(code_half(block + 2) * (float)minus);
}

template <int CODE> static __device__ __forceinline__ codes8 codes_runs(const uint8_t *row, int col)
{
    const int BYTES = CODE == CODE_Q4_K ? 144 : 176;
    codes8 c;
    const uint8_t *block = row + (int64_t)(col / 256) * BYTES;
    int at = col % 256, run = at / 32, i = at % 32;
    code_run_scales(block, run, &c.scale, &c.offset);
    code_nibbles(block + (CODE == CODE_Q4_K ? 16 : 48) + run / 2 * 32 + i, run % 2 * 4, &c);
    if (CODE == CODE_Q5_K) {
        uint32_t bits[2];
        code_bytes8(block + 16 + i, bits);
        c.word[0] |= (bits[0] >> run & 0x01010101u) << 4;
        c.word[1] |= (bits[1] >> run & 0x01010101u) << 4;
    }
    return c;
}

/* 64 bytes of nibbles and 32 of pairs of bits hold 128 elements. */
static __device__ __forceinline__ codes8 codes_q6_k(const uint8_t *row, int col)
{
    codes8 c;
    uint32_t high[2];
    const uint8_t *block = row + (int64_t)(col / 256) * 210;
    int at = col % 256, half = at / 128, quarter = at % 128 / 32, i = at % 32;
    c.scale = code_half(block + 208) * (float)(int8_t)block[192 + at / 16];
    c.offset = -0.0f;
    code_nibbles(block + 64 * half + quarter % 2 * 32 + i, quarter / 2 * 4, &c);
    code_bytes8(block + 128 + 32 * half + i, high);
    c.word[0] |= (high[0] >> 2 * quarter & 0x03030303u) << 4;
    c.word[1] |= (high[1] >> 2 * quarter & 0x03030303u) << 4;
    return c;
}

/* Codes of four bits lie in pairs, one in the low and one in the high half of a byte, for elements 32 apart: of columns
 * [unit, unit + 64) each of four threads takes eight bytes, and so elements [at, at + 8) and [32 + at, 32 + at + 8) of them, at =
 * 0, 8, 16 or 24. out[0] has the former. For whole units of NF4 and of Q4_K. */
template <int CODE> static __device__ __forceinline__ void codes_pair(const uint8_t *row, int unit, int at, codes8 out[2])
{
    uint32_t both[2];
    if (CODE == CODE_NF4) {
        const uint8_t *block = nf4_block(row, unit, &out[0].scale);
        out[1].scale = out[0].scale, out[0].offset = out[1].offset = 0;
        code_bytes8(block + 1 + at, both);
    } else {
        const uint8_t *block = row + (int64_t)(unit / 256) * 144;
        int run = unit % 256 / 32;
        code_run_scales(block, run, &out[0].scale, &out[0].offset);
        code_run_scales(block, run + 1, &out[1].scale, &out[1].offset);
        code_bytes8(block + 16 + run * 16 + at, both);
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        out[0].word[i] = both[i] & 0x0f0f0f0fu;
        out[1].word[i] = both[i] >> 4 & 0x0f0f0f0fu;
    }
}

/* What is loaded for elements [col, col + 8) of a row of `cols`; col is a multiple of 8. Apart from code_widen, so that many
 * loads can be under way before the first is used. */
template <int CODE> struct code {
    typedef codes8 loaded;
};
template <> struct code<CODE_BF16> {
    typedef octet loaded;
};

template <int CODE>
static __device__ __forceinline__ typename code<CODE>::loaded code_load(const uint8_t *row, int col, int cols)
{
    if constexpr (CODE == CODE_BF16) return octet_stream((const bf16_bits *)row + col);
    else if constexpr (CODE == CODE_NF4) return codes_nf4(row, col, cols);
    else if constexpr (CODE == CODE_INT8) return codes_int8(row, col);
    else if constexpr (CODE == CODE_Q6_K) return codes_q6_k(row, col);
    else if constexpr (CODE == CODE_Q4_K || CODE == CODE_Q5_K) return codes_runs<CODE>(row, col);
    else return codes_small<CODE>(row, col);
}

/* The eight f32 values of loaded codes. Adding a byte to the bits of 2^23 gives 2^23 + byte exactly, without a
   conversion; ZERO is the offset that the loader added to make the codes unsigned. levels: the 16 of NF4, else unused. */
template <int CODE>
static __device__ __forceinline__ void code_widen(const typename code<CODE>::loaded &c, const float *levels, float out[8])
{
    const float ZERO = CODE == CODE_INT8 || CODE == CODE_Q8_0 ? 128.0f
                       : CODE == CODE_Q6_K                    ? 32.0f
                       : CODE == CODE_Q5_0                    ? 16.0f
                       : CODE == CODE_Q4_0                    ? 8.0f
                                                              : 0.0f;
    if constexpr (CODE == CODE_BF16) {
        octet_widen(c, out);
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            if (CODE == CODE_NF4) { /* a code times four is where its level lies: one permutation of bytes makes the address */
                uint32_t at = __byte_perm(c.word[i / 4] << 2, 0, 0x4440 | i % 4);
                out[i] = c.scale * *(const float *)((const char *)levels + at);
            } else {
                float one = __uint_as_float(__byte_perm(c.word[i / 4], 0x4b000000u, 0x7540 | i % 4)); /* 2^23 + byte */
                out[i] = fmaf(c.scale, one - (8388608.0f + ZERO), c.offset);
            }
        }
    }
}

#endif
