/* The choice of tokens: which tokens can come, how often, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "eval/sample.h"

enum { V = 5, DRAWS = 20000 };

/* log of 0.05, 0.5, 0.15, 0.3, 0 */
static const float logits[V] = {-2.99573227f, -0.69314718f, -1.89711998f, -1.20397280f, -INFINITY};

/* Shares of each token in DRAWS draws. */
static void shares(struct sample_params p, double share[V])
{
    struct ctx *c = ctx_new(NULL);
    struct sample s;
    memset(share, 0, V * sizeof(*share));
    assert_int_equal(sample_init(&s, c, &p, V), OK);
    for (int i = 0; i < DRAWS; i++) {
        int32_t id = -1;
        assert_int_equal(sample_next(&s, logits, &id), OK);
        assert_in_range(id, 0, V - 1);
        share[id] += 1.0 / DRAWS;
    }
    sample_release(&s);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* Within four standard deviations of `expect` (sum 1); tokens of probability 0 never come. */
static void check_shares(struct sample_params p, const double expect[V])
{
    double share[V];
    shares(p, share);
    for (int i = 0; i < V; i++) {
        double sd = sqrt(expect[i] * (1 - expect[i]) / DRAWS);
        if (fabs(share[i] - expect[i]) > 4 * sd + 1e-12) fail_msg("token %d: share %g, not %g", i, share[i], expect[i]);
    }
}

static void test_temperature(void **state)
{
    (void)state;
    check_shares((struct sample_params){1, 0, 1, 1}, (double[]){0.05, 0.5, 0.15, 0.3, 0});
    /* temperature 0.5 squares the probabilities: 0.0025, 0.25, 0.0225, 0.09 of 0.365 */
    check_shares((struct sample_params){0.5, 0, 1, 2},
                 (double[]){0.0025 / 0.365, 0.25 / 0.365, 0.0225 / 0.365, 0.09 / 0.365, 0});
    check_shares((struct sample_params){0, 0, 1, 3}, (double[]){0, 1, 0, 0, 0});
    check_shares((struct sample_params){1e-300, 0, 1, 3}, (double[]){0, 1, 0, 0, 0}); /* no overflow */
}

static void test_cuts(void **state)
{
    (void)state;
    check_shares((struct sample_params){1, 2, 1, 1}, (double[]){0, 0.625, 0, 0.375, 0});
    check_shares((struct sample_params){1, 100, 1, 1}, (double[]){0.05, 0.5, 0.15, 0.3, 0});
    check_shares((struct sample_params){1, 0, 0.7, 1}, (double[]){0, 0.625, 0, 0.375, 0});
    check_shares((struct sample_params){1, 0, 0.85, 1}, (double[]){0, 0.5 / 0.95, 0.15 / 0.95, 0.3 / 0.95, 0});
    check_shares((struct sample_params){1, 0, 1e-9, 1}, (double[]){0, 1, 0, 0, 0}); /* one token always stays */
    /* top_k first: of 0.625 and 0.375 the first alone makes 0.6, which it does not before the cut */
    check_shares((struct sample_params){1, 2, 0.6, 1}, (double[]){0, 1, 0, 0, 0});
    check_shares((struct sample_params){1, 0, 0.6, 1}, (double[]){0, 0.625, 0, 0.375, 0});
}

static void test_ties(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct sample s;
    const float same[4] = {1, 2, 2, 2};
    int32_t id = -1;
    assert_int_equal(sample_init(&s, c, &(struct sample_params){.top_p = 1}, 4), OK);
    assert_int_equal(sample_next(&s, same, &id), OK);
    assert_int_equal(id, 1);
    sample_release(&s);
    assert_int_equal(sample_init(&s, c, &(struct sample_params){1, 1, 1, 5}, 4), OK);
    assert_int_equal(sample_next(&s, same, &id), OK);
    assert_int_equal(id, 1);
    sample_release(&s);
    ctx_free(c);
}

static void test_seed(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    int32_t first[64], id = -1;
    for (uint64_t run = 0; run < 3; run++) {
        struct sample s;
        int same = 0;
        assert_int_equal(sample_init(&s, c, &(struct sample_params){1, 0, 1, run == 2 ? 8 : 7}, V), OK);
        for (int i = 0; i < 64; i++) {
            assert_int_equal(sample_next(&s, logits, &id), OK);
            if (run == 0) first[i] = id;
            same += id == first[i];
        }
        if (run == 1) assert_int_equal(same, 64);
        if (run == 2) assert_in_range(same, 5, 55);
        sample_release(&s);
    }
    ctx_free(c);
}

static void check_refused(struct sample_params p, const float *l, enum status status, const char *part)
{
    struct ctx *c = ctx_new(NULL);
    struct sample s;
    int32_t id;
    enum status got = sample_init(&s, c, &p, 3);
    if (got == OK) got = sample_next(&s, l, &id);
    assert_int_equal(got, status);
    assert_non_null(strstr(c->message, part));
    sample_release(&s);
    ctx_clear(c);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static void test_refused(void **state)
{
    (void)state;
    const float good[3] = {0, 1, 2}, nan[3] = {0, NAN, 2}, inf[3] = {0, 1, INFINITY},
                none[3] = {-INFINITY, -INFINITY, -INFINITY};
    check_refused((struct sample_params){-1, 0, 1, 0}, good, E_INPUT, "temperature -1");
    check_refused((struct sample_params){NAN, 0, 1, 0}, good, E_INPUT, "temperature");
    check_refused((struct sample_params){1, -2, 1, 0}, good, E_INPUT, "top-k -2");
    check_refused((struct sample_params){1, 0, 0, 0}, good, E_INPUT, "top-p 0");
    check_refused((struct sample_params){1, 0, 1.5, 0}, good, E_INPUT, "top-p 1.5");
    check_refused((struct sample_params){0, 0, 1, 0}, nan, E_NUMERIC, "token 1 is nan");
    check_refused((struct sample_params){1, 0, 1, 0}, inf, E_NUMERIC, "token 2 is inf");
    check_refused((struct sample_params){1, 0, 1, 0}, none, E_NUMERIC, "probability 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_temperature), cmocka_unit_test(test_cuts),    cmocka_unit_test(test_ties),
        cmocka_unit_test(test_seed),        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
