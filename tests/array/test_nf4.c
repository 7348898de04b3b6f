/* NF4 against a quantiser written in NumPy from the description of the format (tools/gen_nf4.py), the error on normal
 * numbers against the value known for blocks of 64, and what is asked of every form (support_form.h). */
#include "array/support_form.h"

#include <math.h>
#include <string.h>

#include "array/codec/nf4.h"

static const struct form_case nf4 = {WEIGHT_NF4, nf4_row_bytes, nf4_quantise_row, nf4_to_f32, nf4_to_f64};

/* ---- vectors -------------------------------------------------------------------------------------------------------- */

static void check_levels(char *rest)
{
    float level[FORM_VALUES_MAX];
    assert_int_equal(form_floats(strtok(rest, " \n"), level), 16);
    assert_memory_equal(level, nf4_level, sizeof nf4_level);
}

static void check_row(char *rest)
{
    form_check_row(&nf4, rest);
}

/* More than one group a row. */
static void check_long(char *rest)
{
    form_check_long(&nf4, rest);
}

static void test_vectors(void **state)
{
    (void)state;
    static const struct form_kind kinds[] = {{"levels", check_levels}, {"row", check_row}, {"long", check_long}};
    int seen[3] = {0};
    form_vectors(TEST_DATA "/array/nf4.txt", "tools/gen_nf4.py", kinds, 3, seen);
    assert_true(seen[0] == 1 && seen[1] == 17 && seen[2] == 4);
}

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

static double normal(uint64_t key, uint64_t i)
{
    uint64_t x = (key << 40) + i, z[2];
    for (int k = 0; k < 2; k++) { /* splitmix64 */
        uint64_t y = (x + (uint64_t)k * 0x51ed27u) * 0x9e3779b97f4a7c15u;
        y = (y ^ y >> 30) * 0xbf58476d1ce4e5b9u;
        y = (y ^ y >> 27) * 0x94d049bb133111ebu;
        z[k] = y ^ y >> 31;
    }
    return sqrt(-2 * log(((double)(z[0] >> 11) + 0.5) * 0x1p-53)) * cos(6.283185307179586 * (double)(z[1] >> 11) * 0x1p-53);
}

/* Mean |error| of N(0, 1) in blocks of 64: 0.0728 (bitsandbytes' own tests have 0.072796). */
static void test_error_on_normal_numbers(void **state)
{
    (void)state;
    enum { ROWS = 256, COLS = 4096 };
    static float x[COLS], y[COLS];
    static uint8_t row[COLS];
    double sum = 0, squares = 0;
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < COLS; i++) x[i] = (float)normal((uint64_t)r, (uint64_t)i);
        assert_true(nf4_quantise_row(x, COLS, row));
        nf4_to_f32(row, COLS, 0, COLS, y);
        for (int i = 0; i < COLS; i++) {
            double d = (double)x[i] - (double)y[i];
            sum += fabs(d);
            squares += d * d;
        }
    }
    double mean = sum / (ROWS * COLS), rms = sqrt(squares / (ROWS * COLS));
    if (fabs(mean - 0.0728) > 2e-4) fail_msg("mean error %.5f", mean);
    if (fabs(rms - 0.0919) > 4e-4) fail_msg("RMS error %.5f", rms);
}

static void test_row_bytes(void **state)
{
    (void)state;
    assert_int_equal(nf4_row_bytes(1), 8 + 1 + 1);
    assert_int_equal(nf4_row_bytes(63), 8 + 1 + 32);
    assert_int_equal(nf4_row_bytes(64), 8 + 33);
    assert_int_equal(nf4_row_bytes(65), 8 + 33 + 2);
    assert_int_equal(nf4_row_bytes(2048), 8 + 32 * 33);
    assert_int_equal(nf4_row_bytes(16384), 8 + 256 * 33);
    assert_int_equal(nf4_row_bytes(16384 + 64), 16 + 257 * 33);
    assert_int_equal(nf4_row_bytes(INT64_C(1) << 40), (INT64_C(1) << 26) * (8 + 256 * 33));
}

static void test_pieces(void **state)
{
    (void)state;
    form_check_pieces(&nf4, NF4_GROUP + 150);
}

static void test_what_does_not_fit(void **state)
{
    (void)state;
    form_check_unfit(&nf4);
}

static void test_weights(void **state)
{
    (void)state;
    form_check_weights(&nf4);
    form_check_bad_weight(&nf4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_error_on_normal_numbers), cmocka_unit_test(test_row_bytes),
        cmocka_unit_test(test_pieces),  cmocka_unit_test(test_what_does_not_fit),       cmocka_unit_test(test_weights),
    };
    return cmocka_run_group_tests_name("nf4", tests, NULL, NULL);
}
