/* sha256_blocks: the compression function over whole blocks, in portable C and with the SHA instructions of x86. Checkpoints
 * and data caches are hashed whole, which in portable C costs more time than writing them. */
#ifndef YA_BASE_SHA256_BLOCKS_H
#define YA_BASE_SHA256_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* FIPS 180-4 section 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
extern const uint32_t sha256_round_constant[64];

/* Feeds n blocks of 64 bytes into the state. */
void sha256_blocks_portable(uint32_t state[8], const uint8_t *p, size_t n);

/* The same by instructions; only when sha256_blocks_x86_usable says that this processor has them. */
bool sha256_blocks_x86_usable(void);
void sha256_blocks_x86(uint32_t state[8], const uint8_t *p, size_t n);

#endif
