/* le: little-endian numbers at any address, on a machine of either byte order. Callers check that the bytes are there. */
#ifndef YA_BASE_LE_H
#define YA_BASE_LE_H

#include <stddef.h>
#include <stdint.h>

/* 16 bits. Spelled out, as le_u32, because inner loops of decoders call it and compilers make one load of it. */
static inline uint16_t le_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

/* 32 bits. */
static inline uint32_t le_u32(const uint8_t *p)
{
    return (uint32_t)le_u16(p) | (uint32_t)le_u16(p + 2) << 16;
}

/* 64 bits. */
static inline uint64_t le_u64(const uint8_t *p)
{
    return (uint64_t)le_u32(p) | (uint64_t)le_u32(p + 4) << 32;
}

/* An unsigned number of n bytes, 0 to 8: 0 for none. */
static inline uint64_t le_uint(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = n; i-- > 0;) v = v << 8 | p[i];
    return v;
}

#endif
