/* bench on a tiny model: the shape of its JSON and table, what it counts, and what it refuses. Times are only asked to be
 * there: what they are is for people to read. */
#include "support_capture.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "train/support_tiny.h"

static const char *tiny_folder_with_model(void)
{
    struct ctx *c = tiny_ctx(1);
    const char *dir = tiny_path("%s", tiny_folder());
    tiny_model(c, dir, false);
    tiny_ctx_free(c);
    return dir;
}

#define SMALL                                                                                                               \
    "--documents", "2", "--length", "12", "--rank", "3", "--max-tokens", "5", "--runs", "2", "--threads", "2", "-p",        \
        "abcdefg"

static json_t *bench_json(const char *model, const char *only)
{
    struct capture r = capture_run(ARGV("bench-kernels", "-m", model, "--only", only, "--json", SMALL));
    json_error_t error;
    if (r.code != 0) fail_msg("exit code %d: %s", r.code, r.err);
    json_t *root = json_loads(r.out, 0, &error);
    if (!root) fail_msg("%s in: %s", error.text, r.out);
    capture_release(&r);
    return root;
}

static double number(const json_t *root, const char *object, const char *member)
{
    const json_t *value = json_object_get(json_object_get(root, object), member);
    if (!json_is_number(value)) fail_msg("no number %s.%s", object, member);
    return json_number_value(value);
}

static int64_t calls(const json_t *root, const char *phase, const char *op)
{
    const json_t *row = json_object_get(json_object_get(json_object_get(root, phase), "primitives"), op);
    return json_integer_value(json_object_get(row, "calls"));
}

/* The tiny model has 2 layers: 4 calls of linear a layer (q k v, o, gate up, down) and the head. */
static void test_all(void **state)
{
    (void)state;
    const char *model = tiny_folder_with_model();
    json_t *root = bench_json(model, "all");
    assert_int_equal(json_integer_value(json_object_get(root, "threads")), 2);
    assert_true(number(root, "machine", "read_gbps") > 0);
    assert_true(number(root, "train", "tokens") == 24);
    assert_true(number(root, "train", "tokens_per_second") > 0);
    assert_true(number(root, "train", "cpu_seconds_per_token") > 0);
    assert_true(number(root, "train", "grad_norm") > 0);
    assert_int_equal(calls(root, "train", "linear"), 2 * 4);
    assert_int_equal(calls(root, "train", "linear_bwd"), 2 * 4);
    assert_int_equal(calls(root, "train", "linear_cross_entropy"), 1);
    assert_int_equal(calls(root, "train", "adamw"), 1); /* one over the slab of all parameters */

    assert_true(number(root, "prompt", "tokens") == 7);
    assert_true(number(root, "decode", "tokens") == 4);
    assert_int_equal(calls(root, "prompt", "linear"), 2 * 4 + 1);
    assert_int_equal(calls(root, "decode", "linear"), (2 * 4 + 1) * 4);
    assert_int_equal(json_array_size(json_object_get(json_object_get(root, "decode"), "ids")), 5);
    /* 4 heads and 2 of k and v, of 16; ffn 80; 257 words; f32 */
    double block = 64 * 64 * 2 + 32 * 64 * 2 + 3 * 80 * 64;
    assert_true(number(root, "decode", "weight_bytes_per_token") == 4 * (2 * block + 257 * 64));

    const json_t *kernels = json_object_get(root, "kernels");
    size_t i;
    const json_t *kernel;
    assert_int_equal(json_array_size(kernels), 18);
    json_array_foreach(kernels, i, kernel)
    {
        assert_true(json_is_string(json_object_get(kernel, "name")));
        assert_true(json_number_value(json_object_get(kernel, "seconds")) > 0);
        assert_true(json_number_value(json_object_get(kernel, "gbps")) > 0);
        assert_true(json_integer_value(json_object_get(kernel, "times_a_step")) > 0);
    }
    json_decref(root);
}

/* A part alone leaves the others out, and generates what the whole does. */
static void test_parts(void **state)
{
    (void)state;
    const char *model = tiny_folder_with_model();
    static const struct {
        const char *only, *has, *lacks;
    } parts[] = {{"machine", "machine", "kernels"},
                 {"kernels", "kernels", "train"},
                 {"train", "train", "decode"},
                 {"generate", "decode", "train"}};
    for (size_t i = 0; i < 4; i++) {
        json_t *root = bench_json(model, parts[i].only);
        assert_non_null(json_object_get(root, parts[i].has));
        assert_null(json_object_get(root, parts[i].lacks));
        json_decref(root);
    }
}

/* What was measured is what was asked for; int8 rows are one scale and a byte a column. */
static void test_modes(void **state)
{
    (void)state;
    struct capture r = capture_run(
        ARGV("bench-kernels", "-m", tiny_folder_with_model(), "--only", "generate", "--json", "--compute", "int8x2", SMALL));
    if (r.code != 0) fail_msg("exit code %d: %s", r.code, r.err);
    json_t *root = json_loads(r.out, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "base")), "int8");
    assert_string_equal(json_string_value(json_object_get(root, "compute")), "int8x2");
    double block = 64 * 68 * 2 + 32 * 68 * 2 + 2 * 80 * 68 + 64 * 84;
    assert_true(number(root, "decode", "weight_bytes_per_token") == 2 * block + 257 * 68);
    json_decref(root);
    capture_release(&r);
}

static void test_table(void **state)
{
    (void)state;
    static const char *const lines[] = {"compute: f32 on weights as stored",
                                        "GFLOP/s",
                                        "gate, up backward",
                                        "training step: 24 tokens",
                                        "prompt: 7 tokens",
                                        "decode: 4 tokens",
                                        "linear_cross_entropy",
                                        "between kernels",
                                        "a token reads"};
    struct capture r = capture_run(ARGV("bench-kernels", "-m", tiny_folder_with_model(), SMALL));
    assert_int_equal(r.code, 0);
    assert_string_equal(r.err, "");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(r.out, lines[i])) fail_msg("no \"%s\" in:\n%s", lines[i], r.out);
    capture_release(&r);
}

static void test_refused(void **state)
{
    (void)state;
    const char *model = tiny_folder_with_model();
    capture_fails(2, "--model", ARGV("bench-kernels"));
    capture_fails(2, "--only", ARGV("bench-kernels", "-m", model, "--only", "nothing"));
    capture_fails(2, "no such", ARGV("bench-kernels", "-m", tiny_path("%s/no such", model), "--only", "generate"));
    capture_fails(2, "context", ARGV("bench-kernels", "-m", model, "--only", "train", "--length", "100000"));
    capture_fails(2, "context", ARGV("bench-kernels", "-m", model, "--only", "kernels", "--length", "100000"));
    capture_fails(2, "context", ARGV("bench-kernels", "-m", model, "--only", "generate", "--max-tokens", "100000"));
    capture_fails(2, "no tokens", ARGV("bench-kernels", "-m", model, "--only", "generate", "-p", ""));
    capture_fails(2, "no tokens", ARGV("bench-kernels", "-m", model, "--only", "train", "-p", ""));
}

static int cleanup(void **state)
{
    (void)state;
    tiny_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all), cmocka_unit_test(test_parts),
                                       cmocka_unit_test(test_modes), cmocka_unit_test(test_table),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
