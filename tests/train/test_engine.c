/* The engine alone: rows of weight 0 are left out of the last layer, and the log-probabilities of the others, the loss and
 * the gradients are what they are with all rows (gradients: with dropout, which keeps all rows, as its rate goes to 0); what
 * a step tells of its tokens is what evaluation says, and asking for it changes no gradient. */
#include <math.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "train/support_engine.h"

enum { N = 24 };

static int32_t tokens[N], positions[N], targets[N], cu[3] = {0, 10, N};
static float weights[N];
static struct batch batch = {.n = N, .tokens = tokens, .positions = positions, .n_seg = 2, .cu = cu, .targets = targets};

static void open_case(struct tiny_engine *k)
{
    tiny_engine_open(k);
    for (int i = 0; i < N; i++) {
        tokens[i] = i * 37 % 251;
        positions[i] = i < cu[1] ? i : i - cu[1];
        weights[i] = i % 3 == 1 ? 0.25f * (float)(1 + i % 4) : 0;
        targets[i] = weights[i] > 0 ? i * 53 % 251 : -7; /* anything where the weight is 0 */
    }
    batch.weights = weights;
}

static void evaluate(const struct tiny_engine *k, const struct batch *b, struct engine_loss *loss, float *logprobs)
{
    assert_int_equal(k->engine->ops->evaluate(k->engine, b, loss, logprobs), OK);
}

static void the_loss_does_not_depend_on_what_else_is_asked_for(void **state)
{
    (void)state;
    struct tiny_engine k;
    struct engine_loss some, all;
    float logprobs[N], full[N], ones[N];
    int32_t known[N];
    double weighted = 0, unweighted = 0;
    open_case(&k);
    evaluate(&k, &batch, &some, NULL);
    evaluate(&k, &batch, &all, logprobs);
    assert_memory_equal(&some, &all, sizeof some);
    struct batch whole = batch; /* no row of it is left out */
    for (int i = 0; i < N; i++) {
        ones[i] = 1;
        known[i] = weights[i] > 0 ? targets[i] : 0;
    }
    whole.weights = ones;
    whole.targets = known;
    evaluate(&k, &whole, &all, full);
    assert_int_equal(all.count, N);
    for (int i = 0; i < N; i++) {
        assert_true(weights[i] > 0 ? logprobs[i] < -1 && fabsf(logprobs[i] - full[i]) < 1e-5f : logprobs[i] == 0);
        weighted -= (double)weights[i] * (double)logprobs[i];
        unweighted -= (double)logprobs[i];
    }
    assert_int_equal(some.count, N / 3);
    assert_true(fabs(some.weighted - weighted) < 1e-5 * weighted && fabs(some.unweighted - unweighted) < 1e-5 * unweighted);
    tiny_engine_close(&k);
}

static void gradients_do_not_depend_on_rows_that_are_left_out(void **state)
{
    (void)state;
    static float some[TINY_GRADIENTS], all[TINY_GRADIENTS];
    struct tiny_engine k;
    const struct engine_micro o = {.step = 1, .count = 1, .inv_n = 3.0 / N, .seed = 1};
    open_case(&k);
    assert_int_equal(k.engine->ops->step(k.engine, &batch, &o), OK);
    size_t n = tiny_engine_gradients(&k, some);
    assert_true(n > 1000);
    for (size_t i = 0; i < k.lora->n_modules; i++) k.lora->modules[i].slot.dropout = 1e-12f; /* on, and drops nothing */
    assert_int_equal(k.engine->ops->step(k.engine, &batch, &o), OK);
    tiny_engine_gradients(&k, all);
    assert_true(tiny_relative(some, all, n) < 1e-5);
    tiny_engine_close(&k);
}

/* A step of two micro-batches, the first with rows left out and the second with none; `kept`: its log-probabilities are. */
static void run_step(struct tiny_engine *k, const struct batch *second, bool kept, float *gradients, float *logprobs)
{
    const struct engine_update update = {.step = 1, .threshold = INFINITY, .correction1 = 1, .correction2 = 1};
    struct engine_micro o = {.step = 1, .count = 2, .inv_n = 1, .seed = 1, .step_tokens = kept ? N + second->n : 0};
    struct engine_result r;
    assert_int_equal(k->engine->ops->step(k->engine, &batch, &o), OK);
    o.index = 1;
    assert_int_equal(k->engine->ops->step(k->engine, second, &o), OK);
    tiny_engine_gradients(k, gradients);
    assert_int_equal(k->engine->ops->update(k->engine, &update), OK); /* with a rate of 0 */
    assert_int_equal(k->engine->ops->result(k->engine, 1, &r, logprobs), OK);
}

static void a_step_tells_the_log_probabilities_of_its_tokens(void **state)
{
    (void)state;
    static float without[TINY_GRADIENTS], with[TINY_GRADIENTS];
    struct tiny_engine k;
    struct engine_loss loss;
    float want[N], told[N + 10], ones[10];
    int32_t known[10];
    open_case(&k);
    struct batch second = {.n = 10, .tokens = tokens, .positions = positions, .n_seg = 1, .cu = cu, .first_token = N};
    for (int i = 0; i < 10; i++) {
        ones[i] = 0.5f * (float)(i > 0);
        known[i] = i * 29 % 251;
    }
    second.weights = ones;
    second.targets = known;
    run_step(&k, &second, false, without, NULL);
    run_step(&k, &second, true, with, told);
    assert_memory_equal(without, with, sizeof with);
    evaluate(&k, &batch, &loss, want);
    assert_memory_equal(told, want, sizeof want);
    evaluate(&k, &second, &loss, want);
    assert_memory_equal(told + N, want, sizeof known);
    tiny_engine_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_does_not_depend_on_what_else_is_asked_for),
        cmocka_unit_test(gradients_do_not_depend_on_rows_that_are_left_out),
        cmocka_unit_test(a_step_tells_the_log_probabilities_of_its_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
