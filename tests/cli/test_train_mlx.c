/* The program with --engine mlx, on the library that stands for mlx-c: a run and the same run stopped and resumed give the
 * same bytes; its losses are those of a run by the native engine, which can also continue it; generation and perplexity are
 * the same by either; what cannot be is refused by
 * name before anything is written. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/support_program.h"
#include "train/support_tiny.h"

static struct tiny_files tiny;
static char output[1 << 16];

static int setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 12, 4);
    setenv("YA_LIBMLXC", MOCK_MLXC_DIR "/libmock_mlxc.so", 1);
    return 0;
}

/* Runs the program, which must end with `code` and say `part`. */
static void expect(int code, const char *part, const char *const *words)
{
    int got = program_run(output, sizeof output, words);
    if (got != code || !strstr(output, part)) fail_msg("exit %d, not %d with \"%s\":\n%s", got, code, part, output);
}

static const char *train(const char *name, const char *engine, const char *steps, const char *part)
{
    const char *run = tiny_keep(&tiny, name);
    expect(0, part, (const char *const[]){"train",    "-m",
                                          tiny.model, "-d",
                                          tiny.rows,  "--valid",
                                          tiny.valid, "-o",
                                          run,        "--engine",
                                          engine,     "--max-steps",
                                          steps,      "--batch",
                                          "2",        "--accumulation",
                                          "2",        "--max-length",
                                          "24",       "--rank",
                                          "4",        "--save-every",
                                          "1",        "--schedule",
                                          "constant", "--warmup",
                                          "0",        "--compute",
                                          "f32",      "--grad-checkpoint",
                                          "on",       NULL});
    return run;
}

/* The last training loss of a run. */
static double last_loss(const char *run)
{
    size_t n;
    char *text = tiny_read(tiny_path("%s/metrics.jsonl", run), &n), *last = NULL;
    for (char *p = text; (p = strstr(p, "\"loss\":")); p += 7) last = p + 7;
    if (!last) fail_msg("%s", text);
    double loss = atof(last);
    free(text);
    return loss;
}

static void a_resumed_run_is_the_same_and_near_the_native_one(void **state)
{
    (void)state;
    const char *whole = train("whole", "mlx", "3", "f32 by MLX 0.31.2 on the CPU"),
               *halves = train("halves", "mlx", "2", "MLX");
    assert_null(strstr(output, "not counted"));
    expect(0, "MLX 0.31.2", (const char *const[]){"resume", halves, "--max-steps", "3", NULL});
    tiny_assert_same_file(tiny_path("%s/adapter/adapter_model.safetensors", whole),
                          tiny_path("%s/adapter/adapter_model.safetensors", halves));
    assert_true(last_loss(whole) == last_loss(halves));
    const char *native = train("native", "native", "3", "cpu-");
    double ours = last_loss(whole), theirs = last_loss(native);
    if (!(ours > 0 && fabs(ours / theirs - 1) < 1e-4)) fail_msg("%g and %g", ours, theirs);
}

/* The native engine's weights laid out would be memory for nothing. */
static void a_run_in_bf16_lays_nothing_out(void **state)
{
    (void)state;
    expect(0, "bf16 by MLX 0.31.2",
           (const char *const[]){"train", "-m", tiny.model, "-d", tiny.rows, "-o", tiny_keep(&tiny, "bf16"), "--engine",
                                 "mlx", "--compute", "bf16", "--max-steps", "1", "--batch", "2", "--max-length", "24",
                                 NULL});
    assert_null(strstr(output, "laid out"));
}

static void another_engine_continues_a_run_and_says_so(void **state)
{
    (void)state;
    const char *run = train("crossed", "mlx", "1", "MLX");
    expect(0, "computed by another engine",
           (const char *const[]){"resume", run, "--max-steps", "2", "--engine", "native", NULL});
    expect(0, "MLX 0.31.2", (const char *const[]){"resume", run, "--max-steps", "3", NULL});
}

/* The MiB of activations and loss that plan estimates. */
static double planned_step(const char *checkpoint, const char *length)
{
    expect(0, "activations and loss",
           (const char *const[]){"plan", "-m", tiny.model, "-d", tiny.rows, "-o", tiny_keep(&tiny, "plan"), "--engine",
                                 "mlx", "--max-steps", "2", "--grad-checkpoint", checkpoint, "--max-length", length, NULL});
    return atof(strstr(output, "activations and loss") + strlen("activations and loss"));
}

static void a_plan_estimates_a_step(void **state)
{
    (void)state;
    double kept = planned_step("off", "48"), again = planned_step("on", "48"), shorter = planned_step("off", "16");
    if (!(again > 0 && again < kept && shorter < kept)) fail_msg("%g, %g, %g MiB", kept, again, shorter);
    expect(3, "allowed by --max-memory",
           (const char *const[]){"plan", "-m", tiny.model, "-d", tiny.rows, "-o", tiny_keep(&tiny, "small"), "--engine",
                                 "mlx", "--max-steps", "2", "--max-memory", "0.0001", NULL});
}

/* What generate and perplexity say with an adapter does not depend on the engine. */
static void generation_and_perplexity_are_the_native_ones(void **state)
{
    (void)state;
    static char first[1 << 16];
    const char *run = train("used", "mlx", "2", "MLX"), *adapter = tiny_path("%s/adapter", run);
    for (int k = 0; k < 2; k++) {
        const char *engine = k ? "mlx" : "native";
        expect(0, "\"ids\":[",
               (const char *const[]){"generate", "-m", tiny.model, "--adapter", adapter, "-p", "abc", "-n", "8", "--json",
                                     "--engine", engine, NULL});
        if (k) assert_non_null(strstr(output, "f32 by MLX 0.31.2 on the CPU"));
        const char *ids = strstr(output, "\"ids\":[");
        if (k)
            assert_memory_equal(ids, first, strlen(first));
        else
            memcpy(first, ids, strcspn(ids, "]"));
    }
    for (int k = 0; k < 2; k++) {
        expect(0, "perplexity",
               (const char *const[]){"perplexity", "-m", tiny.model, "--adapter", adapter, "-f", tiny.rows, "--window", "32",
                                     "--engine", k ? "mlx" : "native", NULL});
        const char *text = strstr(output, "perplexity");
        if (k && strncmp(text, first, 14) != 0) fail_msg("%s\n%s", text, first);
        snprintf(first, sizeof first, "%s", text);
    }
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "none");
    const char *words[] = {"train", "-m", tiny.model, "-d", tiny.rows, "-o", run, "--engine", "mlx", NULL, NULL, NULL};
    words[9] = "--dropout", words[10] = "0.1";
    expect(2, "--dropout 0.1: the MLX engine has no dropout", words);
    words[9] = "--device", words[10] = "cuda";
    expect(2, "leave --device out", words);
    words[9] = "--base-type", words[10] = "int8";
    expect(2, "--base-type int8: the MLX engine", words);
    words[9] = NULL;
    setenv("MOCK_MLXC_VERSION", "0.20.0", 1);
    expect(2, "this is version 0.20.0; the engine was tested with 0.31.1 and 0.31.2", words);
    unsetenv("MOCK_MLXC_VERSION");
    setenv("YA_LIBMLXC", "/nowhere/%s%n.so", 1);
    expect(2, "YA_LIBMLXC names it", words);
    setenv("YA_LIBMLXC", MOCK_MLXC_DIR "/libmock_mlxc.so", 1);
}

/* A run of two steps with --engine auto; what the page says of the arithmetic is `part`. */
static void expect_auto(const char *name, const char *option, const char *value, const char *part)
{
    expect(0, part,
           (const char *const[]){"train", "-m", tiny.model, "-d", tiny.rows, "-o", tiny_keep(&tiny, name), "--max-steps",
                                 "1", option, value, NULL});
}

/* auto: MLX on Apple silicon where it can be used, and the run's config.json says which engine it was. */
static void auto_takes_mlx_on_apple_silicon_only(void **state)
{
    (void)state;
    size_t n;
    expect_auto("elsewhere", "--batch", "2", "cpu-");
    setenv("YA_TEST_MACHINE", "apple-silicon", 1);
    expect_auto("apple", "--batch", "2", "by MLX 0.31.2");
    char *config = tiny_read(tiny_path("%s/config.json", tiny_keep(&tiny, "apple")), &n);
    assert_non_null(strstr(config, "\"engine\": \"mlx\""));
    free(config);
    expect_auto("dropout", "--dropout", "0.1", "auto takes native on this Apple silicon: MLX's engine has no dropout");
    expect_auto("nf4", "--base-type", "nf4", "auto takes native on this Apple silicon: MLX's engine has no nf4");
    expect_auto("device", "--device", "cpu", "cpu-");
    setenv("MOCK_MLXC_VERSION", "0.20.0", 1);
    expect_auto("version", "--batch", "2", "auto takes native on this Apple silicon: MLX: this is version 0.20.0");
    unsetenv("MOCK_MLXC_VERSION");
    unsetenv("YA_TEST_MACHINE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_resumed_run_is_the_same_and_near_the_native_one),
        cmocka_unit_test(a_run_in_bf16_lays_nothing_out),
        cmocka_unit_test(another_engine_continues_a_run_and_says_so),
        cmocka_unit_test(generation_and_perplexity_are_the_native_ones),
        cmocka_unit_test(a_plan_estimates_a_step),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(auto_takes_mlx_on_apple_silicon_only),
    };
    return cmocka_run_group_tests(tests, setup, tiny_files_remove);
}
