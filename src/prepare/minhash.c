/* minhash: see minhash.h. Hashes of shingles are gathered in blocks, so that the minima of a few positions stay in registers
 * while a block goes by. The shingle's hash is a polynomial of its words' hashes modulo 2^64, from which the oldest word is
 * taken out again: the cost of a word does not depend on the shingle's length. */
#include "prepare/minhash.h"

#include "base/mem.h"
#include "base/processor.h"
#include "base/rng.h"

enum { SIGN_BLOCK = 256 };
#define WORD_START  UINT64_C(0xcbf29ce484222325) /* a word's hash is FNV-1a of 64 bits: its offset basis */
#define WORD_FACTOR UINT64_C(0x100000001b3)      /* ... and its prime */
#define ROLL_FACTOR UINT64_C(0x9e3779b97f4a7c15) /* any odd factor; this one is 2^64 over the golden ratio */

/* What of a byte is hashed; 0: it is no part of a word. */
static uint8_t word_byte(uint8_t ch)
{
    if (ch >= 'A' && ch <= 'Z') return ch | 0x20;
    return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch >= 0x80 ? ch : 0;
}

enum status minhash_init(struct minhash *m, struct ctx *c, int permutations, int shingle, uint64_t seed)
{
    *m = (struct minhash){.permutations = permutations, .shingle = shingle, .out = 1};
    if (permutations < MINHASH_LANES || permutations > MINHASH_PERMUTATIONS_MAX || permutations % MINHASH_LANES != 0)
        return ctx_fail(c, E_INPUT, "%d permutations: give a multiple of %d up to %d", permutations, MINHASH_LANES,
                        MINHASH_PERMUTATIONS_MAX);
    if (shingle < 1 || shingle > MINHASH_SHINGLE_MAX)
        return ctx_fail(c, E_INPUT, "shingles of %d words: give 1 to %d", shingle, MINHASH_SHINGLE_MAX);
    for (int i = 0; i < shingle; i++) m->out *= ROLL_FACTOR;
    for (int i = 0; i < 256; i++) m->byte[i] = word_byte((uint8_t)i);
    m->a = mem_alloc(c, (size_t)permutations, sizeof *m->a);
    m->b = mem_alloc(c, (size_t)permutations, sizeof *m->b);
    struct rng rng;
    rng_init(&rng, seed, RNG_SHUFFLE, 0);
    for (int i = 0; m->a && m->b && i < permutations; i++) {
        m->a[i] = (uint32_t)rng_u64(&rng) | 1; /* odd: a permutation of the 32-bit numbers */
        m->b[i] = (uint32_t)rng_u64(&rng);
    }
    return c->status;
}

void minhash_release(struct minhash *m, struct ctx *c)
{
    mem_free(c, m->a);
    mem_free(c, m->b);
    m->a = m->b = NULL;
}

/* ---- minima ---- */

/* Lowers the signature by n hashes of shingles. Written in lanes of fixed width that the compiler makes vectors of; the
 * values are compared as signed numbers, which is as good an order of 32 bits as any other. It is inlined into a copy for
 * every processor and one for AVX2; both give the same bits. */
static inline __attribute__((always_inline)) void take_hashes(const struct minhash *m, const uint32_t *hashes, size_t n,
                                                              int32_t *signature)
{
    for (int p = 0; p < m->permutations; p += MINHASH_LANES) {
        uint32_t a[MINHASH_LANES], b[MINHASH_LANES];
        int32_t low[MINHASH_LANES];
        for (int i = 0; i < MINHASH_LANES; i++) {
            a[i] = m->a[p + i];
            b[i] = m->b[p + i];
            low[i] = signature[p + i];
        }
        for (size_t k = 0; k < n; k++)
            for (int i = 0; i < MINHASH_LANES; i++) {
                int32_t x = (int32_t)(a[i] * hashes[k] + b[i]);
                low[i] = x < low[i] ? x : low[i];
            }
        for (int i = 0; i < MINHASH_LANES; i++) signature[p + i] = low[i];
    }
}

static void take_any(const struct minhash *m, const uint32_t *hashes, size_t n, int32_t *signature)
{
    take_hashes(m, hashes, n, signature);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void take_avx2(const struct minhash *m, const uint32_t *hashes, size_t n,
                                                      int32_t *signature)
{
    take_hashes(m, hashes, n, signature);
}

static void minhash_take(const struct minhash *m, const uint32_t *hashes, size_t n, int32_t *signature)
{
    if (processor_has(PROCESSOR_AVX2))
        take_avx2(m, hashes, n, signature);
    else
        take_any(m, hashes, n, signature);
}
#else
static void minhash_take(const struct minhash *m, const uint32_t *hashes, size_t n, int32_t *signature)
{
    take_any(m, hashes, n, signature);
}
#endif

/* ---- words and shingles ---- */

/* U+3000 to U+DFFF, by the first of their three bytes: scripts without spaces between words, and Hangul. */
static inline bool is_lone(uint8_t ch)
{
    return ch >= 0xe3 && ch <= 0xed;
}

/* The hash of the word at *at, which moves behind it; false at the end of the text. */
static inline bool next_word(const uint8_t byte[256], const uint8_t *p, size_t n, size_t *at, uint64_t *hash)
{
    size_t i = *at;
    while (i < n && !byte[p[i]]) i++;
    if (i == n) return false;
    uint64_t h = WORD_START;
    if (is_lone(p[i])) {
        for (size_t end = i + 3; i < n && i < end && p[i] >= 0x80; i++) h = (h ^ p[i]) * WORD_FACTOR;
    } else {
        for (uint8_t b; i < n && (b = byte[p[i]]) && !is_lone(p[i]); i++) h = (h ^ b) * WORD_FACTOR;
    }
    *at = i;
    *hash = h ^ h >> 29;
    return true;
}

/* 32 bits of a shingle's hash, all of which depend on all of its bits: two rounds of xor and multiplication by an odd
 * number. */
static inline uint32_t mixed(uint64_t h)
{
    h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
    h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(h >> 32);
}

/* The shingles of a text, one after the other. */
struct shingle_walk {
    const uint8_t *p;
    size_t n, at, words, shingles;
    uint64_t ring[MINHASH_SHINGLE_MAX], rolled; /* the hashes of the words inside; of the shingle */
    int slot;                                   /* of the ring: the oldest word, which the next one replaces */
};

/* Moves on by one word: the new one comes in and the oldest goes out, which is 0 while the first shingle fills. w->rolled is
 * then the shingle's hash; false at the end. */
static inline bool next_shingle(const struct minhash *m, struct shingle_walk *w)
{
    for (uint64_t word; next_word(m->byte, w->p, w->n, &w->at, &word);) {
        w->rolled = w->rolled * ROLL_FACTOR + word - w->ring[w->slot] * m->out;
        w->ring[w->slot] = word;
        w->slot = w->slot + 1 < m->shingle ? w->slot + 1 : 0;
        if (++w->words >= (size_t)m->shingle) return ++w->shingles;
    }
    return w->words > 0 && w->shingles == 0 ? ++w->shingles : false; /* a text shorter than a shingle */
}

size_t minhash_sign(const struct minhash *m, const char *text, size_t n, int32_t *signature)
{
    uint32_t hashes[SIGN_BLOCK];
    size_t held = 0;
    struct shingle_walk w = {.p = (const uint8_t *)text, .n = n};
    for (int i = 0; i < m->permutations; i++) signature[i] = INT32_MAX;
    while (next_shingle(m, &w)) {
        hashes[held++] = mixed(w.rolled);
        if (held < SIGN_BLOCK) continue;
        minhash_take(m, hashes, held, signature);
        held = 0;
    }
    minhash_take(m, hashes, held, signature);
    return w.shingles;
}

bool minhash_walk(const struct minhash *m, const char *text, size_t n, bool (*see)(void *user, uint64_t hash), void *user)
{
    struct shingle_walk w = {.p = (const uint8_t *)text, .n = n};
    while (next_shingle(m, &w))
        if (!see(user, w.rolled ^ w.rolled >> 31)) return false;
    return true;
}

double minhash_similarity(const struct minhash *m, const int32_t *x, const int32_t *y)
{
    int same = 0;
    for (int i = 0; i < m->permutations; i++) same += x[i] == y[i];
    return (double)same / m->permutations;
}
