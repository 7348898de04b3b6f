/* int8: quantising and reading rows; the format is described in int8.h. */
#include "array/codec/int8.h"

enum { LARGEST_CODE = 127 };

static const float largest = 1e30f;

size_t int8_row_bytes(int64_t cols)
{
    return sizeof(float) + (size_t)cols;
}

/* A model of a billion weights is quantised while a user waits, so rows go through vectors of four, which every processor
 * has, and the last few elements through one that zeros fill up. */
enum { LANES = 4 };
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef int8_t v8 __attribute__((vector_size(4)));

/* x in every lane. */
static inline vf int8_splat(float x)
{
    return x - (vf){0};
}

/* n <= LANES elements, then zeros. Compiled into one instruction where n is LANES. */
static inline vf int8_load(const float *x, int64_t n)
{
    vf v = {0};
    memcpy(&v, x, (size_t)n * sizeof *x);
    return v;
}

/* which ? a : b, lane by lane. */
static inline vf int8_choose(vi which, vf a, vf b)
{
    return (vf)((which & (vi)a) | (~which & (vi)b));
}

/* Largest absolute value; false when one is too large or no number. */
static bool row_most(const float *x, int64_t cols, float *out)
{
    vf most = {0};
    vi fits = {-1, -1, -1, -1};
    for (int64_t i = 0; i < cols; i += LANES) {
        vf size = (vf)((vi)(i + LANES <= cols ? int8_load(x + i, LANES) : int8_load(x + i, cols - i)) & 0x7fffffff);
        fits &= size <= int8_splat(largest);
        most = int8_choose(size > most, size, most);
    }
    *out = 0;
    for (int i = 0; i < LANES; i++) *out = most[i] > *out ? most[i] : *out;
    return fits[0] && fits[1] && fits[2] && fits[3];
}

/* round(x / scale) of four elements. Adding 1.5 * 2^23 to a float of small size leaves no bit for a fraction, so the sum
 * is rounded to a whole number, halves to even; subtracting it again gives that number. */
static inline v8 quantise(vf x, vf scale)
{
    const vf whole = int8_splat(0x1.8p23f);
    const vf limit = int8_splat(LARGEST_CODE);
    vf code = x / scale + whole - whole;
    code = int8_choose(code > limit, limit, code); /* a subnormal scale may have lost so many bits that it passes 127 */
    code = int8_choose(code < -limit, -limit, code);
    return __builtin_convertvector(__builtin_convertvector(code, vi), v8);
}

/* Where the largest value is 0, or so small that its 127th part is, all codes are 0. */
bool int8_quantise_row(const float *x, int64_t cols, void *row)
{
    int8_t *codes = (int8_t *)row + sizeof(float);
    float most;
    if (!row_most(x, cols, &most)) return false;
    float scale = most / LARGEST_CODE;
    memcpy(row, &scale, sizeof scale);
    if (scale == 0) {
        memset(codes, 0, (size_t)cols);
        return true;
    }
    int64_t i = 0;
    for (; i + LANES <= cols; i += LANES) {
        v8 bytes = quantise(int8_load(x + i, LANES), int8_splat(scale));
        memcpy(codes + i, &bytes, LANES);
    }
    if (i < cols) {
        v8 bytes = quantise(int8_load(x + i, cols - i), int8_splat(scale));
        memcpy(codes + i, &bytes, (size_t)(cols - i));
    }
    return true;
}

void int8_to_f32(const void *row, int64_t first, int64_t n, float *out)
{
    const int8_t *codes = int8_row_codes(row) + first;
    float scale = int8_row_scale(row);
    for (int64_t i = 0; i < n; i++) out[i] = scale * (float)codes[i];
}

void int8_to_f64(const void *row, int64_t first, int64_t n, double *out)
{
    const int8_t *codes = int8_row_codes(row) + first;
    double scale = (double)int8_row_scale(row);
    for (int64_t i = 0; i < n; i++) out[i] = scale * codes[i];
}
