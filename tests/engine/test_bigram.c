/* The second engine alone: its gradient against differences of its loss, and what engine.h promises of steps that are
 * queued. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/support_bigram.h"

enum { VOCAB = 5, N = 4 };

static const int32_t tokens[N] = {0, 3, 3, 1}, targets[N] = {3, 3, 1, -1};
static const float weights[N] = {1, 0.5f, 2, 0};
static const struct batch batch = {.n = N, .tokens = tokens, .targets = targets, .weights = weights};

static struct engine_result step(struct engine *e, int64_t number, double lr, double threshold)
{
    const struct engine_micro micro = {.step = number, .count = 1, .inv_n = 0.25};
    const struct engine_update update = {
        .step = number, .threshold = threshold, .lr = lr, .eps = 1e-8, .correction1 = 1, .correction2 = 1};
    struct engine_result r;
    assert_int_equal(e->ops->step(e, &batch, &micro), OK);
    assert_int_equal(e->ops->update(e, &update), OK);
    assert_int_equal(bigram_queued(e), 2); /* nothing is done before somebody waits */
    assert_int_equal(e->ops->result(e, number, &r, NULL), OK);
    return r;
}

static double loss_of(struct engine *e)
{
    struct engine_loss loss;
    assert_int_equal(e->ops->evaluate(e, &batch, &loss, NULL), OK);
    return loss.weighted;
}

static void the_gradient_is_the_slope_of_the_loss(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct engine *e = bigram_new(c, VOCAB, 8);
    float gradient[VOCAB * VOCAB], values[VOCAB * VOCAB];
    struct engine_result r = step(e, 1, 0, INFINITY);
    double squares = 0;
    assert_true(fabs(r.loss.weighted - loss_of(e)) < 1e-12 && r.loss.count == 3 && !r.clipped);
    for (size_t i = 0; i < e->parameters->n; i++) {
        int64_t n = e->parameters->list[i].rows * e->parameters->list[i].cols;
        assert_int_equal(e->ops->read(e, ENGINE_GRADIENTS, i, gradient), OK);
        assert_int_equal(e->ops->read(e, ENGINE_PARAMETERS, i, values), OK);
        for (int64_t k = 0; k < n; k++) {
            float was = values[k], h = 1e-2f;
            values[k] = was + h;
            assert_int_equal(e->ops->write(e, ENGINE_PARAMETERS, i, values), OK);
            double above = loss_of(e);
            values[k] = was - h;
            assert_int_equal(e->ops->write(e, ENGINE_PARAMETERS, i, values), OK);
            double slope = 0.25 * (above - loss_of(e)) / (2 * (double)h);
            values[k] = was;
            assert_int_equal(e->ops->write(e, ENGINE_PARAMETERS, i, values), OK);
            if (!(fabs(slope - (double)gradient[k]) < 1e-4)) fail_msg("%zu[%d]: %g, not %g", i, (int)k, slope, gradient[k]);
            squares += (double)gradient[k] * (double)gradient[k];
        }
    }
    assert_true(fabs(r.norm - sqrt(squares)) < 1e-9);
    r = step(e, 2, 1e-2, 0.5 * r.norm);
    assert_true(r.clipped && loss_of(e) < r.loss.weighted);
    e->ops->free(e);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_gradient_is_the_slope_of_the_loss)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
