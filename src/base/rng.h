/* rng: counter-based random numbers, Philox4x32-10 (Salmon et al., SC'11). A number is a pure function of a key and a
 * counter, so nothing is stored: recomputation, resume and another split into micro-batches see the same numbers. */
#ifndef YA_BASE_RNG_H
#define YA_BASE_RNG_H

#include <stdint.h>

/* The four 32-bit outputs for counter `ctr` under `key`. Tested against the Random123 known answers. */
void rng_philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4]);

/* A stream: key = seed, counter = (running index, purpose, stream). Different purposes and streams never share numbers.
 * Each call below takes one index; rng_below may take more. */
enum rng_purpose { RNG_INIT = 1, RNG_DROPOUT, RNG_SHUFFLE, RNG_SAMPLE, RNG_TEST };
struct rng {
    uint64_t seed;
    uint32_t purpose;
    uint32_t stream; /* e.g. the parameter's index for RNG_INIT, the epoch for RNG_SHUFFLE */
    uint64_t index;  /* of the next number; a checkpoint stores it where a resumed run must draw the numbers that follow */
};

/* Starts a stream at index 0. Two streams of one seed differ in purpose or in stream number. */
void rng_init(struct rng *r, uint64_t seed, enum rng_purpose purpose, uint32_t stream);
/* The next number: 64 random bits; a whole number in [0, n) for n > 0, all equally likely; a double in [0, 1) of 53 bits;
 * and a normal one of mean 0 and variance 1 (Box and Muller 1958). */
uint64_t rng_u64(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n);
double rng_uniform(struct rng *r);
double rng_normal(struct rng *r);

#endif
