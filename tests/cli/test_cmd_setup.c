/* setup: the page and the JSON have what the machine has and what was measured, the file is kept, and the report of a fault
 * names nobody. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/support_capture.h"
#include "measure/machine_profile.h"
#include "train/support_tiny.h"
#include "your_ai.h"

static char home[160];

/* A page has a line that begins so: the name of a row and what must stand behind it. */
static void has_line(const char *page, const char *row, const char *text)
{
    char line[512];
    snprintf(line, sizeof line, "\n%-8s %s", row, text);
    if (strncmp(page, line + 1, strlen(line + 1)) != 0 && !strstr(page, line))
        fail_msg("'%s' is not in\n%s", line + 1, page);
}

/* The number behind a label of the page. */
static double value_of(const char *page, const char *label)
{
    const char *at = strstr(page, label);
    double value = -1;
    if (!at || sscanf(at + strlen(label), "%lf", &value) != 1) fail_msg("no number behind '%s' in\n%s", label, page);
    return value;
}

/* What a page says of the machine, against what base/host.h finds. */
static void describes_the_machine(const char *page)
{
    char text[HOST_NAME_BYTES];
    struct utsname u;
    assert_int_equal(uname(&u), 0);
    has_line(page, "system", u.sysname);
    has_line(page, "CPU", host_cpu_name(text));
    snprintf(text, sizeof text, "%d of %d", host_cores_usable(""), host_cores("").machine);
    has_line(page, "cores", text);
    snprintf(text, sizeof text, "%.1f GiB", (double)host_memory_bytes("") / 0x1p30);
    has_line(page, "memory", text);
    has_line(page, "kernels", "");
    has_line(page, "card", "");
    has_line(page, "MLX", "not found");
    assert_non_null(strstr(page, "portable"));
}

static int setup_group(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "%s/somebody-s-home", tiny_folder());
    setenv("HOME", home, 1);
    setenv("YA_LIBMLXC", "/somebody-s-home/none.so", 1);
    return unsetenv("XDG_CONFIG_HOME");
}

static int setup_group_end(void **state)
{
    (void)state;
    tiny_cleanup();
    return 0;
}

static void looks_only(void **state)
{
    (void)state;
    struct capture r = capture_run(ARGV("setup", "--no-measure"));
    assert_int_equal(r.code, 0);
    describes_the_machine(r.out);
    assert_null(strstr(r.out, "kept in"));
    assert_false(dir_exists(home));
    capture_release(&r);
    r = capture_run(ARGV("setup", "--report"));
    assert_int_equal(r.code, 0);
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    if (strstr(r.out, "somebody-s-home") || (strlen(host) > 5 && strstr(r.out, host))) fail_msg("%s", r.out);
    char version[64];
    snprintf(version, sizeof version, "%s, built with", ya_version());
    has_line(r.out, "your_ai", version);
    assert_true(strstr(r.out, " CUDA kernels by compiler ") && strstr(r.out, ", with jansson "));
    describes_the_machine(r.out);
    assert_false(dir_exists(home));
    capture_release(&r);
}

/* What the JSON says of the machine. The first of the kernels is the one that is measured, unless YA_CPU names another. */
static void json_describes_the_machine(const json_t *o)
{
    char cpu[HOST_NAME_BYTES], device[64];
    const json_t *profile = json_object_get(o, "profile"), *kernels = json_object_get(o, "kernels");
    assert_string_equal(json_string_value(json_object_get(o, "cpu")), host_cpu_name(cpu));
    assert_true(json_integer_value(json_object_get(o, "cores")) == host_cores("").machine);
    assert_true(json_integer_value(json_object_get(o, "memory_bytes")) == (json_int_t)host_memory_bytes(""));
    assert_non_null(profile);
    snprintf(device, sizeof device, "cpu-%s", json_string_value(json_array_get(kernels, 0)));
    if (!getenv("YA_CPU")) assert_string_equal(json_string_value(json_object_get(profile, "device")), device);
    assert_string_equal(json_string_value(json_object_get(profile, "cpu")), cpu);
    assert_string_equal(json_string_value(json_object_get(profile, "program")), ya_version());
}

/* The page of a measurement has the numbers of the file that it names. */
static void prints_what_it_measured(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct machine_profile p;
    char path[256], before[32], after[32], line[400];
    time_t now = time(NULL);
    struct tm day;
    strftime(before, sizeof before, "%Y-%m-%d", gmtime_r(&now, &day));
    struct capture r = capture_run(ARGV("setup", "-t", "1", "--device", "cpu"));
    if (r.code != 0) fail_msg("%s", r.err);
    now = time(NULL);
    strftime(after, sizeof after, "%Y-%m-%d", gmtime_r(&now, &day));
    snprintf(path, sizeof path, "%s/.config/your_ai/machine.json", home);
    assert_int_equal(machine_profile_read(c, path, &p), OK);
    assert_true(machine_profile_is_of(&p, p.device, 1));
    assert_true(p.step[COMPUTE_F32] > 1e7 && p.read > 1e6);
    if (strcmp(p.date, before) != 0) assert_string_equal(p.date, after);
    describes_the_machine(r.out);
    if (!getenv("YA_CPU")) has_line(r.out, "kernels", p.device + strlen("cpu-"));
    snprintf(line, sizeof line, "\nmeasured on %s with 1 threads\n", p.device);
    assert_non_null(strstr(r.out, line));
    snprintf(line, sizeof line, "\nkept in %s, where other commands read it\n", path);
    assert_non_null(strstr(r.out, line));
    if (p.fma > 0) {
        assert_true(fabs(value_of(r.out, "f32 multiply-adds") - p.fma / 1e9) < 0.051);
        assert_true(fabs(value_of(r.out, "GFLOP/s on all threads,") - p.fma_one / 1e9) < 0.051);
    }
    assert_true(fabs(value_of(r.out, "reading memory") - p.read / 1e9) < 0.051);
    assert_true(fabs(value_of(r.out, "a training step in f32") - p.step[COMPUTE_F32] / 1e9) < 0.051);
    capture_release(&r);
    ctx_free(c);
}

/* What was measured is in the JSON, and kept. */
static void measures_for_programs(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct machine_profile p, kept;
    struct capture r = capture_run(ARGV("setup", "--json", "-t", "1", "--device", "cpu"));
    if (r.code != 0) fail_msg("exit %d: %s", r.code, r.err);
    json_t *o = json_parse(c, "setup", r.out, strlen(r.out));
    json_describes_the_machine(o);
    char *profile = json_dumps(json_object_get(o, "profile"), 0);
    assert_non_null(profile);
    assert_int_equal(machine_profile_parse(c, "profile", profile, strlen(profile), &p), OK);
    assert_true(machine_profile_is_of(&p, p.device, 1));
    assert_true(p.step[COMPUTE_F32] > 1e7 && p.read > 1e6);
    assert_int_equal(machine_profile_read(c, tiny_path("%s/.config/your_ai/machine.json", home), &kept), OK);
    assert_true(kept.step[COMPUTE_F32] == p.step[COMPUTE_F32] && kept.read == p.read);
    free(profile);
    json_decref(o);
    capture_release(&r);
    ctx_free(c);
}

/* Refused with nothing printed, neither the machine nor "measuring for some seconds" on stderr, and the file that is there
 * stays. */
static void refused_before_measuring(const char *part, const char *const *argv)
{
    struct capture r = capture_run(argv);
    if (r.code != 2 || !strstr(r.err, part) || !strstr(r.err, "Nothing was measured: set XDG_CONFIG_HOME"))
        fail_msg("exit %d: %s", r.code, r.err);
    if (strstr(r.err, "measuring for")) fail_msg("it measured: %s", r.err);
    assert_string_equal(r.out, "");
    capture_release(&r);
}

/* A place where the profile cannot be kept is found out before a minute is spent on it: a folder has the file's name, or the
 * folder cannot be made. */
static void where_nothing_can_be_kept(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    char **names = NULL;
    size_t n = 0;
    const char *path = tiny_path("%s/.config/your_ai/machine.json", home);
    assert_int_equal(unlink(path), 0); /* left by the tests before */
    assert_int_equal(dir_make(c, tiny_path("%s/in", path)), OK);
    refused_before_measuring(path, ARGV("setup", "-t", "1", "--device", "cpu"));
    refused_before_measuring(path, ARGV("setup", "--json", "-t", "1", "--device", "cpu"));
    assert_int_equal(dir_list(c, tiny_path("%s/.config/your_ai", home), &names, &n), OK);
    assert_int_equal(n, 1); /* what was tried leaves nothing */
    dir_list_free(c, names, n);
    setenv("XDG_CONFIG_HOME", "/proc/none", 1);
    refused_before_measuring("/proc/none", ARGV("setup", "-t", "1", "--device", "cpu"));
    unsetenv("XDG_CONFIG_HOME");
    ctx_free(c);
}

static void without_a_folder(void **state)
{
    (void)state;
    unsetenv("HOME");
    capture_fails(2, "set HOME or XDG_CONFIG_HOME", ARGV("setup", "-t", "1", "--device", "cpu"));
    capture_fails(2, "did you mean bench-kernels", ARGV("bench", "-m", "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(looks_only), cmocka_unit_test(prints_what_it_measured),
                                       cmocka_unit_test(measures_for_programs), cmocka_unit_test(where_nothing_can_be_kept),
                                       cmocka_unit_test(without_a_folder)};
    return cmocka_run_group_tests(tests, setup_group, setup_group_end);
}
