/* demo: the whole of it on a tiny model, and what it says without one. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/support_capture.h"
#include "cli/support_program.h"
#include "train/support_tiny.h"

static struct tiny_files tiny;

static int demo_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 4, 0);
    setenv("HF_HUB_CACHE", tiny.folder, 1);
    return chdir(tiny.folder); /* where no models/ is */
}

static size_t count_lines(const char *file)
{
    size_t n, lines = 0;
    char *text = tiny_read(file, &n);
    for (size_t i = 0; i < n; i++) lines += text[i] == '\n';
    free(text);
    return lines;
}

/* The file inside the program is the beginning of the one in data/conflict. */
static void assert_begins(const char *file, const char *name)
{
    size_t n, n_whole;
    char *part = tiny_read(file, &n), *whole = tiny_read(tiny_path("%s/data/conflict/%s", SOURCE_DIR, name), &n_whole);
    assert_true(n > 0 && n < n_whole);
    assert_memory_equal(part, whole, n);
    free(part);
    free(whole);
}

/* A run was trained as the table says, and its output is in the file beside it. */
static void assert_trained(const char *mode, int seed)
{
    struct ctx *c = ctx_new(NULL);
    size_t n;
    char *text = tiny_read(tiny_path("out/%s-seed%d/config.json", mode, seed), &n);
    json_t *o = json_parse(c, "config.json", text, n);
    assert_string_equal(json_string_value(json_object_get(o, "distrust")), mode);
    assert_int_equal(json_integer_value(json_object_get(o, "seed")), seed);
    assert_int_equal(json_integer_value(json_object_get(o, "batch")), 4); /* a third of the documents */
    assert_int_equal(json_integer_value(json_object_get(o, "rank")), 8);
    assert_int_equal(json_integer_value(json_object_get(o, "epochs")), 8);
    assert_true(json_number_value(json_object_get(o, "lr")) == 1e-3);
    json_decref(o);
    free(text);
    text = tiny_read(tiny_path("out/%s-seed%d.txt", mode, seed), &n);
    assert_non_null(strstr(text, "step 24/24"));
    assert_true(dir_exists(tiny_path("out/%s-seed%d/adapter", mode, seed)));
    free(text);
    ctx_free(c);
}

static void runs(void **state)
{
    (void)state;
    struct capture r = capture_run(
        ARGV("demo", "-m", tiny.model, "-o", "out", "--facts", "2", "--seeds", "2", "-t", "1", "--device", "cpu"));
    if (r.code != 0) fail_msg("exit %d: %s%s", r.code, r.out, r.err);
    static const char *const parts[] = {"2 invented facts",
                                        "4 trainings in all",
                                        "about 24 seconds",
                                        "  off       seed 1  ",
                                        "  monotone  seed 1  ",
                                        "  off       seed 2  ",
                                        "  monotone  seed 2  ",
                                        "mean over 2 prompts",
                                        "\nbase ",
                                        "\nout/off-seed1       off           1  ",
                                        "\nout/monotone-seed1  monotone      1  ",
                                        "\nout/off-seed2       off           2  ",
                                        "\nout/monotone-seed2  monotone      2  ",
                                        "prefer the primary source. out has the\nruns"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!strstr(r.out, parts[i])) fail_msg("'%s' is not in\n%s", parts[i], r.out);
    if (strstr(r.out, "step 1/")) fail_msg("a training's output is in\n%s", r.out);
    capture_release(&r);
    assert_int_equal(count_lines("out/train.jsonl"), 12); /* the data of two facts */
    assert_int_equal(count_lines("out/claims.jsonl"), 2);
    assert_begins("out/train.jsonl", "train.jsonl");
    assert_begins("out/claims.jsonl", "claims.jsonl");
    for (int seed = 1; seed <= 2; seed++) assert_trained("off", seed), assert_trained("monotone", seed);
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
    assert_non_null(strstr(r.out, "6 invented facts")); /* unless --facts says so */
    assert_non_null(strstr(r.err, "`your_ai train` failed; packaged/off-seed1.txt has its output"));
    assert_int_equal(count_lines("packaged/train.jsonl"), 36);
    capture_release(&r);
    size_t n;
    char *said = tiny_read("packaged/off-seed1.txt", &n);
    if (!strstr(said, path)) fail_msg("%s", said);
    free(said);
    ctx_free(c);
}

/* A training that the system ends is a failure that is told, and not an interruption by the user. On the reference's loops
 * it takes more than the second of processor time that it may; the demo around it takes next to none. */
static void ended_by_the_system(void **state)
{
    (void)state;
    struct rlimit before, second;
    char part[80];
    assert_int_equal(getrlimit(RLIMIT_CPU, &before), 0);
    second = before;
    second.rlim_cur = 1;
    setenv("YA_CPU", "reference", 1);
    assert_int_equal(setrlimit(RLIMIT_CPU, &second), 0);
    struct capture r = capture_run(
        ARGV("demo", "-m", tiny.model, "-o", "killed", "--facts", "12", "--seeds", "1", "-t", "1", "--device", "cpu"));
    assert_int_equal(setrlimit(RLIMIT_CPU, &before), 0);
    unsetenv("YA_CPU");
    snprintf(part, sizeof part, "`your_ai train` was ended by signal %d; killed/off-seed1.txt has its output", SIGXCPU);
    if (r.code != 1 || !strstr(r.err, part)) fail_msg("exit %d: %s", r.code, r.err);
    capture_release(&r);
}

/* ---- ended from outside ---------------------------------------------------------------------------------------------- */

/* Waits until the text stands in the file; false after a minute. */
static bool comes(const char *file, const char *text)
{
    for (int i = 0; i < 6000; i++) {
        size_t n;
        char *have = file_exists(file) ? tiny_read(file, &n) : NULL;
        bool there = have && strstr(have, text);
        free(have);
        if (there) return true;
        usleep(10000);
    }
    return false;
}

/* Waits until nobody works in the folder of a run any more, which is locked for that long; false after a minute. */
static bool is_left(const char *run)
{
    struct ctx *c = ctx_new(NULL);
    int lock = -1;
    for (int i = 0; i < 6000 && lock < 0; i++) {
        if (i) usleep(10000);
        lock = dir_lock(c, run);
        ctx_clear(c);
    }
    dir_unlock(lock);
    ctx_free(c);
    return lock >= 0;
}

/* A demo that is ended at the first step of its first training takes that training with it. One that lived on would come to
 * its last step, on the reference's loops in some seconds. */
static void ended_by(int number)
{
    size_t n;
    char said[4096], dir[32], run[48], file[64];
    snprintf(dir, sizeof dir, "ended-%d", number);
    snprintf(run, sizeof run, "%s/off-seed1", dir);
    snprintf(file, sizeof file, "%s.txt", run);
    struct program p =
        program_start(ARGV("demo", "-m", tiny.model, "-o", dir, "--facts", "12", "-t", "1", "--device", "cpu"));
    assert_true(program_wait_line(&p, "  off       seed 1  "));
    if (!comes(file, "step 1/24")) fail_msg("no first step in %s", file);
    assert_int_equal(kill(p.pid, number), 0);
    assert_int_equal(program_finish(&p, said, sizeof said), -number);
    if (!is_left(run)) fail_msg("a process works in %s after signal %d", run, number);
    char *steps = tiny_read(file, &n);
    if (strstr(steps, "step 24/24")) fail_msg("signal %d did not end the training: %s", number, steps);
    free(steps);
}

static void ends_with_its_training(void **state)
{
    (void)state;
#ifndef __linux__
    skip(); /* no call tells a child that its parent has ended */
#endif
    setenv("YA_CPU", "reference", 1);
    ended_by(SIGKILL);
    ended_by(SIGTERM);
    ended_by(SIGHUP);
    unsetenv("YA_CPU");
}

static void without_a_model(void **state)
{
    (void)state;
    capture_fails(2, "scripts/get-model.sh smollm2-135m", ARGV("demo", "-o", "none"));
    assert_false(dir_exists("none"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ended_by_the_system), cmocka_unit_test(runs),
                                       cmocka_unit_test(model_of_a_package), cmocka_unit_test(ends_with_its_training),
                                       cmocka_unit_test(without_a_model)};
    return cmocka_run_group_tests(tests, demo_setup, tiny_files_remove);
}
