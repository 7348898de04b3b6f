/* How runs are judged: each finding on a curve that deserves it, none on one that does not; what is said while training is
 * said once and in time; the learning-rate finder finds the minimum of a known curve. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runs/find_lr.h"
#include "runs/verdict.h"
#include "runs/watch.h"

enum { MOST = 1000 };
static struct metrics_step steps[MOST];
static struct metrics_eval evals[MOST];
static struct history h;

/* A history of n steps whose loss goes from one value to another along exp(-k/tau). */
static void curve(size_t n, double from, double to)
{
    h = (struct history){.steps = steps, .evals = evals, .n_steps = n};
    for (size_t i = 0; i < n; i++)
        steps[i] = (struct metrics_step){.step = (int64_t)i + 1,
                                         .epoch = 1,
                                         .loss = to + (from - to) * exp(-(double)i / ((double)n / 8)),
                                         .lr = 1e-3,
                                         .grad_norm = 1,
                                         .trained_tokens = 100};
}

static void valid(size_t n, const double *losses, int64_t every)
{
    h.n_evals = n;
    for (size_t i = 0; i < n; i++)
        evals[i] = (struct metrics_eval){.step = (int64_t)i * every, .loss = losses[i], .weighted_loss = losses[i]};
}
#define VALID(EVERY, ...) valid(sizeof((double[]){__VA_ARGS__}) / sizeof(double), (const double[]){__VA_ARGS__}, EVERY)

static bool finds(enum finding_kind kind, const struct verdict_options *o)
{
    struct verdict v = verdict_of(&h, o);
    for (size_t i = 0; i < v.n; i++) {
        assert_true(v.findings[i].text[0]);
        if (v.findings[i].kind == kind) return true;
    }
    return false;
}

static const struct verdict_options whole = {.total_steps = 100, .eval_every = 25, .lr = 1e-3, .finished = true};

static void good_runs(void **state)
{
    (void)state;
    curve(100, 3, 2);
    VALID(25, 3, 2.5, 2.2, 2.1, 2.09);
    struct verdict v = verdict_of(&h, &whole);
    assert_false(v.bad);
    assert_int_equal(v.n, 1);
    assert_int_equal(v.findings[0].kind, FINDING_LEARNT);
    assert_true(v.start_loss < 3 && v.start_loss > 2.8 && v.end_loss < 2.01 && v.best_step == 100 && v.start_valid == 3);
    VALID(25, 3, 2.5, 2.4, 2.3, 2.1);
    assert_true(finds(FINDING_FALLING, &whole));
    VALID(25, 3, 2.5, 2.2, 2.4, 2.6);
    assert_true(finds(FINDING_OVERFIT, &whole));
    h.n_evals = 0;
    assert_true(finds(FINDING_UNCHECKED, &whole));
}

static void bad_runs(void **state)
{
    (void)state;
    curve(100, 3, 51);
    assert_true(finds(FINDING_DIVERGED, &whole));
    assert_true(verdict_of(&h, &whole).bad);
    assert_false(finds(FINDING_WORSE, &whole));
    curve(100, 3, 3.1);
    assert_true(finds(FINDING_WORSE, &whole));
    curve(100, 3, 2);
    VALID(25, 3, 3.2, 3.3, 3.4, 3.4);
    assert_true(finds(FINDING_WORSE, &whole));
    assert_false(finds(FINDING_LEARNT, &whole));
    curve(100, 3, 2.99);
    assert_true(finds(FINDING_FLAT, &whole));
    h.n_steps = 0;
    assert_true(finds(FINDING_EMPTY, &whole));
}

static void lengths(void **state)
{
    (void)state;
    struct verdict_options o = whole;
    curve(3, 3, 2.5);
    o.total_steps = 3;
    assert_true(finds(FINDING_SHORT, &o));
    curve(50, 3, 2);
    o = whole;
    o.finished = false;
    o.resume = "your_ai resume run";
    assert_true(finds(FINDING_UNFINISHED, &o));
    assert_false(finds(FINDING_SHORT, &o));
    VALID(10, 3, 2.5, 2.6, 2.7, 2.8, 2.9);
    o = (struct verdict_options){.total_steps = 100, .eval_every = 10, .patience = 4, .lr = 1e-3, .finished = true};
    assert_true(finds(FINDING_EARLY, &o));
    curve(100, 3, 2);
    steps[99].clip_share = 0.7;
    assert_true(finds(FINDING_CLIPPED, &whole));
}

/* A run that is read while it trains: how it ended is not known, but that it diverged or overfits is. */
static void under_way(void **state)
{
    (void)state;
    struct verdict_options o = whole;
    o.finished = false;
    curve(50, 3, 2.99);
    assert_true(finds(FINDING_UNFINISHED, &o));
    assert_false(verdict_of(&h, &o).bad);
    assert_false(finds(FINDING_FLAT, &o));
    assert_false(finds(FINDING_UNCHECKED, &o));
    curve(50, 3, 3.1);
    assert_false(finds(FINDING_WORSE, &o));
    curve(50, 3, 51);
    assert_true(finds(FINDING_DIVERGED, &o));
    curve(50, 3, 2);
    VALID(10, 3, 2.5, 2.4, 2.3, 2.1);
    assert_false(finds(FINDING_FALLING, &o));
    VALID(10, 3, 2.5, 2.2, 2.4, 2.6);
    assert_true(finds(FINDING_OVERFIT, &o));
}

/* The step at which each event is told; 0: never. A second telling is a failure. */
static void watch_curve(int64_t total, int64_t told[WATCH_EVENTS])
{
    struct watch w;
    enum watch_event event;
    char text[FINDING_BYTES];
    memset(told, 0, WATCH_EVENTS * sizeof *told);
    watch_init(&w, total);
    assert_true(isnan(watch_loss(&w)));
    for (size_t i = 0; i < h.n_steps; i++) {
        if (!watch_add(&w, &steps[i], &event, text, sizeof text)) continue;
        assert_int_equal(told[event], 0);
        told[event] = steps[i].step;
    }
}

static void said_in_time(void **state)
{
    (void)state;
    int64_t told[WATCH_EVENTS];
    curve(200, 3, 2);
    for (int i = 0; i < 200; i++) steps[i].loss += i % 7 == 0 ? 1 : -0.2; /* single steps differ */
    watch_curve(200, told);
    for (int i = 0; i < WATCH_EVENTS; i++) assert_int_equal(told[i], 0);
    for (int i = 50; i < 200; i++) steps[i].loss = 8;
    watch_curve(200, told);
    assert_in_range(told[WATCH_LOSS], 51, 55);
    curve(200, 3, 2);
    for (int i = 60; i < 70; i++) steps[i].grad_norm = 30;
    watch_curve(200, told);
    assert_int_equal(told[WATCH_NORM], 62);
    curve(400, 3, 3);
    watch_curve(400, told);
    assert_int_equal(told[WATCH_FLAT], 100);
    watch_curve(0, told);
    assert_int_equal(told[WATCH_FLAT], 0);
}

/* The smoothed loss of a constant is that constant, from the first step on. */
static void smoothing(void **state)
{
    (void)state;
    struct watch w;
    enum watch_event event;
    char text[FINDING_BYTES];
    watch_init(&w, 0);
    for (int i = 0; i < 5; i++) {
        const struct metrics_step s = {.step = i + 1, .loss = 2.5, .grad_norm = 1};
        watch_add(&w, &s, &event, text, sizeof text);
        assert_true(fabs(watch_loss(&w) - 2.5) < 1e-12);
    }
}

/* Loss = (log10 lr + 2)^2 + 1 below 1e-1, then it explodes: the minimum is at 1e-2. */
static void finds_a_rate(void **state)
{
    (void)state;
    curve(100, 1, 1);
    for (int i = 0; i < 100; i++) {
        double exponent = -6 + 6.0 * i / 99;
        steps[i].lr = pow(10, exponent);
        steps[i].loss = exponent > -1 ? 100 : (exponent + 2) * (exponent + 2) + 1;
    }
    struct find_lr f = find_lr_of(&h);
    assert_true(f.found && f.rose && fabs(log10(f.least_lr) + 2) < 0.1 && fabs(f.suggestion / f.least_lr - 0.1) < 1e-9);
    for (int i = 0; i < 100; i++) steps[i].loss = 3 - i / 100.0;
    f = find_lr_of(&h);
    assert_true(f.found && !f.rose && f.least_lr == steps[99].lr);
    for (int i = 0; i < 100; i++) steps[i].loss = 3;
    assert_false(find_lr_of(&h).found);
    h.n_steps = 0;
    assert_false(find_lr_of(&h).found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_runs),    cmocka_unit_test(bad_runs),
                                       cmocka_unit_test(lengths),      cmocka_unit_test(under_way),
                                       cmocka_unit_test(said_in_time), cmocka_unit_test(smoothing),
                                       cmocka_unit_test(finds_a_rate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
