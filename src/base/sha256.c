/* sha256: FIPS 180-4. The portable compression function, the padding, and the choice between it and the instructions of
 * sha256_x86.c; both give the same digests, so nothing that is stored depends on the machine. */
#include "base/sha256.h"

#include <string.h>

#include "base/sha256_blocks.h"

const uint32_t sha256_round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotr(uint32_t x, int n)
{
    return (x >> n) | (x << (32 - n));
}

static uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* One round of section 6.2.2. The working variables do not move along: v[(k - t) mod 8] is the k-th one (a = 0, ..., h = 7)
 * in round t, and with t known at compile time the array stays in registers. */
#define V(k) v[((k)-t) & 7]
static inline __attribute__((always_inline)) void round_step(uint32_t v[8], const int t, uint32_t kw)
{
    uint32_t e = V(4), a = V(0);
    uint32_t t1 = V(7) + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (V(6) ^ (e & (V(5) ^ V(6)))) + kw;
    V(3) += t1;
    V(7) = t1 + (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & V(1)) | (V(2) & (a | V(1))));
}
#undef V

/* Section 6.2.2 for one block of 64 bytes. */
static void compress(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[64], v[8];
    for (int t = 0; t < 16; t++) w[t] = load_be32(block + 4 * t);
    for (int t = 16; t < 64; t++) {
        uint32_t s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
        uint32_t s1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    memcpy(v, state, sizeof v);
    for (int t = 0; t < 64; t += 8) {
        round_step(v, 0, sha256_round_constant[t] + w[t]);
        round_step(v, 1, sha256_round_constant[t + 1] + w[t + 1]);
        round_step(v, 2, sha256_round_constant[t + 2] + w[t + 2]);
        round_step(v, 3, sha256_round_constant[t + 3] + w[t + 3]);
        round_step(v, 4, sha256_round_constant[t + 4] + w[t + 4]);
        round_step(v, 5, sha256_round_constant[t + 5] + w[t + 5]);
        round_step(v, 6, sha256_round_constant[t + 6] + w[t + 6]);
        round_step(v, 7, sha256_round_constant[t + 7] + w[t + 7]);
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
}

void sha256_blocks_portable(uint32_t state[8], const uint8_t *p, size_t n)
{
    for (; n > 0; n--, p += 64) compress(state, p);
}

/* n whole blocks, by the processor's instructions where it has them. */
static void blocks(uint32_t state[8], const uint8_t *p, size_t n)
{
    (sha256_blocks_x86_usable() ? sha256_blocks_x86 : sha256_blocks_portable)(state, p, n);
}

void sha256_init(struct sha256 *s)
{
    /* section 5.3.3: square roots of the first eight primes */
    *s = (struct sha256){
        .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_update(struct sha256 *s, const void *data, size_t n)
{
    const uint8_t *p = data;
    size_t held = s->bytes % 64;
    s->bytes += n;
    while (n > 0) {
        if (held == 0 && n >= 64) { /* whole blocks go in without a copy */
            blocks(s->state, p, n / 64);
            p += n / 64 * 64, n %= 64;
            continue;
        }
        size_t take = 64 - held < n ? 64 - held : n;
        memcpy(s->block + held, p, take);
        p += take, n -= take, held += take;
        if (held == 64) {
            blocks(s->state, s->block, 1);
            held = 0;
        }
    }
}

void sha256_final(struct sha256 *s, uint8_t digest[32])
{
    uint64_t bits = s->bytes * 8;
    uint8_t tail[72] = {0x80}; /* one bit, zeros up to 8 bytes before the end of a block, the length */
    size_t zeros = (64 + 55 - s->bytes % 64) % 64;
    for (int i = 0; i < 8; i++) tail[1 + zeros + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_update(s, tail, 1 + zeros + 8);
    for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(s->state[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_hex(const uint8_t digest[32], char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[64] = '\0';
}
