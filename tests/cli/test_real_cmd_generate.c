/* generate and perplexity on SmolLM2-135M-Instruct: their output against tests/data/golden/smollm2.json, and an adapter that
 * makes a difference. */
#include "support_capture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend_open.h"
#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"
#include "model/llama.h"
#include "support_scratch.h"

static const char *const model_path = SOURCE_DIR "/models/smollm2-135m.gguf";
static struct ctx *c;
static json_t *golden;
static char dir[48];
static char text_path[64], adapter_path[64];

/* Text of the first case, and an adapter with noise in A and B. */
static enum status write_files(void)
{
    const char *prompt = json_string_value(json_object_get(json_array_get(json_object_get(golden, "cases"), 0), "prompt"));
    snprintf(text_path, sizeof(text_path), "%s/text", dir);
    snprintf(adapter_path, sizeof(adapter_path), "%s/adapter", dir);
    TRY(file_write_atomic(c, text_path, prompt, strlen(prompt)));
    TRY(dir_make(c, adapter_path));
    TRY(array_env_new(c, backend_open(c, NULL)));
    struct model *m = model_open(c, model_path);
    struct lora_config config = {.rank = 2, .alpha = 4, .targets = 1u << LORA_V, .seed = 1};
    struct lora *l = m ? lora_new(c, &m->config, &config) : NULL;
    for (size_t i = 0; l && i < l->n_modules; i++) {
        struct array *b = l->modules[i].slot.b;
        for (int64_t j = 0; j < array_size(b); j++) ((float *)b->data)[j] = (float)((j * 37 % 19) - 9) * 0.05f;
    }
    if (l) lora_save_peft(c, l, adapter_path, "smollm2");
    lora_free(l);
    model_free(m);
    array_env_free(c);
    return c->status;
}

static int setup(void **state)
{
    (void)state;
    if (!file_exists(model_path)) {
        print_error("%s is missing: run scripts/get-model.sh smollm2-135m\n", model_path);
        return -1;
    }
    c = ctx_new(NULL);
    golden = json_parse_file(c, TEST_DATA "/golden/smollm2.json", 1 << 20);
    if (golden && mkdtemp(scratch_template(dir, sizeof dir, "generate")) && write_files() == OK) return 0;
    print_error("%s\n", c->message);
    return -1;
}

static int teardown(void **state)
{
    (void)state;
    if (!c) return 0;
    json_decref(golden);
    dir_remove(c, dir);
    ctx_free(c);
    return 0;
}

static const json_t *golden_case(size_t i, const char *key)
{
    return json_object_get(json_array_get(json_object_get(golden, "cases"), i), key);
}

/* What a run that must succeed printed; owner the caller. */
static char *output(const char *const *argv)
{
    struct capture r = capture_run(argv);
    if (r.code != 0) fail_msg("exit code %d: %s", r.code, r.err);
    free(r.err);
    return r.out;
}

static json_t *output_json(const char *const *argv)
{
    char *text = output(argv);
    json_t *doc = json_parse(c, "output", text, strlen(text));
    if (!doc) fail_msg("%s: %s", c->message, text);
    free(text);
    return doc;
}

static void test_generate(void **state)
{
    (void)state;
    const char *prompt = json_string_value(golden_case(0, "prompt"));
    const json_t *expect = golden_case(0, "continuation");
    json_t *doc = output_json(ARGV("generate", "-m", model_path, "-p", prompt, "-n", "12", "--json"));
    const json_t *ids = json_object_get(doc, "ids");
    assert_int_equal(json_array_size(ids), 12);
    for (size_t i = 0; i < 12; i++) assert_true(json_equal(json_array_get(ids, i), json_array_get(expect, i)));
    assert_string_equal(json_string_value(json_object_get(doc, "end")), "length");
    assert_int_equal(json_integer_value(json_object_get(doc, "prompt_tokens")), json_array_size(golden_case(0, "ids")));

    /* The same as plain text, in pieces, is the same text with a line end. */
    char *text = output(ARGV("generate", "-m", model_path, "-p", prompt, "-n", "12", "-t", "1"));
    const char *same = json_string_value(json_object_get(doc, "text"));
    assert_int_equal(strlen(text), strlen(same) + 1);
    assert_memory_equal(text, same, strlen(same));
    assert_int_equal(text[strlen(same)], '\n');

    /* And from a file, whose last line has an end. */
    char *file = path_join(c, dir, "prompt");
    struct buf b;
    buf_init(&b, c, 1 << 20);
    buf_printf(&b, "%s\n", prompt);
    assert_int_equal(file_write_atomic(c, file, b.data, b.len), OK);
    char *from_file = output(ARGV("generate", "-m", model_path, "-f", file, "-n", "12"));
    assert_string_equal(from_file, text);
    free(from_file);
    buf_release(&b);
    mem_free(c, file);
    free(text);
    json_decref(doc);
}

static void test_chat(void **state)
{
    (void)state;
    json_t *doc =
        output_json(ARGV("generate", "-m", model_path, "-p", "What is the capital of France?", "--chat", "--json"));
    assert_non_null(strstr(json_string_value(json_object_get(doc, "text")), "Paris"));
    assert_null(strstr(json_string_value(json_object_get(doc, "text")), "<|im_end|>"));
    assert_string_equal(json_string_value(json_object_get(doc, "end")), "stop");
    json_decref(doc);
    /* A system message of one's own takes the place of the model's: another number of tokens. */
    json_t *own =
        output_json(ARGV("generate", "-m", model_path, "-p", "Hi", "--chat", "--system", "Be brief.", "--json", "-n", "1"));
    json_t *theirs = output_json(ARGV("generate", "-m", model_path, "-p", "Hi", "--chat", "--json", "-n", "1"));
    assert_true(json_integer_value(json_object_get(own, "prompt_tokens")) <
                json_integer_value(json_object_get(theirs, "prompt_tokens")));
    json_decref(own);
    json_decref(theirs);
    capture_fails(2, "--chat", ARGV("generate", "-m", model_path, "-p", "x", "--system", "y"));
    capture_fails(2, "the prompt has no tokens", ARGV("generate", "-m", model_path, "-p", ""));
}

static void test_seed(void **state)
{
    (void)state;
    const char *argv[] = {"generate", "-m", model_path, "-p", "Once", "-n", "16", "--temperature", "1", "--seed", "1", NULL};
    char *first = output(argv), *again = output(argv);
    argv[10] = "2";
    char *other = output(argv);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    free(first);
    free(again);
    free(other);
}

/* The summary's mean log-probability. */
static double summary_mean(const char *const *argv)
{
    char *text = output(argv);
    const char *at = strstr(text, "mean log-probability");
    assert_non_null(at);
    double mean = strtod(at + strlen("mean log-probability"), NULL);
    free(text);
    return mean;
}

static void test_perplexity(void **state)
{
    (void)state;
    double mean = json_real_value(golden_case(0, "mean"));
    assert_true(fabs(summary_mean(ARGV("perplexity", "-m", model_path, "-f", text_path)) - mean) < 1e-3);

    /* One line a token; the first has no log-probability. */
    char *text = output(ARGV("perplexity", "-m", model_path, "-f", text_path, "--json")), *save = NULL;
    size_t i = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), i++) {
        json_t *doc = json_parse(c, "line", line, strlen(line));
        assert_non_null(doc);
        assert_true(json_equal(json_object_get(doc, "id"), json_array_get(golden_case(0, "ids"), i)));
        const json_t *logprob = json_object_get(doc, "logprob");
        if (i == 0) assert_true(json_is_null(logprob));
        if (i > 0) {
            double want = json_real_value(json_array_get(golden_case(0, "logprobs"), i - 1));
            assert_true(fabs(json_real_value(logprob) - want) < 5e-3);
        }
        json_decref(doc);
    }
    assert_int_equal(i, json_array_size(golden_case(0, "ids")));
    free(text);

    capture_fails(2, "/none", ARGV("perplexity", "-m", model_path, "-f", "/none"));
}

static void test_adapter(void **state)
{
    (void)state;
    double mean = json_real_value(golden_case(0, "mean"));
    double with = summary_mean(ARGV("perplexity", "-m", model_path, "--adapter", adapter_path, "-f", text_path));
    assert_true(isfinite(with) && fabs(with - mean) > 1e-3);
    /* a folder that holds one as `adapter`, such as that of a run, stands for it; any other is refused */
    double of_run = summary_mean(ARGV("perplexity", "-m", model_path, "--adapter", dir, "-f", text_path));
    assert_true(of_run == with);
    capture_fails(2, "adapter_config.json", ARGV("generate", "-m", model_path, "--adapter", TEST_DATA, "-p", "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generate),   cmocka_unit_test(test_chat),    cmocka_unit_test(test_seed),
        cmocka_unit_test(test_perplexity), cmocka_unit_test(test_adapter),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
