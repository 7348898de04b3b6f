/* int8 rows against a quantiser written in NumPy from the description of the format (tools/gen_int8.py): extremes, halves,
 * subnormals, rows at odd addresses; the bound of the error; and what is asked of every form (support_form.h). */
#include "array/support_form.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "array/codec/int8.h"

static void to_f32(const void *row, int64_t cols, int64_t first, int64_t n, float *out)
{
    (void)cols;
    int8_to_f32(row, first, n, out);
}

static void to_f64(const void *row, int64_t cols, int64_t first, int64_t n, double *out)
{
    (void)cols;
    int8_to_f64(row, first, n, out);
}

static const struct form_case int8 = {WEIGHT_INT8, int8_row_bytes, int8_quantise_row, to_f32, to_f64};

static void check_row(char *rest)
{
    form_check_row(&int8, rest);
}

static void check_long(char *rest)
{
    form_check_long(&int8, rest);
}

static void test_vectors(void **state)
{
    (void)state;
    static const struct form_kind kinds[] = {{"row", check_row}, {"long", check_long}};
    int seen[2] = {0};
    form_vectors(TEST_DATA "/array/int8.txt", "tools/gen_int8.py", kinds, 2, seen);
    assert_true(seen[0] == 19 && seen[1] == 2);
}

/* Half a step at most, and -128 is no code, so that a code can change its sign. */
static void test_bounds(void **state)
{
    (void)state;
    enum { COLS = 4096 };
    float *x = form_draws(COLS, 77), got[COLS];
    char row[sizeof(float) + COLS];
    for (int e = -40; e <= 90; e += 13) {
        for (int i = 0; i < COLS; i++) x[i] = ldexpf(x[i], e);
        assert_true(int8_quantise_row(x, COLS, row));
        int8_to_f32(row, 0, COLS, got);
        for (int i = 0; i < COLS; i++) {
            assert_true(int8_row_codes(row)[i] >= -127);
            assert_true(fabsf(got[i] - x[i]) <= 0.5001f * int8_row_scale(row));
        }
        for (int i = 0; i < COLS; i++) x[i] = ldexpf(x[i], -e);
    }
    free(x);
}

static void test_row_bytes(void **state)
{
    (void)state;
    assert_int_equal(int8_row_bytes(1), 5);
    assert_int_equal(int8_row_bytes(577), 581);
    assert_int_equal(int8_row_bytes(INT64_C(1) << 40), (INT64_C(1) << 40) + 4);
}

static void test_pieces(void **state)
{
    (void)state;
    form_check_pieces(&int8, 1000);
}

static void test_what_does_not_fit(void **state)
{
    (void)state;
    form_check_unfit(&int8);
}

static void test_weights(void **state)
{
    (void)state;
    form_check_weights(&int8);
    form_check_bad_weight(&int8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),           cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_row_bytes),         cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_what_does_not_fit), cmocka_unit_test(test_weights),
    };
    return cmocka_run_group_tests_name("int8", tests, NULL, NULL);
}
