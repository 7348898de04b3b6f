/* Options from a YAML file and from --set: which of several places counts, what --print-config writes, and what is refused,
 * with its place in the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/config_file.h"
#include "cli/support_capture.h"
#include "support_scratch.h"
#include "train/train_options.h"

static char path[48];

static int group_setup(void **state)
{
    (void)state;
    int fd = mkstemp(scratch_template(path, sizeof path, "config"));
    return fd < 0 || close(fd) != 0;
}

static int group_teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_config(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

/* What train prints of its configuration. */
static struct capture print_config(const char *text)
{
    write_config(text);
    struct capture r =
        capture_run(ARGV("train", "--config", path, "--epochs", "2", "--set", "lora.alpha=8", "--print-config"));
    if (r.code != 0) fail_msg("%s", r.err);
    return r;
}

static void expect_line(const struct capture *r, const char *line)
{
    if (!strstr(r->out, line)) fail_msg("'%s' is not in\n%s", line, r->out);
}

/* The command line before the file, the file before the defaults; every way to write a key. */
static void places_of_values(void **state)
{
    (void)state;
    struct capture r = print_config("model: m.gguf # a comment\n"
                                    "data: [a.jsonl, \"b.jsonl:2\"]\n"
                                    "epochs: 7\n"
                                    "valid: ~\n"
                                    "adapter:\n  rank: 4\n"
                                    "training.lr: 1e-4\n"
                                    "running:\n"
                                    "objective: {lambda: 0.5, distrust: off}\n");
    expect_line(&r, "  model: \"m.gguf\"\n");
    expect_line(&r, "  data:\n    - \"a.jsonl\"\n    - \"b.jsonl:2\"\n");
    expect_line(&r, "  # valid: not given\n");
    expect_line(&r, "  rank: 4\n  alpha: 8\n");
    expect_line(&r, "  epochs: 2\n");
    expect_line(&r, "  lr: 0.0001\n");
    expect_line(&r, "  lambda: 0.5\n");
    expect_line(&r, "  distrust: off\n");
    expect_line(&r, "  beta1: 0.9  # default\n");
    /* what was printed is such a file, and reads back as itself */
    char *first = r.out;
    r.out = NULL;
    capture_release(&r);
    write_config(first);
    r = capture_run(ARGV("train", "--config", path, "--print-config"));
    for (char *p = strstr(first, "  # default"); p; p = strstr(p, "  # default")) memmove(p, p + 11, strlen(p + 11) + 1);
    for (char *p = strstr(r.out, "  # default"); p; p = strstr(p, "  # default")) memmove(p, p + 11, strlen(p + 11) + 1);
    assert_string_equal(first, r.out);
    free(first);
    capture_release(&r);
}

/* Characters that YAML would take for a line end, or for no text, are written as escapes and read back as themselves. */
static void any_character_reads_back(void **state)
{
    (void)state;
    static const char escapes[] =
        "  data:\n    - \"a\\x09\\x7F\\x85\\u2028\\u2029\\uFEFF\\uFFFE\\uFFFF\\\\\\\"\xC3\xA9\xF0\x9F\x98\x80z\"\n";
    struct capture r =
        print_config("model: m\ndata: [\"a\\t\\x7F\\N\\L\\P\\uFEFF\\uFFFE\\uFFFF\\\\\\\"\\xE9\\U0001F600z\"]\n");
    expect_line(&r, escapes);
    write_config(r.out);
    capture_release(&r);
    r = capture_run(ARGV("train", "--config", path, "--print-config"));
    expect_line(&r, escapes);
    capture_release(&r);
}

/* A list of the command line replaces that of the file. */
static void lists(void **state)
{
    (void)state;
    write_config("{\"data\": [\"a\", \"b\"], \"valid\": null}");
    struct capture r = capture_run(ARGV("train", "--config", path, "-d", "c", "--set", "data=d", "--print-config"));
    assert_int_equal(r.code, 0);
    expect_line(&r, "  data:\n    - \"c\"\n    - \"d\"\n");
    capture_release(&r);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"rnak: 3", ":1:1: unknown option 'rnak'; did you mean rank?"},
        {"\n  lora_r: 3", ":2:3: unknown option 'lora_r'; did you mean rank?"},
        {"gradient_accumulation_steps: 3", "did you mean accumulation?"},
        {"resume_from_checkpoint: x", "your_ai resume RUN"},
        {"rank: 8\nseed: 1\nrank: 9", ":3:7: rank is given twice, in line 1 too"},
        {"lora:\n  rank: 8\nrank: 8", ":3:7: rank is given twice, in line 2 too"},
        {"rank: 100000", ":1:7: rank: 100000 is outside 1 to 1024"},
        {"rank: eight", ":1:7: rank: 'eight' is not a whole number"},
        {"packing: yes", "packing: 'yes' is neither true nor false"},
        {"rank: [1]", "rank takes one value, not a list"},
        {"rank: {a: 1}", "rank takes a value, not a mapping"},
        {"data: [[a]]", ":1:8: data is a list of texts"},
        {"adapter: {lr: 3}", "lr is an option of the section optimisation, not of adapter"},
        {"foo: {rank: 2}", "'foo' is neither an option nor a section"},
        {"foo.rank: 2", "'foo' is no section"},
        {"adapter: {rank: {x: 1}}", "adapter.rank takes a value, not a mapping"},
        {"rank: &x 8", ":1:7: anchors"},
        {"rank: *x", ":1:7: aliases"},
        {"rank: !!int 8", ":1:7: tags"},
        {"- rank", ":1:1: expected lines"},
        {"--- {}\n--- {}", "a second document"},
        {"model: \"a\\0b\"", "a zero byte"},
        {"rank: \"8", "is not YAML"},
        {"model: \xff", "is not YAML"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_config(cases[i].text);
        capture_fails(2, cases[i].says, ARGV("train", "--config", path, "--print-config"));
    }
    capture_fails(2, "rank is given twice", ARGV("train", "--rank", "4", "--set", "rank=3", "--print-config"));
    capture_fails(2, "expected NAME=VALUE", ARGV("train", "--set", "rank", "--print-config"));
    capture_fails(2, "did you mean rank?", ARGV("train", "--set", "rnak=3", "--print-config"));
    capture_fails(2, "no such file", ARGV("train", "--config", "no such file", "--print-config"));
}

/* Nesting is refused when it is met, and a file that is too large before it is read: memory stays small. */
static void hostile(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct config_file f;
    enum { N = 1 << 19 };
    char *deep = malloc(N);
    memset(deep, '[', N);
    memcpy(deep, "data: ", 6);
    assert_int_equal(config_file_parse(&f, c, &train_table, "deep", deep, N), E_INPUT);
    assert_non_null(strstr(c->message, "list of texts"));
    config_file_release(&f);
    ctx_clear(c);
    assert_int_equal(config_file_parse(&f, c, &train_table, "large", deep, CONFIG_FILE_BYTES + 1), E_INPUT);
    assert_non_null(strstr(c->message, "more than a configuration has"));
    config_file_release(&f);
    ctx_clear(c);
    free(deep);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_of_values),
        cmocka_unit_test(any_character_reads_back),
        cmocka_unit_test(lists),
        cmocka_unit_test(refusals),
        cmocka_unit_test(hostile),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
