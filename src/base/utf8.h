/* utf8: one question, asked of untrusted bytes: is this a well-formed character, and how long is it? (Unicode 15, table 3-7:
 * no overlong forms, no surrogates, nothing above U+10FFFF.) */
#ifndef YA_BASE_UTF8_H
#define YA_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed character at p (n bytes readable), or 0 when there is none. */
size_t utf8_length(const uint8_t *p, size_t n);

/* Offset of the first byte that is not part of a well-formed character; n when all are. */
size_t utf8_check(const void *bytes, size_t n);

#endif
