/* gemv_fixed_avx2: rows of 4- and 5-bit blocks times a vector in fixed point.
 *
 * In f32 a block of 32 costs 20 vector operations, most of them to convert codes to floats, and a core then processes Q4_1
 * at half the rate at which memory delivers it. So the vector is converted to fixed point once for each product, every
 * block of 32 with a scale t of its own: x = t q, |q| <= 127 * 2^14, and q = q_2 + 2^7 q_1 + 2^14 q_0 in three signed
 * bytes, which vpmaddubsw multiplies with codes as they are. Sums of a block are exact in 32 bits:
 *
 *   sum over the block of (d c + m) x = d t S + m t sum q,   S = sum c q   (Q4_0: m = -8 d; Q5_0: m = -16 d)
 *
 * That is 22 bits below the block's largest number, an error of 3e-7 of the sum, no more than rounding in f32 makes.
 * Rejected: 16 bits in two bytes, a fifth fewer operations but 50 times as far off; 8 bits, as llama.cpp has it: a
 * generated token would come from other logits than training and evaluation compute.
 *
 * A step takes two blocks of four rows: a register holds the codes of two blocks of a row; the rows' sums are transposed
 * into one register, a lane for each of the eight blocks, and the arithmetic with scales is done once for all of them: 13
 * operations for each block, and 11 more for two blocks that have fifth bits. Bounds: two neighbouring products are at
 * most 2 * 31 * 128 and two such are added, in 16 bits; 32 * 31 * 127 * 2^14 is below 2^31. A vector with a number that is
 * not finite has the scale NaN, and so have all its products. */
#include "backend/cpu/gemm/gemv_fixed_avx2.h"

#include <immintrin.h>
#include <string.h>

#include "backend/cpu/gemm/gemv_parts_avx2.h"

#define INLINE static inline __attribute__((always_inline))

enum { BLOCK = 32 };
enum { Q4_0_BYTES = 18, Q4_1_BYTES = 20, Q5_0_BYTES = 22, Q5_1_BYTES = 24 };

/* Two blocks of the vector; where it has one more only, the second is 0. */
struct pair {
    int8_t part[PARTS][2][2][BLOCK / 2]; /* highest first; [0]: elements 0 .. 15 of both blocks, [1]: 16 .. 31 */
    float scale[2][4], sum[2][4];        /* of each block, four times */
};

size_t gemv_fixed_avx2_bytes(enum weight_form form, enum tensor_type type, int64_t k)
{
    bool is_known = type == TENSOR_Q4_0 || type == TENSOR_Q4_1 || type == TENSOR_Q5_0 || type == TENSOR_Q5_1;
    if (form != WEIGHT_STORED || !is_known) return 0;
    return (size_t)((k / BLOCK + 1) / 2) * sizeof(struct pair);
}

/* ---- the vector ------------------------------------------------------------------------------------------------------ */

/* 32 elements of the vector as parts, and their sum. */
static void fix_block(struct pair *pair, int block, const float *x)
{
    float scale = parts_scale(x, BLOCK);
    __m256i sum = _mm256_setzero_si256();
    for (int half = 0; half < 2; half++) {
        __m128i part[PARTS];
        sum = _mm256_add_epi32(sum, parts_split(part, x + half * 16, parts_factor(scale)));
        for (int p = 0; p < PARTS; p++) _mm_storeu_si128((__m128i *)(void *)pair->part[p][half][block], part[p]);
    }
    _mm_storeu_ps(pair->scale[block], _mm_set1_ps(scale));
    _mm_storeu_ps(pair->sum[block], _mm_set1_ps(scale * (float)parts_sum(sum)));
}

void gemv_fixed_avx2_fix(void *fixed, const float *x, int64_t k)
{
    struct pair *pair = fixed;
    for (int64_t block = 0; block < k / BLOCK; block += 2, pair++) {
        if (block + 1 == k / BLOCK) memset(pair, 0, sizeof *pair);
        for (int i = 0; i < 2 && block + i < k / BLOCK; i++) fix_block(pair, i, x + (block + i) * BLOCK);
    }
}

/* ---- rows ------------------------------------------------------------------------------------------------------------ */

/* The f16 scale, and offset, at the head of a block: four bytes at any address. */
INLINE int32_t load_head(const uint8_t *p)
{
    int32_t head;
    memcpy(&head, p, sizeof head);
    return head;
}

/* The 16 bytes of codes of two blocks in the two halves of a register. */
INLINE __m256i load_codes(const uint8_t *first, const uint8_t *second)
{
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)first);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), _mm_loadu_si128((const __m128i *)(const void *)second), 1);
}

/* 16 in the bytes whose bit is set, of a half of two bytes: their bits stand for its sixteen bytes. `order` says which
 * bytes. */
INLINE __m256i spread_bits(__m256i bits, __m256i order)
{
    const __m256i one_each = _mm256_set1_epi64x((int64_t)0x8040201008040201u);
    __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(bits, order), one_each), one_each);
    return _mm256_and_si256(set, _mm256_set1_epi8(16));
}

/* Lanes 0 .. 3 add up to S of the first of two blocks, 4 .. 7 to that of the second. The nibbles of the blocks are at
 * `first` and `second`, fifth bits, where there are such, in 4 bytes before them. */
INLINE __m256i pair_sums(const uint8_t *first, const uint8_t *second, const struct pair *pair, const bool has_fifths)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i *x = (const __m256i *)(const void *)pair->part;
    __m256i codes = load_codes(first, second);
    __m256i low = _mm256_and_si256(codes, nibble), high = _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble);
    __m256i words[PARTS];
    if (has_fifths) {
        const __m256i bytes = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
        __m256i bits = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_cvtsi32_si128(load_head(first - 4))),
                                               _mm_cvtsi32_si128(load_head(second - 4)), 1);
        low = _mm256_or_si256(low, spread_bits(bits, bytes));
        high = _mm256_or_si256(high, spread_bits(bits, _mm256_add_epi8(bytes, _mm256_set1_epi8(2))));
    }
    for (int p = 0; p < PARTS; p++)
        words[p] = _mm256_add_epi16(_mm256_maddubs_epi16(low, x[2 * p]), _mm256_maddubs_epi16(high, x[2 * p + 1]));
    __m256i a = _mm256_madd_epi16(words[0], _mm256_set1_epi16(1 << 2 * PART_BITS));
    __m256i b = _mm256_madd_epi16(words[1], _mm256_set1_epi16(1 << PART_BITS));
    return _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_madd_epi16(words[2], _mm256_set1_epi16(1)));
}

/* The block at p and the one `next` bytes behind it, of each row, on top of sum: lane i is row i of the first block, lane
 * 4 + i of the second. */
INLINE __m256 add_pair(__m256 sum, const uint8_t *const p[CPU_DOT_ROWS], int64_t next, const struct pair *x, const int bytes)
{
    const bool has_offset = bytes == Q4_1_BYTES || bytes == Q5_1_BYTES, has_fifths = bytes >= Q5_0_BYTES;
    const int codes = bytes - BLOCK / 2;
    const __m256i apart = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5, 8, 9, 12, 13, 2,
                                           3, 6, 7, 10, 11, 14, 15);
    __m256i s[CPU_DOT_ROWS];
    for (int i = 0; i < CPU_DOT_ROWS; i++) s[i] = pair_sums(p[i] + codes, p[i] + codes + next, x, has_fifths);
    __m256i heads =
        _mm256_setr_epi32(load_head(p[0]), load_head(p[1]), load_head(p[2]), load_head(p[3]), load_head(p[0] + next),
                          load_head(p[1] + next), load_head(p[2] + next), load_head(p[3] + next));
    heads = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(heads, apart), _MM_SHUFFLE(3, 1, 2, 0));
    __m256 d = _mm256_cvtph_ps(_mm256_castsi256_si128(heads)), all = _mm256_load_ps(x->sum[0]);
    __m256i rows = _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
    __m256 products = _mm256_mul_ps(_mm256_cvtepi32_ps(rows), _mm256_load_ps(x->scale[0]));
    if (!has_offset) return _mm256_fmadd_ps(d, _mm256_fnmadd_ps(_mm256_set1_ps(has_fifths ? 16 : 8), all, products), sum);
    sum = _mm256_fmadd_ps(d, products, sum);
    return _mm256_fmadd_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(heads, 1)), all, sum);
}

/* `bytes` of a block are a constant where this is expanded; they tell the type. */
INLINE void dot_rows(const struct cpu_dot *d, float *out, const int bytes)
{
    const uint8_t *p0 = d->row[0], *p1 = d->row[1], *p2 = d->row[2], *p3 = d->row[3];
    const struct pair *x = d->fixed;
    int64_t end = d->k / BLOCK * bytes, at = 0;
    __m256 sum = _mm256_setzero_ps();
    for (; at + bytes < end; at += 2 * bytes) {
        const uint8_t *p[CPU_DOT_ROWS] = {p0 + at, p1 + at, p2 + at, p3 + at};
        for (int i = 0; i < CPU_DOT_ROWS; i++) cpu_dot_prefetch(d, p[i]);
        sum = add_pair(sum, p, bytes, x++, bytes);
    }
    if (at < end) { /* twice the last block; its copy counts as 0 */
        const uint8_t *p[CPU_DOT_ROWS] = {p0 + at, p1 + at, p2 + at, p3 + at};
        sum = add_pair(sum, p, 0, x, bytes);
    }
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1)));
}

void gemv_fixed_avx2_dot_rows(const struct cpu_dot *d, float *out)
{
    switch (d->type) {
    case TENSOR_Q4_0:
        dot_rows(d, out, Q4_0_BYTES);
        break;
    case TENSOR_Q4_1:
        dot_rows(d, out, Q4_1_BYTES);
        break;
    case TENSOR_Q5_0:
        dot_rows(d, out, Q5_0_BYTES);
        break;
    default:
        dot_rows(d, out, Q5_1_BYTES);
        break;
    }
}
