/* mem, buf and pool: the accounting of bytes is exact, blocks are aligned and apart, sizes that overflow are refused, and
 * every allocation may fail once. */
#include "support_base.h"

#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"

static void counts_are_exact(void **state)
{
    (void)state;
    struct oom oom = {.fail_at = -1};
    struct ctx *c = oom_ctx(&oom);
    uint32_t *p = mem_alloc(c, 100, 4);
    for (int i = 0; i < 100; i++) assert_int_equal(p[i], 0);
    assert_int_equal(c->alloc_bytes, 400);
    memset(p, 0xAA, 400);
    p = mem_resize(c, p, 100, 150, 4);
    assert_int_equal(p[99], 0xAAAAAAAA);
    for (int i = 100; i < 150; i++) assert_int_equal(p[i], 0);
    assert_int_equal(c->alloc_bytes, 600);
    void *q = mem_alloc_aligned(c, 1000);
    assert_int_equal((uintptr_t)q % 64, 0);
    assert_int_equal(c->alloc_bytes, 1600);
    mem_free(c, q);
    p = mem_resize(c, p, 150, 1, 4);
    assert_int_equal(p[0], 0xAAAAAAAA);
    assert_int_equal(c->alloc_bytes, 4);
    assert_int_equal(c->alloc_peak, 1600);
    mem_free(c, p);
    mem_free(c, NULL);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
    assert_int_equal(oom.live, 0);
}

static void aligned_blocks_stay_apart(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    char *p[40];
    for (size_t i = 0; i < 40; i++) {
        p[i] = mem_alloc_aligned(c, i * 7);
        assert_int_equal((uintptr_t)p[i] % 64, 0);
        memset(p[i], (int)i, i * 7);
    }
    for (size_t i = 0; i < 40; i++) {
        for (size_t j = 0; j < i * 7; j++) assert_int_equal(p[i][j], i);
        mem_free(c, p[i]);
    }
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static void sizes_that_overflow_are_input_errors(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    assert_null(mem_alloc(c, SIZE_MAX / 2, 3));
    assert_failed(c, E_INPUT, "too large");
    assert_null(mem_alloc(c, SIZE_MAX, 1));
    assert_failed(c, E_INPUT, "too large");
    assert_null(mem_alloc_aligned(c, SIZE_MAX - 20));
    assert_failed(c, E_INPUT, "too large");
    assert_null(mem_strndup(c, "", SIZE_MAX));
    assert_failed(c, E_INPUT, "too large");
    void *p = mem_alloc(c, 4, 4);
    assert_null(mem_resize(c, p, 4, SIZE_MAX / 2, 4));
    assert_failed(c, E_INPUT, "too large");
    mem_free(c, p);
    void *a = mem_alloc(c, 0, 8), *b = mem_alloc(c, 0, 8);
    assert_true(a && b && a != b);
    mem_free(c, a);
    mem_free(c, b);
    ctx_free(c);
}

static void refused_memory_leaves_the_old_block(void **state)
{
    (void)state;
    struct oom oom = {.fail_at = 3};
    struct ctx *c = oom_ctx(&oom);
    char *p = mem_alloc(c, 10, 1), *s = mem_strdup(c, "kept");
    assert_null(mem_resize(c, p, 10, 20, 1));
    assert_failed(c, E_MEMORY, "20 bytes");
    assert_null(mem_alloc(c, 1, 1));
    assert_failed(c, E_MEMORY, "15 are in use");
    assert_null(mem_alloc_aligned(c, 1));
    assert_null(mem_printf(c, "x"));
    assert_string_equal(s, "kept");
    p[9] = 1;
    mem_free(c, p);
    mem_free(c, s);
    ctx_free(c);
    assert_int_equal(oom.live, 0);
}

static void strings(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    char *s = mem_printf(c, "%s-%05d", "shard", 42), *t = mem_strndup(c, "a\0b", 3);
    assert_string_equal(s, "shard-00042");
    assert_memory_equal(t, "a\0b", 4);
    mem_free(c, s);
    mem_free(c, t);
    ctx_free(c);
}

static void buf_grows_up_to_its_cap(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct buf b;
    buf_init(&b, c, 1000);
    assert_string_equal(buf_str(&b), "");
    for (int i = 0; i < 100; i++) buf_printf(&b, "%09d ", i);
    assert_true(buf_ok(&b));
    assert_int_equal(b.len, 1000);
    assert_int_equal(strlen(b.data), 1000);
    assert_memory_equal(b.data + 990, "000000099 ", 10);
    buf_append_char(&b, '!'); /* one too many: sticky */
    assert_false(buf_ok(&b));
    buf_append(&b, "", 0);
    assert_int_equal(b.len, 1000);
    assert_null(buf_take(&b));
    assert_failed(c, E_INPUT, "limit of 1000");
    assert_int_equal(c->alloc_bytes, 0);

    buf_append_str(&b, "new");
    buf_clear(&b);
    assert_string_equal(buf_str(&b), "");
    buf_append(&b, "a\0b", 3);
    char *s = buf_take(&b);
    assert_memory_equal(s, "a\0b", 4);
    assert_int_equal(b.len, 0);
    mem_free(c, s);
    s = buf_take(&b);
    assert_string_equal(s, "");
    mem_free(c, s);
    buf_release(&b);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static void pool_gives_the_same_addresses_each_step(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct pool *p = pool_new(c, NULL);
    static const size_t sizes[] = {1, 64, 65, 80, 81, 1000, 4096, 5000, 100000, 1, 65};
    enum { N = sizeof sizes / sizeof sizes[0] };
    void *first[N], *block[N];
    for (int step = 0; step < 3; step++) {
        for (int i = 0; i < N; i++) {
            block[i] = pool_get(p, sizes[i], NULL);
            assert_int_equal((uintptr_t)block[i] % 64, 0);
            memset(block[i], i, sizes[i]);
            if (step == 0) first[i] = block[i];
            assert_ptr_equal(block[i], first[i]);
        }
        for (int i = 0; i < N; i++)
            for (size_t k = 0; k < sizes[i]; k++) assert_int_equal(((uint8_t *)block[i])[k], i);
        for (int i = N; i-- > 0;) pool_put(p, block[i], sizes[i]);
        size_t held = pool_stats(p).held_bytes;
        assert_int_equal(pool_stats(p).live_bytes, 0);
        assert_int_equal(pool_stats(p).peak_bytes, held);
        assert_int_equal(c->alloc_peak, c->alloc_bytes); /* nothing new after the first step */
    }
    pool_put(p, NULL, 5);
    pool_trim(p);
    assert_int_equal(pool_stats(p).held_bytes, 0);
    pool_free(p);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* Every size gets a block that holds it, and no more than a quarter over. */
static void pool_classes_are_tight(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct pool *p = pool_new(c, NULL);
    for (size_t n = 0; n < 5000; n++) {
        void *b = pool_get(p, n, NULL);
        size_t room = pool_stats(p).live_bytes;
        assert_int_equal(room, pool_class_bytes(n));
        assert_true(room >= n && (n < 64 || room <= n + n / 4));
        pool_put(p, b, n);
    }
    assert_true(pool_class_bytes(SIZE_MAX) == SIZE_MAX);
    assert_null(pool_get(p, SIZE_MAX, NULL));
    assert_failed(c, E_MEMORY, "out of memory");
    pool_free(p);
    ctx_free(c);
}

static void everything_at_once(struct ctx *c)
{
    struct pool *p = pool_new(c, NULL);
    struct map *m = map_new(c, 0);
    struct map64 *n = map64_new(c, 0);
    struct buf b;
    buf_init(&b, c, 1 << 20);
    void *block = p ? pool_get(p, 100, NULL) : NULL;
    static const char keys[64];
    for (size_t i = 0; i < 64 && m && n && ctx_ok(c); i++) {
        if (map_put(m, keys, i, i, NULL) == OK) map64_put(n, i, i, NULL);
        buf_append_str(&b, "twelve bytes");
    }
    if (block) pool_put(p, block, 100);
    buf_release(&b);
    map64_free(n);
    map_free(m);
    pool_free(p);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        struct oom oom = {.fail_at = n};
        struct ctx *c = oom_ctx(&oom);
        everything_at_once(c);
        bool done = ctx_ok(c);
        if (!done) assert_int_equal(c->status, E_MEMORY);
        assert_int_equal(c->alloc_bytes, 0);
        ctx_free(c);
        assert_int_equal(oom.live, 0);
        if (done) break;
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_exact),
        cmocka_unit_test(aligned_blocks_stay_apart),
        cmocka_unit_test(sizes_that_overflow_are_input_errors),
        cmocka_unit_test(refused_memory_leaves_the_old_block),
        cmocka_unit_test(strings),
        cmocka_unit_test(buf_grows_up_to_its_cap),
        cmocka_unit_test(pool_gives_the_same_addresses_each_step),
        cmocka_unit_test(pool_classes_are_tight),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
