/* parquet_number: numbers that Parquet keeps as bytes or as integers with a scale: DECIMAL and FLOAT16. DuckDB, Spark and
 * databases write decimals wherever a number in a query has a point. */
#ifndef YA_IO_PARQUET_NUMBER_H
#define YA_IO_PARQUET_NUMBER_H

#include <stddef.h>
#include <stdint.h>

/* Most bytes and most digits behind the point of a decimal; 32 bytes hold 76 digits. */
enum { PARQUET_DECIMAL_BYTES = 32, PARQUET_DECIMAL_SCALE = 76, PARQUET_NUMBER_TEXT = 96 };

/* Writes the decimal that n bytes (0 to PARQUET_DECIMAL_BYTES) hold as a number of JSON, exactly: an integer in two's
 * complement, its most significant byte first, divided by 10^scale (0 to PARQUET_DECIMAL_SCALE). "text" takes
 * PARQUET_NUMBER_TEXT bytes. */
void parquet_decimal_text(const uint8_t *bytes, size_t n, int scale, char *text);

/* Writes a half-precision number, given by its bits, as the shortest number of JSON that reads back to the same half: 0.99
 * is 0.99 and not 0.990234375. "null" where it is not finite. "text" as above. */
void parquet_half_text(uint16_t bits, char *text);

#endif
