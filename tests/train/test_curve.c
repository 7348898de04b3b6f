/* Twenty AdamW steps with accumulation and fixed clipping against PyTorch and PEFT: loss and gradient norm of every step
 * (tests/data/golden, made by tools/gen_golden.py, whose head says what was computed). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "backend/backend_open.h"
#include "io/safetensors.h"
#include "model/llama.h"
#include "train/clip.h"
#include "engine/engine.h"
#include "train/optim.h"

enum { STEPS = 20, MICRO = 2, SEQUENCES = 2, LENGTH = 12, TOKENS = SEQUENCES * LENGTH };

static const void *values_of(const struct safetensors *s, const char *name, size_t bytes)
{
    const struct tensor_view *t = safetensors_find(s, name);
    if (!t) fail_msg("golden.safetensors has no \"%s\"", name);
    assert_int_equal(t->bytes, bytes);
    return t->data;
}

/* Two sequences packed as two documents; every token but a sequence's first is predicted. */
static struct batch batch_of(const int32_t *tokens, int64_t first_token)
{
    static int32_t positions[TOKENS], targets[TOKENS];
    static float weights[TOKENS];
    static const int32_t cu[SEQUENCES + 1] = {0, LENGTH, 2 * LENGTH};
    for (int i = 0; i < TOKENS; i++) {
        positions[i] = i % LENGTH;
        weights[i] = i % LENGTH + 1 < LENGTH;
        targets[i] = weights[i] != 0 ? tokens[i + 1] : 0;
    }
    return (struct batch){TOKENS, tokens, positions, SEQUENCES, cu, targets, weights, first_token};
}

/* One optimizer step; returns its loss and the norm before clipping. */
static double step(struct engine *e, struct clip *clip, const int32_t *tokens, int64_t number, double *norm)
{
    const struct optim optim = {0.9, 0.999, 1e-8, 0.01};
    struct engine_micro micro = {.step = number, .count = MICRO, .inv_n = 1.0 / (MICRO * SEQUENCES * (LENGTH - 1))};
    struct engine_result result;
    for (; micro.index < MICRO; micro.index++) {
        struct batch b = batch_of(tokens + micro.index * TOKENS, micro.index * TOKENS);
        assert_int_equal(e->ops->step(e, &b, &micro), OK);
    }
    const struct engine_update update = optim_step(&optim, number, 0.001, clip_threshold(clip, 1));
    assert_int_equal(e->ops->update(e, &update), OK);
    assert_int_equal(e->ops->result(e, number, &result, NULL), OK);
    clip_add(clip, result.norm, 1, result.clipped);
    *norm = result.norm;
    return result.loss.weighted * micro.inv_n;
}

static void check_family(const char *family)
{
    char path[512];
    struct ctx *c = ctx_new(NULL);
    assert_int_equal(array_env_new(c, backend_open(c, NULL)), OK);
    snprintf(path, sizeof path, TEST_DATA "/golden/%s", family);
    struct model *m = model_open(c, path);
    snprintf(path, sizeof path, TEST_DATA "/golden/%s/adapter", family);
    struct lora *lora = m ? lora_load_peft(c, &m->config, path) : NULL;
    snprintf(path, sizeof path, TEST_DATA "/golden/%s/golden.safetensors", family);
    struct safetensors *golden = safetensors_open(c, path);
    if (!ctx_ok(c)) fail_msg("%s", c->message);
    model_attach_lora(m, lora);
    struct engine *e = engine_native_new(c, m, lora);
    assert_non_null(e);

    const int32_t *tokens = values_of(golden, "curve_tokens", sizeof(int32_t) * STEPS * MICRO * TOKENS);
    const double *losses = values_of(golden, "curve_loss", sizeof(double) * STEPS);
    const double *norms = values_of(golden, "curve_norm", sizeof(double) * STEPS);
    struct clip clip;
    clip_init(&clip, CLIP_FIXED, 1);
    double worst_loss = 0, worst_norm = 0;
    for (int s = 0; s < STEPS; s++) {
        double norm, loss = step(e, &clip, tokens + s * MICRO * TOKENS, s + 1, &norm);
        worst_loss = fmax(worst_loss, fabs(loss / losses[s] - 1));
        worst_norm = fmax(worst_norm, fabs(norm / norms[s] - 1));
    }
    print_message("%s: losses within %.2g, norms within %.2g, %lld of %d steps clipped\n", family, worst_loss, worst_norm,
                  (long long)clip.clipped, STEPS);
    assert_true(clip.clipped > 0); /* or clipping was not tested */
    if (!(worst_loss < 1e-3)) fail_msg("%s: the loss curve differs by %g relative", family, worst_loss);
    if (!(worst_norm < 1e-3)) fail_msg("%s: the gradient norms differ by %g relative", family, worst_norm);
    e->ops->free(e);
    safetensors_close(golden);
    model_free(m);
    lora_free(lora);
    array_env_free(c);
    ctx_free(c);
}

static void curve_of_every_family(void **state)
{
    (void)state;
    static const char *const families[] = {"llama2", "llama32", "mistral", "qwen2", "qwen3"};
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) check_family(families[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(curve_of_every_family)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
