/* Slopes by hand, and the interval: it covers the truth about as often as it says, it is wide when facts differ although
 * each has many points, and what does not exist is NaN. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>

#include <cmocka.h>

#include "base/rng.h"
#include "eval/slope.h"

enum { FACTS = 40 };

static struct ctx *c;

static void lines(void **state)
{
    (void)state;
    struct slope_sums s[2] = {{0}};
    struct slope out;
    slope_add(&s[0], 0, 1);
    slope_add(&s[0], 1, 3);
    slope_add(&s[1], 2, 5);
    slope_add(&s[1], NAN, 100);
    slope_add(&s[1], 1, INFINITY);
    assert_int_equal(slope_fit(c, SLOPE_LINE, s, 2, &out), OK);
    assert_true(fabs(out.slope - 2) < 1e-12 && fabs(out.intercept - 1) < 1e-12 && out.points == 3);
    assert_int_equal(slope_fit(c, SLOPE_ORIGIN, s, 2, &out), OK);
    assert_true(fabs(out.slope - (3 + 10) / 5.0) < 1e-12 && out.intercept == 0);
    assert_int_equal(slope_fit(c, SLOPE_MEAN, s, 2, &out), OK);
    assert_true(fabs(out.slope - 3) < 1e-12);
    assert_true(out.low <= 3 && out.high >= 3);
}

static void what_does_not_exist(void **state)
{
    (void)state;
    struct slope_sums s[3] = {{0}};
    struct slope out;
    assert_int_equal(slope_fit(c, SLOPE_LINE, s, 3, &out), OK);
    assert_true(isnan(out.slope) && isnan(out.low) && isnan(out.high) && out.points == 0);
    for (int i = 0; i < 3; i++) slope_add(&s[i], 0.1, i);
    assert_int_equal(slope_fit(c, SLOPE_LINE, s, 3, &out), OK);
    assert_true(isnan(out.slope)); /* one x only */
}

/* Facts with an offset of their own each, many points a fact: the truth, slope 0.5, lies in the interval of about 95 % of
 * samples; an interval that took points as independent would hold the mean of the offsets far more seldom. */
static void intervals_cover(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 3, RNG_TEST, 0);
    int held = 0, held_mean = 0, trials = 100;
    for (int trial = 0; trial < trials; trial++) {
        struct slope_sums s[FACTS] = {{0}};
        struct slope out;
        for (int i = 0; i < FACTS; i++) {
            double own = 0.5 + 0.3 * rng_normal(&r), offset = rng_normal(&r);
            for (int k = 0; k < 10; k++) {
                double x = k - 4.5;
                slope_add(&s[i], x, own * x + offset);
            }
        }
        slope_fit(c, SLOPE_LINE, s, FACTS, &out);
        held += out.low <= 0.5 && out.high >= 0.5;
        slope_fit(c, SLOPE_MEAN, s, FACTS, &out);
        held_mean += out.low <= 0 && out.high >= 0;
    }
    if (held < 87 || held == trials || held_mean < 87)
        fail_msg("%d and %d of %d intervals hold the truth", held, held_mean, trials);
}

static void ratios(void **state)
{
    (void)state;
    struct slope_sums a[FACTS] = {{0}}, b[FACTS] = {{0}};
    struct slope out;
    struct rng r;
    rng_init(&r, 4, RNG_TEST, 0);
    for (int i = 0; i < FACTS; i++) {
        /* the same noise in both: the ratio knows 0.4 far better than either slope knows itself */
        double x = rng_normal(&r), noise = rng_normal(&r);
        slope_add(&a[i], x, 0.4 * (x + noise));
        slope_add(&b[i], x, x + noise);
    }
    assert_int_equal(slope_ratio(c, SLOPE_ORIGIN, a, b, FACTS, &out), OK);
    assert_true(fabs(out.slope - 0.4) < 1e-12 && fabs(out.low - 0.4) < 1e-9 && fabs(out.high - 0.4) < 1e-9);
}

static void same_input_same_interval(void **state)
{
    (void)state;
    struct slope_sums s[5] = {{0}};
    struct slope a, b;
    for (int i = 0; i < 5; i++) slope_add(&s[i], i, i * i);
    slope_fit(c, SLOPE_ORIGIN, s, 5, &a);
    slope_fit(c, SLOPE_ORIGIN, s, 5, &b);
    assert_true(a.low == b.low && a.high == b.high && a.low < a.high);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),  cmocka_unit_test(what_does_not_exist),      cmocka_unit_test(intervals_cover),
        cmocka_unit_test(ratios), cmocka_unit_test(same_input_same_interval),
    };
    c = ctx_new(NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ctx_free(c);
    return failed;
}
