/* coreml_quant: see coreml_quant.h. A row is sorted once; then a group of elements that share a value is a range of it, and
 * rounds of Lloyd's algorithm move the 15 borders only. */
#include "export/coreml/coreml_quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "array/dtype.h"

enum { ROUNDS = 24, VALUES = COREML_TABLE_VALUES };

uint16_t coreml_int8_scale(const float *row, int64_t n)
{
    float most = 0;
    for (int64_t j = 0; j < n; j++) most = fmaxf(most, fabsf(row[j]));
    return f32_to_f16(most / 127);
}

/* Steps are of the scale as it is stored. */
void coreml_int8_row(const float *row, int64_t n, int8_t *out)
{
    float scale = f16_to_f32(coreml_int8_scale(row, n)), by = scale > 0 ? 1 / scale : 0;
    for (int64_t j = 0; j < n; j++) out[j] = (int8_t)fmaxf(-127, fminf(127, rintf(row[j] * by)));
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The mean of a range, or `old` for an empty one. */
static double mean_of_range(const float *sorted, int64_t first, int64_t end, double old)
{
    double sum = 0;
    for (int64_t j = first; j < end; j++) sum += (double)sorted[j];
    return end > first ? sum / (double)(end - first) : old;
}

/* Where the elements begin that are nearer to `right` than to `left`, from `first` on. */
static int64_t border(const float *sorted, int64_t first, int64_t n, double left, double right)
{
    double middle = 0.5 * (left + right);
    int64_t low = first, high = n;
    while (low < high) {
        int64_t at = low + (high - low) / 2;
        if ((double)sorted[at] < middle)
            low = at + 1;
        else
            high = at;
    }
    return low;
}

void coreml_lut4_table(const float *row, int64_t n, float *scratch, uint16_t table[COREML_TABLE_VALUES])
{
    double value[VALUES];
    memcpy(scratch, row, (size_t)n * sizeof *row);
    qsort(scratch, (size_t)n, sizeof *scratch, compare_floats);
    /* Between quantiles and even steps: quantiles alone leave the tails, which weigh most in the error, to one value. */
    for (int k = 0; k < VALUES; k++) {
        double quantile = (double)scratch[(2 * k + 1) * (n - 1) / (2 * VALUES)];
        double even = (double)scratch[0] + ((double)scratch[n - 1] - (double)scratch[0]) * (k + 0.5) / VALUES;
        value[k] = 0.5 * (quantile + even);
    }
    bool moved = true;
    for (int round = 0; round < ROUNDS && moved; round++) {
        int64_t first = 0;
        moved = false;
        for (int k = 0; k < VALUES; k++) {
            int64_t end = k + 1 < VALUES ? border(scratch, first, n, value[k], value[k + 1]) : n;
            double mean = mean_of_range(scratch, first, end, value[k]);
            moved |= mean != value[k];
            value[k] = mean;
            first = end;
        }
    }
    for (int k = 0; k < VALUES; k++) table[k] = f32_to_f16((float)value[k]);
}

static int nearest(const float *value, float x)
{
    int k = 0;
    while (k + 1 < VALUES && fabsf(value[k + 1] - x) < fabsf(value[k] - x)) k++;
    return k;
}

void coreml_lut4_row(const float *row, int64_t n, const uint16_t table[COREML_TABLE_VALUES], uint8_t *out)
{
    float value[VALUES];
    for (int k = 0; k < VALUES; k++) value[k] = f16_to_f32(table[k]);
    memset(out, 0, (size_t)(n + 1) / 2);
    for (int64_t j = 0; j < n; j++) out[j / 2] |= (uint8_t)(nearest(value, row[j]) << 4 * (j % 2));
}
