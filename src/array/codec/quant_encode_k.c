/* quant_encode_k: Q4_K, Q5_K, Q6_K. Layouts: quant_k.c. A block of 256 has groups whose integer scales share one number d
 * (and m for offsets). The sum of squared errors is made small in three steps:
 *
 *   1. each group alone, with real scale and offset: several ranges are tried; for each, elements are rounded and scale and
 *      offset are those of least squares for these codes; the best stays;
 *   2. the group scales are rounded to multiples of d, and each group takes the neighbour of its integers that serves best
 *      when its codes are chosen anew;
 *   3. d and m become those of least squares for all codes of the block, and 2 is done once more with them; what is better
 *      of before and after stays.
 *
 * d and m are f16. Where codes leave next to no error, as in a block of one repeated value, that rounding is all of it, and
 * how large it is depends by chance on the integer that the largest scale gets. Such blocks try others too (is_rounding).
 *
 * Sums of squares count every element alike: no weighting by magnitude, as nothing is known about the inputs. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "array/codec/quant_encode.h"
#include "array/dtype.h"

enum { ELEMENTS = 256, RUN = 32, RUNS = ELEMENTS / RUN, SIXTEEN = 16, SIXTEENS = ELEMENTS / SIXTEEN, SCALE_MOST = 63 };

static void quant_encode_k_put_f16(uint8_t *p, float v)
{
    uint16_t h = f32_to_f16(v);
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

static float as_f16(float v)
{
    return f16_to_f32(f32_to_f16(v));
}

/* Whether a squared error is no larger than what rounding `factor` to f16 may leave: half of the last of its 11 bits, or
 * half of 2^-24 where it is subnormal, of each element. */
static bool is_rounding(const float *x, float factor, float error)
{
    double squares = 0, part = fabsf(factor) > 0x1p-14f ? 0x1p-11 : 0x1p-25 / fabs((double)factor);
    for (int i = 0; i < ELEMENTS; i++) squares += (double)x[i] * (double)x[i];
    return error > 0 && (double)error <= part * part * squares;
}

/* v limited to [least, most] and rounded to an integer, half to even: adding 1.5 * 2^23 leaves no bits behind the point.
 * Plain operations, which compilers make vectors of; rintf is a call on processors without SSE4.1. */
static inline float round_within(float v, float least, float most)
{
    const float shift = 12582912;
    v = v < least ? least : v;
    v = v > most ? most : v;
    return (v + shift) - shift;
}

/* ---- Q4_K and Q5_K: x = scale * q - offset, q in [0, most], both factors >= 0 ---------------------------------------- */

struct affine {
    float scale, offset;
};

enum { LANES = 8 }; /* sums run in so many parts: the order of additions is fixed, and they are vectors */

static float sum_lanes(const float *part)
{
    return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
}

/* Scale s and offset o that make sum (s q - o - x)^2 least for codes q: with n = 32, s = (n Sxq - Sx Sq) / det and o = (Sq
 * Sxq - Sqq Sx) / det, det = n Sqq - Sq^2. The format holds no offset below 0: where it would be, or all codes are equal
 * (det 0), o is 0 and s = Sxq / Sqq. Returns the squared error, from the same sums. */
static float fit_affine(const float *restrict x, const float *restrict q, struct affine *out)
{
    float part[5][LANES] = {{0}}, n = RUN;
    for (int i = 0; i < RUN; i += LANES)
        for (int k = 0; k < LANES; k++) {
            float v = q[i + k], u = x[i + k];
            part[0][k] += v;
            part[1][k] += v * v;
            part[2][k] += u;
            part[3][k] += u * v;
            part[4][k] += u * u;
        }
    float sum_q = sum_lanes(part[0]), sum_qq = sum_lanes(part[1]), sum_x = sum_lanes(part[2]);
    float sum_xq = sum_lanes(part[3]), sum_xx = sum_lanes(part[4]), det = n * sum_qq - sum_q * sum_q;
    *out = (struct affine){0, 0};
    if (det > 0) {
        out->scale = (n * sum_xq - sum_x * sum_q) / det;
        out->offset = (sum_q * sum_xq - sum_qq * sum_x) / det;
    }
    if (out->offset < 0 || det <= 0) *out = (struct affine){sum_qq > 0 ? sum_xq / sum_qq : 0, 0};
    if (out->scale < 0) out->scale = 0;
    float s = out->scale, o = out->offset;
    return sum_xx + s * s * sum_qq + n * o * o - 2 * s * sum_xq + 2 * o * sum_x - 2 * s * o * sum_q;
}

/* The nearest codes for a scale and an offset. */
static void code_affine(const float *restrict x, struct affine a, float most, float *restrict q)
{
    float inverse = a.scale > 0 ? 1 / a.scale : 0;
    for (int i = 0; i < RUN; i++) q[i] = round_within((x[i] + a.offset) * inverse, 0, most);
}

/* sum (s q - o - x)^2. */
static float error_affine(const float *restrict x, struct affine a, const float *restrict q)
{
    float part[LANES] = {0};
    for (int i = 0; i < RUN; i += LANES)
        for (int k = 0; k < LANES; k++) {
            float e = a.scale * q[i + k] - a.offset - x[i + k];
            part[k] += e * e;
        }
    return sum_lanes(part);
}

/* Step 1 for a run of 32. */
static struct affine search_affine(const float *x, float most)
{
    enum { TRIES = 11, REFITS = 1 };
    float low = 0, high = x[0], least = HUGE_VALF, q[RUN];
    struct affine best = {0, 0};
    for (int i = 0; i < RUN; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    if (high <= low) return (struct affine){0, -low}; /* all equal and not above 0 */
    for (int k = 0; k < TRIES; k++) {                 /* the range a little wider or narrower than the codes reach */
        struct affine a = {(high - low) / (most - 1 + 0.2f * (float)k), -low};
        for (int r = 0; r <= REFITS; r++) {
            code_affine(x, a, most, q);
            float error = fit_affine(x, q, &a);
            if (error >= least) continue;
            least = error;
            best = a;
        }
    }
    return best;
}

/* A block that is being made. */
struct k_block {
    float d, m;
    int scale[RUNS], offset[RUNS];
    float q[ELEMENTS]; /* whole numbers */
};

/* Step 2 for one run, around the integers nearest to `wanted`. Returns the squared error. */
static float choose_integers(const float *x, struct affine wanted, float most, struct k_block *b, int run)
{
    int s0 = b->d > 0 ? (int)round_within(wanted.scale / b->d, 0, SCALE_MOST) : 0;
    int o0 = b->m > 0 ? (int)round_within(wanted.offset / b->m, 0, SCALE_MOST) : 0;
    float least = HUGE_VALF, q[RUN];
    for (int s = s0 - 1; s <= s0 + 1; s++)
        for (int o = o0 - 1; o <= o0 + 1; o++) {
            if (s < 0 || s > SCALE_MOST || o < 0 || o > SCALE_MOST) continue;
            struct affine a = {b->d * (float)s, b->m * (float)o};
            code_affine(x, a, most, q);
            float error = error_affine(x, a, q);
            if (error >= least) continue;
            least = error;
            b->scale[run] = s;
            b->offset[run] = o;
            memcpy(b->q + run * RUN, q, sizeof q);
        }
    return least;
}

/* Step 2 for all runs; returns the squared error of the block. */
static float choose_all(const float *x, const struct affine *wanted, float most, struct k_block *b)
{
    float error = 0;
    for (int run = 0; run < RUNS; run++) error += choose_integers(x + run * RUN, wanted[run], most, b, run);
    return error;
}

/* Step 3: d and m of least squares for x = d * (s q) - m * o: two equations in two unknowns, with u = s q. Where they hardly
 * differ (det), or a factor would not be positive, d and m stay; without offsets d alone is fitted. */
static void refit(const float *x, struct k_block *b)
{
    double uu = 0, uo = 0, oo = 0, ux = 0, ox = 0;
    for (int i = 0; i < ELEMENTS; i++) {
        double u = (double)b->scale[i / RUN] * (double)b->q[i], o = b->offset[i / RUN];
        uu += u * u;
        uo += u * o;
        oo += o * o;
        ux += u * (double)x[i];
        ox += o * (double)x[i];
    }
    double det = uu * oo - uo * uo;
    if (det > 1e-9 * uu * oo) {
        double d = (ux * oo - ox * uo) / det, m = (ux * uo - ox * uu) / det;
        if (d > 0 && m > 0) {
            b->d = as_f16((float)d);
            b->m = as_f16((float)m);
        }
    } else if (uu > 0 && oo == 0 && ux > 0) {
        b->d = as_f16((float)(ux / uu));
    }
}

/* Steps 2 and 3 when the largest scale and the largest offset of a run get the integer `top`. Returns the squared error. */
static float encode_below(const float *x, const struct affine *wanted, float most, int top, struct k_block *b)
{
    float scale = 0, offset = 0;
    for (int run = 0; run < RUNS; run++) {
        scale = wanted[run].scale > scale ? wanted[run].scale : scale;
        offset = wanted[run].offset > offset ? wanted[run].offset : offset;
    }
    *b = (struct k_block){.d = as_f16(scale / (float)top), .m = as_f16(offset / (float)top)};
    float error = choose_all(x, wanted, most, b);
    struct k_block better = *b;
    refit(x, &better);
    float after = choose_all(x, wanted, most, &better);
    if (!(after < error)) return error;
    *b = better;
    return after;
}

/* The three steps. */
static void encode_affine(const float *x, float most, struct k_block *b)
{
    struct affine wanted[RUNS];
    for (int run = 0; run < RUNS; run++) wanted[run] = search_affine(x + run * RUN, most);
    float error = encode_below(x, wanted, most, SCALE_MOST, b);
    for (int top = SCALE_MOST - 1; top > SCALE_MOST / 2 && is_rounding(x, b->d > 0 ? b->d : b->m, error); top--) {
        struct k_block other;
        float now = encode_below(x, wanted, most, top, &other);
        if (now >= error) continue;
        error = now;
        *b = other;
    }
}

/* d, m, and the 6-bit integers of eight runs in 12 bytes. */
static void put_scales(const struct k_block *b, uint8_t *p)
{
    uint8_t *s = p + 4;
    quant_encode_k_put_f16(p, b->d);
    quant_encode_k_put_f16(p + 2, b->m);
    for (int i = 0; i < 4; i++) {
        s[i] = (uint8_t)(b->scale[i] | b->scale[i + 4] >> 4 << 6);
        s[i + 4] = (uint8_t)(b->offset[i] | b->offset[i + 4] >> 4 << 6);
        s[i + 8] = (uint8_t)((b->scale[i + 4] & 15) | (b->offset[i + 4] & 15) << 4);
    }
}

static void put_nibble_runs(const float *restrict q, uint8_t *restrict p)
{
    for (int run = 0; run < RUNS; run += 2, p += RUN)
        for (int i = 0; i < RUN; i++) p[i] = (uint8_t)(((int)q[run * RUN + i] & 15) | (int)q[run * RUN + RUN + i] << 4);
}

void quant_encode_q4_k(const float *restrict x, uint8_t *restrict block)
{
    struct k_block b;
    encode_affine(x, 15, &b);
    put_scales(&b, block);
    put_nibble_runs(b.q, block + 16);
}

void quant_encode_q5_k(const float *restrict x, uint8_t *restrict block)
{
    struct k_block b;
    encode_affine(x, 31, &b);
    put_scales(&b, block);
    memset(block + 16, 0, RUN);
    for (int i = 0; i < ELEMENTS; i++) block[16 + i % RUN] = (uint8_t)(block[16 + i % RUN] | ((int)b.q[i] >> 4) << i / RUN);
    put_nibble_runs(b.q, block + 48);
}

/* ---- Q6_K: x = d * s * q, q in [-32, 31], s in [-128, 127] ----------------------------------------------------------- */

/* Step 1 for a group of 16: the scale, with its sign, whose codes leave the least error. */
static float search_scale(const float *x)
{
    enum { TRIES = 19 };
    float peak = 0, best = 0, most = 0;
    for (int i = 0; i < SIXTEEN; i++)
        if (fabsf(x[i]) > fabsf(peak)) peak = x[i];
    if (peak == 0) return 0;
    for (int k = 0; k < TRIES; k++) {
        float inverse = -(32 + 0.1f * (float)(k - TRIES / 2)) / peak, xq = 0, qq = 0;
        for (int i = 0; i < SIXTEEN; i++) {
            float q = round_within(x[i] * inverse, -32, 31);
            xq += x[i] * q;
            qq += q * q;
        }
        if (qq > 0 && xq * xq > most * qq) { /* the error is sum x^2 - xq^2 / qq */
            most = xq * xq / qq;
            best = xq / qq;
        }
    }
    return best;
}

struct q6_block {
    float d;
    int scale[SIXTEENS];
    int8_t q[ELEMENTS];
};

/* Step 2 for one group. */
static float choose_scale(const float *x, float wanted, struct q6_block *b, int group)
{
    float least = HUGE_VALF, nearest = b->d != 0 ? rintf(wanted / b->d) : 0;
    for (int k = -1; k <= 1; k++) {
        float s = nearest + (float)k, sum = 0, step = b->d * s, inverse = step != 0 ? 1 / step : 0;
        int8_t q[SIXTEEN];
        if (s < -128 || s > 127) continue;
        for (int i = 0; i < SIXTEEN; i++) {
            float code = round_within(x[i] * inverse, -32, 31), e = step * code - x[i];
            q[i] = (int8_t)code;
            sum += e * e;
        }
        if (sum >= least) continue;
        least = sum;
        b->scale[group] = (int)s;
        memcpy(b->q + group * SIXTEEN, q, SIXTEEN);
    }
    return least;
}

static float choose_scales(const float *x, const float *wanted, struct q6_block *b)
{
    float error = 0;
    for (int group = 0; group < SIXTEENS; group++) error += choose_scale(x + group * SIXTEEN, wanted[group], b, group);
    return error;
}

/* Steps 2 and 3 when the scale of largest magnitude gets the integer -top; least squares for codes u = s q is d = sum u x /
 * sum u^2. Returns the squared error. */
static float encode_q6_below(const float *x, const float *wanted, int top, struct q6_block *b)
{
    float peak = 0;
    double uu = 0, ux = 0;
    for (int group = 0; group < SIXTEENS; group++)
        if (fabsf(wanted[group]) > fabsf(peak)) peak = wanted[group];
    *b = (struct q6_block){.d = as_f16(peak / (float)-top)};
    float error = choose_scales(x, wanted, b);
    for (int i = 0; i < ELEMENTS; i++) {
        double u = (double)b->scale[i / SIXTEEN] * b->q[i];
        uu += u * u;
        ux += u * (double)x[i];
    }
    struct q6_block better = *b;
    if (uu > 0) better.d = as_f16((float)(ux / uu));
    float after = choose_scales(x, wanted, &better);
    if (!(after < error)) return error;
    *b = better;
    return after;
}

/* The three steps; -128 is the integer of largest magnitude. */
static void encode_q6(const float *x, struct q6_block *b)
{
    enum { TOP = 128, TOPS = 32 };
    float wanted[SIXTEENS];
    for (int group = 0; group < SIXTEENS; group++) wanted[group] = search_scale(x + group * SIXTEEN);
    float error = encode_q6_below(x, wanted, TOP, b);
    for (int top = TOP - 1; top > TOP - TOPS && is_rounding(x, b->d, error); top--) {
        struct q6_block other;
        float now = encode_q6_below(x, wanted, top, &other);
        if (now >= error) continue;
        error = now;
        *b = other;
    }
}

/* Packed as quant_decode_q6_k reads it: codes q + 32 of six bits, four of them in three bytes. */
void quant_encode_q6_k(const float *restrict x, uint8_t *restrict block)
{
    struct q6_block b;
    encode_q6(x, &b);
    for (int half = 0; half < 2; half++) {
        uint8_t *low = block + 64 * half, *high = block + 128 + 32 * half;
        const int8_t *q = b.q + 128 * half;
        for (int i = 0; i < RUN; i++) {
            int v[4] = {q[i] + 32, q[i + 32] + 32, q[i + 64] + 32, q[i + 96] + 32};
            low[i] = (uint8_t)((v[0] & 15) | (v[2] & 15) << 4);
            low[i + 32] = (uint8_t)((v[1] & 15) | (v[3] & 15) << 4);
            high[i] = (uint8_t)(v[0] >> 4 | v[1] >> 4 << 2 | v[2] >> 4 << 4 | v[3] >> 4 << 6);
        }
    }
    for (int i = 0; i < SIXTEENS; i++) block[192 + i] = (uint8_t)(int8_t)b.scale[i];
    quant_encode_k_put_f16(block + 208, b.d);
}
