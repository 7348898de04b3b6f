/* The MLX engine beside the native one: losses, log-probabilities, gradients and a curve of training on every family that it
 * has, with documents packed, weighted and split into micro-batches; what it does not have is refused by name; and whatever
 * call of mlx-c fails, one message is left and every handle is freed.
 *
 * It runs on the library that stands for mlx-c. With YA_TEST_MLX=PATH it runs on the real one at that path. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "array/array.h"
#include "backend/backend_open.h"
#include "engine/engine.h"
#include "engine/mlxc/mock_mlxc.h"
#include "model/lora.h"
#include "model/model.h"

#define N 40

static mock_mlxc_live_fn *live;
static mock_mlxc_fail_fn *fail_at;

static int find_library(void **state)
{
    (void)state;
    const char *real = getenv("YA_TEST_MLX");
    setenv("YA_LIBMLXC", real ? real : MOCK_MLXC_DIR "/libmock_mlxc.so", 1);
    if (real) return 0;
    void *mock = dlopen(MOCK_MLXC_DIR "/libmock_mlxc.so", RTLD_NOW | RTLD_LOCAL);
    if (!mock) return -1;
    *(void **)&live = dlsym(mock, "mock_mlxc_live");
    *(void **)&fail_at = dlsym(mock, "mock_mlxc_fail");
    return live && fail_at ? 0 : -1;
}

/* ---- a model with two adapters of the same values, one for each engine ------------------------------------------------ */

enum { NATIVE, MLX, ENGINES };

struct pair {
    struct ctx *c;
    struct model *model[ENGINES];
    struct lora *lora[ENGINES];
    struct engine *engine[ENGINES];
};

static struct ctx *open_ctx(void)
{
    struct ctx *c = ctx_new(NULL);
    assert_int_equal(array_env_new(c, backend_open(c, "cpu")), OK);
    return c;
}

static void close_ctx(struct ctx *c)
{
    ctx_clear(c);
    array_env_free(c);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
    if (live) assert_int_equal(live(), 0);
}

static void open_model(struct pair *p, int k, const char *family, const struct model_options *options)
{
    char path[512];
    snprintf(path, sizeof path, TEST_DATA "/%s", family);
    p->model[k] = model_open_with(p->c, path, options);
    if (!p->model[k]) fail_msg("%s: %s", family, p->c->message);
    snprintf(path, sizeof path, TEST_DATA "/%s/adapter", family);
    p->lora[k] = lora_load_peft(p->c, &p->model[k]->config, path);
    assert_non_null(p->lora[k]);
    model_attach_lora(p->model[k], p->lora[k]);
}

static void close_model(struct pair *p, int k)
{
    if (p->engine[k]) p->engine[k]->ops->free(p->engine[k]);
    model_free(p->model[k]);
    lora_free(p->lora[k]);
}

static void open_pair(struct pair *p, const char *family, enum compute compute)
{
    *p = (struct pair){.c = open_ctx()};
    for (int k = 0; k < ENGINES; k++)
        open_model(p, k, family, &(struct model_options){.base = BASE_AS_IS, .compute = compute});
    p->engine[NATIVE] = engine_native_new(p->c, p->model[NATIVE], p->lora[NATIVE]);
    p->engine[MLX] = engine_mlx_new(p->c, p->model[MLX], p->lora[MLX]);
    if (!p->engine[MLX]) fail_msg("%s: %s", family, p->c->message);
}

static void close_pair(struct pair *p)
{
    for (int k = 0; k < ENGINES; k++) close_model(p, k);
    close_ctx(p->c);
}

/* ---- a batch ---------------------------------------------------------------------------------------------------------- */

/* Three packed documents, the longest longer than the goldens' windows; a third of the rows do not count. */
static const int32_t cu[4] = {0, 7, 33, N};
static int32_t tokens[N], positions[N], targets[N];
static float weights[N];

static struct batch make_batch(const struct model *m)
{
    const int32_t vocab = (int32_t)m->config.vocab;
    for (int i = 0, s = 0; i < N; i++) {
        if (i == cu[s + 1]) s++;
        tokens[i] = (i * 37 + 11) % vocab;
        positions[i] = i - cu[s];
        weights[i] = i % 3 == 1 ? 0 : 0.25f * (float)(1 + i % 7);
        targets[i] = weights[i] > 0 ? (i * 53 + 5) % vocab : -7;
    }
    return (struct batch){
        .n = N, .tokens = tokens, .positions = positions, .n_seg = 3, .cu = cu, .targets = targets, .weights = weights};
}

/* Documents [first, first + n) of a batch as a micro-batch of their own. */
static struct batch part_of(const struct batch *b, int first, int n, int32_t *offsets)
{
    const int32_t from = cu[first];
    for (int i = 0; i <= n; i++) offsets[i] = cu[first + i] - from;
    return (struct batch){.n = offsets[n],
                          .tokens = b->tokens + from,
                          .positions = b->positions + from,
                          .n_seg = n,
                          .cu = offsets,
                          .targets = b->targets + from,
                          .weights = b->weights + from,
                          .first_token = from};
}

/* ---- comparisons ------------------------------------------------------------------------------------------------------ */

/* ||a - b|| / ||b|| over the values of all parameters. */
static double difference(struct pair *p, enum engine_values which)
{
    static float a[1 << 16], b[1 << 16];
    double apart = 0, size = 0;
    for (size_t i = 0; i < p->engine[NATIVE]->parameters->n; i++) {
        const struct parameter *t = engine_parameter(p->engine[NATIVE], i);
        assert_true(t->rows * t->cols <= 1 << 16);
        assert_int_equal(p->engine[MLX]->ops->read(p->engine[MLX], which, i, a), OK);
        assert_int_equal(p->engine[NATIVE]->ops->read(p->engine[NATIVE], which, i, b), OK);
        for (int64_t k = 0; k < t->rows * t->cols; k++) {
            apart += ((double)a[k] - (double)b[k]) * ((double)a[k] - (double)b[k]);
            size += (double)b[k] * (double)b[k];
        }
    }
    assert_true(size > 0);
    return sqrt(apart / size);
}

static void assert_same_losses(struct pair *p, const char *family, const struct batch *b, double limit)
{
    struct engine_loss loss[ENGINES];
    float logprobs[ENGINES][N];
    for (int k = 0; k < ENGINES; k++)
        if (p->engine[k]->ops->evaluate(p->engine[k], b, &loss[k], logprobs[k]) != OK) fail_msg("%s", p->c->message);
    double apart = fabs(loss[MLX].weighted / loss[NATIVE].weighted - 1);
    if (!(apart < limit)) fail_msg("%s: losses differ by %g", family, apart);
    assert_true(fabs(loss[MLX].unweighted / loss[NATIVE].unweighted - 1) < limit);
    assert_int_equal(loss[MLX].count, loss[NATIVE].count);
    for (int i = 0; i < N; i++)
        if (!(fabsf(logprobs[MLX][i] - logprobs[NATIVE][i]) <= 10 * (float)limit * fabsf(logprobs[NATIVE][i])))
            fail_msg("%s: log-probability %d: %g, not %g", family, i, (double)logprobs[MLX][i], (double)logprobs[NATIVE][i]);
}

/* One optimizer step in two micro-batches; its result in both engines. */
static void step(struct pair *p, const struct batch *b, int64_t number, int64_t recomputed, struct engine_result r[ENGINES])
{
    const struct engine_update u = {.step = number,
                                    .threshold = 0.5,
                                    .lr = 5e-4,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .eps = 1e-8,
                                    .weight_decay = 0.01,
                                    .correction1 = 1 - pow(0.9, (double)number),
                                    .correction2 = 1 - pow(0.999, (double)number)};
    float logprobs[ENGINES][N];
    int32_t offsets[2][4];
    const struct batch parts[2] = {part_of(b, 0, 1, offsets[0]), part_of(b, 1, 2, offsets[1])};
    for (int k = 0; k < ENGINES; k++) {
        struct engine *e = p->engine[k];
        for (int i = 0; i < 2; i++) {
            const struct engine_micro m = {.step = number,
                                           .index = i,
                                           .count = 2,
                                           .inv_n = 1.0 / 27,
                                           .recomputed_blocks = recomputed,
                                           .step_tokens = N};
            if (e->ops->step(e, &parts[i], &m) != OK) fail_msg("%s", p->c->message);
        }
        assert_int_equal(e->ops->update(e, &u), OK);
        assert_int_equal(e->ops->result(e, number, &r[k], logprobs[k]), OK);
    }
    for (int i = 0; i < N; i++)
        if (!(fabsf(logprobs[MLX][i] - logprobs[NATIVE][i]) <= 1e-3f * (1 - logprobs[NATIVE][i])))
            fail_msg("step %d, token %d: %g, not %g", (int)number, i, (double)logprobs[MLX][i], (double)logprobs[NATIVE][i]);
}

static const char *const families[] = {
    "golden/llama2",
    "golden/llama32",
    "golden/mistral",
    "golden/qwen2",
    "golden/qwen3",
    "families/ministral",
    "families/llama_yarn",
    "families/smollm3",
    "families/granite",
    "families/olmo2",
    "families/qwen2_windows_yarn",
};

static void losses_and_gradients_are_the_native_engines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        struct pair p;
        struct engine_result r[ENGINES];
        open_pair(&p, families[i], COMPUTE_F32);
        struct batch b = make_batch(p.model[NATIVE]);
        assert_same_losses(&p, families[i], &b, 1e-5);
        for (int recomputed = 0; recomputed < 2; recomputed++) {
            step(&p, &b, 1 + recomputed, recomputed ? 1000 : 0, r);
            double apart = difference(&p, ENGINE_GRADIENTS);
            print_message("%s, %s: gradients within %.2g, norms %.7g and %.7g\n", families[i],
                          recomputed ? "recomputed" : "kept", apart, r[MLX].norm, r[NATIVE].norm);
            if (!(apart < 1e-4)) fail_msg("%s: gradients differ by %g", families[i], apart);
            assert_true(fabs(r[MLX].loss.weighted / r[NATIVE].loss.weighted - 1) < 1e-5);
            assert_true(r[MLX].clipped == r[NATIVE].clipped && r[MLX].bad_micro == -1);
            assert_int_equal(r[MLX].loss.count, 27);
        }
        close_pair(&p);
    }
}

static void a_curve_of_30_steps_is_the_native_engines(void **state)
{
    static const char *const some[] = {"golden/llama32", "golden/qwen3"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct pair p;
        struct engine_result r[ENGINES], first[ENGINES];
        double apart = 0;
        open_pair(&p, some[i], COMPUTE_F32);
        struct batch b = make_batch(p.model[NATIVE]);
        step(&p, &b, 1, 1, first);
        for (int s = 2; s <= 30; s++) {
            step(&p, &b, s, s % 3, r);
            apart = fmax(apart, fabs(r[MLX].loss.weighted / r[NATIVE].loss.weighted - 1));
        }
        print_message("%s: loss %.5f to %.5f, curves within %.2g, adapters within %.2g\n", some[i],
                      first[MLX].loss.weighted / 27, r[MLX].loss.weighted / 27, apart, difference(&p, ENGINE_PARAMETERS));
        assert_true(r[MLX].loss.weighted < 0.9 * first[MLX].loss.weighted);
        if (!(apart < 1e-3)) fail_msg("%s: curves differ by %g", some[i], apart);
        assert_true(difference(&p, ENGINE_PARAMETERS) < 1e-3);
        close_pair(&p);
    }
}

/* A document that grows by 20, 1, 1 and 8 tokens: logits as the native engine's, also where windows end in the cache. */
static void sequences_are_the_native_engines(void **state)
{
    static const int64_t lengths[4] = {20, 1, 1, 8};
    static float logits[ENGINES][20 * 4096];
    (void)state;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        struct pair p;
        struct engine_sequence *s[ENGINES];
        open_pair(&p, families[i], COMPUTE_F32);
        (void)make_batch(p.model[NATIVE]);
        const int64_t vocab = p.engine[NATIVE]->vocab;
        assert_true(vocab <= 4096);
        for (int k = 0; k < ENGINES; k++) s[k] = p.engine[k]->ops->sequence_new(p.engine[k], 30);
        for (int64_t part = 0, at = 0; part < 4; at += lengths[part++]) {
            double apart = 0, size = 0;
            const int64_t n = lengths[part], rows = part == 3 ? 3 : n;
            for (int k = 0; k < ENGINES; k++)
                if (p.engine[k]->ops->extend(s[k], tokens + at, n, rows, logits[k]) != OK) fail_msg("%s", p.c->message);
            for (int64_t v = 0; v < rows * vocab; v++) {
                double d = (double)logits[MLX][v] - (double)logits[NATIVE][v];
                apart += d * d;
                size += (double)logits[NATIVE][v] * (double)logits[NATIVE][v];
            }
            if (!(apart < 1e-10 * size))
                fail_msg("%s, part %d: logits differ by %g", families[i], (int)part, sqrt(apart / size));
        }
        assert_int_equal(s[MLX]->n, 30);
        assert_int_equal(p.engine[MLX]->ops->extend(s[MLX], tokens, 1, 1, logits[MLX]), E_INPUT);
        for (int k = 0; k < ENGINES; k++) p.engine[k]->ops->sequence_free(s[k]);
        close_pair(&p);
    }
}

/* Products in bf16 are not the same bits as the native engine's, which rounds elsewhere. */
static void bf16_products_are_near(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p, "golden/qwen3", COMPUTE_BF16);
    struct batch b = make_batch(p.model[NATIVE]);
    assert_same_losses(&p, "qwen3 in bf16", &b, 5e-3);
    close_pair(&p);
}

/* A batch in which nothing counts has no loss and leaves the gradient alone. */
static void nothing_counts(void **state)
{
    (void)state;
    struct pair p;
    struct engine_loss loss;
    open_pair(&p, "golden/llama2", COMPUTE_F32);
    struct batch b = make_batch(p.model[NATIVE]);
    memset(weights, 0, sizeof weights);
    assert_int_equal(p.engine[MLX]->ops->evaluate(p.engine[MLX], &b, &loss, NULL), OK);
    assert_true(loss.count == 0 && loss.weighted == 0);
    const struct engine_micro m = {.step = 1, .count = 1, .inv_n = 1};
    assert_int_equal(p.engine[MLX]->ops->step(p.engine[MLX], &b, &m), OK);
    close_pair(&p);
}

static void assert_refused(const char *family, const struct model_options *options, float dropout, const char *needle)
{
    struct pair p = {.c = open_ctx()};
    open_model(&p, MLX, family, options);
    p.lora[MLX]->modules[0].slot.dropout = dropout;
    p.engine[MLX] = engine_mlx_new(p.c, p.model[MLX], p.lora[MLX]);
    assert_null(p.engine[MLX]);
    assert_int_equal(p.c->status, E_UNSUPPORTED);
    if (!strstr(p.c->message, needle)) fail_msg("'%s' does not say '%s'", p.c->message, needle);
    close_model(&p, MLX);
    close_ctx(p.c);
}

static void what_it_lacks_is_refused_by_name(void **state)
{
    (void)state;
    const struct model_options plain = {.base = BASE_AS_IS}, nf4 = {.base = BASE_NF4};
    assert_refused("families/llama_dynamic", &plain, 0, "does not have dynamic scaling");
    assert_refused("families/phi3_long", &plain, 0, "does not have longrope scaling");
    assert_refused("families/ministral3", &plain, 0, "llama_4_scaling_beta");
    assert_refused("golden/llama2", &plain, 0.5f, "--dropout 0.5");
    assert_refused("golden/llama2", &nf4, 0, "--base-type nf4");
    assert_refused("golden/llama2", &(struct model_options){.base = BASE_INT8, .compute = COMPUTE_INT8X2}, 0,
                   "--base-type int8");
}

/* Opens an engine, evaluates, steps and runs a sequence; the status. */
static enum status run_once(void)
{
    static float logits[4096];
    struct pair p = {.c = open_ctx()};
    struct engine_loss loss;
    const struct engine_micro m = {.step = 1, .count = 1, .inv_n = 1, .recomputed_blocks = 1};
    open_model(&p, MLX, "golden/qwen3", &(struct model_options){.base = BASE_AS_IS, .compute = COMPUTE_F32});
    struct batch b = make_batch(p.model[MLX]);
    struct engine *e = p.engine[MLX] = engine_mlx_new(p.c, p.model[MLX], p.lora[MLX]);
    enum status status = p.c->status;
    if (e) status = e->ops->evaluate(e, &b, &loss, NULL);
    if (e && status == OK) status = e->ops->step(e, &b, &m);
    struct engine_sequence *s = e && status == OK ? e->ops->sequence_new(e, 4) : NULL;
    for (int i = 0; s && status == OK && i < 2; i++) status = e->ops->extend(s, tokens, 2, 1, logits);
    if (e) e->ops->sequence_free(s);
    if (status != OK && !strstr(p.c->message, "injected 100% failure")) fail_msg("'%s'", p.c->message);
    close_model(&p, MLX);
    close_ctx(p.c);
    return status;
}

static void every_failing_call_leaves_one_message_and_no_handle(void **state)
{
    (void)state;
    if (!live) skip();
    fail_at(0);
    assert_int_equal(run_once(), OK);
    int calls = fail_at(0);
    assert_true(calls > 300);
    for (int n = 1; n <= calls; n += n < 40 ? 1 : 23) {
        fail_at(n);
        assert_int_equal(run_once(), E_UNSUPPORTED);
    }
    fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_and_gradients_are_the_native_engines),
        cmocka_unit_test(a_curve_of_30_steps_is_the_native_engines),
        cmocka_unit_test(sequences_are_the_native_engines),
        cmocka_unit_test(bf16_products_are_near),
        cmocka_unit_test(nothing_counts),
        cmocka_unit_test(what_it_lacks_is_refused_by_name),
        cmocka_unit_test(every_failing_call_leaves_one_message_and_no_handle),
    };
    return cmocka_run_group_tests(tests, find_library, NULL);
}
