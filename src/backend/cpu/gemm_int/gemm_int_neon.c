/* gemm_int_neon: 16-bit codes for every AArch64. smlal takes four products of 16 bits into lanes of 32, as many as fmla
 * takes of f32, on half of the units that fmla has on most cores: integers are for the same bits as elsewhere here, not
 * for speed (gemm_int_neon_dot.c is). A step's two rows of codes lie one behind the other, 16 columns each, and a tile
 * takes a step of A as one scalar load, by lanes. Sums and names as in gemm_neon.c. */
#include <arm_neon.h>

#include "backend/cpu/gemm_int/gemm_int_neon.h"
#include "backend/cpu/gemm_int/gemm_int_loops.h"
#include "backend/cpu/gemm/gemm_neon.h"

#define INLINE static inline __attribute__((always_inline))

enum { NR = GEMM_NEON_NR };

#define ROWS(DO)   DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define DECLARE(i) int32x4_t p##i = vdupq_n_s32(0), q##i = p##i, r##i = p##i, s##i = p##i;
#define POINT(i)   const int32_t *a##i = (const int32_t *)t->a + (rows > (i) ? (i) : 0) * t->rs;
#define MULTIPLY(i)                                                                                                         \
    if (rows > (i)) {                                                                                                       \
        int16x4_t x = vreinterpret_s16_s32(vset_lane_s32(a##i[at], vdup_n_s32(0), 0));                                      \
        p##i = vmlal_lane_s16(vmlal_lane_s16(p##i, vget_low_s16(b0), x, 0), vget_low_s16(b2), x, 1);                        \
        q##i = vmlal_high_lane_s16(vmlal_high_lane_s16(q##i, b0, x, 0), b2, x, 1);                                          \
        r##i = vmlal_lane_s16(vmlal_lane_s16(r##i, vget_low_s16(b1), x, 0), vget_low_s16(b3), x, 1);                        \
        s##i = vmlal_high_lane_s16(vmlal_high_lane_s16(s##i, b1, x, 0), b3, x, 1);                                          \
    }
#define STORE(i)                                                                                                            \
    if (rows > (i)) {                                                                                                       \
        int_neon_store(t, i, 0, p##i);                                                                                      \
        int_neon_store(t, i, 4, q##i);                                                                                      \
        int_neon_store(t, i, 8, r##i);                                                                                      \
        int_neon_store(t, i, 12, s##i);                                                                                     \
    }

INLINE void tile_rows(const struct int_tile *t, const int rows)
{
    const int16_t *b = t->b;
    ROWS(POINT)
    ROWS(DECLARE)
    for (int64_t at = 0; at < t->steps; at++, b += 2 * NR) {
        int16x8_t b0 = vld1q_s16(b), b1 = vld1q_s16(b + 8), b2 = vld1q_s16(b + 16), b3 = vld1q_s16(b + 24);
        ROWS(MULTIPLY)
    }
    ROWS(STORE)
}

static void int_neon_tile(const struct int_tile *t){CPU_TILE_OF_SIX(t)}

/* 8 rows of 8 codes turned, as 16 bits: code k of the 8 columns at out + k * NR. */
INLINE void turn_8x8(int16_t *out, const int8_t *const *rows, int64_t at)
{
    int16x8_t r[8], p[8];
    for (int i = 0; i < 8; i++) r[i] = vmovl_s8(vld1_s8(rows[i] + at));
    for (int i = 0; i < 8; i += 2) {
        p[i] = vtrn1q_s16(r[i], r[i + 1]);
        p[i + 1] = vtrn2q_s16(r[i], r[i + 1]);
    }
    for (int i = 0; i < 2; i++) { /* columns 0 .. 3 and 4 .. 7 of codes i, i + 2, i + 4, i + 6 */
        int32x4_t a = vreinterpretq_s32_s16(p[i]), b = vreinterpretq_s32_s16(p[i + 2]);
        int32x4_t c = vreinterpretq_s32_s16(p[i + 4]), d = vreinterpretq_s32_s16(p[i + 6]);
        int64x2_t ab0 = vreinterpretq_s64_s32(vtrn1q_s32(a, b)), ab1 = vreinterpretq_s64_s32(vtrn2q_s32(a, b));
        int64x2_t cd0 = vreinterpretq_s64_s32(vtrn1q_s32(c, d)), cd1 = vreinterpretq_s64_s32(vtrn2q_s32(c, d));
        vst1q_s16(out + i * NR, vreinterpretq_s16_s64(vzip1q_s64(ab0, cd0)));
        vst1q_s16(out + (i + 2) * NR, vreinterpretq_s16_s64(vzip1q_s64(ab1, cd1)));
        vst1q_s16(out + (i + 4) * NR, vreinterpretq_s16_s64(vzip2q_s64(ab0, cd0)));
        vst1q_s16(out + (i + 6) * NR, vreinterpretq_s16_s64(vzip2q_s64(ab1, cd1)));
    }
}

/* Blocks of 8 codes by 8 columns are transposed in registers; what is left goes code by code. */
static void int_neon_pack_columns(void *run, const int8_t *const *rows, int n, int64_t k)
{
    int16_t *out = run;
    int64_t whole = n == NR ? k / 8 * 8 : 0;
    for (int64_t at = 0; at < whole; at += 8)
        for (int half = 0; half < NR; half += 8) turn_8x8(out + at * NR + half, rows + half, at);
    for (int64_t at = whole; at < (k + 1) / 2 * 2; at++)
        for (int j = 0; j < NR; j++) out[at * NR + j] = j < n && at < k ? rows[j][at] : 0;
}

/* Rows of B one by one, widened to 16 bits: a step's two rows lie one behind the other, so nothing is interleaved. Behind an
 * odd last k a row of zeros completes the step. */
static void int_neon_pack_rows(void *run, int64_t panel_stride, const int8_t *const *rows, int64_t k, int64_t n)
{
    for (int64_t at = 0; at < (k + 1) / 2 * 2; at++) {
        int16_t *out = (int16_t *)run + at * NR;
        for (int64_t j = 0; j < n; j += NR, out += 2 * panel_stride) {
            if (at < k && n - j >= NR) {
                int8x16_t codes = vld1q_s8(rows[at] + j);
                vst1q_s16(out, vmovl_s8(vget_low_s8(codes)));
                vst1q_s16(out + 8, vmovl_high_s8(codes));
                continue;
            }
            for (int64_t i = 0; i < NR; i++) out[i] = at < k && j + i < n ? rows[at][j + i] : 0;
        }
    }
}

const struct int_kernels int_kernels_neon_16 = INT_KERNELS_16(neon, GEMM_NEON_MR, 32767);
const struct int_kernels int_kernels_neon_8 = INT_KERNELS_16(neon, GEMM_NEON_MR, 127);
