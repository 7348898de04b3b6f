/* setup: the page, the JSON, the file that is kept, and that the report of a fault names nobody. */
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
#include "measure/machine_profile.h"
#include "train/support_tiny.h"

static char home[160];

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
    static const char *const parts[] = {"system   ", "CPU      ", "cores    ", "kernels  ",
                                        "portable",  "memory   ", "card     "};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!strstr(r.out, parts[i])) fail_msg("'%s' is not in\n%s", parts[i], r.out);
    assert_null(strstr(r.out, "kept in"));
    assert_false(dir_exists(home));
    capture_release(&r);
    r = capture_run(ARGV("setup", "--report"));
    assert_int_equal(r.code, 0);
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    if (strstr(r.out, "somebody-s-home") || (strlen(host) > 5 && strstr(r.out, host))) fail_msg("%s", r.out);
    assert_non_null(strstr(r.out, "your_ai  "));
    assert_false(dir_exists(home));
    capture_release(&r);
}

static void keeps_what_it_measured(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct machine_profile p;
    char path[256];
    struct capture r = capture_run(ARGV("setup", "--json", "-t", "1", "--device", "cpu"));
    if (r.code != 0) fail_msg("%s", r.err);
    json_t *o = json_parse(c, "setup", r.out, strlen(r.out));
    assert_true(json_integer_value(json_object_get(json_object_get(o, "profile"), "threads")) == 1);
    assert_true(json_number_value(json_object_get(json_object_get(o, "profile"), "step_f32")) > 0);
    json_decref(o);
    capture_release(&r);
    snprintf(path, sizeof path, "%s/.config/your_ai/machine.json", home);
    assert_int_equal(machine_profile_read(c, path, &p), OK);
    assert_true(machine_profile_is_of(&p, p.device, 1));
    assert_true(p.step[COMPUTE_F32] > 1e7 && p.read > 1e6);
    ctx_free(c);
    unsetenv("HOME");
    capture_fails(2, "set HOME or XDG_CONFIG_HOME", ARGV("setup", "-t", "1", "--device", "cpu"));
    capture_fails(2, "did you mean bench-kernels", ARGV("bench", "-m", "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(looks_only), cmocka_unit_test(keeps_what_it_measured)};
    return cmocka_run_group_tests(tests, setup_group, setup_group_end);
}
