/* dropout: which channels of a token's input an adapter drops. The mask is a pure function of seed, step, token, adapter
 * and channel, so nothing is stored: forward, backward, a recomputed block, a resumed run and another split into
 * micro-batches all see the same mask.
 *
 * Philox (base/rng.h) takes a 64-bit key and a 128-bit counter. Seed and step are 128 bits together, so the key is drawn
 * from them by one Philox call under a key of its own, which also keeps dropout apart from other uses of the seed; the
 * counter is (token, adapter's id, channel / 4), and each call gives the random integers of four channels. */
#include <string.h>

#include "array/op.h"
#include "base/rng.h"

void dropout_key(const struct step_values *values, uint32_t key[4])
{
    const uint32_t purpose[2] = {RNG_DROPOUT, 0};
    const uint64_t seed = values->seed, step = (uint64_t)values->step;
    const uint32_t from[4] = {(uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)step, (uint32_t)(step >> 32)};
    rng_philox(from, purpose, key);
}

uint64_t dropout_threshold(float p)
{
    return (uint64_t)((double)p * 4294967296.0);
}

/* One call of Philox gives the four channels from j on. A channel is dropped with the share threshold / 2^32 of its random
 * integers, which is p to within 2^-32. */
void dropout_mask(const struct step_values *values, uint32_t slot_id, int64_t token, float p, int64_t n, uint8_t *keep)
{
    if (p <= 0) {
        memset(keep, 1, (size_t)n);
        return;
    }
    const uint64_t where = (uint64_t)token, threshold = dropout_threshold(p);
    uint32_t philox_key[4];
    dropout_key(values, philox_key);
    for (int64_t j = 0; j < n; j += 4) {
        const uint32_t counter[4] = {(uint32_t)where, (uint32_t)(where >> 32), slot_id, (uint32_t)(j / 4)};
        uint32_t numbers[4];
        rng_philox(counter, philox_key, numbers);
        for (int64_t i = 0; i < 4 && j + i < n; i++) keep[j + i] = numbers[i] >= threshold;
    }
}
