/* gemm_neon: 6 x 16 sums in 24 of the 32 registers; four hold a row of the B panel, the others elements of A. Per step of
 * k that is 24 multiply-adds for 10 loads, two of them pairs. An element of A is a plain scalar load, the multiply-add
 * takes it by lane: a load that replicates (ld1r) would take a slot of the vector units on Neoverse cores.
 *
 * Why this shape: cores with four multiply-add units of latency 4 need 16 chains at the least, and 8 x 8 with A by lanes
 * has just these, so one late load is lost time; with 24 some are to spare. 8 x 12, BLIS's shape, does not divide the
 * padded widths (64 and 128 columns). 12 x 8 reads 14 floats in each step. 6 x 16 with four steps of A in six registers
 * loads less, but needs all 32 registers to the last one, which a compiler does not promise. The shape is also AVX2's, so
 * one blocking fits both. */
#include "backend/cpu/gemm/gemm_neon.h"

#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))

/* One row of the tile: named variables, because gcc 12 stores arrays of sums back in every round of the loop. `rows` is a
 * constant where this is expanded. */
#define ROWS(DO)   DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define DECLARE(i) float32x4_t p##i = vdupq_n_f32(0), q##i = p##i, r##i = p##i, s##i = p##i;
#define POINT(i)   const float *a##i = t->a + (rows > (i) ? (i) : 0) * t->rs;
#define PREFETCH(i)                                                                                                         \
    if (rows > (i)) {                                                                                                       \
        __builtin_prefetch(t->c + (i)*t->ldc, 1);                                                                           \
        __builtin_prefetch(t->c + (i)*t->ldc + 15, 1);                                                                      \
    }
#define MULTIPLY(i)                                                                                                         \
    if (rows > (i)) {                                                                                                       \
        float x = a##i[at];                                                                                                 \
        p##i = vfmaq_n_f32(p##i, b0, x);                                                                                    \
        q##i = vfmaq_n_f32(q##i, b1, x);                                                                                    \
        r##i = vfmaq_n_f32(r##i, b2, x);                                                                                    \
        s##i = vfmaq_n_f32(s##i, b3, x);                                                                                    \
    }
#define STORE(i)                                                                                                            \
    if (rows > (i)) {                                                                                                       \
        float *c = t->c + (i)*t->ldc;                                                                                       \
        store(c, p##i, t->accumulate);                                                                                      \
        store(c + 4, q##i, t->accumulate);                                                                                  \
        store(c + 8, r##i, t->accumulate);                                                                                  \
        store(c + 12, s##i, t->accumulate);                                                                                 \
    }

/* Four sums to a row of C. */
INLINE void store(float *c, float32x4_t sum, bool accumulate)
{
    vst1q_f32(c, accumulate ? vaddq_f32(sum, vld1q_f32(c)) : sum);
}

/* `rows` x 16 sums of C, in up to 24 of the 32 registers. */
INLINE void tile_rows(const struct gemm_tile *t, const int rows)
{
    const float *b = t->b;
    const int64_t cs = t->cs, ldb = t->ldb;
    ROWS(PREFETCH)
    ROWS(POINT)
    ROWS(DECLARE)
    for (int64_t k = t->k, at = 0; k > 0; k--, at += cs) {
        float32x4_t b0 = vld1q_f32(b), b1 = vld1q_f32(b + 4), b2 = vld1q_f32(b + 8), b3 = vld1q_f32(b + 12);
        ROWS(MULTIPLY)
        b += ldb;
    }
    ROWS(STORE)
}

void gemm_neon_tile(const struct gemm_tile *t){CPU_TILE_OF_SIX(t)}

/* 4 x 4 in registers: pairs, then halves. */
INLINE void transpose_4x4(float *dst, int64_t dst_ld, const float *src, int64_t ld, float scale)
{
    float32x4_t a = vmulq_n_f32(vld1q_f32(src), scale), b = vmulq_n_f32(vld1q_f32(src + ld), scale);
    float32x4_t c = vmulq_n_f32(vld1q_f32(src + 2 * ld), scale), d = vmulq_n_f32(vld1q_f32(src + 3 * ld), scale);
    float64x2_t ab0 = vreinterpretq_f64_f32(vtrn1q_f32(a, b)), ab1 = vreinterpretq_f64_f32(vtrn2q_f32(a, b));
    float64x2_t cd0 = vreinterpretq_f64_f32(vtrn1q_f32(c, d)), cd1 = vreinterpretq_f64_f32(vtrn2q_f32(c, d));
    vst1q_f32(dst, vreinterpretq_f32_f64(vzip1q_f64(ab0, cd0)));
    vst1q_f32(dst + dst_ld, vreinterpretq_f32_f64(vzip1q_f64(ab1, cd1)));
    vst1q_f32(dst + 2 * dst_ld, vreinterpretq_f32_f64(vzip2q_f64(ab0, cd0)));
    vst1q_f32(dst + 3 * dst_ld, vreinterpretq_f32_f64(vzip2q_f64(ab1, cd1)));
}

void gemm_neon_transpose(float *dst, int64_t dst_ld, const float *src, int64_t ld, int64_t rows, int64_t n, float scale)
{
    int64_t whole_rows = rows & ~(int64_t)3, whole_n = n & ~(int64_t)3;
    for (int64_t k = 0; k < whole_n; k += 4)
        for (int64_t i = 0; i < whole_rows; i += 4) transpose_4x4(dst + k * dst_ld + i, dst_ld, src + i * ld + k, ld, scale);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = i < whole_rows ? whole_n : 0; k < n; k++) dst[k * dst_ld + i] = scale * src[i * ld + k];
}
