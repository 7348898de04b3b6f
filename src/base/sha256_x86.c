/* sha256_x86: SHA-256 with the SHA extensions. Two instructions do the work: sha256rnds2 takes two rounds on a state that
 * is kept as (a b e f) and (c d g h), and sha256msg1/msg2 advance the message schedule by four words. On other machines
 * the functions exist and say that they cannot be used. */
#include "base/sha256_blocks.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/processor.h"

bool sha256_blocks_x86_usable(void)
{
    return processor_has(PROCESSOR_SHA);
}

#define SHA_TARGET __attribute__((target("sha,ssse3,sse4.1")))

/* Four rounds with the message words w: two on each half of the state. */
SHA_TARGET static inline void four_rounds(__m128i *abef, __m128i *cdgh, __m128i w, int group)
{
    __m128i kw = _mm_add_epi32(w, _mm_loadu_si128((const __m128i *)&sha256_round_constant[4 * group]));
    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, kw);
    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(kw, 0x0E));
}

/* 64 rounds in 16 groups of four. The first 16 words of the schedule are the block's; each group after them makes four more,
 * w[t] = w[t - 16] + s0(w[t - 15]) + w[t - 7] + s1(w[t - 2]): msg1 gives the first two terms, msg2 adds the last. */
SHA_TARGET static void one_block(__m128i *abef, __m128i *cdgh, const uint8_t *p)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i w[4]; /* the last sixteen words of the schedule, oldest first */
    for (int i = 0; i < 4; i++) {
        w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * i)), big_endian);
        four_rounds(abef, cdgh, w[i], i);
    }
    for (int i = 4; i < 16; i++) {
        __m128i seven_ago = _mm_alignr_epi8(w[3], w[2], 4);
        __m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(w[0], w[1]), seven_ago);
        next = _mm_sha256msg2_epu32(next, w[3]);
        w[0] = w[1], w[1] = w[2], w[2] = w[3], w[3] = next;
        four_rounds(abef, cdgh, next, i);
    }
}

/* The state, stored a to h, is turned into the two registers that the instructions want, and back. Names of registers list
 * the words from the highest to the lowest. */
SHA_TARGET void sha256_blocks_x86(uint32_t state[8], const uint8_t *p, size_t n)
{
    __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(cdab, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, cdab, 0xF0);
    for (; n > 0; n--, p += 64) {
        __m128i old_abef = abef, old_cdgh = cdgh;
        one_block(&abef, &cdgh, p);
        abef = _mm_add_epi32(abef, old_abef);
        cdgh = _mm_add_epi32(cdgh, old_cdgh);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

#else

bool sha256_blocks_x86_usable(void)
{
    return false;
}

void sha256_blocks_x86(uint32_t state[8], const uint8_t *p, size_t n)
{
    sha256_blocks_portable(state, p, n);
}

#endif
