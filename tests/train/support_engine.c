/* support_engine: see support_engine.h. */
#include "train/support_engine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support_host.h"

void tiny_engine_open(struct tiny_engine *t)
{
    const char *folder = tiny_folder();
    t->c = tiny_ctx(2);
    tiny_model(t->c, folder, false);
    t->model = model_open(t->c, folder);
    assert_non_null(t->model);
    struct lora_config config = {.rank = 4, .alpha = 8, .targets = LORA_ALL, .seed = 11};
    t->lora = lora_new(t->c, &t->model->config, &config);
    assert_non_null(t->lora);
    for (size_t i = 0; i < t->lora->n_modules; i++) {
        struct array *b = t->lora->modules[i].slot.b;
        float *values = host_f32(b);
        for (int64_t j = 0; j < array_size(b); j++) values[j] = 0.01f * (float)(j % 7 - 3);
        host_store(b, values);
    }
    model_attach_lora(t->model, t->lora);
    t->engine = engine_native_new(t->c, t->model, t->lora);
    assert_non_null(t->engine);
}

void tiny_engine_close(struct tiny_engine *t)
{
    t->engine->ops->free(t->engine);
    model_free(t->model);
    lora_free(t->lora);
    tiny_ctx_free(t->c);
    tiny_cleanup();
}

size_t tiny_engine_gradients(const struct tiny_engine *t, float out[TINY_GRADIENTS])
{
    size_t n = 0;
    for (size_t i = 0; i < t->engine->parameters->n; i++) {
        assert_true(n + (size_t)tiny_size(t->engine, i) <= TINY_GRADIENTS);
        assert_int_equal(t->engine->ops->read(t->engine, ENGINE_GRADIENTS, i, out + n), OK);
        n += (size_t)tiny_size(t->engine, i);
    }
    return n;
}

double tiny_relative(const float *a, const float *b, size_t n)
{
    double difference = 0, whole = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        whole += (double)b[i] * (double)b[i];
    }
    assert_true(whole > 0);
    return sqrt(difference / whole);
}
