/* dtype: sizes, names, promotion and conversion of element types.
 *
 * Promotion is the JAX/MLX lattice restricted to our types: bool < u8 < i32 < i64 < {f16, bf16} < f32 < f64, and the two
 * half formats meet in f32, because neither holds the other. In that lattice the enum's order decides everything else.
 *
 * Halves are converted in integer arithmetic: the same bits on every machine, with or without F16C. */
#include "array/dtype.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t bytes;
} table[DTYPE_COUNT] = {
    [DTYPE_BOOL] = {"bool", 1}, [DTYPE_U8] = {"u8", 1},     [DTYPE_I32] = {"i32", 4}, [DTYPE_I64] = {"i64", 8},
    [DTYPE_F16] = {"f16", 2},   [DTYPE_BF16] = {"bf16", 2}, [DTYPE_F32] = {"f32", 4}, [DTYPE_F64] = {"f64", 8},
};

size_t dtype_size(enum dtype t)
{
    return table[t].bytes;
}

const char *dtype_name(enum dtype t)
{
    return table[t].name;
}

bool dtype_is_float(enum dtype t)
{
    return t >= DTYPE_F16;
}

enum dtype dtype_promote(enum dtype a, enum dtype b)
{
    if ((a == DTYPE_F16 && b == DTYPE_BF16) || (a == DTYPE_BF16 && b == DTYPE_F16)) return DTYPE_F32;
    return a > b ? a : b;
}

/* ---- halves ------------------------------------------------------------------------------------------------------- */

/* A float's bits, and back: memcpy is what C allows for it. */
static uint32_t f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* The float that has these bits. */
static float f32_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Exact: every half is a float. */
float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 0x3ff;
    if (exponent == 31) return f32_from_bits(sign | 0x7f800000 | mantissa << 13);
    if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24, exact in f32 */
        float magnitude = (float)mantissa * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return f32_from_bits(sign | (exponent + 127 - 15) << 23 | mantissa << 13);
}

/* To nearest, ties to even. */
uint16_t f32_to_f16(float f)
{
    uint32_t u = f32_bits(f), sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff)); /* NaN, made quiet */
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and more round to infinity */
    if (magnitude < 0x38800000) {
        /* Subnormal result: the quantum 2^-24 is the last bit of floats in [0.5, 1), so that adding 0.5 rounds to it. */
        return (uint16_t)(sign | (f32_bits(f32_from_bits(magnitude) + 0.5f) - f32_bits(0.5f)));
    }
    uint32_t rebiased = magnitude - ((127u - 15u) << 23);
    rebiased += 0xfff + (rebiased >> 13 & 1); /* to nearest, ties to even */
    return (uint16_t)(sign | rebiased >> 13);
}

/* To nearest, ties to even; subnormals are kept. */
uint16_t f32_to_bf16(float f)
{
    uint32_t u = f32_bits(f);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40); /* NaN: keep a bit that survives the cut */
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* ---- conversion ----------------------------------------------------------------------------------------------------- */

/* double to float rounded to odd: inexact results get their last bit set, so that a second rounding to half precision
 * gives what a direct one would (Boldo & Melquiond 2008). */
static float narrow_to_odd(double d)
{
    float f = (float)d;
    if ((double)f == d || isnan(d) || isinf(d)) return f;
    uint32_t u = f32_bits(f);
    if (fabs((double)f) > fabs(d)) u--;
    return f32_from_bits(u | 1);
}

/* The nearest integer in range; NaN becomes 0. */
static int64_t saturate(double d, int64_t low, int64_t high)
{
    if (isnan(d)) return 0;
    /* (double)INT64_MAX rounds up to 2^63, so >= catches exactly what does not fit. */
    if (d >= (double)high) return high;
    if (d <= (double)low) return low;
    return (int64_t)d;
}

static bool dtype_is_integer(enum dtype t)
{
    return t <= DTYPE_I64;
}

/* An element of an integer dtype or bool. */
static int64_t load_integer(enum dtype t, const void *p)
{
    switch (t) {
    case DTYPE_BOOL:
    case DTYPE_U8:
        return *(const uint8_t *)p;
    case DTYPE_I32:
        return *(const int32_t *)p;
    default:
        return *(const int64_t *)p;
    }
}

/* An element of a float dtype, exactly. */
static double load_float(enum dtype t, const void *p)
{
    switch (t) {
    case DTYPE_F16:
        return (double)f16_to_f32(*(const uint16_t *)p);
    case DTYPE_BF16:
        return (double)bf16_to_f32(*(const uint16_t *)p);
    case DTYPE_F32:
        return (double)*(const float *)p;
    default:
        return *(const double *)p;
    }
}

/* Rounds once; integers are cut towards zero and saturate. */
static void store_float(enum dtype t, void *p, double d)
{
    switch (t) {
    case DTYPE_BOOL:
        *(uint8_t *)p = d != 0;
        break; /* NaN is true, as in C and NumPy */
    case DTYPE_U8:
        *(uint8_t *)p = (uint8_t)saturate(d, 0, UINT8_MAX);
        break;
    case DTYPE_I32:
        *(int32_t *)p = (int32_t)saturate(d, INT32_MIN, INT32_MAX);
        break;
    case DTYPE_I64:
        *(int64_t *)p = saturate(d, INT64_MIN, INT64_MAX);
        break;
    case DTYPE_F16:
        *(uint16_t *)p = f32_to_f16(narrow_to_odd(d));
        break;
    case DTYPE_BF16:
        *(uint16_t *)p = f32_to_bf16(narrow_to_odd(d));
        break;
    case DTYPE_F32:
        *(float *)p = (float)d;
        break;
    default:
        *(double *)p = d;
        break;
    }
}

/* Integers wrap modulo their width, as in NumPy. */
static void store_integer(enum dtype t, void *p, int64_t i)
{
    switch (t) {
    case DTYPE_BOOL:
        *(uint8_t *)p = i != 0;
        break;
    case DTYPE_U8:
        *(uint8_t *)p = (uint8_t)i;
        break;
    case DTYPE_I32:
        *(int32_t *)p = (int32_t)(uint32_t)(uint64_t)i;
        break;
    case DTYPE_I64:
        *(int64_t *)p = i;
        break;
    case DTYPE_F32:
        *(float *)p = (float)i;
        break; /* direct: through double would round twice */
    default:
        store_float(t, p, (double)i);
        break;
    }
}

/* Integers are read as int64_t and floats as double, both exactly; what becomes of a value that the other type does not hold
 * is said at store_integer and store_float. */
void dtype_convert(enum dtype to, void *out, int64_t out_stride, enum dtype from, const void *in, int64_t in_stride,
                   int64_t n)
{
    const int64_t to_step = out_stride * table[to].bytes, from_step = in_stride * table[from].bytes;
    if (to == from && out_stride == 1 && in_stride == 1) {
        if (n > 0) memcpy(out, in, (size_t)n * table[to].bytes);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const char *source = (const char *)in + i * from_step;
        char *target = (char *)out + i * to_step;
        if (to == from) {
            memcpy(target, source, table[to].bytes);
        } else if (dtype_is_integer(from)) {
            store_integer(to, target, load_integer(from, source));
        } else {
            store_float(to, target, load_float(from, source));
        }
    }
}
