/* sha256: digests of bytes by the Secure Hash Algorithm with 256 bits (FIPS 180-4), for manifests of checkpoints and
 * caches. */
#ifndef YA_BASE_SHA256_H
#define YA_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct sha256 {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t block[64];
};

/* A digest in pieces: init, any number of updates, final. No memory is allocated and nothing can fail. The hexadecimal
 * form is 64 lower-case digits and a NUL. */
void sha256_init(struct sha256 *s);
void sha256_update(struct sha256 *s, const void *data, size_t n);
void sha256_final(struct sha256 *s, uint8_t digest[32]);
void sha256_hex(const uint8_t digest[32], char hex[65]);

#endif
