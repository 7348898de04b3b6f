/* schedule, clip and optim against numbers from numpy and torch (tools/gen_train_golden.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "array/op.h"
#include "train/clip.h"
#include "train/optim.h"
#include "train/schedule.h"
#include "train/support_tiny.h"
#include "support_host.h"

static json_t *golden(struct ctx *c)
{
    json_t *doc = json_parse_file(c, TEST_DATA "/train/golden_train.json", 1 << 22);
    if (!doc) fail_msg("golden_train.json: %s", c->message);
    return doc;
}

static double member(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    assert_true(json_is_number(v));
    return json_number_value(v);
}

static double item(const json_t *o, const char *key, size_t i)
{
    const json_t *v = json_array_get(json_object_get(o, key), i);
    assert_true(json_is_number(v));
    return json_number_value(v);
}

static void assert_near(double got, double want, double relative)
{
    if (fabs(got - want) > relative * fmax(fabs(want), 1e-12)) fail_msg("got %.17g, want %.17g", got, want);
}

static void schedules(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    json_t *doc = golden(c), *list = json_object_get(doc, "schedules");
    assert_int_equal(json_array_size(list), 5);
    for (size_t k = 0; k < json_array_size(list); k++) {
        const json_t *o = json_array_get(list, k);
        const char *kind = json_string_value(json_object_get(o, "kind"));
        struct schedule s = {.kind = strcmp(kind, "cosine") == 0   ? SCHEDULE_COSINE
                                     : strcmp(kind, "linear") == 0 ? SCHEDULE_LINEAR
                                                                   : SCHEDULE_CONSTANT,
                             .peak = member(o, "peak"),
                             .min_ratio = member(o, "ratio"),
                             .warmup = (int64_t)member(o, "warmup"),
                             .total = (int64_t)member(o, "total")};
        for (int64_t step = 1; step <= s.total; step++)
            assert_near(schedule_lr(&s, step), item(o, "rates", (size_t)step - 1), 1e-12);
        /* a run that is resumed with more steps than planned must not leave the floor */
        if (s.kind == SCHEDULE_COSINE && s.total > 20)
            assert_near(schedule_lr(&s, s.total + 5), s.peak * s.min_ratio, 1e-12);
    }
    json_decref(doc);
    ctx_free(c);
}

/* A step as the trainer does it: the factor for the gradient. */
static double clip_one(struct clip *k, double norm, double omega, double *threshold)
{
    *threshold = clip_threshold(k, omega);
    clip_add(k, norm, omega, norm > *threshold);
    return norm > *threshold ? *threshold / norm : 1.0;
}

static void clipping(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    json_t *doc = golden(c), *o = json_object_get(doc, "clip");
    struct clip k;
    size_t n = json_array_size(json_object_get(o, "norms")), clipped = 0;
    assert_true(n > 2 * CLIP_WINDOW);
    clip_init(&k, CLIP_RELATIVE, member(o, "c"));
    for (size_t i = 0; i < n; i++) {
        double threshold, scale = clip_one(&k, item(o, "norms", i), item(o, "omegas", i), &threshold);
        assert_near(threshold, item(o, "thresholds", i), 1e-12);
        assert_near(scale, item(o, "scales", i), 1e-12);
        clipped += scale < 1.0;
    }
    assert_true(clipped > 5 && clipped < n / 4);
    assert_near(clip_share(&k), (double)clipped / (double)n, 1e-15);
    json_decref(doc);
    ctx_free(c);
}

static void clip_modes(void **state)
{
    (void)state;
    struct clip k;
    double threshold;
    clip_init(&k, CLIP_FIXED, 0.5);
    assert_true(clip_one(&k, 2.0, 10.0, &threshold) == 0.25 && threshold == 0.5);
    assert_true(clip_one(&k, 0.5, 10.0, &threshold) == 1.0);
    clip_init(&k, CLIP_OFF, 1.0);
    assert_true(clip_one(&k, 1e30, 1.0, &threshold) == 1.0 && isinf(threshold));
    assert_true(clip_share(&k) == 0.0);
    clip_init(&k, CLIP_RELATIVE, 1.0);
    assert_true(clip_share(&k) == 0.0);
    assert_true(clip_one(&k, 30.0, 10.0, &threshold) == 10.0 / 30.0 && threshold == 10.0);
}

/* AdamW through the op of the backend, 12 steps, against torch in float32. */
static void adamw(void **state)
{
    (void)state;
    struct ctx *c = tiny_ctx(1);
    json_t *doc = golden(c), *o = json_object_get(doc, "adamw");
    struct optim optim = {member(o, "beta1"), member(o, "beta2"), member(o, "eps"), member(o, "weight_decay")};
    int64_t n = (int64_t)json_array_size(json_object_get(o, "start"));
    int mark = scope_open(c);
    struct array *p = array_empty(c, DTYPE_F32, 1, &n), *g = array_empty(c, DTYPE_F32, 1, &n);
    struct array *m = array_zeros(c, DTYPE_F32, 1, &n), *v = array_zeros(c, DTYPE_F32, 1, &n);
    float *numbers = host_f32(p), *grads = host_f32(g);
    for (int64_t i = 0; i < n; i++) numbers[i] = (float)item(o, "start", (size_t)i);
    host_store(p, numbers);
    for (size_t step = 1; step <= json_array_size(json_object_get(o, "grads")); step++) {
        const json_t *row = json_array_get(json_object_get(o, "grads"), step - 1);
        const json_t *want = json_array_get(json_object_get(o, "params"), step - 1);
        /* the gradient comes twice as long and is halved, as clipping does it */
        for (int64_t i = 0; i < n; i++) grads[i] = 2.0f * (float)json_number_value(json_array_get(row, (size_t)i));
        host_store(g, grads);
        struct engine_update u = optim_step(&optim, (int64_t)step, member(o, "lr"), INFINITY);
        struct adamw_params params = {u.lr, u.beta1, u.beta2, u.eps, u.weight_decay, u.correction1, u.correction2, 0.5, 0};
        assert_int_equal(op_adamw(c, p, g, m, v, NULL, &params), OK);
        numbers = host_f32(p);
        for (int64_t i = 0; i < n; i++)
            assert_true(fabs(numbers[i] - json_number_value(json_array_get(want, (size_t)i))) < 2e-6);
    }
    scope_close(c, mark);
    json_decref(doc);
    tiny_ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules),
        cmocka_unit_test(clipping),
        cmocka_unit_test(clip_modes),
        cmocka_unit_test(adamw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
