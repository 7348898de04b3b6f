/* gemm_int_neon_dot: integer products by sdot (Armv8.2's dot products), 16 products of bytes in an instruction where fmla
 * does 4 of f32. A step of B is four codes of each of 16 columns.
 *
 * int8: codes of A are bytes, 6 x 16 sums in 24 registers, 24 sdot for 10 loads.
 *
 * int8x2: a 16-bit code is 256 h + l + 128 with h = code >> 8 and l = (code & 255) - 128, both of which fit a signed byte,
 * so the sum is 256 sum h w + sum l w + 128 sum w; the last is the same for every row and stands at the head of a run of
 * the panel. Partial sums may wrap, the whole fits 32 bits (gemm_int.h). Each element has two sums, so the tile is done in
 * two halves of 6 x 8. A row of A has [four h][four l] for each step of B: one load, two lanes. Bytes of codes are half of
 * what the interface counts for B (codes = 2 is what A needs), so a run fills the first half of the memory that a panel
 * has for it.
 *
 * Rejected: smmla of i8mm, for which A would have to be interleaved by rows; usdot, which would make the head unnecessary,
 * but which fewer processors have. */
#include <arm_neon.h>

#include "backend/cpu/gemm_int/gemm_int_loops.h"
#include "backend/cpu/gemm_int/gemm_int_neon.h"
#include "backend/cpu/gemm/gemm_neon.h"

#define INLINE static inline __attribute__((always_inline))

enum { NR = GEMM_NEON_NR, STEP = 4 * NR /* bytes of four rows of B's codes in a panel */ };

#define ROWS(DO)   DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define DECLARE(i) int32x4_t p##i = vdupq_n_s32(0), q##i = p##i, r##i = p##i, s##i = p##i;
#define POINT(i)   const char *a##i = (const char *)t->a + (rows > (i) ? (i) : 0) * 4 * t->rs;

#define MULTIPLY_8(i)                                                                                                       \
    if (rows > (i)) {                                                                                                       \
        int32_t step;                                                                                                       \
        memcpy(&step, a##i + 4 * at, sizeof step);                                                                          \
        int8x8_t x = vreinterpret_s8_s32(vset_lane_s32(step, vdup_n_s32(0), 0));                                            \
        p##i = vdotq_lane_s32(p##i, b0, x, 0);                                                                              \
        q##i = vdotq_lane_s32(q##i, b1, x, 0);                                                                              \
        r##i = vdotq_lane_s32(r##i, b2, x, 0);                                                                              \
        s##i = vdotq_lane_s32(s##i, b3, x, 0);                                                                              \
    }
#define STORE_8(i)                                                                                                          \
    if (rows > (i)) {                                                                                                       \
        int_neon_store(t, i, 0, p##i);                                                                                      \
        int_neon_store(t, i, 4, q##i);                                                                                      \
        int_neon_store(t, i, 8, r##i);                                                                                      \
        int_neon_store(t, i, 12, s##i);                                                                                     \
    }

INLINE void tile_8_rows(const struct int_tile *t, const int rows)
{
    const int8_t *b = t->b;
    ROWS(POINT)
    ROWS(DECLARE)
    for (int64_t at = 0; at < t->steps; at++, b += STEP) {
        int8x16_t b0 = vld1q_s8(b), b1 = vld1q_s8(b + 16), b2 = vld1q_s8(b + 32), b3 = vld1q_s8(b + 48);
        ROWS(MULTIPLY_8)
    }
    ROWS(STORE_8)
}

/* p, q: sums with h; r, s: with l. */
#define MULTIPLY_16(i)                                                                                                      \
    if (rows > (i)) {                                                                                                       \
        int8x8_t x = vld1_s8((const int8_t *)a##i + 8 * at);                                                                \
        p##i = vdotq_lane_s32(p##i, b0, x, 0);                                                                              \
        q##i = vdotq_lane_s32(q##i, b1, x, 0);                                                                              \
        r##i = vdotq_lane_s32(r##i, b0, x, 1);                                                                              \
        s##i = vdotq_lane_s32(s##i, b1, x, 1);                                                                              \
    }
#define STORE_16(i)                                                                                                         \
    if (rows > (i)) {                                                                                                       \
        int_neon_store(t, i, first, vaddq_s32(vaddq_s32(vshlq_n_s32(p##i, 8), r##i), vld1q_s32(head)));                     \
        int_neon_store(t, i, first + 4, vaddq_s32(vaddq_s32(vshlq_n_s32(q##i, 8), s##i), vld1q_s32(head + 4)));             \
    }

/* Columns [first, first + 8). */
INLINE void tile_16_half(const struct int_tile *t, const int rows, int first)
{
    const int32_t *head = (const int32_t *)t->b + first;
    const int8_t *b = (const int8_t *)t->b + STEP + 4 * first;
    ROWS(POINT)
    ROWS(DECLARE)
    for (int64_t at = 0; 2 * at < t->steps; at++, b += STEP) {
        int8x16_t b0 = vld1q_s8(b), b1 = vld1q_s8(b + 16);
        ROWS(MULTIPLY_16)
    }
    ROWS(STORE_16)
}

INLINE void tile_16_rows(const struct int_tile *t, const int rows)
{
    for (int first = 0; first < NR; first += 8) tile_16_half(t, rows, first);
}

/* One loop for each number of rows. */
#define TILE(name)                                                                                                          \
    static void name(const struct int_tile *t)                                                                              \
    {                                                                                                                       \
        switch (t->rows) {                                                                                                  \
        case 1:                                                                                                             \
            name##_rows(t, 1);                                                                                              \
            break;                                                                                                          \
        case 2:                                                                                                             \
            name##_rows(t, 2);                                                                                              \
            break;                                                                                                          \
        case 3:                                                                                                             \
            name##_rows(t, 3);                                                                                              \
            break;                                                                                                          \
        case 4:                                                                                                             \
            name##_rows(t, 4);                                                                                              \
            break;                                                                                                          \
        case 5:                                                                                                             \
            name##_rows(t, 5);                                                                                              \
            break;                                                                                                          \
        default:                                                                                                            \
            name##_rows(t, 6);                                                                                              \
            break;                                                                                                          \
        }                                                                                                                   \
    }
TILE(tile_8)
TILE(tile_16)

/* ---- packing ---------------------------------------------------------------------------------------------------------- */

/* Four columns' 16 codes: four steps, of which these columns are 16 bytes each. */
INLINE void turn_4_columns(int8_t *out, const int8_t *const *rows, int64_t at)
{
    int32x4_t a = vreinterpretq_s32_s8(vld1q_s8(rows[0] + at)), b = vreinterpretq_s32_s8(vld1q_s8(rows[1] + at));
    int32x4_t c = vreinterpretq_s32_s8(vld1q_s8(rows[2] + at)), d = vreinterpretq_s32_s8(vld1q_s8(rows[3] + at));
    int64x2_t ab0 = vreinterpretq_s64_s32(vtrn1q_s32(a, b)), ab1 = vreinterpretq_s64_s32(vtrn2q_s32(a, b));
    int64x2_t cd0 = vreinterpretq_s64_s32(vtrn1q_s32(c, d)), cd1 = vreinterpretq_s64_s32(vtrn2q_s32(c, d));
    vst1q_s8(out, vreinterpretq_s8_s64(vzip1q_s64(ab0, cd0)));
    vst1q_s8(out + STEP, vreinterpretq_s8_s64(vzip1q_s64(ab1, cd1)));
    vst1q_s8(out + 2 * STEP, vreinterpretq_s8_s64(vzip2q_s64(ab0, cd0)));
    vst1q_s8(out + 3 * STEP, vreinterpretq_s8_s64(vzip2q_s64(ab1, cd1)));
}

/* Whole blocks of 16 codes are turned in registers; the rest goes code by code. */
static void int_neon_dot_pack_columns_8(void *run, const int8_t *const *rows, int n, int64_t k)
{
    int8_t *out = run;
    int64_t whole = n == NR ? k / 16 * 16 : 0;
    for (int64_t at = 0; at < whole; at += 16)
        for (int j = 0; j < NR; j += 4) turn_4_columns(out + at * NR + 4 * j, rows + j, at);
    for (int64_t at = whole; at < k; at += 4)
        for (int j = 0; j < NR; j++)
            for (int i = 0; i < 4; i++) out[at * NR + 4 * j + i] = j < n && at + i < k ? rows[j][at + i] : 0;
}

/* Four rows of B interleaved byte by byte. */
static void int_neon_dot_pack_rows_8(void *run, int64_t panel_stride, const int8_t *const *rows, int64_t k, int64_t n)
{
    for (int64_t at = 0; at < k; at += 4) {
        int8_t *out = (int8_t *)run + at * NR;
        for (int64_t j = 0; j < n; j += NR, out += 4 * panel_stride) {
            if (at + 4 <= k && n - j >= NR) {
                int8x16x4_t four;
                for (int i = 0; i < 4; i++) four.val[i] = vld1q_s8(rows[at + i] + j);
                vst4q_s8(out, four);
                continue;
            }
            for (int64_t column = 0; column < NR; column++)
                for (int i = 0; i < 4; i++)
                    out[4 * column + i] = at + i < k && j + column < n ? rows[at + i][j + column] : 0;
        }
    }
}

/* 128 times the sums of the columns of a run that is packed behind its head. */
static void gemm_int_neon_dot_write_head(int32_t *head, int64_t k)
{
    int32x4_t sum[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    const int8_t *b = (const int8_t *)(head + NR), *end = b + (k + 3) / 4 * STEP;
    for (; b < end; b += STEP)
        for (int i = 0; i < 4; i++) sum[i] = vdotq_s32(sum[i], vld1q_s8(b + 16 * i), vdupq_n_s8(1));
    for (int i = 0; i < 4; i++) vst1q_s32(head + 4 * i, vshlq_n_s32(sum[i], 7));
}

/* The panel of int8, with the sums of its columns in front. */
static void int_neon_dot_pack_columns_16(void *run, const int8_t *const *rows, int n, int64_t k)
{
    int_neon_dot_pack_columns_8((int32_t *)run + NR, rows, n, k);
    gemm_int_neon_dot_write_head(run, k);
}

static void int_neon_dot_pack_rows_16(void *run, int64_t panel_stride, const int8_t *const *rows, int64_t k, int64_t n)
{
    int_neon_dot_pack_rows_8((int32_t *)run + NR, panel_stride, rows, k, n);
    for (int64_t panel = 0; panel * NR < n; panel++) gemm_int_neon_dot_write_head((int32_t *)run + panel * panel_stride, k);
}

/* ---- codes of activations: of 16 bits first, in a buffer, then as the tile wants them. ------------------------------- */

/* The 16-bit codes have at most 8 bits here and are narrowed. */
static float int_neon_dot_quantise_8(void *codes, const float *x, const float *fold, int64_t n, int limit)
{
    int16_t wide[INT_RUN];
    int8_t *out = codes;
    float scale = int_quantise_16(wide, x, fold, n, limit);
    for (int64_t i = 0; i < n; i += INT_ALIGN)
        vst1q_s8(out + i, vmovn_high_s16(vmovn_s16(vld1q_s16(wide + i)), vld1q_s16(wide + i + 8)));
    return scale;
}

/* A code c becomes c = 256 h + l + 128 in two bytes: sdot multiplies signed bytes, and the head of the panel corrects for
 * 128. */
static float int_neon_dot_quantise_16(void *codes, const float *x, const float *fold, int64_t n, int limit)
{
    int16_t wide[INT_RUN];
    int32_t *out = codes;
    float scale = int_quantise_16(wide, x, fold, n, limit);
    for (int64_t i = 0; i < n; i += INT_ALIGN, out += 8) {
        int16x8_t a = vld1q_s16(wide + i), b = vld1q_s16(wide + i + 8);
        int32x4_t h = vreinterpretq_s32_s8(vshrn_high_n_s16(vshrn_n_s16(a, 8), b, 8));
        int8x16_t low = veorq_s8(vmovn_high_s16(vmovn_s16(a), b), vdupq_n_s8(-128));
        vst1q_s32(out, vzip1q_s32(h, vreinterpretq_s32_s8(low)));
        vst1q_s32(out + 4, vzip2q_s32(h, vreinterpretq_s32_s8(low)));
    }
    return scale;
}

const struct int_kernels int_kernels_neon_dot_16 = {.mr = GEMM_NEON_MR,
                                                    .codes = 2,
                                                    .panel_codes = 2,
                                                    .group = 2,
                                                    .head = 1,
                                                    .limit = 32767,
                                                    .tile = tile_16,
                                                    .quantise = int_neon_dot_quantise_16,
                                                    .pack_columns = int_neon_dot_pack_columns_16,
                                                    .pack_rows = int_neon_dot_pack_rows_16};
const struct int_kernels int_kernels_neon_dot_8 = {.mr = GEMM_NEON_MR,
                                                   .codes = 4,
                                                   .panel_codes = 4,
                                                   .group = 4,
                                                   .limit = 127,
                                                   .tile = tile_8,
                                                   .quantise = int_neon_dot_quantise_8,
                                                   .pack_columns = int_neon_dot_pack_columns_8,
                                                   .pack_rows = int_neon_dot_pack_rows_8};
