/* plan: the page, what would take less memory and the time, nothing left on the disk; exit code 3 with advice; and a run
 * that is started from the configuration of another is that run again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/support_capture.h"
#include "measure/machine_profile.h"
#include "train/support_tiny.h"

static struct tiny_files tiny;
static char temporary[160], run[160], again[160];

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 40, 0);
    snprintf(temporary, sizeof temporary, "%s/tmp", tiny.folder);
    snprintf(run, sizeof run, "%s/run", tiny.folder);
    snprintf(again, sizeof again, "%s/again", tiny.folder);
    struct ctx *c = ctx_new(NULL);
    assert_int_equal(dir_make(c, temporary), OK);
    ctx_free(c);
    unsetenv("XDG_CONFIG_HOME");
    setenv("HOME", tiny.folder, 1); /* no profile of this machine */
    return setenv("TMPDIR", temporary, 1);
}

/* Entries of a folder; -1: there is none. */
static int count_entries(const char *dir)
{
    char command[256], text[32] = "";
    if (!dir_exists(dir)) return -1;
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", dir);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    pclose(f);
    return atoi(text);
}

static void page(void **state)
{
    (void)state;
    struct capture r = capture_run(
        ARGV("plan", "-m", tiny.model, "-d", tiny.rows, "--compute", "f32", "--valid-share", "0.2", "--max-steps", "7"));
    if (r.code != 0) fail_msg("exit %d: %s", r.code, r.err);
    static const char *const parts[] = {"planned: 7 steps", "activations and loss", "less memory", "time     about ",
                                        "7 steps, ",        "validations"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!strstr(r.out, parts[i])) fail_msg("'%s' is not in\n%s", parts[i], r.out);
    capture_release(&r);
    assert_int_equal(count_entries(temporary), 0);
    /* a folder that train would refuse is refused, and one that it would make is not made */
    r = capture_run(ARGV("plan", "-m", tiny.model, "-d", tiny.rows, "--compute", "f32", "-o", run));
    assert_int_equal(r.code, 0);
    capture_release(&r);
    assert_int_equal(count_entries(run), -1);
    capture_fails(2, "not empty", ARGV("plan", "-m", tiny.model, "-d", tiny.rows, "-o", tiny.folder));
}

static void does_not_fit(void **state)
{
    (void)state;
    struct capture r =
        capture_run(ARGV("plan", "-m", tiny.model, "-d", tiny.rows, "--compute", "f32", "--max-memory", "1e-4"));
    assert_int_equal(r.code, 3);
    assert_non_null(strstr(r.out, "activations and loss"));
    if (!strstr(r.err, "allowed by --max-memory. Cheapest changes: ")) fail_msg("%s", r.err);
    capture_release(&r);
    assert_int_equal(count_entries(temporary), 0);
}

/* What `setup` measured stands beside what this run's micro-batches took, and in its place where they would take minutes; a
 * profile that cannot be used is said to be so, and the plan is made all the same. */
static void profile_of_the_machine(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct machine_profile p = {.device = "cpu-portable", .date = "2026-11-29", .threads = 1, .step = {1e10}};
#define PLAN                                                                                                                \
    "plan", "-m", tiny.model, "-d", tiny.rows, "--compute", "f32", "--max-steps", "2", "-t", "1", "--device", "cpu-portable"
    assert_int_equal(setenv("XDG_CONFIG_HOME", tiny.folder, 1), 0);
    char *path = machine_profile_path(c);
    host_cpu_name(p.cpu);
    assert_int_equal(machine_profile_write(c, &p, path), OK);
    struct capture r = capture_run(ARGV(PLAN));
    if (!strstr(r.out, "(measured on ") || !strstr(r.out, "predicted from what `setup` measured on 2026-11-29: "))
        fail_msg("%s%s", r.out, r.err);
    capture_release(&r);
    p.step[COMPUTE_F32] = 1e3;
    assert_int_equal(machine_profile_write(c, &p, path), OK);
    r = capture_run(ARGV(PLAN));
    if (!strstr(r.out, "(predicted from what `setup` measured on 2026-11-29, as a micro-batch takes "))
        fail_msg("%s%s", r.out, r.err);
    assert_null(strstr(r.out, "(measured on "));
    capture_release(&r);
    assert_int_equal(file_write_atomic(c, path, "{\"version\": 1}", 14), OK);
    r = capture_run(ARGV(PLAN));
    assert_int_equal(r.code, 0);
    if (!strstr(r.out, "(measured on ") || !strstr(r.err, "It is not used: run setup again")) fail_msg("%s%s", r.out, r.err);
    capture_release(&r);
    mem_free(c, path);
    ctx_free(c);
    unsetenv("XDG_CONFIG_HOME");
}

/* The same bytes from the configuration that the first run wrote. */
static void config_of_a_run(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    size_t n, m;
    struct capture r = capture_run(ARGV("train", "-m", tiny.model, "-d", tiny.rows, "-o", run, "--compute", "f32", "--rank",
                                        "3", "--max-steps", "4", "--seed", "5", "--lr", "3e-3", "--distrust", "off"));
    if (r.code != 0) fail_msg("%s", r.err);
    capture_release(&r);
    capture_fails(2, "not empty", ARGV("train", "--config", run));
    r = capture_run(ARGV("train", "--config", run, "-o", again));
    if (r.code != 0) fail_msg("%s", r.err);
    capture_release(&r);
    char path[256];
    snprintf(path, sizeof path, "%s/adapter/adapter_model.safetensors", run);
    char *first = file_read(c, path, 1 << 24, &n);
    snprintf(path, sizeof path, "%s/adapter/adapter_model.safetensors", again);
    char *second = file_read(c, path, 1 << 24, &m);
    assert_true(first && second && n == m && memcmp(first, second, n) == 0);
    mem_free(c, first);
    mem_free(c, second);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(page), cmocka_unit_test(does_not_fit),
                                       cmocka_unit_test(profile_of_the_machine), cmocka_unit_test(config_of_a_run)};
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
