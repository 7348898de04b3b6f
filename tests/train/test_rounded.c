/* Operands of products in bf16 that are made in bf16 (backend.rounded_from), and weights that are laid out (model_lay_out):
 * every loss and gradient of a step is the same bits with them and without, whatever is computed again; and memory is less.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "array/backend.h"
#include "model/random_model.h"
#include "support_host.h"
#include "train/support_engine.h"

enum { N = 75 };

/* 544: rows of gate and up side by side, 1,088 wide, begin anywhere; 512: they would share few sets of a cache. */
static const struct known_model wide = {
    "wide", "LlamaForCausalLM", "llama", 3, 48, 544, 3, 1, 16, 264, 512, 10000, 1e-5, 0, true, false, false, "", ""};
static const struct known_model even = {
    "even", "LlamaForCausalLM", "llama", 2, 64, 512, 2, 2, 32, 264, 512, 10000, 1e-5, 0, false, false, false, "", ""};
/* 72 columns are not whole groups: nothing is rounded before its product. */
static const struct known_model odd = {
    "odd", "LlamaForCausalLM", "llama", 2, 48, 72, 3, 1, 16, 264, 512, 10000, 1e-5, 0, true, false, false, "", ""};

static int32_t tokens[N], positions[N], targets[N], cu[3] = {0, 33, N};
static float weights[N];
static const struct batch batch = {
    .n = N, .tokens = tokens, .positions = positions, .n_seg = 2, .cu = cu, .targets = targets, .weights = weights};

struct outcome {
    float gradients[TINY_GRADIENTS], logprobs[N];
    size_t n, peak;
};

/* How a step is run. */
struct way {
    bool rounds, lays_out;
    int64_t recomputed;
    float dropout;
};

static void give_b_values(struct lora *lora)
{
    for (size_t i = 0; i < lora->n_modules; i++) {
        struct array *b = lora->modules[i].slot.b;
        float *values = host_f32(b);
        for (int64_t j = 0; j < array_size(b); j++) values[j] = 0.01f * (float)(j % 7 - 3);
        host_store(b, values);
    }
}

/* A step on a model of this shape in a ctx of its own. */
static void run(const struct known_model *shape, const struct way *how, struct outcome *out)
{
    struct tiny_engine t = {.c = tiny_ctx(3)};
    const char *folder = tiny_folder();
    const struct model_options options = {.base = BASE_AS_IS, .compute = COMPUTE_BF16};
    const struct engine_micro micro = {
        .step = 1, .count = 1, .inv_n = 1.0 / N, .seed = 7, .recomputed_blocks = how->recomputed};
    struct lora_config config = {.rank = 4, .alpha = 8, .targets = LORA_ALL, .dropout = (double)how->dropout, .seed = 11};
    struct engine_loss loss;
    assert_int_equal(random_model_write(t.c, folder, &(struct random_model){.shape = shape, .seed = 3}), OK);
    if (!how->rounds) array_backend(t.c)->rounded_from = 0;
    t.model = model_open_with(t.c, folder, &options);
    assert_non_null(t.model);
    t.lora = lora_new(t.c, &t.model->config, &config);
    give_b_values(t.lora);
    model_attach_lora(t.model, t.lora);
    t.engine = engine_native_new(t.c, t.model, t.lora);
    if (how->lays_out) assert_int_equal(t.engine->ops->lay_out(t.engine), OK);
    assert_int_equal(how->lays_out, t.model->head.laid_out[WEIGHT_FOR_Y] != NULL);
    memset(out, 0, sizeof *out);
    assert_int_equal(t.engine->ops->step(t.engine, &batch, &micro), OK);
    out->peak = array_pool_stats(t.c).peak_held_bytes;
    out->n = tiny_engine_gradients(&t, out->gradients);
    assert_int_equal(t.engine->ops->evaluate(t.engine, &batch, &loss, out->logprobs), OK);
    tiny_engine_close(&t);
}

static void check(const struct known_model *shape, const struct way *how, const struct outcome *want, bool less_memory)
{
    static struct outcome got;
    run(shape, how, &got);
    assert_true(want->n > 1000 && got.n == want->n);
    if (memcmp(got.gradients, want->gradients, sizeof got.gradients) != 0)
        fail_msg("%s, rounded %d, laid out %d, %d blocks recomputed, dropout %g: other gradients", shape->name, how->rounds,
                 how->lays_out, (int)how->recomputed, (double)how->dropout);
    assert_memory_equal(got.logprobs, want->logprobs, sizeof got.logprobs);
    if (less_memory) assert_true(got.peak < want->peak);
}

static void same_bits_with_and_without(void **state)
{
    (void)state;
    static struct outcome want;
    static const struct known_model *const shapes[] = {&wide, &even, &odd};
    for (int i = 0; i < N; i++) {
        tokens[i] = i * 37 % 251;
        positions[i] = i < cu[1] ? i : i - cu[1];
        targets[i] = i * 53 % 251;
        weights[i] = 0.25f * (float)(1 + i % 4);
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        bool rounds = shapes[i] != &odd;
        run(shapes[i], &(struct way){.rounds = false}, &want);
        check(shapes[i], &(struct way){.rounds = true}, &want, rounds);
        check(shapes[i], &(struct way){.rounds = true, .lays_out = true}, &want, rounds);
        check(shapes[i], &(struct way){.rounds = true, .recomputed = 1}, &want, true);
        check(shapes[i], &(struct way){.rounds = true, .recomputed = -1}, &want, false); /* swiglu's result is kept */
        run(shapes[i], &(struct way){.rounds = false, .dropout = 0.2f}, &want);
        check(shapes[i], &(struct way){.rounds = true, .dropout = 0.2f}, &want, false); /* masks are applied in f32 */
    }
}

/* An array of bf16 without rows to spare is no rounded one: a product would read past its end. */
static void other_arrays_of_bf16_are_refused(void **state)
{
    (void)state;
    struct tiny_engine t;
    tiny_engine_open(&t);
    struct weight *w = &t.model->blocks[0].o, *list[] = {w};
    const int64_t shape[2] = {40, w->cols};
    struct array *y = NULL;
    int mark = scope_open(t.c);
    w->compute = COMPUTE_BF16;
    assert_int_equal(
        op_linear(t.c, array_zeros(t.c, DTYPE_BF16, 2, shape), (const struct weight *const *)list, 1, false, &y), E_DTYPE);
    assert_non_null(strstr(t.c->message, "f32 or f64"));
    ctx_clear(t.c);
    scope_close(t.c, mark);
    tiny_engine_close(&t);
}

int main(void)
{
    setenv("YA_DEVICE", "cpu", 1); /* a card rounds everything */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_with_and_without),
        cmocka_unit_test(other_arrays_of_bf16_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
