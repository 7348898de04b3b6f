/* paired: means, errors and differences by hand, and an error that is as large as the spread of repeated draws. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "eval/paired.h"

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-12;
}

static void by_hand(void **state)
{
    (void)state;
    static const double a[] = {20, 60, 7}, b[] = {25, 69, 8}, size[] = {10, 30, 2}, ones[] = {1, 1, 1};
    static const int32_t group[] = {4, 4, 9};
    struct paired_mean r = paired_ratio(a, b, size, group, 4, 3);
    assert_true(r.items == 2 && near(r.size, 40) && near(r.mean, -0.35) && near(r.error, sqrt(2 * (2.25 + 2.25)) / 40));
    r = paired_ratio(a, NULL, size, NULL, 0, 3);
    assert_true(r.items == 3 && near(r.mean, 87.0 / 42));
    r = paired_ratio(a, NULL, size, group, 9, 3);
    assert_true(r.items == 1 && near(r.mean, 3.5) && r.error == 0);
    r = paired_ratio(a, NULL, size, group, 5, 3);
    assert_true(r.items == 0 && isnan(r.mean) && isnan(r.error));
    r = paired_ratio(a, a, size, NULL, 0, 3);
    assert_true(r.mean == 0 && r.error == 0);
    r = paired_ratio(b, NULL, ones, NULL, 0, 3); /* sd / sqrt(n) */
    double sd = sqrt(((25 - 34.) * (25 - 34.) + (69 - 34.) * (69 - 34.) + (8 - 34.) * (8 - 34.)) / 2);
    assert_true(near(r.mean, 34) && near(r.error, sd / sqrt(3)));
}

/* 2,000 samples of 50 documents of 1 to 40 tokens: the errors that are told against the spread of the means. */
static void the_error_is_the_spread_of_means(void **state)
{
    (void)state;
    enum { SAMPLES = 2000, DOCUMENTS = 50 };
    struct rng r;
    double told = 0, sum = 0, squares = 0;
    rng_init(&r, 3, RNG_TEST, 0);
    for (int s = 0; s < SAMPLES; s++) {
        double a[DOCUMENTS], size[DOCUMENTS];
        for (int i = 0; i < DOCUMENTS; i++) {
            size[i] = 1 + (double)rng_below(&r, 40);
            a[i] = size[i] * (2 + 0.5 * rng_normal(&r)); /* tokens of a document are alike */
        }
        struct paired_mean m = paired_ratio(a, NULL, size, NULL, 0, DOCUMENTS);
        told += m.error / SAMPLES;
        sum += m.mean;
        squares += m.mean * m.mean;
    }
    double spread = sqrt((squares - sum * sum / SAMPLES) / (SAMPLES - 1));
    if (!(fabs(told / spread - 1) < 0.06)) fail_msg("told %g, spread %g", told, spread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_hand), cmocka_unit_test(the_error_is_the_spread_of_means)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
