/* gemv_neon: a token's product with a weight, four stored rows at a time, decoded in registers; gemv_avx2.c says why rows
 * go in fours. A block is summed unscaled: sum (d q + m) x = d sum q x + m sum x.
 *
 * Bytes become dwords by table look-ups whose indices past the table give 0: one operation for four elements, where the
 * widening instructions take two steps for every sixteen. A signed byte goes to the top of its dword, and the conversion
 * to float takes the power of two off for nothing: it reads fixed point. 28 vector operations for a row's block of 32 in 4
 * bits, 24 in 8 bits, besides the scale. */
#include "backend/cpu/gemm/gemv_neon.h"

#include "backend/cpu/gemm/gemv_dots.h"

#include <arm_neon.h>
#include <string.h>

#include "array/codec/int8.h"

#define INLINE static inline __attribute__((always_inline))

enum { BLOCK = 32, ROWS = CPU_DOT_ROWS, Q4_0_BYTES = 18, Q4_1_BYTES = 20, Q8_0_BYTES = 34 };

_Static_assert(ROWS == 4, "sum_rows transposes four sums");

/* The sums of four vectors as one. */
INLINE float32x4_t sum_rows(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t d)
{
    return vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d));
}

/* A scale of a block, at any address. */
INLINE float load_half(const uint8_t *p)
{
    __fp16 h;
    memcpy(&h, p, sizeof h);
    return h;
}

/* Indices that spread bytes 4 i .. 4 i + 3: into the low byte of each dword, or into the high one. */
INLINE uint8x16_t spread_low(int i)
{
    return vreinterpretq_u8_u32((uint32x4_t){0xffffff00u, 0xffffff01u, 0xffffff02u, 0xffffff03u} | (uint32_t)(4 * i));
}

INLINE uint8x16_t spread_high(int i)
{
    return vreinterpretq_u8_u32((uint32x4_t){0x00ffffffu, 0x01ffffffu, 0x02ffffffu, 0x03ffffffu} | (uint32_t)(4 * i) << 24);
}

/* sum of q x over one block of one row, by lanes. The first 16 elements of a 4-bit block are low nibbles, the others high.
 */
INLINE float32x4_t dot_q4(const uint8_t *codes, const float32x4_t *x)
{
    uint8x16_t bytes = vld1q_u8(codes);
    float32x4_t low = vdupq_n_f32(0), high = low;
    for (int i = 0; i < 4; i++) {
        uint32x4_t q = vreinterpretq_u32_u8(vqtbl1q_u8(bytes, spread_low(i)));
        low = vfmaq_f32(low, x[i], vcvtq_f32_u32(vandq_u32(q, vdupq_n_u32(15))));
        high = vfmaq_f32(high, x[4 + i], vcvtq_f32_u32(vshrq_n_u32(q, 4)));
    }
    return vaddq_f32(low, high);
}

/* The unscaled dot product of a block of 32 bytes with 32 floats. */
INLINE float32x4_t dot_q8(const uint8_t *codes, const float32x4_t *x)
{
    uint8x16_t a = vld1q_u8(codes), b = vld1q_u8(codes + 16);
    float32x4_t low = vdupq_n_f32(0), high = low;
    for (int i = 0; i < 4; i++) {
        uint8x16_t to = spread_high(i);
        low = vfmaq_f32(low, x[i], vcvtq_n_f32_s32(vreinterpretq_s32_u8(vqtbl1q_u8(a, to)), 24));
        high = vfmaq_f32(high, x[4 + i], vcvtq_n_f32_s32(vreinterpretq_s32_u8(vqtbl1q_u8(b, to)), 24));
    }
    return vaddq_f32(low, high);
}

/* One block of one row on top of sum; xs is the sum of x by lanes. */
INLINE float32x4_t add_block(float32x4_t sum, const struct cpu_dot *d, const uint8_t *p, const float32x4_t *x,
                             float32x4_t xs, const enum tensor_type type)
{
    cpu_dot_prefetch(d, p);
    float scale = load_half(p);
    if (type == TENSOR_Q8_0) return vfmaq_n_f32(sum, dot_q8(p + 2, x), scale);
    if (type == TENSOR_Q4_1) return vfmaq_n_f32(vfmaq_n_f32(sum, dot_q4(p + 4, x), scale), xs, load_half(p + 2));
    return vfmaq_n_f32(sum, vfmaq_n_f32(dot_q4(p + 2, x), xs, -8), scale);
}

/* The block types; `type` and `bytes` are constants where this is expanded. */
INLINE void dot_blocks(const struct cpu_dot *d, float *out, const enum tensor_type type, const int bytes)
{
    const uint8_t *p0 = d->row[0], *p1 = d->row[1], *p2 = d->row[2], *p3 = d->row[3];
    float32x4_t s0 = vdupq_n_f32(0), s1 = s0, s2 = s0, s3 = s0;
    for (int64_t j = 0; j < d->k; j += BLOCK) {
        float32x4_t v[8], xs = vdupq_n_f32(0);
        for (int i = 0; i < 8; i++) v[i] = vld1q_f32(d->x + j + 4 * i);
        if (type != TENSOR_Q8_0)
            xs = vaddq_f32(vaddq_f32(vaddq_f32(v[0], v[1]), vaddq_f32(v[2], v[3])),
                           vaddq_f32(vaddq_f32(v[4], v[5]), vaddq_f32(v[6], v[7])));
        s0 = add_block(s0, d, p0, v, xs, type), p0 += bytes;
        s1 = add_block(s1, d, p1, v, xs, type), p1 += bytes;
        s2 = add_block(s2, d, p2, v, xs, type), p2 += bytes;
        s3 = add_block(s3, d, p3, v, xs, type), p3 += bytes;
    }
    vst1q_f32(out, sum_rows(s0, s1, s2, s3));
}

/* Rows of array/codec/int8.h: one scale for the whole row; the rest of a row is copied to where zeros follow it. */
static void gemv_neon_int8(const struct cpu_dot *d, float *out)
{
    const float *x = d->x;
    int64_t k = d->k;
    float32x4_t sum[ROWS], v[8];
    int64_t whole = k / BLOCK * BLOCK;
    for (int i = 0; i < ROWS; i++) sum[i] = vdupq_n_f32(0);
    for (int64_t j = 0; j < whole; j += BLOCK) {
        for (int i = 0; i < 8; i++) v[i] = vld1q_f32(x + j + 4 * i);
        for (int i = 0; i < ROWS; i++) {
            const uint8_t *p = (const uint8_t *)int8_row_codes(d->row[i]) + j;
            cpu_dot_prefetch(d, p);
            sum[i] = vaddq_f32(sum[i], dot_q8(p, v));
        }
    }
    if (whole < k) {
        float rest[BLOCK] = {0};
        memcpy(rest, x + whole, (size_t)(k - whole) * sizeof(float));
        for (int i = 0; i < 8; i++) v[i] = vld1q_f32(rest + 4 * i);
        for (int i = 0; i < ROWS; i++) {
            uint8_t codes[BLOCK] = {0};
            memcpy(codes, int8_row_codes(d->row[i]) + whole, (size_t)(k - whole));
            sum[i] = vaddq_f32(sum[i], dot_q8(codes, v));
        }
    }
    vst1q_f32(out, sum_rows(sum[0], sum[1], sum[2], sum[3]));
    for (int i = 0; i < ROWS; i++) out[i] *= int8_row_scale(d->row[i]);
}

/* ---- types without blocks ------------------------------------------------------------------------------------------- */

/* Eight floats. */
struct eight {
    float32x4_t a, b;
};

/* Eight elements of f32, f16 or bf16, widened. */
INLINE struct eight load_plain(const uint8_t *p, const enum tensor_type type)
{
    if (type == TENSOR_F32) return (struct eight){vreinterpretq_f32_u8(vld1q_u8(p)), vreinterpretq_f32_u8(vld1q_u8(p + 16))};
    uint16x8_t half = vreinterpretq_u16_u8(vld1q_u8(p));
    if (type == TENSOR_F16) {
        float16x8_t h = vreinterpretq_f16_u16(half);
        return (struct eight){vcvt_f32_f16(vget_low_f16(h)), vcvt_high_f32_f16(h)};
    }
    return (struct eight){vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(half), 16)),
                          vreinterpretq_f32_u32(vshll_high_n_u16(half, 16))};
}

/* What is left of a row behind its last whole vector, as the first of 8 floats. */
INLINE struct eight load_rest(const uint8_t *p, size_t bytes, const enum tensor_type type)
{
    uint8_t copy[32] = {0};
    memcpy(copy, p, bytes);
    return load_plain(copy, type);
}

/* sum + x w, lane by lane. */
INLINE struct eight add_products(struct eight sum, struct eight x, struct eight w)
{
    return (struct eight){vfmaq_f32(sum.a, x.a, w.a), vfmaq_f32(sum.b, x.b, w.b)};
}

/* Four rows of elements without blocks; `type` and `bytes` are constants where this is expanded. */
INLINE void dot_plain(const struct cpu_dot *d, float *out, const enum tensor_type type, const int bytes)
{
    const uint8_t *p0 = d->row[0], *p1 = d->row[1], *p2 = d->row[2], *p3 = d->row[3];
    const uint8_t *px = (const uint8_t *)(const void *)d->x;
    int64_t k = d->k;
    struct eight s0 = {vdupq_n_f32(0), vdupq_n_f32(0)}, s1 = s0, s2 = s0, s3 = s0;
    int64_t whole = k & ~(int64_t)7;
    for (int64_t j = 0; j < whole; j += 8) {
        struct eight v = load_plain(px + j * 4, TENSOR_F32);
        s0 = add_products(s0, v, load_plain(p0 + j * bytes, type));
        s1 = add_products(s1, v, load_plain(p1 + j * bytes, type));
        s2 = add_products(s2, v, load_plain(p2 + j * bytes, type));
        s3 = add_products(s3, v, load_plain(p3 + j * bytes, type));
    }
    if (whole < k) {
        int64_t at = whole * bytes;
        size_t rest = (size_t)((k - whole) * bytes);
        struct eight v = load_rest(px + whole * 4, (size_t)(k - whole) * sizeof(float), TENSOR_F32);
        s0 = add_products(s0, v, load_rest(p0 + at, rest, type));
        s1 = add_products(s1, v, load_rest(p1 + at, rest, type));
        s2 = add_products(s2, v, load_rest(p2 + at, rest, type));
        s3 = add_products(s3, v, load_rest(p3 + at, rest, type));
    }
    vst1q_f32(out, sum_rows(vaddq_f32(s0.a, s0.b), vaddq_f32(s1.a, s1.b), vaddq_f32(s2.a, s2.b), vaddq_f32(s3.a, s3.b)));
}

/* ---- which rows go where --------------------------------------------------------------------------------------------- */

GEMV_DOTS_PLAIN

static void dot_q4_0(const struct cpu_dot *d, float *out)
{
    dot_blocks(d, out, TENSOR_Q4_0, Q4_0_BYTES);
}

static void dot_q4_1(const struct cpu_dot *d, float *out)
{
    dot_blocks(d, out, TENSOR_Q4_1, Q4_1_BYTES);
}

static void dot_q8_0_neon(const struct cpu_dot *d, float *out)
{
    dot_blocks(d, out, TENSOR_Q8_0, Q8_0_BYTES);
}

bool gemv_neon_dot_rows(const struct cpu_dot *d, float *out)
{
    static const struct gemv_dots dots = {
        .stored = {GEMV_DOTS_PLAIN_LIST, [TENSOR_Q4_0] = dot_q4_0, [TENSOR_Q4_1] = dot_q4_1, [TENSOR_Q8_0] = dot_q8_0_neon},
        .int8 = gemv_neon_int8};
    return gemv_dots_run(&dots, d, out);
}
