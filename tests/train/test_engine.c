/* The engine alone: rows of weight 0 are left out of the last layer unless every row's log-probability is asked for, and
 * either way the loss is the same; so are gradients with dropout, which keeps all rows, as its rate goes to 0. */
#include <math.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/llama.h"
#include "engine/engine.h"
#include "train/support_tiny.h"
#include "support_host.h"

enum { N = 24 };

struct case_ {
    struct ctx *c;
    struct model *model;
    struct lora *lora;
    struct engine *engine;
    struct batch batch;
};

static int32_t tokens[N], positions[N], targets[N], cu[3] = {0, 10, N};
static float weights[N];

static void open_case(struct case_ *k)
{
    const char *folder = tiny_folder();
    k->c = tiny_ctx(2);
    tiny_model(k->c, folder, false);
    k->model = model_open(k->c, folder);
    assert_non_null(k->model);
    struct lora_config config = {.rank = 4, .alpha = 8, .targets = LORA_ALL, .seed = 11};
    k->lora = lora_new(k->c, &k->model->config, &config);
    assert_non_null(k->lora);
    for (size_t i = 0; i < k->lora->n_modules; i++) { /* B is 0 at first, and so would be the gradients of A */
        struct array *b = k->lora->modules[i].slot.b;
        float *values = host_f32(b);
        for (int64_t j = 0; j < array_size(b); j++) values[j] = 0.01f * (float)(j % 7 - 3);
        host_store(b, values);
    }
    model_attach_lora(k->model, k->lora);
    k->engine = engine_native_new(k->c, k->model, k->lora);
    assert_non_null(k->engine);
    for (int i = 0; i < N; i++) {
        tokens[i] = i * 37 % 251;
        positions[i] = i < cu[1] ? i : i - cu[1];
        weights[i] = i % 3 == 1 ? 0.25f * (float)(1 + i % 4) : 0;
        targets[i] = weights[i] > 0 ? i * 53 % 251 : -7; /* anything where the weight is 0 */
    }
    k->batch = (struct batch){.n = N, .tokens = tokens, .positions = positions, .n_seg = 2, .cu = cu, .targets = targets};
    k->batch.weights = weights;
}

static void close_case(struct case_ *k)
{
    k->engine->ops->free(k->engine);
    model_free(k->model);
    lora_free(k->lora);
    tiny_ctx_free(k->c);
    tiny_cleanup();
}

static void the_loss_does_not_depend_on_what_else_is_asked_for(void **state)
{
    (void)state;
    struct case_ k;
    struct engine_loss some, all;
    float logprobs[N];
    double weighted = 0, unweighted = 0;
    open_case(&k);
    assert_int_equal(k.engine->ops->evaluate(k.engine, &k.batch, &some, NULL), OK);
    assert_int_equal(k.engine->ops->evaluate(k.engine, &k.batch, &all, logprobs), OK);
    for (int i = 0; i < N; i++) {
        assert_true(weights[i] > 0 ? logprobs[i] < -1 : logprobs[i] == 0);
        weighted -= (double)weights[i] * (double)logprobs[i];
        unweighted -= (double)logprobs[i];
    }
    assert_int_equal(some.count, N / 3);
    assert_int_equal(all.count, N / 3);
    assert_true(fabs(some.weighted - all.weighted) < 1e-6 * all.weighted);
    assert_true(fabs(some.unweighted - all.unweighted) < 1e-6 * all.unweighted);
    assert_true(fabs(some.weighted - weighted) < 1e-5 * weighted && fabs(some.unweighted - unweighted) < 1e-5 * unweighted);
    close_case(&k);
}

static size_t gradients(const struct case_ *k, float *out)
{
    size_t n = 0;
    for (size_t i = 0; i < k->engine->parameters->n; i++) {
        assert_int_equal(k->engine->ops->read(k->engine, ENGINE_GRADIENTS, i, out + n), OK);
        n += (size_t)tiny_size(k->engine, i);
    }
    return n;
}

static void gradients_do_not_depend_on_rows_that_are_left_out(void **state)
{
    (void)state;
    static float some[1 << 16], all[1 << 16];
    struct case_ k;
    const struct engine_micro o = {.step = 1, .count = 1, .inv_n = 3.0 / N, .seed = 1};
    open_case(&k);
    assert_int_equal(k.engine->ops->step(k.engine, &k.batch, &o), OK);
    size_t n = gradients(&k, some);
    assert_true(n > 1000 && n < sizeof some / sizeof *some);
    for (size_t i = 0; i < k.lora->n_modules; i++) k.lora->modules[i].slot.dropout = 1e-12f; /* on, and drops nothing */
    assert_int_equal(k.engine->ops->step(k.engine, &k.batch, &o), OK);
    gradients(&k, all);
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)some[i] - (double)all[i]) * ((double)some[i] - (double)all[i]);
        size += (double)all[i] * (double)all[i];
    }
    assert_true(size > 0 && difference < 1e-10 * size);
    close_case(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_does_not_depend_on_what_else_is_asked_for),
        cmocka_unit_test(gradients_do_not_depend_on_rows_that_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
