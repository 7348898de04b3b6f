/* cpu_loops: the loops of cpu_kernels.h but for the micro-tile, written once with the vector extension of gcc and clang
 * and compiled once for each instruction set: the including file defines LANES, the floats of one vector, and compiler
 * flags do the rest. Intrinsics were rejected here: these loops are bound by memory or by exp's polynomial, where the
 * compilers' choice of instructions is the same, and one text is one thing to test.
 *
 * Sums run over a fixed number of lanes, so results depend on the instruction set, never on threads or alignment. */
#ifndef LANES
#error "LANES says how many floats a vector holds"
#endif

#include <float.h>
#include <math.h>
#include <string.h>
#if defined(__F16C__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "array/dtype.h"
#include "backend/cpu/cpu_kernels.h"

typedef float vf __attribute__((vector_size(LANES * 4)));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));
typedef uint32_t vu __attribute__((vector_size(LANES * 4)));
typedef double vd __attribute__((vector_size(LANES * 4))); /* half as many */
typedef float vf_unaligned __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

/* A whole vector from any address. */
INLINE vf load(const float *p)
{
    return *(const vf_unaligned *)p;
}

/* A whole vector to any address. */
INLINE void store(float *p, vf v)
{
    *(vf_unaligned *)p = v;
}

/* The first n < LANES elements; the others are 0. */
INLINE vf load_part(const float *p, int64_t n)
{
    vf v = {0};
    memcpy(&v, p, (size_t)n * sizeof(float));
    return v;
}

/* The first n < LANES elements. */
INLINE void store_part(float *p, vf v, int64_t n)
{
    memcpy(p, &v, (size_t)n * sizeof(float));
}

/* x in every lane. */
INLINE vf splat(float x)
{
    return x - (vf){0};
}

/* mask ? a : b, lane by lane; masks are all ones or 0. */
INLINE vf choose(vi mask, vf a, vf b)
{
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

/* Runs `body` for every vector of [0, n), with LOAD(p) and STORE(p, v) of elements i.. of p; the tail goes through
 * parts. */
#define EACH(n, ...)                                                                                                        \
    do {                                                                                                                    \
        int64_t i = 0, left_;                                                                                               \
        for (; i + LANES <= (n); i += LANES) {                                                                              \
            enum { WHOLE = 1 };                                                                                             \
            left_ = LANES;                                                                                                  \
            __VA_ARGS__                                                                                                     \
        }                                                                                                                   \
        left_ = (n)-i;                                                                                                      \
        if (left_ > 0) {                                                                                                    \
            enum { WHOLE = 0 };                                                                                             \
            __VA_ARGS__                                                                                                     \
        }                                                                                                                   \
    } while (0)
#define LOAD(p)     (WHOLE ? load((p) + i) : load_part((p) + i, left_))
#define STORE(p, v) (WHOLE ? store((p) + i, v) : store_part((p) + i, v, left_))

/* ---- sums ------------------------------------------------------------------------------------------------------------- */

/* Lane by lane in order, so that the result does not depend on how a compiler would reduce. */
INLINE float sum_lanes(vf v)
{
    float s = 0;
    for (int i = 0; i < LANES; i++) s += v[i];
    return s;
}

enum { HALF = LANES / 2 };

/* HALF floats, or the first n < HALF of them, as doubles. */
INLINE vd load_f64(const float *p, int64_t n)
{
    vd v = {0};
    if (n >= HALF)
        for (int i = 0; i < HALF; i++) v[i] = p[i];
    else
        for (int i = 0; i < n; i++) v[i] = p[i];
    return v;
}

/* Lane by lane in order, as sum_lanes. */
INLINE double sum_lanes_f64(vd v)
{
    double s = 0;
    for (int i = 0; i < HALF; i++) s += v[i];
    return s;
}

/* Four independent sums, added at the end in a fixed order; the tail of fewer than LANES elements comes last. */
static float loop_dot(const float *x, const float *y, int64_t n)
{
    vf s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}; /* four chains hide the latency of the sum */
    int64_t j = 0;
    for (; j + 4 * LANES <= n; j += 4 * LANES) {
        s0 += load(x + j) * load(y + j);
        s1 += load(x + j + LANES) * load(y + j + LANES);
        s2 += load(x + j + 2 * LANES) * load(y + j + 2 * LANES);
        s3 += load(x + j + 3 * LANES) * load(y + j + 3 * LANES);
    }
    x += j;
    y += j;
    EACH(n - j, s0 += LOAD(x) * LOAD(y););
    return sum_lanes((s0 + s1) + (s2 + s3));
}

/* Both f64 sums keep two chains. */
static double loop_sum_squares(const float *x, int64_t n)
{
    vd s[2] = {{0}};
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES)
        for (int i = 0; i < 2; i++) {
            vd v = load_f64(x + j + i * HALF, HALF);
            s[i] += v * v;
        }
    for (; j < n; j += HALF) { /* the tail: at most two vectors, the last one filled with zeros */
        vd v = load_f64(x + j, n - j);
        s[0] += v * v;
    }
    return sum_lanes_f64(s[0] + s[1]);
}

/* Products and sums in f64, as a row may have thousands of elements of both signs: what f64 rounds off them is far below an
 * f32. */
static double loop_norm_dot(const float *dy, const float *gain, const float *x, int64_t n)
{
    vd s[2] = {{0}};
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES)
        for (int i = 0; i < 2; i++) {
            int64_t at = j + i * HALF;
            s[i] += load_f64(dy + at, HALF) * load_f64(gain + at, HALF) * load_f64(x + at, HALF);
        }
    for (; j < n; j += HALF) s[0] += load_f64(dy + j, n - j) * load_f64(gain + j, n - j) * load_f64(x + j, n - j);
    return sum_lanes_f64(s[0] + s[1]);
}

/* ---- elementwise ------------------------------------------------------------------------------------------------------ */

static void loop_add(float *out, const float *x, const float *y, int64_t n)
{
    EACH(n, STORE(out, LOAD(x) + LOAD(y)););
}

static void loop_mul(float *out, const float *x, const float *y, int64_t n)
{
    EACH(n, STORE(out, LOAD(x) * LOAD(y)););
}

static void loop_axpy(float *y, float a, const float *x, int64_t n)
{
    EACH(n, STORE(y, LOAD(y) + a * LOAD(x)););
}

static void loop_scale(float *out, float a, const float *x, int64_t n)
{
    EACH(n, STORE(out, a * LOAD(x)););
}

/* e^r by Taylor's polynomial of degree 7, for |r| <= ln 2 / 2. */
INLINE vf exp_polynomial(vf r)
{
    vf p = splat(1.0f / 5040);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    return p * r + 1.0f;
}

/* e^x = 2^k e^r with k = round(x / ln 2), |r| <= ln 2 / 2, where the polynomial is good to 6e-9. ln 2 is taken off in two
 * parts, the first so short that k times it is exact. 2^k is applied in two halves, so that subnormal results and overflow
 * come out by themselves. Rounding is by adding 1.5 * 2^23: no conversion, so NaN passes untouched. */
INLINE vf exp_vector(vf x)
{
    const vf round = splat(12582912.0f);
    x = choose(x < splat(-110.0f), splat(-110.0f), x);
    x = choose(x > splat(100.0f), splat(100.0f), x);
    vf shifted = x * 1.44269504088896341f + round, k = shifted - round;
    vf r = (x - k * 0.693359375f) - k * -2.12194440e-4f;
    vi power = (vi)((vu)shifted - (vu)round), half = power >> 1;
    return exp_polynomial(r) * (vf)((vu)(half + 127) << 23) * (vf)((vu)(power - half + 127) << 23);
}

/* The same for x <= 0, give or take rounding, which is what a softmax asks for: below the normal numbers the result is 0,
 * so one factor 2^k is enough (its bits are those of `shifted`, moved up). Both tests are written so that NaN passes. */
INLINE vf exp_nonpositive(vf x)
{
    const vf round = splat(12582912.0f);
    vf shifted = x * 1.44269504088896341f + round, k = shifted - round;
    vf r = (x - k * 0.693359375f) - k * -2.12194440e-4f;
    vf p = exp_polynomial(r) * (vf)(((vu)shifted << 23) + 0x3f800000u);
    return (vf)(~(x < splat(-87.0f)) & (vi)p);
}

static void loop_exp(float *out, const float *x, int64_t n)
{
    EACH(n, STORE(out, exp_vector(LOAD(x))););
}

/* 1 / (1 + e^-g). Where e^-g overflows, below g = -88.7, the result is 1 / inf = 0 in the place of a subnormal. */
INLINE vf sigmoid_vector(vf g)
{
    return 1.0f / (1.0f + exp_vector(-g));
}

/* out = g sigmoid(g) up. */
static void loop_swiglu(float *out, const float *gate, const float *up, int64_t n)
{
    EACH(n, {
        vf g = LOAD(gate);
        STORE(out, g * sigmoid_vector(g) * LOAD(up));
    });
}

/* dup = dy silu(g); dgate = dy up silu'(g) with silu'(g) = s (1 + g (1 - s)) = s + silu (1 - s). */
static void loop_swiglu_bwd(float *dgate, float *dup, const float *dy, const float *gate, const float *up, int64_t n)
{
    EACH(n, {
        vf g = LOAD(gate), d = LOAD(dy), s = sigmoid_vector(g), silu = g * s, u = LOAD(up);
        STORE(dup, d * silu);
        STORE(dgate, d * u * (s + silu * (1.0f - s)));
    });
}

static void loop_norm_apply(float *y, const float *x, const float *gain, float rstd, int64_t n)
{
    EACH(n, STORE(y, LOAD(x) * rstd * LOAD(gain)););
}

/* Without dsum the test stands outside of the loop. */
static void loop_norm_bwd(float *dx, const float *dy, const float *x, const float *gain, const float *dsum, float rstd,
                          float coefficient, int64_t n)
{
    if (dsum)
        EACH(n, STORE(dx, LOAD(dy) * LOAD(gain) * rstd - LOAD(x) * coefficient + LOAD(dsum)););
    else
        EACH(n, STORE(dx, LOAD(dy) * LOAD(gain) * rstd - LOAD(x) * coefficient););
}

/* A rotation of each pair (x, y) by the angle whose cosine and sine are c and s. */
static void loop_rotate(float *out_a, float *out_b, const float *a, const float *b, const float *cosine, const float *sine,
                        int64_t n)
{
    EACH(n, {
        vf x = LOAD(a), y = LOAD(b), c = LOAD(cosine), s = LOAD(sine);
        STORE(out_a, x * c - y * s);
        STORE(out_b, y * c + x * s);
    });
}

/* Square root of each lane; compilers turn the loop into the vector instruction. */
INLINE vf sqrt_vector(vf v)
{
    for (int i = 0; i < LANES; i++) v[i] = sqrtf(v[i]);
    return v;
}

/* m and v take the scaled gradient; the step is m-hat / (sqrt(v-hat) + eps) plus the decay, which acts on the value itself
 * (Loshchilov & Hutter 2019). Corrections come as factors, because a product is cheaper than a quotient. */
static void loop_adamw(float *p, const float *g, float *m, float *v, const struct adamw_constants *k, int64_t n)
{
    EACH(n, {
        vf x = LOAD(p), d = k->grad_scale * LOAD(g);
        vf m1 = k->beta1 * LOAD(m) + k->one_minus_beta1 * d, v1 = k->beta2 * LOAD(v) + k->one_minus_beta2 * d * d;
        STORE(m, m1);
        STORE(v, v1);
        vf step = m1 * k->inv_correction1 / (sqrt_vector(v1 * k->inv_correction2) + k->eps) + k->weight_decay * x;
        STORE(p, x - k->lr * step);
    });
}

#include "backend/cpu/loops/cpu_stored.h"

/* ---- columns of a tile ----------------------------------------------------------------------------------------------- */

/* Two vectors of columns at a time, so that one's latency hides the other's; one where vectors are as long as the 16
 * columns that n is a multiple of. `two` is a constant where this is expanded. */
INLINE void column_max(float *m, const float *s, int64_t ld, int64_t k, float scale, const bool two)
{
    vf m0 = load(m), m1 = two ? load(m + LANES) : m0;
    for (int64_t r = 0; r < k; r++, s += ld) {
        vf x0 = scale * load(s);
        m0 = choose(x0 > m0, x0, m0);
        if (two) {
            vf x1 = scale * load(s + LANES);
            m1 = choose(x1 > m1, x1, m1);
        }
    }
    store(m, m0);
    if (two) store(m + LANES, m1);
}

/* Two vectors of columns at a time, as the maxima of one alone would wait for each other. */
static void loop_column_max(float *m, const float *s, int64_t ld, int64_t k, int64_t n, float scale)
{
    int64_t j = 0;
    for (; j + 2 * LANES <= n; j += 2 * LANES) column_max(m + j, s + j, ld, k, scale, true);
    if (j < n) column_max(m + j, s + j, ld, k, scale, false);
}

/* e^(scale s - m) in place for LANES columns (or twice as many), and its sums added to `sum`. */
INLINE void column_exp(float *s, int64_t ld, int64_t k, float scale, const float *m, float *sum, const bool two)
{
    vf m0 = load(m), t0 = load(sum), m1 = two ? load(m + LANES) : m0, t1 = two ? load(sum + LANES) : t0;
    for (int64_t r = 0; r < k; r++, s += ld) {
        vf e0 = exp_nonpositive(scale * load(s) - m0);
        store(s, e0);
        t0 += e0;
        if (two) {
            vf e1 = exp_nonpositive(scale * load(s + LANES) - m1);
            store(s + LANES, e1);
            t1 += e1;
        }
    }
    store(sum, t0);
    if (two) store(sum + LANES, t1);
}

/* The same over all columns. */
static void loop_column_exp(float *s, int64_t ld, int64_t k, int64_t n, float scale, const float *m, float *sum)
{
    int64_t j = 0;
    for (; j + 2 * LANES <= n; j += 2 * LANES) column_exp(s + j, ld, k, scale, m + j, sum + j, true);
    if (j < n) column_exp(s + j, ld, k, scale, m + j, sum + j, false);
}

/* Two passes over the row: its maximum, then exponentials and their sum. The tail is less than a vector: its maximum is
 * found one by one, and of its exponentials only those of elements that are there are added. */
static void loop_row_softmax(float *s, int64_t n, float *max, float *sum)
{
    vf m = splat(*max), total = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf x = load(s + i);
        m = choose(x > m, x, m);
    }
    float most = *max;
    for (int lane = 0; lane < LANES; lane++) most = m[lane] > most ? m[lane] : most;
    for (int64_t j = i; j < n; j++) most = s[j] > most ? s[j] : most;
    *max = most;
    for (i = 0; i + LANES <= n; i += LANES) {
        vf e = exp_nonpositive(load(s + i) - most);
        store(s + i, e);
        total += e;
    }
    *sum = 0;
    for (int lane = 0; lane < LANES; lane++) *sum += total[lane];
    if (i == n) return;
    vf e = exp_nonpositive(load_part(s + i, n - i) - most);
    store_part(s + i, e, n - i);
    for (int lane = 0; lane < n - i; lane++) *sum += e[lane];
}

/* The softmax's derivative, ds = p (dp - delta), times the scale of the scores. */
static void loop_column_softmax_bwd(float *dp, const float *p, int64_t ld, int64_t k, int64_t n, float scale,
                                    const float *delta)
{
    for (int64_t r = 0; r < k; r++)
        for (int64_t j = 0; j < n; j += LANES) {
            int64_t at = r * ld + j;
            store(dp + at, load(p + at) * (load(dp + at) - load(delta + j)) * scale);
        }
}

/* The entries of a table made of the loops above. */
#define CPU_LOOPS                                                                                                           \
    .widen = loop_widen, .widen_nf4 = loop_widen_nf4, .dot_blocks = loop_dot_blocks, .dot = loop_dot, .add = loop_add,      \
    .mul = loop_mul, .axpy = loop_axpy, .scale = loop_scale, .sum_squares = loop_sum_squares, .exp = loop_exp,              \
    .swiglu = loop_swiglu, .swiglu_bwd = loop_swiglu_bwd, .column_max = loop_column_max, .column_exp = loop_column_exp,     \
    .row_softmax = loop_row_softmax, .column_softmax_bwd = loop_column_softmax_bwd, .norm_apply = loop_norm_apply,          \
    .norm_bwd = loop_norm_bwd, .norm_dot = loop_norm_dot, .rotate = loop_rotate, .adamw = loop_adamw
