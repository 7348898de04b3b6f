/* int8: a row of a frozen matrix as 8-bit integers with one scale, which integer products need (gemm_int.h).
 *
 * Bytes of a row: f32 scale, little endian; cols codes in [-127, 127]. Element i is scale * code[i]; scale is the largest
 * absolute value / 127, an element the nearest code, halves to even. One scale for each row, none for smaller blocks: in y
 * = x W^T a row's scale can wait for the end of the sum, in dx = dy W it can be multiplied into dy before; a scale for
 * each block could do neither. -128 is left out so that code and -code are both there. */
#ifndef YA_ARRAY_INT8_H
#define YA_ARRAY_INT8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes of a row of `cols` >= 1 elements. */
size_t int8_row_bytes(int64_t cols);

/* The scale and the codes of a row that int8_quantise_row wrote; the codes lie inside the row. */
static inline float int8_row_scale(const void *row)
{
    float scale;
    memcpy(&scale, row, sizeof scale);
    return scale;
}

/* The `cols` codes of the row, in [-127, 127]. */
static inline const int8_t *int8_row_codes(const void *row)
{
    return (const int8_t *)row + sizeof(float);
}

/* Quantises x (cols) into `row`, int8_row_bytes of the caller's memory. False when an element is not finite or above 1e30
 * in size; the bytes of the row are then undefined. Pure: any thread may call it. */
bool int8_quantise_row(const float *x, int64_t cols, void *row);

/* Elements [first, first + n) of a row widened to f32 or f64. */
void int8_to_f32(const void *row, int64_t first, int64_t n, float *out);
void int8_to_f64(const void *row, int64_t first, int64_t n, double *out);

#endif
