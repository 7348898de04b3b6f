/* snappy: expands a block in Snappy's raw format, as Parquet's pages have it (no frames). */
#ifndef YA_IO_PARQUET_SNAPPY_H
#define YA_IO_PARQUET_SNAPPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills exactly `bytes` of `to` from n packed bytes. False when they are corrupt or stand for more bytes or fewer. */
bool snappy_expand(const uint8_t *from, size_t n, uint8_t *to, size_t bytes);

#endif
