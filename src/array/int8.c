/* int8: quantising and reading rows; the format is described in int8.h. */
#include "array/int8.h"

#include <math.h>

enum { LARGEST_CODE = 127 };

static const float largest = 1e30f;

size_t int8_row_bytes(int64_t cols)
{
    return sizeof(float) + (size_t)cols;
}

bool int8_quantise_row(const float *x, int64_t cols, void *row)
{
    int8_t *codes = (int8_t *)row + sizeof(float);
    float most = 0;
    for (int64_t i = 0; i < cols; i++) {
        float size = fabsf(x[i]);
        if (!(size <= largest)) return false;
        most = size > most ? size : most;
    }
    float scale = most / LARGEST_CODE;
    memcpy(row, &scale, sizeof scale);
    for (int64_t i = 0; i < cols; i++) {
        /* A subnormal scale may have lost so many bits that the quotient passes 127. */
        float code = scale > 0 ? rintf(x[i] / scale) : 0.0f;
        codes[i] = (int8_t)(code > LARGEST_CODE ? LARGEST_CODE : code < -LARGEST_CODE ? -LARGEST_CODE : code);
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
