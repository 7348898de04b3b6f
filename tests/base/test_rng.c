/* rng and sha256 against known answers, and the properties that callers rely on: a stream is a function of its counter,
 * and streams do not overlap. */
#include "support_base.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "base/sha256.h"
#include "base/sha256_blocks.h"

/* kat_vectors of Random123, "philox4x32 10". */
static void philox_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t ctr[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        rng_philox(known[i].ctr, known[i].key, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

static void a_stream_is_its_counter(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 0, (enum rng_purpose)0, 0);
    assert_true(rng_u64(&r) == 0xe169c58d6627e8d5u); /* the first known answer, low word first */
    rng_init(&r, 5, RNG_SAMPLE, 3);
    uint64_t x[10];
    for (int i = 0; i < 10; i++) x[i] = rng_u64(&r);
    assert_int_equal(r.index, 10);
    r.index = 4; /* going back gives the same numbers: that is what a checkpoint stores */
    for (int i = 4; i < 10; i++) assert_true(rng_u64(&r) == x[i]);
}

static void streams_differ(void **state)
{
    (void)state;
    static const struct rng streams[] = {{1, 1, 1, 0}, {2, 1, 1, 0}, {1, 2, 1, 0}, {1, 1, 2, 0}, {1ull << 32, 1, 1, 0}};
    uint64_t x[5];
    for (int i = 0; i < 5; i++) {
        struct rng r = streams[i];
        x[i] = rng_u64(&r);
        for (int j = 0; j < i; j++) assert_true(x[i] != x[j]);
    }
}

static void below_is_uniform(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 7, RNG_TEST, 0);
    enum { N = 7, DRAWS = 70000 };
    int count[N] = {0};
    for (int i = 0; i < DRAWS; i++) {
        uint64_t x = rng_below(&r, N);
        assert_in_range(x, 0, N - 1);
        count[x]++;
    }
    double chi2 = 0;
    for (int i = 0; i < N; i++) chi2 += pow(count[i] - DRAWS / N, 2) / (DRAWS / N);
    assert_true(chi2 < 22.5); /* 6 degrees of freedom: p = 0.001 */
    for (int i = 0; i < 10; i++) assert_int_equal(rng_below(&r, 1), 0);
    /* at 3/4 of the range, scaling without rejection gives every third value two preimages and the others one */
    int thirds = 0;
    for (int i = 0; i < 10000; i++) thirds += rng_below(&r, 3ull << 62) % 3 == 0;
    assert_in_range(thirds, 3333 - 200, 3333 + 200);
}

static void moments(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 11, RNG_TEST, 1);
    enum { N = 100000 };
    double u1 = 0, u2 = 0, n1 = 0, n2 = 0, n4 = 0;
    for (int i = 0; i < N; i++) {
        double u = rng_uniform(&r), z = rng_normal(&r);
        assert_true(u >= 0 && u < 1 && isfinite(z));
        u1 += u / N, u2 += u * u / N;
        n1 += z / N, n2 += z * z / N, n4 += z * z * z * z / N;
    }
    assert_true(fabs(u1 - 0.5) < 0.004 && fabs(u2 - 1.0 / 3) < 0.004); /* 4 standard errors */
    assert_true(fabs(n1) < 0.013 && fabs(n2 - 1) < 0.018 && fabs(n4 - 3) < 0.13);
}

static void hash(const void *bytes, size_t n, char hex[65])
{
    struct sha256 s;
    uint8_t digest[32];
    sha256_init(&s);
    sha256_update(&s, bytes, n);
    sha256_final(&s, digest);
    sha256_hex(digest, hex);
}

/* The examples of FIPS 180-4 (NIST's SHA256.pdf) and the empty string. */
static void sha256_known_answers(void **state)
{
    (void)state;
    static const char *const known[][2] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    char hex[65];
    for (int i = 0; i < 4; i++) {
        hash(known[i][0], strlen(known[i][0]), hex);
        assert_string_equal(hex, known[i][1]);
    }
    struct sha256 s;
    uint8_t digest[32];
    sha256_init(&s);
    for (int i = 0; i < 1000000 / 50; i++) sha256_update(&s, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 50);
    sha256_final(&s, digest);
    sha256_hex(digest, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Every length around the padding boundaries: the digest of all digests, computed with Python's hashlib. */
static void sha256_all_lengths(void **state)
{
    (void)state;
    struct sha256 all;
    uint8_t bytes[258], digest[32];
    char hex[65];
    sha256_init(&all);
    for (unsigned n = 0; n < 258; n++) {
        struct sha256 s;
        for (unsigned j = 0; j < n; j++) bytes[j] = (uint8_t)(7 * n + j * j);
        sha256_init(&s);
        sha256_update(&s, bytes, n / 3); /* in two parts */
        sha256_update(&s, bytes + n / 3, n - n / 3);
        sha256_final(&s, digest);
        sha256_update(&all, digest, 32);
    }
    sha256_final(&all, digest);
    sha256_hex(digest, hex);
    assert_string_equal(hex, "3a75e8e0e6dac6599499410b8482a7d73df65d6a1251c616c0befbdb70fc62bb");
}

/* The two compression functions on random states and blocks. (On a processor without the instructions both are the
 * portable one; sha256_portable_alone then is all there is to test.) */
static void sha256_instructions_agree(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 5, RNG_TEST, 7);
    void (*native)(uint32_t *, const uint8_t *, size_t) =
        sha256_blocks_x86_usable() ? sha256_blocks_x86 : sha256_blocks_portable;
    for (int round = 0; round < 200; round++) {
        uint32_t a[8], b[8];
        uint8_t bytes[5 * 64 + 1]; /* from an odd address */
        for (int i = 0; i < 8; i++) a[i] = b[i] = (uint32_t)rng_u64(&r);
        for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)rng_u64(&r);
        native(a, bytes + 1, (size_t)round % 6);
        sha256_blocks_portable(b, bytes + 1, (size_t)round % 6);
        assert_memory_equal(a, b, sizeof a);
    }
}

/* The portable function by itself, on the one padded block of "abc". */
static void sha256_portable_alone(void **state)
{
    (void)state;
    struct sha256 s;
    sha256_init(&s);
    uint8_t block[64] = {'a', 'b', 'c', 0x80, [63] = 24};
    sha256_blocks_portable(s.state, block, 1);
    assert_int_equal(s.state[0], 0xba7816bf);
    assert_int_equal(s.state[7], 0xf20015ad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(a_stream_is_its_counter),
        cmocka_unit_test(streams_differ),
        cmocka_unit_test(below_is_uniform),
        cmocka_unit_test(moments),
        cmocka_unit_test(sha256_known_answers),
        cmocka_unit_test(sha256_all_lengths),
        cmocka_unit_test(sha256_instructions_agree),
        cmocka_unit_test(sha256_portable_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
