/* map and map64 against a plain list of keys, with keys of all patterns and sizes that cannot be. */
#include "support_base.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/rng.h"

enum { KEYS = 3000, OPS = 20000 };

/* The naive model: an array of (key, value), searched from the front. */
struct naive {
    struct {
        const void *key;
        size_t bytes;
        uint64_t value;
    } items[KEYS];
    size_t n;
};

static size_t naive_find(const struct naive *m, const void *key, size_t bytes)
{
    size_t i = 0;
    while (i < m->n && !(m->items[i].bytes == bytes && memcmp(m->items[i].key, key, bytes) == 0)) i++;
    return i;
}

static void strings_behave_like_a_list(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct map *m = map_new(c, 0);
    static struct naive model;
    static uint8_t bytes[KEYS + 32];
    struct rng r;
    rng_init(&r, 1, RNG_TEST, 0);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(rng_u64(&r) % 3); /* many equal keys, NULs in them */
    for (int op = 0; op < OPS; op++) {
        const uint8_t *key = bytes + rng_below(&r, KEYS);
        size_t n = rng_below(&r, 12), at = naive_find(&model, key, n);
        uint64_t got = 0, value = rng_u64(&r);
        assert_int_equal(map_get(m, key, n, &got), at < model.n);
        if (at < model.n) assert_int_equal(got, model.items[at].value);
        if (op % 2 == 0 || model.n == KEYS) continue;
        bool there;
        assert_int_equal(map_put(m, key, n, value, &there), OK);
        assert_int_equal(there, at < model.n);
        if (at == model.n) {
            model.items[at].key = key;
            model.items[at].bytes = n;
            model.n++;
        }
        model.items[at].value = value;
        assert_int_equal(map_count(m), model.n);
    }
    assert_true(model.n > 1000);
    map_free(m);
    map_free(NULL);
    ctx_free(c);
}

static void empty_key_needs_no_address(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct map *m = map_new(c, 10);
    uint64_t v;
    assert_false(map_get(m, NULL, 0, &v));
    assert_int_equal(map_put(m, NULL, 0, 5, NULL), OK);
    assert_true(map_get(m, "x", 0, &v));
    assert_int_equal(v, 5);
    map_free(m);
    ctx_free(c);
}

/* Keys that collide under weak hashes: dense, multiples of powers of two, extremes. */
static void integers_of_all_patterns(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    for (int shift = 0; shift < 64; shift += 7) {
        struct map64 *m = map64_new(c, 100);
        for (uint64_t i = 0; i < 5000; i++) {
            bool there, expected = i << shift >> shift != i;
            assert_int_equal(map64_put(m, i << shift, i + 1, &there), OK);
            assert_int_equal(there, expected);
        }
        uint64_t v;
        for (uint64_t i = 0; i < 5000; i++) {
            if ((i + 5000) << shift >> shift != i + 5000) break; /* later keys replaced earlier ones */
            assert_true(map64_get(m, i << shift, &v));
            assert_int_equal(v, i + 1);
            assert_false(map64_get(m, (i + 5000) << shift, &v));
        }
        assert_int_equal(map64_get(m, UINT64_MAX, &v), false);
        assert_int_equal(map64_put(m, UINT64_MAX, 9, NULL), OK);
        assert_true(map64_get(m, UINT64_MAX, &v) && v == 9);
        map64_free(m);
    }
    map64_free(NULL);
    ctx_free(c);
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    assert_null(map_new(c, SIZE_MAX));
    assert_failed(c, E_INPUT, "too large");
    assert_null(map64_new(c, SIZE_MAX / 2));
    assert_failed(c, E_INPUT, "too large");
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_behave_like_a_list),
        cmocka_unit_test(empty_key_needs_no_address),
        cmocka_unit_test(integers_of_all_patterns),
        cmocka_unit_test(impossible_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
