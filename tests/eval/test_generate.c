/* Generation and log-probabilities on the tiny golden models of every family (tools/gen_golden.py): log-probabilities
 * against the logits of transformers and PEFT, generation with the cache against forward passes without one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend_open.h"
#include "base/threads.h"
#include "eval/generate.h"
#include "eval/loglik.h"
#include "io/safetensors.h"
#include "model/model.h"

static const char *const families[] = {"llama2", "llama32", "mistral", "qwen2", "qwen3"};
enum { N_FAMILIES = 5 };

struct tiny {
    struct ctx *c;
    struct model *model;
    struct engine *engine;
    struct lora *lora;
    struct safetensors *golden;
    const int32_t *tokens; /* (n) */
    int64_t n;
};

static void tiny_open(struct tiny *t, const char *family, int threads)
{
    char path[512];
    *t = (struct tiny){.c = ctx_new(NULL)};
    assert_int_equal(ctx_set_threads(t->c, threads), OK);
    assert_int_equal(array_env_new(t->c, backend_open(t->c, NULL)), OK);
    snprintf(path, sizeof(path), TEST_DATA "/golden/%s", family);
    t->model = model_open(t->c, path);
    if (!t->model) fail_msg("%s: %s (tools/gen_golden.py makes it)", path, t->c->message);
    t->engine = engine_native_new(t->c, t->model, NULL);
    assert_non_null(t->engine);
    snprintf(path, sizeof(path), TEST_DATA "/golden/%s/adapter", family);
    t->lora = lora_load_peft(t->c, &t->model->config, path);
    assert_non_null(t->lora);
    snprintf(path, sizeof(path), TEST_DATA "/golden/%s/golden.safetensors", family);
    t->golden = safetensors_open(t->c, path);
    assert_non_null(t->golden);
    const struct tensor_view *tokens = safetensors_find(t->golden, "tokens");
    assert_non_null(tokens);
    t->tokens = tokens->data;
    t->n = tokens->shape[0];
}

static void tiny_close(struct tiny *t)
{
    t->engine->ops->free(t->engine);
    model_attach_lora(t->model, NULL);
    safetensors_close(t->golden);
    lora_free(t->lora);
    model_free(t->model);
    array_env_free(t->c);
    assert_int_equal(ctx_set_threads(t->c, 1), OK);
    assert_int_equal(t->c->alloc_bytes, 0);
    ctx_free(t->c);
}

/* log softmax of row i of golden logits at `id`. */
static double golden_logprob(const struct tiny *t, const char *name, int64_t i, int32_t id)
{
    const struct tensor_view *logits = safetensors_find(t->golden, name);
    const float *row = (const float *)logits->data + i * logits->shape[1];
    double sum = 0;
    for (int64_t v = 0; v < logits->shape[1]; v++) sum += exp((double)row[v]);
    return (double)row[id] - log(sum);
}

static void check_logprobs(struct tiny *t, const char *name)
{
    double got[256];
    assert_int_equal(loglik_ids(t->engine, t->tokens, (size_t)t->n, 0, got), OK);
    assert_true(isnan(got[0]));
    for (int64_t i = 1; i < t->n; i++) {
        double expect = golden_logprob(t, name, i - 1, t->tokens[i]);
        if (!(fabs(got[i] - expect) < 1e-4)) fail_msg("%s token %lld: %.9g, not %.9g", name, (long long)i, got[i], expect);
    }
}

static void test_loglik(void **state)
{
    (void)state;
    for (int i = 0; i < N_FAMILIES; i++) {
        struct tiny t;
        tiny_open(&t, families[i], 2);
        check_logprobs(&t, "base_logits");
        model_attach_lora(t.model, t.lora);
        check_logprobs(&t, "logits");
        tiny_close(&t);
    }
}

/* The same bytes for any number of threads. */
static void test_loglik_threads(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 7};
    double first[256], got[256];
    for (int i = 0; i < 4; i++) {
        struct tiny t;
        tiny_open(&t, "llama32", threads[i]);
        model_attach_lora(t.model, t.lora);
        assert_int_equal(loglik_ids(t.engine, t.tokens, (size_t)t.n, 0, i ? got : first), OK);
        if (i) assert_memory_equal(got + 1, first + 1, (size_t)(t.n - 1) * sizeof(double));
        tiny_close(&t);
    }
}

/* Windows of 9: each is scored as a text of its own, and starts with the last token of the one before. */
static void test_loglik_windows(void **state)
{
    (void)state;
    struct tiny t;
    double got[256], part[16];
    tiny_open(&t, "llama32", 1);
    for (int64_t n = 2; n <= t.n; n += 5) {
        assert_int_equal(loglik_ids(t.engine, t.tokens, (size_t)n, 9, got), OK);
        for (int64_t first = 0; first + 1 < n; first += 8) {
            int64_t length = n - first < 9 ? n - first : 9;
            assert_int_equal(loglik_ids(t.engine, t.tokens + first, (size_t)length, 0, part), OK);
            for (int64_t i = 1; i < length; i++) assert_true(got[first + i] == part[i]);
        }
    }
    tiny_close(&t);
}

static void check_refused(struct tiny *t, enum status got, enum status expect, const char *part)
{
    if (got != expect || !strstr(t->c->message, part)) fail_msg("%s: %s", status_name(got), t->c->message);
    ctx_clear(t->c);
}

static void test_loglik_refused(void **state)
{
    (void)state;
    struct tiny t;
    double out[8];
    const int32_t bad[3] = {5, 160, 7}, negative[2] = {5, -1};
    tiny_open(&t, "qwen2", 1);
    check_refused(&t, loglik_ids(t.engine, bad, 3, 0, out), E_INPUT, "token 160 (place 1)");
    check_refused(&t, loglik_ids(t.engine, negative, 2, 0, out), E_INPUT, "token -1 (place 1)");
    check_refused(&t, loglik_ids(t.engine, bad, 0, 0, out), E_INPUT, "no tokens");
    check_refused(&t, loglik_ids(t.engine, bad, 1, 1, out), E_INPUT, "window of 1");
    check_refused(&t, loglik_ids(t.engine, bad, 1, 257, out), E_INPUT, "longer than the model's context of 256");
    assert_int_equal(loglik_ids(t.engine, bad, 1, 0, out), OK); /* one token: nothing to score, and nothing read */
    assert_true(isnan(out[0]));
    tiny_close(&t);
}

/* ---- generation ------------------------------------------------------------------------------------------------------ */

/* The most probable next token by one pass over everything, nothing of which was cached. */
static int32_t next_without_cache(struct tiny *t, const int32_t *ids, int64_t n)
{
    int32_t best = 0;
    float logits[256];
    struct engine_sequence *s = t->engine->ops->sequence_new(t->engine, n);
    assert_non_null(s);
    assert_int_equal(t->engine->ops->extend(s, ids, n, 1, logits), OK);
    t->engine->ops->sequence_free(s);
    for (int32_t v = 1; v < t->engine->vocab; v++) {
        if (logits[v] > logits[best]) best = v;
    }
    return best;
}

static void test_greedy(void **state)
{
    (void)state;
    for (int i = 0; i < N_FAMILIES; i++) {
        struct tiny t;
        tiny_open(&t, families[i], 2);
        model_attach_lora(t.model, t.lora);
        for (int64_t n_prompt = 1; n_prompt <= 9; n_prompt += 4) {
            int32_t ids[64];
            struct ids out = {0};
            enum generate_end end = GENERATE_STOP;
            struct generate_params p = {.max_tokens = 20, .sample = {.top_p = 1}};
            memcpy(ids, t.tokens, (size_t)n_prompt * sizeof(*ids));
            assert_int_equal(generate_run(t.engine, ids, (size_t)n_prompt, &p, &out, &end), OK);
            assert_int_equal(end, GENERATE_LENGTH);
            assert_int_equal(out.n, 20);
            for (int64_t k = 0; k < 20; k++) {
                ids[n_prompt + k] = next_without_cache(&t, ids, n_prompt + k);
                assert_int_equal(out.data[k], ids[n_prompt + k]);
            }
            ids_release(t.c, &out);
        }
        tiny_close(&t);
    }
}

/* The golden logits of transformers themselves name the first token. */
static void test_greedy_golden(void **state)
{
    (void)state;
    for (int i = 0; i < N_FAMILIES; i++) {
        struct tiny t;
        tiny_open(&t, families[i], 1);
        struct ids out = {0};
        enum generate_end end;
        struct generate_params p = {.max_tokens = 1, .sample = {.top_p = 1}};
        assert_int_equal(generate_run(t.engine, t.tokens, (size_t)t.n, &p, &out, &end), OK);
        for (int32_t v = 0; v < t.engine->vocab; v++) {
            assert_true(golden_logprob(&t, "base_logits", t.n - 1, v) <=
                        golden_logprob(&t, "base_logits", t.n - 1, out.data[0]));
        }
        ids_release(t.c, &out);
        tiny_close(&t);
    }
}

static bool count_to_three(void *user, int32_t id)
{
    (void)id;
    return ++*(int *)user < 3;
}

static void test_ends(void **state)
{
    (void)state;
    struct tiny t;
    struct ids out = {0}, again = {0};
    enum generate_end end;
    tiny_open(&t, "qwen3", 1);
    struct generate_params p = {.max_tokens = 8, .sample = {.top_p = 1}};
    assert_int_equal(generate_run(t.engine, t.tokens, 4, &p, &out, &end), OK);
    assert_string_equal(generate_end_name(end), "length");

    /* The token that would come at some place stops there, at its first appearance, and is part of the result. */
    int32_t stop = out.data[5];
    size_t place = 0;
    while (out.data[place] != stop) place++;
    p.stop_ids = &stop;
    p.n_stop = 1;
    assert_int_equal(generate_run(t.engine, t.tokens, 4, &p, &again, &end), OK);
    assert_string_equal(generate_end_name(end), "stop");
    assert_int_equal(again.n, place + 1);
    assert_memory_equal(again.data, out.data, again.n * sizeof(int32_t));

    int calls = 0;
    p = (struct generate_params){.max_tokens = 8, .sample = {.top_p = 1}, .on_token = count_to_three, .user = &calls};
    again.n = 0;
    assert_int_equal(generate_run(t.engine, t.tokens, 4, &p, &again, &end), OK);
    assert_string_equal(generate_end_name(end), "caller");
    assert_int_equal(calls, 3);
    assert_int_equal(again.n, 3);

    /* 250 tokens leave room for 6 in a context of 256. */
    int32_t prompt[257];
    for (int i = 0; i < 257; i++) prompt[i] = t.tokens[i % t.n];
    p = (struct generate_params){.max_tokens = 8, .sample = {.top_p = 1}};
    again.n = 0;
    assert_int_equal(generate_run(t.engine, prompt, 250, &p, &again, &end), OK);
    assert_string_equal(generate_end_name(end), "context");
    assert_int_equal(again.n, 6);

    again.n = 0;
    check_refused(&t, generate_run(t.engine, prompt, 257, &p, &again, &end), E_INPUT, "257 tokens");
    check_refused(&t, generate_run(t.engine, prompt, 0, &p, &again, &end), E_INPUT, "no tokens");
    prompt[1] = 160;
    check_refused(&t, generate_run(t.engine, prompt, 3, &p, &again, &end), E_INPUT, "token 160 (place 1) is outside");
    p.max_tokens = 0;
    check_refused(&t, generate_run(t.engine, t.tokens, 3, &p, &again, &end), E_INPUT, "0 new tokens");
    p.max_tokens = 1;
    p.sample.top_p = 2;
    check_refused(&t, generate_run(t.engine, t.tokens, 3, &p, &again, &end), E_INPUT, "top-p 2");
    ids_release(t.c, &out);
    ids_release(t.c, &again);
    tiny_close(&t);
}

/* One seed gives one text, for any number of threads; another seed gives another. */
static void test_sampled(void **state)
{
    (void)state;
    int32_t first[24];
    for (int run = 0; run < 4; run++) {
        struct tiny t;
        struct ids out = {0};
        enum generate_end end;
        tiny_open(&t, "mistral", 1 + run % 3);
        struct generate_params p = {.max_tokens = 24, .sample = {.temperature = 0.9, .top_k = 50, .top_p = 0.95}};
        p.sample.seed = run == 3 ? 12 : 11;
        assert_int_equal(generate_run(t.engine, t.tokens, 5, &p, &out, &end), OK);
        if (run == 0) memcpy(first, out.data, sizeof(first));
        bool same = memcmp(first, out.data, sizeof(first)) == 0;
        assert_int_equal(same, run != 3);
        ids_release(t.c, &out);
        tiny_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loglik),         cmocka_unit_test(test_loglik_threads), cmocka_unit_test(test_loglik_windows),
        cmocka_unit_test(test_loglik_refused), cmocka_unit_test(test_greedy),         cmocka_unit_test(test_greedy_golden),
        cmocka_unit_test(test_ends),           cmocka_unit_test(test_sampled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
