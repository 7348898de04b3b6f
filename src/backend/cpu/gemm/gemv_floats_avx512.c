/* gemv_floats_avx512: rows of blocks of 256 elements times a vector in f32.
 *
 * gemv_super.h multiplies six times for 32 codes. Here a code costs a shift, a logical operation and a multiply-add, 16
 * codes at a time:
 *
 * - 64 bytes of codes are 16 dwords. A shift brings one nibble of each to the top of a mantissa, and vpternlogd puts the
 *   exponent of 16 in front of it: that is the float 16 + c. The fifth bit of Q5_K joins in between, and makes 32 + c. What
 *   this is too large by, times the sum of the run's elements, is taken off together with the offsets of the block.
 * - The 16 levels of IQ4_XS are one register, from which vpermps takes those of 16 nibbles.
 *
 * So lane l of a register meets nibble n of dword l, and the vector is put into that order beforehand.
 *
 * A Zen 5 core, rows from memory, ns a block (136 to 176 bytes, 6 to 8 ns of reading): Q4_K 8 and by integers 11, Q5_K 9.9
 * and 11.5, IQ4_XS 8 and 14. Rejected: Q6_K, with a subtraction more for its codes of 6 bits, 10 and by integers 9. A core
 * with two ports for registers of 64 bytes needs as long for this as for the integers, by count of operations; tables of
 * such processors keep those. */
#include "backend/cpu/gemm/gemv_floats_avx512.h"

#include <immintrin.h>
#include <string.h>

#include "array/codec/quant_codebook.h"
#include "backend/cpu/gemm/gemv_avx2.h"
#include "backend/cpu/gemm/gemv_dots.h"
#include "backend/cpu/gemm/gemv_super_avx2.h"

#define FLOATS_INLINE static inline __attribute__((always_inline))

enum { FLOATS_BLOCK = 256, FLOATS_RUNS = 8, FLOATS_RUN = 32, FLOATS_LANES = 16 };
enum { AND_OR = 0xea /* (a & b) | c */, SELECT = 0xe4 /* c ? a : b, bit by bit */ };

/* 256 elements of the vector. [h]: which 64 bytes of codes; [p]: low or high nibbles; [b]: of which byte of each dword. */
struct floats_vector {
    _Alignas(64) float x[2][2][4][FLOATS_LANES];
    float run_sum[FLOATS_RUNS][2]; /* of the elements of each run: times what codes are too large by, and as it is */
};

/* ---- the vector ------------------------------------------------------------------------------------------------------ */

/* Which element of a block lane `lane` of x[h][p][b] is: where its code lies in the block (array/codec/quant_k.c). */
static int floats_element(enum tensor_type type, int h, int p, int b, int lane)
{
    int in_half_lane = 4 * (lane % 8) + b;
    if (type == TENSOR_IQ4_XS) return (4 * h + lane / 4) * FLOATS_RUN + 16 * p + 4 * (lane % 4) + b;
    return (4 * h + p + 2 * (lane / 8)) * FLOATS_RUN + in_half_lane; /* Q4_K, Q5_K */
}

static bool floats_is_known(enum weight_form form, enum tensor_type type)
{
    bool is_known = type == TENSOR_Q4_K || type == TENSOR_Q5_K || type == TENSOR_IQ4_XS;
    return form == WEIGHT_STORED && is_known;
}

size_t gemv_floats_avx512_bytes(enum weight_form form, enum tensor_type type, int64_t k)
{
    if (!floats_is_known(form, type)) return gemv_avx2_fixed_bytes(form, type, k);
    return (size_t)(k / FLOATS_BLOCK) * sizeof(struct floats_vector);
}

static void floats_fix_block(struct floats_vector *v, const uint8_t element[FLOATS_BLOCK], float too_large, const float *x)
{
    float *to = v->x[0][0][0];
    for (int i = 0; i < FLOATS_BLOCK; i++) to[i] = x[element[i]];
    for (int run = 0; run < FLOATS_RUNS; run++) {
        const float *r = x + run * FLOATS_RUN;
        v->run_sum[run][1] = _mm512_reduce_add_ps(_mm512_add_ps(_mm512_loadu_ps(r), _mm512_loadu_ps(r + FLOATS_LANES)));
        v->run_sum[run][0] = too_large * v->run_sum[run][1];
    }
}

void gemv_floats_avx512_fix(void *fixed, enum tensor_type type, const float *x, int64_t k)
{
    if (!floats_is_known(WEIGHT_STORED, type)) {
        gemv_avx2_fix(fixed, type, x, k);
        return;
    }
    uint8_t element[FLOATS_BLOCK];
    for (int i = 0; i < FLOATS_BLOCK; i++)
        element[i] = (uint8_t)floats_element(type, i / 128, i / 64 % 2, i / FLOATS_LANES % 4, i % FLOATS_LANES);
    struct floats_vector *v = fixed;
    for (; k > 0; k -= FLOATS_BLOCK, v++, x += FLOATS_BLOCK) floats_fix_block(v, element, type == TENSOR_Q4_K ? 16 : 32, x);
}

/* ---- scales ---------------------------------------------------------------------------------------------------------- */

FLOATS_INLINE uint32_t floats_u32(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* The two f16 at the head of a block, in turns. */
FLOATS_INLINE __m512 floats_heads(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_set1_epi32((int)floats_u32(p)));
}

/* The scales of a block, times the block's own: of Q4_K and Q5_K the scale and the offset of each run beside each other,
 * from 6 bits each (set_scales() of array/codec/quant_k.c, here four at a time, a byte each). */
FLOATS_INLINE __m512 floats_scales_k(const uint8_t *p)
{
    const uint32_t six = 0x3f3f3f3f, four = 0x0f0f0f0f, two = 0x03030303;
    uint32_t a = floats_u32(p + 4), b = floats_u32(p + 8), c = floats_u32(p + 12);
    uint64_t scales = (a & six) | (uint64_t)((c & four) | (a >> 6 & two) << 4) << 32;
    uint64_t offsets = (b & six) | (uint64_t)((c >> 4 & four) | (b >> 6 & two) << 4) << 32;
    __m128i both = _mm_unpacklo_epi8(_mm_cvtsi64_si128((int64_t)scales), _mm_cvtsi64_si128((int64_t)offsets));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(both)), floats_heads(p));
}

/* Of IQ4_XS eight scales, twice: nibbles in 4 bytes, two more bits of each in 16 bits, the lowest first; 32 is taken off. */
FLOATS_INLINE __m512 floats_scales_iq4(const uint8_t *p)
{
    const __m512i at = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8, 10, 12, 14);
    uint32_t head = floats_u32(p);
    __m512i low = _mm512_srlv_epi32(_mm512_set1_epi32((int)floats_u32(p + 4)), _mm512_slli_epi32(at, 1));
    __m512i up = _mm512_srlv_epi32(_mm512_set1_epi32((int)(head >> 16)), at);
    __m512i s = _mm512_or_si512(_mm512_and_si512(low, _mm512_set1_epi32(15)),
                                _mm512_slli_epi32(_mm512_and_si512(up, _mm512_set1_epi32(3)), 4));
    s = _mm512_sub_epi32(s, _mm512_set1_epi32(32));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(s), _mm512_set1_ps(_cvtsh_ss((uint16_t)head)));
}

/* Which of them belong to the lanes of x[h][p]. */
FLOATS_INLINE __m512i floats_which(const int h, const int p, const enum tensor_type type)
{
    const __m512i quarter = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i half = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4);
    if (type == TENSOR_IQ4_XS) return _mm512_add_epi32(quarter, _mm512_set1_epi32(4 * h));
    return _mm512_add_epi32(half, _mm512_set1_epi32(2 * (4 * h + p)));
}

/* ---- codes ----------------------------------------------------------------------------------------------------------- */

/* The bits of each dword, `left` up (down where that is negative). */
FLOATS_INLINE __m512i floats_shift(__m512i v, const int left)
{
    return left >= 0 ? _mm512_slli_epi32(v, (unsigned)(left >= 0 ? left : 0))
                     : _mm512_srli_epi32(v, (unsigned)(left < 0 ? -left : 0));
}

/* The fifth bits of Q5_K, of run r bit r of each byte: those of lanes 8 .. 15 come two bits higher, and are put where those
 * of lanes 0 .. 7 are. */
FLOATS_INLINE __m512i floats_fifths(const uint8_t *p, const enum tensor_type type)
{
    if (type != TENSOR_Q5_K) return _mm512_setzero_si512();
    __m512i both = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)(p + 16)));
    return _mm512_mask_srli_epi32(both, 0xff00, both, 2);
}

/* The numbers that x[h][p][b] meets; of Q4_K and Q5_K 16 and 32 more than the codes. */
FLOATS_INLINE __m512 floats_codes(__m512i low, __m512i fifths, const int h, const int p, const int b,
                                  const enum tensor_type type)
{
    const int nibble = 4 * (2 * b + p); /* where it begins */
    if (type == TENSOR_IQ4_XS) {
        const __m512 levels =
            _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)quant_level_iq4)));
        return _mm512_permutexvar_ps(_mm512_srli_epi32(low, (unsigned)nibble), levels);
    }
    const int bits = type == TENSOR_Q4_K ? 4 : 5, from = 23 - bits; /* of the mantissa's 23 */
    __m512i v = floats_shift(low, from - nibble);
    if (type == TENSOR_Q5_K) {
        __m512i up = floats_shift(fifths, 22 - (8 * b + 4 * h + p));
        v = _mm512_ternarylogic_epi32(v, up, _mm512_set1_epi32(15 << from), SELECT);
    }
    const __m512i exponent = _mm512_castps_si512(_mm512_set1_ps((float)(1 << bits)));
    v = _mm512_ternarylogic_epi32(v, _mm512_set1_epi32(((1 << bits) - 1) << from), exponent, AND_OR);
    return _mm512_castsi512_ps(v);
}

/* ---- products -------------------------------------------------------------------------------------------------------- */

/* One block of four rows. */
struct floats_rows {
    const uint8_t *p[CPU_DOT_ROWS];
    __m512 scales[CPU_DOT_ROWS];
};

/* Byte b of the dwords at h: both nibbles, of all rows. */
FLOATS_INLINE void floats_step(__m512 acc[CPU_DOT_ROWS][2], const __m512i low[CPU_DOT_ROWS],
                               const __m512i fifths[CPU_DOT_ROWS], const struct floats_vector *x, const int h, const int b,
                               const enum tensor_type type)
{
    __m512 x0 = _mm512_load_ps(x->x[h][0][b]), x1 = _mm512_load_ps(x->x[h][1][b]);
    for (int i = 0; i < CPU_DOT_ROWS; i++) {
        acc[i][0] = _mm512_fmadd_ps(floats_codes(low[i], fifths[i], h, 0, b, type), x0, acc[i][0]);
        acc[i][1] = _mm512_fmadd_ps(floats_codes(low[i], fifths[i], h, 1, b, type), x1, acc[i][1]);
    }
}

FLOATS_INLINE void floats_half(__m512 sum[CPU_DOT_ROWS], const struct floats_rows *r, const struct floats_vector *x,
                               const int h, const enum tensor_type type)
{
    const int codes = type == TENSOR_Q4_K ? 16 : type == TENSOR_Q5_K ? 48 : 8;
    __m512i low[CPU_DOT_ROWS], fifths[CPU_DOT_ROWS];
    __m512 acc[CPU_DOT_ROWS][2];
    for (int i = 0; i < CPU_DOT_ROWS; i++) {
        low[i] = _mm512_loadu_si512(r->p[i] + codes + 64 * h);
        fifths[i] = floats_fifths(r->p[i], type);
        acc[i][0] = acc[i][1] = _mm512_setzero_ps();
    }
    floats_step(acc, low, fifths, x, h, 0, type);
    floats_step(acc, low, fifths, x, h, 1, type);
    floats_step(acc, low, fifths, x, h, 2, type);
    floats_step(acc, low, fifths, x, h, 3, type);
    for (int i = 0; i < CPU_DOT_ROWS; i++)
        for (int p = 0; p < 2; p++)
            sum[i] = _mm512_fmadd_ps(_mm512_permutexvar_ps(floats_which(h, p, type), r->scales[i]), acc[i][p], sum[i]);
}

/* Four rows of k elements; `type` and `bytes` of a block are constants where this is expanded. */
FLOATS_INLINE void floats_dot_rows(const struct cpu_dot *d, float *out, const enum tensor_type type, const int bytes)
{
    const struct floats_vector *x = d->fixed;
    __m512 sum[CPU_DOT_ROWS];
    for (int i = 0; i < CPU_DOT_ROWS; i++) sum[i] = _mm512_setzero_ps();
    size_t at = 0;
    for (int64_t block = 0; block < d->k / FLOATS_BLOCK; block++, at += (size_t)bytes, x++) {
        struct floats_rows r;
        for (int i = 0; i < CPU_DOT_ROWS; i++) {
            r.p[i] = (const uint8_t *)d->row[i] + at;
            for (int line = 0; line < bytes; line += 64) cpu_dot_prefetch(d, r.p[i] + line);
            r.scales[i] = type == TENSOR_IQ4_XS ? floats_scales_iq4(r.p[i]) : floats_scales_k(r.p[i]);
            if (type != TENSOR_IQ4_XS) sum[i] = _mm512_fnmadd_ps(r.scales[i], _mm512_load_ps(x->run_sum[0]), sum[i]);
        }
        floats_half(sum, &r, x, 0, type);
        floats_half(sum, &r, x, 1, type);
    }
    for (int i = 0; i < CPU_DOT_ROWS; i++) out[i] = _mm512_reduce_add_ps(sum[i]);
}

static void floats_q4_k(const struct cpu_dot *d, float *out)
{
    floats_dot_rows(d, out, TENSOR_Q4_K, 144);
}

static void floats_q5_k(const struct cpu_dot *d, float *out)
{
    floats_dot_rows(d, out, TENSOR_Q5_K, 176);
}

static void floats_iq4_xs(const struct cpu_dot *d, float *out)
{
    floats_dot_rows(d, out, TENSOR_IQ4_XS, 136);
}

bool gemv_floats_avx512_dot_rows(const struct cpu_dot *d, float *out)
{
    static const struct gemv_dots dots = {
        .stored = {[TENSOR_Q4_K] = floats_q4_k, [TENSOR_Q5_K] = floats_q5_k, [TENSOR_IQ4_XS] = floats_iq4_xs}};
    return gemv_dots_run(&dots, d, out) || gemv_super_avx512_dot_rows(d, out);
}
