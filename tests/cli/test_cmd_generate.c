/* generate and perplexity: what they refuse, before any model is needed. */
#include "support_capture.h"

#include <string.h>

static void check_help(const char *command, const char *part)
{
    struct capture r = capture_run(ARGV(command, "--help"));
    assert_int_equal(r.code, 0);
    assert_non_null(strstr(r.out, part));
    assert_string_equal(r.err, "");
    capture_release(&r);
}

static void test_help(void **state)
{
    (void)state;
    check_help("generate", "(default 256;");
    check_help("perplexity", "(default 2048;");
}

static void test_usage(void **state)
{
    (void)state;
    capture_fails(2, "--prompt", ARGV("generate", "-m", "x"));
    capture_fails(2, "--model", ARGV("generate", "-p", "x"));
    capture_fails(2, "give one of them", ARGV("generate", "-m", "x", "-p", "x", "-f", "y"));
    capture_fails(2, "not a regular file", ARGV("generate", "-m", "x", "-f", "/dev/null"));
    capture_fails(2, "--temperature", ARGV("generate", "-m", "x", "-p", "y", "--temperature", "-1"));
    capture_fails(2, "--top-p", ARGV("generate", "-m", "x", "-p", "y", "--top-p", "1.5"));
    capture_fails(2, "--max-tokens", ARGV("generate", "-m", "x", "-p", "y", "--max-tokens", "0"));
    capture_fails(2, "--file", ARGV("perplexity", "-m", "x"));
    capture_fails(2, "--window", ARGV("perplexity", "-m", "x", "-f", "y", "--window", "many"));
}

static void test_missing(void **state)
{
    (void)state;
    const char *missing = TEST_DATA "/no such model";
    capture_fails(2, missing, ARGV("generate", "-m", missing, "-p", "x"));
    capture_fails(2, missing, ARGV("perplexity", "-m", missing, "-f", "x"));
    capture_fails(2, "rows.jsonl is scored as plain text", ARGV("perplexity", "-m", missing, "-f", "rows.jsonl"));
    /* a model without its tokenizer */
    capture_fails(2, "tokenizer.json", ARGV("generate", "-m", TEST_DATA "/golden/llama2", "-p", "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
