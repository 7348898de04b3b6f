/* rng: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC'11). The key is the
 * seed; purpose and stream are the upper half of the counter, the index its lower half, so streams cannot overlap. Every
 * number takes one whole block: simpler than keeping half a block in the state, and the state stays one integer. */
#include "base/rng.h"

#include <math.h>

#include "base/ctx.h"

void rng_philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t x0 = ctr[0], x1 = ctr[1], x2 = ctr[2], x3 = ctr[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * x0, b = (uint64_t)0xCD9E8D57u * x2;
        x0 = (uint32_t)(b >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)b;
        x2 = (uint32_t)(a >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)a;
        k0 += 0x9E3779B9u; /* the Weyl sequence of the paper: golden ratio, sqrt(3) - 1 */
        k1 += 0xBB67AE85u;
    }
    out[0] = x0, out[1] = x1, out[2] = x2, out[3] = x3;
}

void rng_init(struct rng *r, uint64_t seed, enum rng_purpose purpose, uint32_t stream)
{
    *r = (struct rng){.seed = seed, .purpose = (uint32_t)purpose, .stream = stream};
}

/* 128 random bits for the next index of the stream. */
static void next_block(struct rng *r, uint64_t out[2])
{
    uint32_t ctr[4] = {(uint32_t)r->index, (uint32_t)(r->index >> 32), r->purpose, r->stream};
    uint32_t key[2] = {(uint32_t)r->seed, (uint32_t)(r->seed >> 32)}, word[4];
    rng_philox(ctr, key, word);
    out[0] = word[0] | (uint64_t)word[1] << 32;
    out[1] = word[2] | (uint64_t)word[3] << 32;
    r->index++;
}

/* The upper 53 bits as a fraction in [0, 1). */
static double unit(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t x[2];
    next_block(r, x);
    return x[0];
}

/* Lemire, "Fast random integer generation in an interval" (2019): the upper half of x * n, after rejecting the few x that
 * would make some results likelier. */
uint64_t rng_below(struct rng *r, uint64_t n)
{
    BUG_ON(NULL, n == 0, "a number below 0 is asked for");
    uint64_t reject = -n % n;
    for (;;) {
        unsigned __int128 m = (unsigned __int128)rng_u64(r) * n;
        if ((uint64_t)m >= reject) return (uint64_t)(m >> 64);
    }
}

double rng_uniform(struct rng *r)
{
    return unit(rng_u64(r));
}

/* Box and Muller (1958), one of the two results. */
double rng_normal(struct rng *r)
{
    uint64_t x[2];
    next_block(r, x);
    double radius = sqrt(-2.0 * log(1.0 - unit(x[0]))); /* 1 - u is in (0, 1]: the logarithm is finite */
    return radius * cos(6.283185307179586 * unit(x[1]));
}
