/* gemv_super: rows of blocks of 256 elements (Q4_K, Q5_K, Q6_K, IQ4_XS) times a vector in fixed point, the part that AVX2
 * and VNNI share. A file that includes this defines super_add_madd(sum, a, b) first: sum + a_0 b_0 + a_1 b_1 in each dword.
 *
 * A block has a scale d and eight runs of 32 elements with integer scales s (of their own for each half of a run). The
 * vector is in fixed point (gemv_parts_avx2.h) with one scale t for 256 elements, so that a whole block is integers:
 *
 *   sum over the block of d s c x = d t sum over parts p of 2^(14 - 7 p) A_p,     A_p = sum over runs s sum c q_p
 *
 * vpmaddubsw multiplies codes c with a part of the vector and adds two neighbours, vpmaddwd multiplies that with s and adds
 * two again. Each A_p is exact in 8 dwords; a block costs 3 conversions to float, whatever its length. The sums of integers
 * do not depend on how an instruction set makes them, and what follows is written once: AVX2 and VNNI give the same bits.
 *
 * Bounds: two codes of 6 bits times 127 are below 2^15, as are two levels of IQ4_XS (at most 127); 8 runs of 2 * 2^14 * 128
 * are below 2^31. What is below 2^-21 of the largest of its 256 neighbours is lost, which is what adding it to a product
 * with that one would lose in f32. A vector with a number that is not finite has the scale NaN, and so have all its
 * products.
 *
 * Rejected: a scale for 32 elements, as blocks of 32 have it: sums of runs could not be added as integers; half as much work
 * again. 8 bits, as llama.cpp has it: a third of the products, but this is at the rate of memory already on two cores. */
#ifndef YA_BACKEND_CPU_GEMV_SUPER_H
#define YA_BACKEND_CPU_GEMV_SUPER_H

#include <string.h>

#include "array/codec/quant_codebook.h"
#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/gemm/gemv_parts_avx2.h"

#define SUPER_INLINE static inline __attribute__((always_inline))

enum { SUPER_BLOCK = 256, SUPER_RUN = 32, SUPER_RUNS = 8 };
enum { SUPER_Q4_K = 144, SUPER_Q5_K = 176, SUPER_Q6_K = 210, SUPER_IQ4_XS = 136 /* bytes of a block */ };

/* 256 elements of the vector. */
struct super_vector {
    _Alignas(64) int8_t part[PARTS][SUPER_RUNS][SUPER_RUN]; /* highest first */
    int16_t half_sum[PARTS][2][SUPER_RUNS];                 /* of the parts of each half of a run: first halves first */
    float run_sum[SUPER_RUNS];                              /* of the elements of a run */
    float scale;
};

/* The integer scales of a block: words 0 .. 7 those of the first halves of the runs, 8 .. 15 of the second halves; -zero is
 * added to each code. `offset` is what is taken from the elements of each run, in units of `offset_scale`. */
struct super_scales {
    __m256i scale;
    __m256 offset;
    float d, offset_scale;
};

/* 32 bytes from any address. */
SUPER_INLINE __m256i super_load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

/* An f16 at any address, widened. */
SUPER_INLINE float super_f16(const uint8_t *p)
{
    uint16_t half;
    memcpy(&half, p, sizeof half);
    return _cvtsh_ss(half);
}

/* 32 bits at any address. */
SUPER_INLINE uint32_t super_u32(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* ---- scales ---------------------------------------------------------------------------------------------------------- */

/* Q4_K and Q5_K: see set_scales() of array/codec/quant_k.c; here four groups at a time, a byte each. */
SUPER_INLINE struct super_scales super_scales_k(const uint8_t *p)
{
    const uint32_t six = 0x3f3f3f3f, four = 0x0f0f0f0f, two = 0x03030303;
    uint32_t a = super_u32(p + 4), b = super_u32(p + 8), c = super_u32(p + 12);
    __m128i s = _mm_cvtsi64_si128((int64_t)((a & six) | (uint64_t)((c & four) | (a >> 6 & two) << 4) << 32));
    __m128i t = _mm_cvtsi64_si128((int64_t)((b & six) | (uint64_t)((c >> 4 & four) | (b >> 6 & two) << 4) << 32));
    return (struct super_scales){.scale = _mm256_cvtepu8_epi16(_mm_unpacklo_epi64(s, s)),
                                 .offset = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(t)),
                                 .d = super_f16(p),
                                 .offset_scale = super_f16(p + 2)};
}

/* Q6_K: 16 signed bytes, those of the halves of a run beside each other. */
SUPER_INLINE struct super_scales super_scales_q6(const uint8_t *p)
{
    const __m128i apart = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    __m128i s = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 192)), apart);
    return (struct super_scales){.scale = _mm256_cvtepi8_epi16(s), .d = super_f16(p + 208)};
}

/* IQ4_XS: nibbles in 4 bytes, two more bits of each in 16 bits, the lowest bits first; 32 is taken off. */
SUPER_INLINE struct super_scales super_scales_iq4(const uint8_t *p)
{
    uint16_t high;
    memcpy(&high, p + 2, sizeof high);
    __m128i nibbles = _mm_cvtsi32_si128((int32_t)super_u32(p + 4)), four = _mm_set1_epi8(15);
    __m128i low = _mm_unpacklo_epi8(_mm_and_si128(nibbles, four), _mm_and_si128(_mm_srli_epi16(nibbles, 4), four));
    __m128i up = _mm_mullo_epi16(_mm_set1_epi16((int16_t)high),
                                 _mm_setr_epi16(1 << 14, 1 << 12, 1 << 10, 1 << 8, 1 << 6, 1 << 4, 1 << 2, 1));
    __m128i s = _mm_add_epi16(_mm_cvtepu8_epi16(low), _mm_slli_epi16(_mm_srli_epi16(up, 14), 4));
    s = _mm_sub_epi16(s, _mm_set1_epi16(32));
    return (struct super_scales){.scale = _mm256_broadcastsi128_si256(s), .d = super_f16(p)};
}

/* ---- codes ----------------------------------------------------------------------------------------------------------- */

/* The low (shift 0) or high (shift 4) nibble of each byte. */
SUPER_INLINE __m256i super_nibbles(__m256i bytes, int shift)
{
    return _mm256_and_si256(_mm256_srli_epi16(bytes, shift), _mm256_set1_epi8(15));
}

/* Bits [from, from + 1] (or one, as the mask says) of each byte at the bits of the mask. */
SUPER_INLINE __m256i super_bits(__m256i bytes, int left, int right, int8_t mask)
{
    return _mm256_and_si256(_mm256_srli_epi16(_mm256_slli_epi16(bytes, left), right), _mm256_set1_epi8(mask));
}

/* The codes of a run, without sign; of IQ4_XS numbers of -127 .. 127. `bytes` tell the type. */
SUPER_INLINE __m256i super_codes(const uint8_t *p, const int run, const int bytes)
{
    if (bytes == SUPER_Q4_K) return super_nibbles(super_load(p + 16 + run / 2 * 32), run % 2 * 4);
    if (bytes == SUPER_Q5_K) {
        __m256i fifth = super_bits(super_load(p + 16), run < 4 ? 4 - run : 0, run < 4 ? 0 : run - 4, 16);
        return _mm256_or_si256(super_nibbles(super_load(p + 48 + run / 2 * 32), run % 2 * 4), fifth);
    }
    if (bytes == SUPER_Q6_K) {
        const int quarter = run % 4; /* of 128 elements */
        __m256i high = super_load(p + 128 + run / 4 * 32), low = super_load(p + run / 4 * 64 + quarter % 2 * 32);
        high = super_bits(high, quarter < 2 ? 4 - 2 * quarter : 0, quarter < 2 ? 0 : 2 * quarter - 4, 48);
        return _mm256_or_si256(super_nibbles(low, quarter / 2 * 4), high);
    }
    __m128i nibbles = _mm_loadu_si128((const __m128i *)(const void *)(p + 8 + run * 16)), four = _mm_set1_epi8(15);
    __m256i codes = _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(nibbles, 4), four), _mm_and_si128(nibbles, four));
    __m256i levels = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)quant_level_iq4));
    return _mm256_shuffle_epi8(levels, codes);
}

/* ---- products -------------------------------------------------------------------------------------------------------- */

/* A run on top of A_p. */
SUPER_INLINE void super_add_run(__m256i a[PARTS], const uint8_t *p, const struct super_vector *x, __m256i scale,
                                const int run, const int bytes)
{
    __m256i codes = super_codes(p, run, bytes), size = _mm256_abs_epi8(codes);
    __m256i s = _mm256_shuffle_epi8(scale, _mm256_set1_epi16((int16_t)(0x0100 + 0x0202 * run)));
    for (int i = 0; i < PARTS; i++) {
        __m256i part = super_load(x->part[i][run]);
        __m256i products = bytes == SUPER_IQ4_XS ? _mm256_maddubs_epi16(size, _mm256_sign_epi8(part, codes))
                                                 : _mm256_maddubs_epi16(codes, part);
        a[i] = super_add_madd(a[i], products, s);
    }
}

/* A block of a row on top of sum. */
SUPER_INLINE __m256 super_add_block(__m256 sum, const uint8_t *p, const struct super_vector *x, const int bytes)
{
    const bool has_offset = bytes == SUPER_Q4_K || bytes == SUPER_Q5_K;
    __m256i a[PARTS];
    struct super_scales s = has_offset ? super_scales_k(p) : bytes == SUPER_Q6_K ? super_scales_q6(p) : super_scales_iq4(p);
    for (int i = 0; i < PARTS; i++) {
        a[i] = _mm256_setzero_si256();
        if (bytes == SUPER_Q6_K) /* codes are 32 too large */
            a[i] = _mm256_sub_epi32(a[i], _mm256_slli_epi32(_mm256_madd_epi16(super_load(x->half_sum[i]), s.scale), 5));
    }
    super_add_run(a, p, x, s.scale, 0, bytes);
    super_add_run(a, p, x, s.scale, 1, bytes);
    super_add_run(a, p, x, s.scale, 2, bytes);
    super_add_run(a, p, x, s.scale, 3, bytes);
    super_add_run(a, p, x, s.scale, 4, bytes);
    super_add_run(a, p, x, s.scale, 5, bytes);
    super_add_run(a, p, x, s.scale, 6, bytes);
    super_add_run(a, p, x, s.scale, 7, bytes);
    const __m256 step = _mm256_set1_ps(1 << PART_BITS);
    __m256 all = _mm256_fmadd_ps(_mm256_cvtepi32_ps(a[0]), step, _mm256_cvtepi32_ps(a[1]));
    all = _mm256_fmadd_ps(all, step, _mm256_cvtepi32_ps(a[2]));
    sum = _mm256_fmadd_ps(all, _mm256_set1_ps(s.d * x->scale), sum);
    if (!has_offset) return sum;
    return _mm256_fnmadd_ps(_mm256_mul_ps(s.offset, _mm256_set1_ps(s.offset_scale)), _mm256_loadu_ps(x->run_sum), sum);
}

/* Four rows; `bytes` of a block are a constant where this is expanded. */
SUPER_INLINE void super_dot_rows(const struct cpu_dot *d, float *out, const int bytes)
{
    const struct super_vector *x = d->fixed;
    __m256 sum[CPU_DOT_ROWS];
    for (int i = 0; i < CPU_DOT_ROWS; i++) sum[i] = _mm256_setzero_ps();
    size_t at = 0;
    for (int64_t block = 0; block < d->k / SUPER_BLOCK; block++, at += (size_t)bytes)
        for (int i = 0; i < CPU_DOT_ROWS; i++) {
            const uint8_t *p = (const uint8_t *)d->row[i] + at;
            for (int line = 0; line < bytes; line += 64) cpu_dot_prefetch(d, p + line);
            sum[i] = super_add_block(sum[i], p, x + block, bytes);
        }
    __m256 t = _mm256_hadd_ps(_mm256_hadd_ps(sum[0], sum[1]), _mm256_hadd_ps(sum[2], sum[3]));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1)));
}

/* The functions of an instruction set, for its struct gemv_dots. */
#define SUPER_DOTS(SET, LINKAGE)                                                                                            \
    LINKAGE void gemv_super_##SET##_q4_k(const struct cpu_dot *d, float *out)                                               \
    {                                                                                                                       \
        super_dot_rows(d, out, SUPER_Q4_K);                                                                                 \
    }                                                                                                                       \
    LINKAGE void gemv_super_##SET##_q5_k(const struct cpu_dot *d, float *out)                                               \
    {                                                                                                                       \
        super_dot_rows(d, out, SUPER_Q5_K);                                                                                 \
    }                                                                                                                       \
    LINKAGE void gemv_super_##SET##_q6_k(const struct cpu_dot *d, float *out)                                               \
    {                                                                                                                       \
        super_dot_rows(d, out, SUPER_Q6_K);                                                                                 \
    }                                                                                                                       \
    LINKAGE void gemv_super_##SET##_iq4_xs(const struct cpu_dot *d, float *out)                                             \
    {                                                                                                                       \
        super_dot_rows(d, out, SUPER_IQ4_XS);                                                                               \
    }

#endif
