/* How packed products are cut into work items: C is covered once, by whole tiles and panels, for any shape and number of
 * threads; and a product of as few rows as the prompt of a chat has an item for each of 16 threads. Counted, not timed: most
 * machines that run this have fewer cores. */
#include "backend/cpu/gemm/gemm_items.h"
#include "support_ref.h"

/* Tiles as the instruction sets have them: portable, AVX2, AVX-512 in f32; and in bf16, whose A is rounded beforehand: AMX
 * and AVX-512. */
static const struct gemm_items tiles[] = {{.mr = 4, .nr = 8, .block_rows = 96},
                                          {.mr = 6, .nr = 16, .block_rows = 96},
                                          {.mr = 14, .nr = 32, .block_rows = 252},
                                          {.mr = 32, .nr = 32, .block_rows = 256, .free_columns = true},
                                          {.mr = 14, .nr = 32, .block_rows = 98, .free_columns = true}};
enum { TILES = sizeof tiles / sizeof *tiles };

/* Counts for each row and panel of C how many items have it: all must be 1. */
static void check_cover(const struct gemm_items *s)
{
    uint8_t *seen = calloc((size_t)(s->m * s->n_panels + 1), 1);
    assert_non_null(seen);
    int64_t n = gemm_items_find(s, INT64_MAX, NULL), total = 0;
    for (int64_t i = 0; i < n; i++) {
        struct gemm_item item = {0};
        assert_int_equal(gemm_items_find(s, i, &item), n);
        assert_true(item.rows > 0 && item.panels > 0 && item.rows <= s->block_rows);
        assert_true(item.row % s->mr == 0 && item.row + item.rows <= s->m && item.panel + item.panels <= s->n_panels);
        for (int64_t r = item.row; r < item.row + item.rows; r++)
            for (int64_t p = item.panel; p < item.panel + item.panels; p++) seen[r * s->n_panels + p]++;
        total += item.rows * item.panels;
    }
    assert_int_equal(total, s->m * s->n_panels);
    for (int64_t i = 0; i < s->m * s->n_panels; i++) assert_int_equal(seen[i], 1);
    free(seen);
}

static void test_cover(void **state)
{
    (void)state;
    static const int64_t rows[] = {0, 1, 24, 33, 67, 100, 511, 2000}, panels[] = {1, 3, 18, 64, 250};
    static const int threads[] = {1, 2, 3, 16, 64};
    for (int t = 0; t < TILES; t++)
        for (int i = 0; i < 8; i++)
            for (int j = 0; j < 5; j++)
                for (int k = 0; k < 5; k++) {
                    struct gemm_items s = tiles[t];
                    s.m = rows[i], s.n_panels = panels[j], s.threads = threads[k];
                    check_cover(&s);
                }
}

/* Columns of 512, the keys of a model with few key heads, are the fewest that a base product of the usual models has. */
static void test_few_rows_many_threads(void **state)
{
    (void)state;
    static const int64_t rows[] = {33, 67, 100}, columns[] = {512, 2048, 8192};
    for (int t = 0; t < TILES; t++)
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++) {
                struct gemm_items s = tiles[t];
                s.m = rows[i], s.n_panels = columns[j] / s.nr, s.threads = 16;
                assert_true(gemm_items_find(&s, INT64_MAX, NULL) >= s.threads);
                int64_t packed = gemm_items_packed(&s, 8);
                assert_true(packed * s.nr % 32 == 0 && packed >= 1 && packed <= 8);
                assert_true((s.n_panels + packed - 1) / packed >= s.threads);
            }
}

/* One thread, and many rows, keep whole rows of C: cutting columns would only round A more often. */
static void test_columns_stay_whole(void **state)
{
    (void)state;
    for (int t = 0; t < TILES; t++) {
        struct gemm_items s = tiles[t];
        struct gemm_item item = {0};
        if (s.free_columns) continue;
        s.m = 67, s.n_panels = 64, s.threads = 1;
        gemm_items_find(&s, 0, &item);
        assert_int_equal(item.panels, 64);
        s.m = 4096, s.threads = 16;
        gemm_items_find(&s, 0, &item);
        assert_int_equal(item.panels, 64);
    }
}

/* Where cutting columns costs nothing, threads share large blocks of rows, so that B is read few times: 2,048 rows are 8
 * blocks of 256 for 16 threads, whose columns are cut into parts that shrink to two panels, 14 of them. Products with an
 * adapter of 16 columns, one panel, have smaller blocks instead. */
static void test_free_columns(void **state)
{
    (void)state;
    struct gemm_items s = {
        .m = 2048, .n_panels = 64, .mr = 32, .block_rows = 256, .nr = 32, .threads = 16, .free_columns = true};
    struct gemm_item item = {0};
    int64_t n = gemm_items_find(&s, 0, &item);
    assert_int_equal(item.rows, 256);
    assert_int_equal(item.panels, 11);
    assert_int_equal(n, 8 * 14);
    gemm_items_find(&s, n - 1, &item);
    assert_int_equal(item.panels, 2);
    s.n_panels = 1;
    n = gemm_items_find(&s, 0, &item);
    assert_int_equal(item.rows, 64);
    assert_int_equal(n, 32);
}

/* Items taken by several workers in any order are all items, each once; a worker stays with its block of rows while there is
 * something left of it. */
static void test_taken(void **state)
{
    (void)state;
    static const int64_t rows[] = {33, 700, 2048};
    for (int i = 0; i < 3; i++)
        for (int threads = 1; threads <= 16; threads *= 4) {
            struct gemm_items s = {.m = rows[i],
                                   .n_panels = 18,
                                   .mr = 32,
                                   .block_rows = 256,
                                   .nr = 32,
                                   .threads = threads,
                                   .free_columns = true};
            atomic_int taken[64] = {0};
            struct gemm_item item, before[16] = {0};
            int64_t n = gemm_items_find(&s, INT64_MAX, NULL), total = 0, moved = 0;
            assert_true(gemm_items_blocks(&s) <= 64);
            for (int64_t k = 0; k < n; k++) {
                int worker = (int)(k * 7 % threads);
                assert_true(gemm_items_take(&s, taken, worker, &item));
                moved += before[worker].rows > 0 && before[worker].row != item.row;
                before[worker] = item;
                total += item.rows * item.panels;
            }
            assert_int_equal(total, s.m * s.n_panels);
            assert_true(moved <= gemm_items_blocks(&s) + 2 * threads);
            assert_false(gemm_items_take(&s, taken, 0, &item));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cover),
        cmocka_unit_test(test_few_rows_many_threads),
        cmocka_unit_test(test_columns_stay_whole),
        cmocka_unit_test(test_free_columns),
        cmocka_unit_test(test_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
