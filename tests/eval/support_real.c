/* support_real: see support_real.h. */
#include "support_real.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "backend/backend_open.h"
#include "base/file.h"
#include "base/threads.h"
#include "eval/generate.h"
#include "eval/loglik.h"
#include "io/json.h"
#include "model/model.h"

static struct ctx *c;
static struct model *model;
static struct engine *engine;
static struct tokenizer *tokenizer;
static json_t *golden;

int real_setup(const char *model_name, const char *golden_name)
{
    char path[512], golden_path[512];
    snprintf(path, sizeof path, SOURCE_DIR "/models/%s.gguf", model_name);
    snprintf(golden_path, sizeof golden_path, TEST_DATA "/golden/%s.json", golden_name);
    if (!file_exists(path)) {
        print_error("%s is missing: run scripts/get-model.sh %s\n", path, model_name);
        return -1;
    }
    c = ctx_new(NULL);
    if (ctx_set_threads(c, 0) != OK || array_env_new(c, backend_open(c, NULL)) != OK) return -1;
    model = model_open(c, path);
    engine = model ? engine_native_new(c, model, NULL) : NULL;
    tokenizer = tokenizer_open(c, path);
    golden = json_parse_file(c, golden_path, 1 << 20);
    if (engine && tokenizer && golden) return 0;
    print_error("%s\n", c->message);
    return -1;
}

int real_teardown(void **state)
{
    (void)state;
    if (!c) return 0;
    json_decref(golden);
    tokenizer_free(tokenizer);
    if (engine) engine->ops->free(engine);
    model_free(model);
    array_env_free(c);
    ctx_free(c);
    return 0;
}

/* Ids of an array of integers. */
static size_t read_ids(const json_t *list, int32_t *ids, size_t room)
{
    size_t n = json_array_size(list);
    assert_in_range(n, 1, room);
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return n;
}

static void check_logprobs(const json_t *one, const char *prompt)
{
    struct loglik l;
    const json_t *expect = json_object_get(one, "logprobs");
    assert_int_equal(loglik_text(engine, tokenizer, prompt, strlen(prompt), 0, &l), OK);
    assert_int_equal(l.n_scored, json_array_size(expect));
    assert_int_equal(l.ids.n, l.n_scored + 1);
    for (int64_t i = 0; i < l.n_scored; i++) {
        double want = json_real_value(json_array_get(expect, (size_t)i));
        if (!(fabs(l.logprob[i + 1] - want) < 5e-3))
            fail_msg("\"%s\" %lld: %.6f, not %.6f", prompt, (long long)i, l.logprob[i + 1], want);
    }
    assert_true(fabs(loglik_mean(&l) - json_real_value(json_object_get(one, "mean"))) < 1e-3);
    assert_true(fabs(log(loglik_perplexity(&l)) + loglik_mean(&l)) < 1e-12);
    loglik_release(c, &l);
}

void real_check_logprobs(void **state)
{
    (void)state;
    size_t i, n_plain = 0;
    json_t *one;
    assert_int_equal(json_array_size(json_object_get(golden, "cases")), 10);
    json_array_foreach(json_object_get(golden, "cases"), i, one)
    {
        const char *prompt = json_string_value(json_object_get(one, "prompt"));
        int32_t ids[256];
        size_t n = read_ids(json_object_get(one, "ids"), ids, 256);
        struct ids ours = {0};
        assert_int_equal(tokenizer_encode(c, tokenizer, prompt, strlen(prompt), true, &ours), OK);
        assert_int_equal(ours.n, n);
        assert_memory_equal(ours.data, ids, n * sizeof(*ids));
        ids_release(c, &ours);
        if (strstr(prompt, "<|im_start|>")) { /* text is plain in loglik_text: the control tokens are scored by id */
            double logprob[256], sum = 0;
            assert_int_equal(loglik_ids(engine, ids, n, 0, logprob), OK);
            for (size_t k = 1; k < n; k++) sum += logprob[k];
            assert_true(fabs(sum / (double)(n - 1) - json_real_value(json_object_get(one, "mean"))) < 1e-3);
            continue;
        }
        check_logprobs(one, prompt);
        n_plain++;
    }
    assert_int_equal(n_plain, 9);
}

void real_check_continuations(void **state)
{
    (void)state;
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(golden, "cases"), i, one)
    {
        int32_t ids[256], expect[32];
        size_t n = read_ids(json_object_get(one, "ids"), ids, 256);
        assert_int_equal(read_ids(json_object_get(one, "continuation"), expect, 32), 32);
        struct ids out = {0};
        enum generate_end end;
        struct generate_params p = {.max_tokens = 32, .sample = {.top_p = 1}};
        assert_int_equal(generate_run(engine, ids, n, &p, &out, &end), OK);
        assert_int_equal(end, GENERATE_LENGTH);
        for (size_t k = 0; k < 32; k++) {
            if (out.data[k] != expect[k]) fail_msg("case %zu, token %zu: %d, not %d", i, k, out.data[k], expect[k]);
        }
        ids_release(c, &out);
    }
}

/* With the tokenizer's stop ids the same text ends at its first end-of-text token. */
void real_check_stop(void **state)
{
    (void)state;
    size_t i, n_stopped = 0;
    json_t *one;
    json_array_foreach(json_object_get(golden, "cases"), i, one)
    {
        int32_t ids[256], expect[32];
        size_t n = read_ids(json_object_get(one, "ids"), ids, 256), at = 0;
        read_ids(json_object_get(one, "continuation"), expect, 32);
        while (at < 32 && !tokenizer_is_stop(tokenizer, expect[at])) at++;
        if (at == 32) continue;
        struct ids out = {0};
        enum generate_end end;
        struct generate_params p = {.max_tokens = 32, .sample = {.top_p = 1}, .tokenizer = tokenizer};
        assert_int_equal(generate_run(engine, ids, n, &p, &out, &end), OK);
        assert_int_equal(end, GENERATE_STOP);
        assert_int_equal(out.n, at + 1);
        ids_release(c, &out);
        n_stopped++;
    }
    assert_true(n_stopped > 0);
}
