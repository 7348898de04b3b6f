/* snappy: a block in Snappy's raw format (google/snappy, format_description.txt): the unpacked length as a varint, then
 * elements, each a tag byte whose low two bits say literal (0) or copy with an offset of 11 (1), 16 (2) or 32 (3) bits. A
 * copy repeats bytes that were written already: after the literal "ab", a copy of 4 bytes from offset 2 makes "ababab",
 * reading what it writes itself. */
#include "io/parquet/snappy.h"

#include <string.h>

#include "base/le.h"

/* The unpacked length. */
static bool snappy_read_length(const uint8_t **from, const uint8_t *end, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 35 && *from < end; shift += 7) {
        uint8_t byte = *(*from)++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return true;
    }
    return false;
}

/* A copy may overlap what it writes: then the last `offset` bytes repeat. */
static bool snappy_copy(uint8_t *to, size_t at, size_t bytes, size_t offset, size_t n)
{
    if (offset == 0 || offset > at || n > bytes - at) return false;
    for (size_t i = 0; i < n; i++) to[at + i] = to[at + i - offset];
    return true;
}

/* Reads the element at *from; *n is what it adds. */
static bool expand_element(const uint8_t **from, const uint8_t *end, uint8_t *to, size_t at, size_t bytes, size_t *n)
{
    uint8_t tag = *(*from)++;
    size_t left = (size_t)(end - *from), kind = tag & 3, extra = kind == 3 ? 4 : kind;
    if (kind == 0) {
        size_t size = tag >> 2;
        extra = size < 60 ? 0 : size - 59;
        if (extra > left) return false;
        *n = (extra ? (size_t)le_uint(*from, extra) : size) + 1;
        *from += extra;
        if (*n > left - extra || *n > bytes - at) return false;
        memcpy(to + at, *from, *n);
        *from += *n;
        return true;
    }
    if (extra > left) return false;
    size_t offset = le_uint(*from, extra);
    *n = (size_t)(tag >> 2) + 1;
    if (kind == 1) {
        *n = (size_t)(tag >> 2 & 7) + 4;
        offset |= (size_t)(tag >> 5) << 8;
    }
    *from += extra;
    return snappy_copy(to, at, bytes, offset, *n);
}

bool snappy_expand(const uint8_t *from, size_t n, uint8_t *to, size_t bytes)
{
    const uint8_t *end = from + n;
    uint64_t length;
    if (!snappy_read_length(&from, end, &length) || length != bytes) return false;
    size_t at = 0;
    while (from < end) {
        size_t added;
        if (!expand_element(&from, end, to, at, bytes, &added)) return false;
        at += added;
    }
    return at == bytes;
}
