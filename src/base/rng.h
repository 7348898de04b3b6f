/* rng: counter-based random numbers, Philox4x32-10 (Salmon et al., SC'11). A number is a pure function of a key and a
 * counter, so nothing is stored: recomputation, resume and another split into micro-batches see the same numbers. */
#ifndef YA_BASE_RNG_H
#define YA_BASE_RNG_H

#include <stdint.h>

/* The four 32-bit outputs for counter `ctr` under `key`. Tested against the Random123 known answers. */
void rng_philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4]);

/* A stream: key = seed, counter = (running index, purpose, stream). Different purposes and streams never share numbers. Each
 * call below takes one index; rng_below may take more. */
enum rng_purpose { RNG_INIT = 1, RNG_DROPOUT, RNG_SHUFFLE, RNG_SAMPLE, RNG_TEST };
struct rng {
    uint64_t seed;
    uint32_t purpose;
    uint32_t stream; /* e.g. the parameter's index for RNG_INIT, the epoch for RNG_SHUFFLE */
    uint64_t index;  /* next number; part of a checkpoint where a stream must go on */
};

/* Starts a stream at index 0. Two streams of one seed differ in purpose or in stream number. */
void rng_init(struct rng *r, uint64_t seed, enum rng_purpose purpose, uint32_t stream);
uint64_t rng_u64(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* uniform in [0, n), n > 0, no modulo bias */
double rng_uniform(struct rng *r);             /* [0, 1), 53 bits */
double rng_normal(struct rng *r);              /* N(0,1), Box-Muller */

#endif
