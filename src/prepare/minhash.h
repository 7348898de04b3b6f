/* minhash: a text as a set of word shingles, and the set as a signature from which the similarity of two texts is estimated
 * (Broder 1997). Position i of a signature is the smallest value of a_i h + b_i (modulo 2^32) over the hashes h of the
 * shingles; two signatures agree in a position with the probability of the sets' Jaccard similarity, |A and B| / |A or B|.
 *
 * A word is a run of ASCII letters and digits and of other characters, ASCII letters in lower case; Chinese and Japanese
 * characters and Korean syllables are words of their own. A shingle is `shingle` words in a row; a text of fewer words is
 * one shingle. The hashes are no secret: who wants two texts to look alike, or not to, can do it. */
#ifndef YA_PREPARE_MINHASH_H
#define YA_PREPARE_MINHASH_H

#include "base/ctx.h"

enum { MINHASH_LANES = 16, MINHASH_PERMUTATIONS_MAX = 1024, MINHASH_SHINGLE_MAX = 32 };

struct minhash {
    int permutations, shingle;
    uint32_t *a, *b;   /* (permutations), owned */
    uint8_t byte[256]; /* 0: no part of a word; else the byte that is hashed */
    uint64_t out;      /* the factor that takes the oldest word out of a shingle */
};

/* permutations: a multiple of MINHASH_LANES up to MINHASH_PERMUTATIONS_MAX; shingle: 1 to MINHASH_SHINGLE_MAX words. Values
 * of one seed belong together. E_INPUT, E_MEMORY. */
enum status minhash_init(struct minhash *m, struct ctx *c, int permutations, int shingle, uint64_t seed);
/* Frees the factors; a zeroed one may be released. */
void minhash_release(struct minhash *m, struct ctx *c);

/* The signature (permutations) of n bytes of UTF-8; returns the number of shingles, 0 for a text without words, whose
 * signature is all INT32_MAX. Pure: any thread. */
size_t minhash_sign(const struct minhash *m, const char *text, size_t n, int32_t *signature);

/* The hashes of the text's shingles (64 bits, the same for any seed), one after the other, until `see` returns false: then
 * false. Pure but for `see`. */
bool minhash_walk(const struct minhash *m, const char *text, size_t n, bool (*see)(void *user, uint64_t hash), void *user);

/* Share of positions of two signatures that agree, 0 to 1: an estimate of the sets' similarity with a standard error of
 * sqrt(J (1 - J) / permutations). */
double minhash_similarity(const struct minhash *m, const int32_t *x, const int32_t *y);

#endif
