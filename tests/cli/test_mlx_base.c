/* Folders that MLX has quantised as the base: training by this program's engine, which makes rows of the packed matrices,
 * and by the MLX engine (on the library that stands for mlx-c), which multiplies with them as they are, give the same losses
 * and gradient norms; 4 and 8 bits; merging into such a base; and what does not fit is refused by name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "cli/support_program.h"
#include "train/support_tiny.h"

static struct tiny_files tiny;
static char output[1 << 16];

/* Runs the program, which must end with `code` and say `part`. */
static void expect(int code, const char *part, const char *const *words)
{
    int got = program_run(output, sizeof output, words);
    if (got != code || !strstr(output, part)) fail_msg("exit %d, not %d with \"%s\":\n%s", got, code, part, output);
}

/* The tiny model, whose ffn of 80 leaves down_proj unpacked, as folders of 4 and 8 bits. */
static int setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 12, 0);
    setenv("YA_LIBMLXC", MOCK_MLXC_DIR "/libmock_mlxc.so", 1);
    expect(0, "check",
           (const char *const[]){"export", "-m", tiny.model, "--to", "mlx:4bit,mlx:8bit", "-o", tiny_keep(&tiny, "bases"),
                                 NULL});
    return 0;
}

/* The value of a member in the last line of a run's metrics that has it. */
static double last_metric(const char *run, const char *member)
{
    size_t n;
    char *text = tiny_read(tiny_path("%s/metrics.jsonl", run), &n), *last = NULL;
    for (char *p = text; (p = strstr(p, member)); p += strlen(member)) last = p + strlen(member);
    if (!last) fail_msg("%s", text);
    double value = atof(last);
    free(text);
    return value;
}

static const char *train(const char *base, const char *engine, const char *name, const char *part)
{
    const char *run = tiny_keep(&tiny, name);
    expect(0, part, (const char *const[]){"train",    "-m",       base,   "-d",        tiny.rows, "-o",
                                          run,        "--engine", engine, "--batch",   "2",       "--max-length",
                                          "24",       "--rank",   "4",    "--lr",      "5e-3",    "--schedule",
                                          "constant", "--warmup", "0",    "--compute", "f32",     "--max-steps",
                                          "4",        NULL});
    return run;
}

static void both_engines_train_on_them(void **state)
{
    static const char *const members[2] = {"\"loss\":", "\"grad_norm\":"};
    double losses[2];
    (void)state;
    for (int k = 0; k < 2; k++) {
        const char *base = tiny_path("%s/bases/mlx-%s", tiny.folder, k ? "8bit" : "4bit");
        const char *mlx = train(base, "mlx", k ? "mlx8" : "mlx4", "f32 by MLX 0.31.2");
        const char *native = train(base, "native", k ? "native8" : "native4", "cpu-");
        for (int i = 0; i < 2; i++) {
            double a = last_metric(mlx, members[i]), b = last_metric(native, members[i]);
            if (!(a > 0 && fabs(a / b - 1) < 1e-5)) fail_msg("%s%g and %g", members[i], a, b);
        }
        losses[k] = last_metric(native, members[0]);
    }
    assert_true(losses[0] != losses[1]); /* 4 bits are others than 8 */
}

/* Merging reads the rows that were made; the merged folder is not packed and its config.json does not say so. */
static void an_adapter_is_merged_into_them(void **state)
{
    size_t n;
    (void)state;
    const char *base = tiny_path("%s/bases/mlx-4bit", tiny.folder), *run = train(base, "native", "merged", "cpu-");
    const char *out = tiny_keep(&tiny, "merged-f32");
    expect(0, "check", (const char *const[]){"export", run, "--to", "safetensors:f32", "-o", out, NULL});
    char *config = tiny_read(tiny_path("%s/config.json", out), &n);
    assert_null(strstr(config, "quantization"));
    free(config);
    expect(0, "int8",
           (const char *const[]){"train", "-m", base, "-d", tiny.rows, "-o", tiny_keep(&tiny, "int8"), "--base-type", "int8",
                                 "--max-steps", "1", NULL});
}

/* A copy of a file of the 4-bit folder in BROKEN with the first `from` in it replaced by `to`, of the same length; tensor
 * and config go together. */
static void write_changed(const char *name, const char *from, const char *to)
{
    size_t n, length = strlen(from);
    char *bytes = tiny_read(tiny_path("%s/bases/mlx-4bit/%s", tiny.folder, name), &n);
    assert_int_equal(length, strlen(to));
    if (length > 0) {
        char *at = memmem(bytes, n, from, length);
        if (!at) fail_msg("no %s in %s", from, name);
        memcpy(at, to, length);
    }
    FILE *f = fopen(tiny_path("%s/broken/%s", tiny.folder, name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    free(bytes);
}

static void what_does_not_fit_is_refused_by_name(void **state)
{
    static const struct {
        bool config;
        const char *from, *to, *part;
    } cases[] = {
        {true, "\"bits\": 4", "\"bits\": 3", "mode \"affine\" with 3 bits in groups of 64"},
        {true, "\"group_size\": 64", "\"group_size\": 16", "in groups of 16"},
        {true, "\"bits\": 4", "\"mode\": 1", "\"mode\""},
        {true, "\"quantization\"", "\"quantizatio_\"", ""}, /* the shapes say it too */
        {false, "0.self_attn.q_proj.scales", "0.self_attn.q_proj.scalez", "q_proj.scales\" is missing"},
        {false, "0.self_attn.q_proj.biases", "0.self_attn.q_proj.biasez", "q_proj.biases\" is missing"},
        {false, "\"dtype\":\"BF16\"", "\"dtype\": \"I16\"", "must be of one shape and of BF16, F16 or F32"},
        {false, "[64,8]", "[8,64]", "does not have the 64 rows"},
    };
    (void)state;
    assert_int_equal(mkdir(tiny_path("%s/broken", tiny.folder), 0700), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_changed("config.json", cases[i].config ? cases[i].from : "", cases[i].config ? cases[i].to : "");
        write_changed("model.safetensors", cases[i].config ? "" : cases[i].from, cases[i].config ? "" : cases[i].to);
        write_changed("tokenizer.json", "", "");
        expect(*cases[i].part ? 2 : 0, cases[i].part,
               (const char *const[]){"generate", "-m", tiny_path("%s/broken", tiny.folder), "-p", "a", "-n", "1", NULL});
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_engines_train_on_them),
        cmocka_unit_test(an_adapter_is_merged_into_them),
        cmocka_unit_test(what_does_not_fit_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, setup, tiny_files_remove);
}
