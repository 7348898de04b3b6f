/* parquet_number: see parquet_number.h. Decimals may have more digits than any integer of C, so they are divided by ten byte
 * by byte, as on paper. */
#include "io/parquet/parquet_number.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"

/* ---- decimals ---- */

/* The magnitude of a number in two's complement; true when it is negative. */
static bool decimal_magnitude(const uint8_t *bytes, size_t n, uint8_t *out)
{
    bool negative = n > 0 && bytes[0] & 0x80;
    unsigned carry = negative;
    for (size_t i = n; i-- > 0;) {
        unsigned byte = (negative ? (uint8_t)~bytes[i] : bytes[i]) + carry;
        out[i] = (uint8_t)byte;
        carry = byte >> 8;
    }
    return negative;
}

/* Divides the number by ten; the remainder. */
static int decimal_next_digit(uint8_t *bytes, size_t n)
{
    unsigned rest = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned part = rest << 8 | bytes[i];
        bytes[i] = (uint8_t)(part / 10);
        rest = part % 10;
    }
    return (int)rest;
}

static bool decimal_is_zero(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i]) return false;
    return true;
}

void parquet_decimal_text(const uint8_t *bytes, size_t n, int scale, char *text)
{
    uint8_t rest[PARQUET_DECIMAL_BYTES];
    char digits[PARQUET_NUMBER_TEXT]; /* the last digit first */
    int count = 0;
    BUG_ON(NULL, n > sizeof rest || scale < 0 || scale > PARQUET_DECIMAL_SCALE, "decimal of %zu bytes, scale %d", n, scale);
    if (decimal_magnitude(bytes, n, rest)) *text++ = '-';
    while (count <= scale || !decimal_is_zero(rest, n)) digits[count++] = (char)('0' + decimal_next_digit(rest, n));
    while (count-- > 0) {
        *text++ = digits[count];
        if (count == scale && scale > 0) *text++ = '.';
    }
    *text = 0;
}

/* ---- halves ---- */

/* Whether a number is nearer to the half of magnitude v than to its neighbours, which lie "step" apart, but half of that
 * below a power of two. */
static bool half_is_nearest(double number, double v, double step, bool power_of_two)
{
    double off = fabs(number) - v;
    return off < step / 2 && off > (power_of_two ? -step / 4 : -step / 2);
}

void parquet_half_text(uint16_t bits, char *text)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023, digits = 3;
    double step = ldexp(1, (exponent ? exponent : 1) - 25), v = step * (exponent ? 1024 + fraction : fraction);
    if (exponent == 31) {
        strcpy(text, "null");
        return;
    }
    do snprintf(text, PARQUET_NUMBER_TEXT, "%s%.*g", bits & 0x8000 ? "-" : "", digits, v);
    while (!half_is_nearest(strtod(text, NULL), v, step, fraction == 0 && exponent > 1) && digits++ < 9);
    for (char *comma = text; (comma = strchr(comma, ',')) != NULL;) *comma = '.';
}
