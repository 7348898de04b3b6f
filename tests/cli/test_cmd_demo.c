/* demo: the whole of it on a tiny model, and what it says without one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/support_capture.h"
#include "train/support_tiny.h"

static struct tiny_files tiny;

static int demo_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 4, 0);
    setenv("HF_HUB_CACHE", tiny.folder, 1);
    return chdir(tiny.folder); /* where no models/ is */
}

static void runs(void **state)
{
    (void)state;
    struct capture r =
        capture_run(ARGV("demo", "-m", tiny.model, "-o", "out", "--facts", "2", "-t", "1", "--device", "cpu"));
    if (r.code != 0) fail_msg("exit %d: %s%s", r.code, r.out, r.err);
    static const char *const parts[] = {"2 invented facts",     "2 trainings in all",   "about ",
                                        "  off       seed 1  ", "  monotone  seed 1  ", "log-odds"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!strstr(r.out, parts[i])) fail_msg("'%s' is not in\n%s", parts[i], r.out);
    capture_release(&r);
    size_t n, lines = 0;
    char *rows = tiny_read("out/train.jsonl", &n);
    for (size_t i = 0; i < n; i++) lines += rows[i] == '\n';
    assert_int_equal(lines, 12); /* the data of two facts */
    free(rows);
    assert_true(dir_exists("out/monotone-seed1/adapter") && file_exists("out/off-seed1.txt"));
    capture_fails(2, "there already", ARGV("demo", "-m", tiny.model, "-o", "out"));
}

/* A package installs the model beside the program: the test's is BUILD/tests/test_cmd_demo, so PREFIX is BUILD. */
static void model_of_a_package(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    static const char path[] = BUILD_DIR "/share/your_ai/models/smollm2-135m.gguf";
    assert_int_equal(dir_make(c, BUILD_DIR "/share/your_ai/models"), OK);
    assert_int_equal(file_write_atomic(c, path, "GGUF", 4), OK);
    struct capture r = capture_run(ARGV("demo", "-o", "packaged"));
    dir_remove(c, BUILD_DIR "/share/your_ai");
    assert_int_equal(r.code, 2);
    capture_release(&r);
    size_t n;
    char *said = tiny_read("packaged/off-seed1.txt", &n);
    if (!strstr(said, path)) fail_msg("%s", said);
    free(said);
    ctx_free(c);
}

static void without_a_model(void **state)
{
    (void)state;
    capture_fails(2, "scripts/get-model.sh smollm2-135m", ARGV("demo", "-o", "none"));
    assert_false(dir_exists("none"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs), cmocka_unit_test(model_of_a_package),
                                       cmocka_unit_test(without_a_model)};
    return cmocka_run_group_tests(tests, demo_setup, tiny_files_remove);
}
