/* bf16_nf4_avx512: NF4 weights widened straight to bf16. A block's 64 elements are only 16 different products, scale times
 * level: they are rounded once, and the codes look them up as 16-bit words, 32 elements with one instruction. By way of
 * f32 each element is rounded and stored on its own: about twice the instructions. bench_pack showed no difference on a
 * server with AMX, where packing waits for memory (bench/results/2026-11-29-cpu-columns.txt). */
#include "backend/cpu/gemm_bf16/bf16_nf4_avx512.h"

#include <immintrin.h>

#include "array/codec/nf4.h"

/* Sixteen f32 as bf16: to nearest, halves to even, subnormals to 0, as round_row of gemm_bf16_loops.h (nothing here is NaN:
 * scales are finite). */
static __m256i rounded(__m512 x)
{
    const __m512i bits = _mm512_castps_si512(x), exponent = _mm512_set1_epi32(0x7f800000);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i sum = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    __mmask16 subnormal = _mm512_testn_epi32_mask(bits, exponent);
    sum = _mm512_mask_and_epi32(sum, subnormal, bits, _mm512_set1_epi32((int)0x80000000u));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(sum, 16));
}

/* A look-up takes the low five bits of each word: with the 16 products twice in the register, the low four are the code. */
static void whole_block(const struct nf4_block *b, uint16_t *out)
{
    __m512 scale = _mm512_set1_ps(nf4_block_scale(b));
    __m512i products = _mm512_broadcast_i64x4(rounded(_mm512_mul_ps(scale, _mm512_loadu_ps(nf4_level))));
    __m512i codes = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)b->codes));
    _mm512_storeu_si512(out, _mm512_permutexvar_epi16(codes, products));
    _mm512_storeu_si512(out + NF4_BLOCK / 2, _mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 4), products));
}

/* Elements [at, at + n) of a block, n <= NF4_BLOCK, by way of f32. */
static void piece_of_block(const void *row, int64_t cols, int64_t at, int64_t n, uint16_t *out)
{
    float wide[NF4_BLOCK] = {0};
    nf4_to_f32(row, cols, at, n, wide);
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 there = (__mmask16)(n - i >= 16 ? 0xffff : (1 << (n - i)) - 1);
        _mm256_mask_storeu_epi16(out + i, there, rounded(_mm512_loadu_ps(wide + i)));
    }
}

void bf16_avx512_widen_nf4(const void *row, int64_t cols, int64_t first, int64_t n, uint16_t *out)
{
    for (int64_t at = first, end = first + n, m; at < end; at += m, out += m) {
        struct nf4_block b = nf4_block_at(row, cols, at);
        int64_t left = b.n - at % NF4_BLOCK;
        m = end - at < left ? end - at : left;
        if (m == NF4_BLOCK)
            whole_block(&b, out);
        else
            piece_of_block(row, cols, at, m, out);
    }
}
