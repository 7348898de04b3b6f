/* utf8: the table of well-formed sequences written out as tests on the first two bytes; the only irregular rows are those
 * that begin with E0, ED, F0 and F4. */
#include "base/utf8.h"

#include <stdbool.h>

/* A continuation byte, 10xxxxxx. */
static bool tail(uint8_t b)
{
    return (b & 0xC0) == 0x80;
}

size_t utf8_length(const uint8_t *p, size_t n)
{
    if (n == 0) return 0;
    if (p[0] < 0x80) return 1;
    if (p[0] < 0xC2) return 0; /* a tail byte, or an overlong two-byte form */
    if (p[0] < 0xE0) return n >= 2 && tail(p[1]) ? 2 : 0;
    if (p[0] < 0xF0) {
        if (n < 3 || !tail(p[1]) || !tail(p[2])) return 0;
        if (p[0] == 0xE0 && p[1] < 0xA0) return 0;  /* overlong */
        if (p[0] == 0xED && p[1] >= 0xA0) return 0; /* surrogate */
        return 3;
    }
    if (p[0] > 0xF4 || n < 4 || !tail(p[1]) || !tail(p[2]) || !tail(p[3])) return 0;
    if (p[0] == 0xF0 && p[1] < 0x90) return 0;  /* overlong */
    if (p[0] == 0xF4 && p[1] >= 0x90) return 0; /* above U+10FFFF */
    return 4;
}

size_t utf8_check(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    size_t i = 0;
    while (i < n) {
        size_t len = p[i] < 0x80 ? 1 : utf8_length(p + i, n - i);
        if (len == 0) return i;
        i += len;
    }
    return n;
}
