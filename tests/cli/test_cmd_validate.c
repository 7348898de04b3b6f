/* validate and merge as a user meets them, on a tiny model: the table and the JSON lines, a run that learned nothing beside
 * the base, the prediction of plain counts, a merged model beside its adapter, and what both refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/support_program.h"
#include "train/support_tiny.h"

enum { OUTPUT_BYTES = 1 << 16 };

static struct tiny_files tiny;
static char claims[128], still[128], run[128], output[OUTPUT_BYTES];

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void succeed(const char *const *words)
{
    if (program_run(output, OUTPUT_BYTES, words) != 0) fail_msg("%s: %s", words[0], output);
}

static void refused(int code, const char *says, const char *const *words)
{
    int got = program_run(output, OUTPUT_BYTES, words);
    const char *error = strstr(output, "error: ");
    if (got != code || !error) fail_msg("exit %d instead of %d: %s", got, code, output);
    if (!strstr(error, says)) fail_msg("'%s' lacks '%s'", error, says);
    assert_ptr_equal(strchr(error, '\n'), error + strlen(error) - 1);
}

#define SOURCE "{\"auth_weight\": 0.5, \"prov_entropy\": 2}"

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 40, 0);
    strcpy(claims, tiny_path("%s/claims.jsonl", tiny.folder));
    strcpy(still, tiny_path("%s/still", tiny.folder));
    strcpy(run, tiny_path("%s/run", tiny.folder));
    tiny_write(claims, "{\"prompt\": \"abc\", \"primary\": \"de\", \"consensus\": \"fgh\", \"primary_sources\": [" SOURCE
                       "], \"consensus_sources\": [" SOURCE ", " SOURCE ", " SOURCE ", " SOURCE "]}\n"
                       "{\"prompt\": \"hg\", \"primary\": \"f\", \"consensus\": \"b a\", \"primary_sources\": [" SOURCE
                       "], \"consensus_sources\": [" SOURCE "]}\n");
    /* a rate of 0 leaves B at 0; the other run learns */
    succeed(WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", still, "--compute", "f32", "--rank", "2", "--max-steps",
                  "1", "--lr", "0", "--seed", "7", "--distrust", "off"));
    succeed(WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", run, "--compute", "f32", "--rank", "4", "--max-steps",
                  "20", "--lr", "1e-2"));
    return 0;
}

/* Line `n` of the output as JSON. */
static json_t *line(int n)
{
    const char *p = output;
    while (n-- > 0) p = strchr(p, '\n') + 1;
    struct ctx *c = ctx_new(NULL);
    json_t *doc = json_parse(c, "line", p, strcspn(p, "\n"));
    if (!doc) fail_msg("%s: %s", c->message, p);
    ctx_free(c);
    return doc;
}

static double number(const json_t *doc, const char *key)
{
    const json_t *value = json_object_get(doc, key);
    assert_true(json_is_number(value) || json_is_null(value));
    return json_is_null(value) ? (double)NAN : json_number_value(value);
}

static void json_lines(void **state)
{
    (void)state;
    succeed(WORDS("validate", "-m", tiny.model, "--benchmark", "conflict", "-d", claims, "--json", "-t", "2", still, run));
    json_t *of_base = line(0), *of_still = line(1), *of_run = line(2);
    assert_string_equal(json_string_value(json_object_get(of_base, "run")), "base");
    assert_string_equal(json_string_value(json_object_get(of_still, "run")), still);
    assert_string_equal(json_string_value(json_object_get(of_still, "distrust")), "off");
    assert_string_equal(json_string_value(json_object_get(of_run, "distrust")), "monotone");
    assert_true(number(of_still, "seed") == 7 && number(of_run, "claims") == 2);
    assert_true(isnan(number(of_base, "predicted")));
    /* nothing learned: the base's numbers; learned: others */
    assert_true(number(of_still, "log_odds") == number(of_base, "log_odds"));
    assert_true(number(of_still, "sd") == number(of_base, "sd") && number(of_base, "sd") > 0);
    assert_true(fabs(number(of_run, "log_odds") - number(of_base, "log_odds")) > 0.1);
    /* equal scores: counts alone, 1 against 4 and 1 against 1 */
    assert_true(fabs(number(of_still, "predicted") + log(4) / 2) < 1e-9);
    assert_true(fabs(number(of_run, "predicted") + log(4) / 2) < 1e-9);
    json_decref(of_base);
    json_decref(of_still);
    json_decref(of_run);
}

static void table(void **state)
{
    (void)state;
    succeed(WORDS("validate", "-m", tiny.model, "-d", claims, still, run));
    static const char *const says[] = {"base", "off", "monotone", "predicted", "2"};
    for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++)
        if (!strstr(output, says[i])) fail_msg("'%s' is not in: %s", says[i], output);
    assert_null(strchr(output, '\033'));
}

/* A run that was trained on another base, or computed in another way, is measured and said to be. */
static void another_base_is_told(void **state)
{
    (void)state;
    const char *integers = tiny_path("%s/integers", tiny.folder);
    succeed(WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", integers, "--compute", "int8x2", "--rank", "2",
                  "--max-steps", "1"));
    succeed(WORDS("validate", "-m", tiny.model, "-d", claims, integers));
    assert_non_null(
        strstr(output, "integers: was trained with --base-type int8 --compute int8x2, and is measured with as-is, f32"));
    succeed(WORDS("validate", "-m", tiny.model, "-d", claims, "--base-type", "int8", "--compute", "int8x2", integers));
    assert_null(strstr(output, "was trained with"));
    assert_non_null(strstr(output, "compute: int8x2 on int8 weights, "));
    const char *halves = tiny_path("%s/halves", tiny.folder);
    succeed(WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", halves, "--compute", "bf16", "--rank", "2",
                  "--max-steps", "1"));
    succeed(WORDS("validate", "-m", tiny.model, "-d", claims, halves));
    assert_non_null(
        strstr(output, "halves: was trained with --base-type as-is --compute bf16, and is measured with as-is, f32"));
    succeed(WORDS("validate", "-m", tiny.model, "-d", claims, run));
    assert_null(strstr(output, "was trained with"));
}

static void merged_model_is_base_and_adapter(void **state)
{
    (void)state;
    const char *merged = tiny_path("%s/merged", tiny.folder);
    succeed(WORDS("export", run, "--to", "safetensors:f32", "-o", merged));
    succeed(WORDS("validate", "-m", tiny.model, "-d", claims, "--json", run));
    json_t *want = line(1);
    succeed(WORDS("validate", "-m", merged, "-d", claims, "--json"));
    json_t *got = line(0);
    if (fabs(number(want, "log_odds") - number(got, "log_odds")) > 1e-3) fail_msg("%s", output);
    json_decref(want);
    json_decref(got);
    static const char *const files[] = {"config.json", "model.safetensors", "tokenizer.json"};
    for (size_t i = 0; i < 3; i++) assert_true(file_exists(tiny_path("%s/%s", merged, files[i])));
    refused(2, "merged: is there and not empty", WORDS("export", run, "--to", "safetensors", "-o", merged));
}

/* A benchmark for the base, an adapter and a run: rows of the table and JSON agree with the files, and differences are
 * against the base. That the scores are right is test_choice's. */
static void benchmarks(void **state)
{
    (void)state;
    const char *out = tiny_path("%s/bench", tiny.folder), *rows = TEST_DATA "/lm_eval/arc.jsonl",
               *adapter = tiny_path("%s/run/adapter", tiny.folder);
    succeed(WORDS("validate", "-m", tiny.model, "--benchmark", "arc", "-d", rows, "--limit", "7", "--json", "--adapter",
                  adapter, "-o", out, still));
    json_t *base = line(0), *of_adapter = line(1), *of_still = line(2);
    assert_true(number(base, "items") == 7 && number(of_adapter, "items") == 7);
    assert_string_equal(json_string_value(json_object_get(of_still, "model")), still);
    assert_true(number(of_still, "acc") == number(base, "acc") && number(of_still, "acc_difference") == 0);
    assert_true(fabs(number(of_adapter, "acc_difference") - (number(of_adapter, "acc") - number(base, "acc"))) < 1e-12);
    assert_true(json_is_number(json_object_get(of_adapter, "acc_norm_stderr")));
    json_decref(base);
    json_decref(of_adapter);
    json_decref(of_still);
    assert_true(dir_exists(out));
    succeed(WORDS("validate", "-m", tiny.model, "--benchmark", "truthfulqa", "-d", TEST_DATA "/lm_eval/mc_task.json",
                  "--limit", "3"));
    assert_non_null(strstr(output, "truthfulqa_mc1"));
    assert_non_null(strstr(output, "truthfulqa_mc2"));
    refused(2, "--limit: is not for", WORDS("validate", "-m", tiny.model, "-d", claims, "--limit", "3"));
    refused(2, "one file", WORDS("validate", "-m", tiny.model, "-d", claims, "-d", claims));
    refused(
        2, "--shot-data FILE is needed",
        WORDS("validate", "-m", tiny.model, "--benchmark", "mmlu", "-d", TEST_DATA "/lm_eval/mmlu.jsonl", "--shots", "2"));
}

/* A suite shows controls beside the model, writes answers, and does not mix up its options with those of others. */
static void suites(void **state)
{
    (void)state;
    const char *rows = tiny_keep(&tiny, "suite.jsonl"), *out = tiny_keep(&tiny, "answers");
    tiny_write(rows,
               "{\"suite\":\"s\",\"id\":\"one\",\"prompt\":\"ab cd\",\"max_tokens\":5,\"checks\":[{\"find\":[\"ab\"]}]}\n"
               "{\"suite\":\"s\",\"prompt\":\"zq\",\"max_tokens\":5,\"checks\":[{\"find\":[\"no model says this\"]}]}\n"
               "{\"suite\":\"t\",\"prompt\":\"hg\",\"max_tokens\":5,\"checks\":[{\"avoid\":[\"no model says this\"]}]}\n");
    succeed(WORDS("validate", "-m", tiny.model, "--benchmark", "suite", "-d", rows, "-o", out, "--json", run));
    json_t *base = line(0), *of_run = line(1), *echo = line(2), *fixed = line(3), *other = line(5);
    assert_string_equal(json_string_value(json_object_get(base, "model")), "base");
    assert_string_equal(json_string_value(json_object_get(of_run, "model")), run);
    assert_string_equal(json_string_value(json_object_get(echo, "control")), "prompt echo");
    assert_true(number(base, "passed") == 0 && number(base, "prompts") == 2);
    assert_true(number(echo, "passed") == 0.5 && number(fixed, "passed") == 1);
    assert_true(number(other, "passed") == 1 && number(other, "prompts") == 1);
    json_decref(base);
    json_decref(of_run);
    json_decref(echo);
    json_decref(fixed);
    json_decref(other);
    size_t n;
    char *answers = tiny_read(tiny_path("%s/answers-1.jsonl", out), &n);
    assert_non_null(strstr(answers, "{\"suite\":\"s\",\"id\":\"one\",\"prompt\":\"ab cd\",\"answer\":\""));
    assert_non_null(strstr(answers, "\"id\":\"3\""));
    free(answers);
    succeed(WORDS("validate", "-m", tiny.model, "--benchmark", "suite", "-d", rows));
    assert_non_null(strstr(output, "no better than a control: says nothing"));
    assert_non_null(strstr(output, "control: no model said this"));
    refused(2, "--chat and --max-tokens are for",
            WORDS("validate", "-m", tiny.model, "--benchmark", "arc", "-d", rows, "--chat"));
    refused(2, "--shots and --shot-data are not",
            WORDS("validate", "-m", tiny.model, "--benchmark", "suite", "-d", rows, "--shots", "1"));
}

static void refusals(void **state)
{
    (void)state;
    const char *bad = tiny_path("%s/bad.jsonl", tiny.folder), *nowhere = tiny_path("%s/nowhere", tiny.folder);
    tiny_write(bad, "{\"prompt\": \"a\"}\n");
    refused(2, "bad.jsonl:1", WORDS("validate", "-m", tiny.model, "-d", bad));
    refused(2, "-d, --data FILE is needed", WORDS("validate", "-m", tiny.model));
    refused(2, "is not the folder of a run (it has no config.json)",
            WORDS("validate", "-m", tiny.model, "-d", claims, tiny.folder));
    refused(2, "nowhere", WORDS("validate", "-m", nowhere, "-d", claims));
    const char *fresh = tiny_path("%s/new", tiny.folder), *llama2 = TEST_DATA "/golden/llama2/adapter";
    refused(2, "nowhere", WORDS("export", nowhere, "--to", "peft", "-m", tiny.model, "-o", fresh));
    refused(2, "nothing to export", WORDS("export", "--to", "safetensors", "-o", nowhere));
    refused(2, "--to FORMAT[:TYPE],... is needed", WORDS("export", run, "-o", nowhere));
    refused(2, "'onnx' is no format; there are peft, ", WORDS("export", run, "--to", "onnx", "-o", nowhere));
    refused(2, "'peft:f8' has a type that is none of it", WORDS("export", run, "--to", "peft:f8", "-o", nowhere));
    refused(2, "'peft' is there twice", WORDS("export", run, "--to", "peft,peft", "-o", nowhere));
    refused(2, "holds an adapter, and none was given", WORDS("export", "-m", tiny.model, "--to", "peft", "-o", nowhere));
    refused(2, "is neither a run nor an adapter", WORDS("export", tiny.model, "--to", "peft", "-o", nowhere));
    refused(2, "llama2", WORDS("export", llama2, "-m", tiny.model, "--to", "safetensors", "-o", nowhere));
    refused(2, "merge is part of export now", WORDS("merge", "-m", tiny.model));
    assert_false(dir_exists(nowhere));
}

/* What a refusal says to type can be typed, whatever the folder of the run is called. */
static void commands_in_refusals_are_quoted(void **state)
{
    (void)state;
    const char *stopped = tiny_keep(&tiny, "it's a run"), *nowhere = tiny_path("%s/nowhere", tiny.folder);
    const char *command = tiny_path("your_ai resume '%s/it'\\''s a run'", tiny.folder);
    assert_int_equal(mkdir(stopped, 0755), 0);
    tiny_write(tiny_path("%s/config.json", stopped), "{}");
    tiny_write(tiny_path("%s/data_manifest.json", stopped), "[]");
    refused(2, command, WORDS("export", stopped, "-m", tiny.model, "--to", "peft", "-o", nowhere));
    refused(2, command, WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", stopped));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines),
        cmocka_unit_test(table),
        cmocka_unit_test(another_base_is_told),
        cmocka_unit_test(merged_model_is_base_and_adapter),
        cmocka_unit_test(benchmarks),
        cmocka_unit_test(suites),
        cmocka_unit_test(refusals),
        cmocka_unit_test(commands_in_refusals_are_quoted),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
