/* coreml_quant: the two stored forms of a row of weights that Core ML widens itself. */
#ifndef YA_EXPORT_COREML_QUANT_H
#define YA_EXPORT_COREML_QUANT_H

#include <stdbool.h>
#include <stdint.h>

enum { COREML_TABLE_VALUES = 16 };

/* The scale of a row, as f16: largest magnitude / 127; 0 for a row of zeros. And the row in steps of it, rounded to nearest,
 * within -127 to 127. */
uint16_t coreml_int8_scale(const float *row, int64_t n);
void coreml_int8_row(const float *row, int64_t n, int8_t *out);

/* 16 values for a row, ascending, as f16, that make the sum of squared errors small: Lloyd's algorithm on one dimension
 * (Lloyd 1982), begun at quantiles of the row, at most 24 rounds. And for each element the index of the nearest value, two a
 * byte, the first in the low half ((n + 1) / 2 bytes). Both give the same bytes for the same row. `scratch`: n floats. */
void coreml_lut4_table(const float *row, int64_t n, float *scratch, uint16_t table[COREML_TABLE_VALUES]);
void coreml_lut4_row(const float *row, int64_t n, const uint16_t table[COREML_TABLE_VALUES], uint8_t *out);

#endif
