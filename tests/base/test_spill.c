/* Arrays within and beyond their budget: what is in them stays, what is new is zero, files leave no name, and a full disk or
 * a folder that is not there is an error that leaves the array as it was. */
#include "support_base.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/file.h"
#include "base/spill.h"

static void arrays_move_to_files(void **state)
{
    struct ctx *c = *state;
    setenv("TMPDIR", scratch_path("."), 1);
    struct spill_budget budget = {10000};
    struct spill *a = spill_new(c, &budget), *b = spill_new(c, &budget);
    uint32_t *x = spill_resize(a, 1000, sizeof *x), *y = NULL;
    assert_int_equal(budget.left, 6000);
    for (uint32_t n = 1; n <= 100000; n *= 10) {
        y = spill_resize(b, n, sizeof *y);
        assert_non_null(y);
        for (uint32_t i = n / 10; i < n; i++) {
            assert_int_equal(y[i], 0);
            y[i] = i + 1;
        }
        assert_int_equal(spill_is_file(b), n > 1000);
    }
    assert_int_equal(budget.left, 6000); /* what became a file gives its memory back */
    assert_false(spill_is_file(a));
    for (uint32_t i = 1; i < 100000; i++) assert_int_equal(y[i], i + 1);
    assert_int_equal(x[999], 0);
    assert_ptr_equal(spill_resize(b, 5, sizeof *y), y); /* never smaller */
    char **names;
    size_t n;
    assert_int_equal(dir_list(c, scratch_path("."), &names, &n), OK);
    assert_int_equal(n, 0);
    dir_list_free(c, names, n);
    spill_free(a);
    spill_free(b);
    assert_int_equal(budget.left, 10000);
}

static void no_space_is_an_error(void **state)
{
    struct ctx *c = *state;
    struct spill_budget budget = {0};
    setenv("TMPDIR", scratch_path("."), 1);
    struct spill *s = spill_new(c, &budget);
    char *x = spill_resize(s, 1000, 1);
    memset(x, 7, 1000);
    struct rlimit old, small = {1 << 16, 0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_null(spill_resize(s, 1 << 20, 1));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_failed(c, E_IO, "set TMPDIR to a folder on a disk with space");
    for (int i = 0; i < 1000; i++) assert_int_equal(x[i], 7);
    assert_non_null(spill_resize(s, 1 << 20, 1));
    assert_null(spill_resize(s, SIZE_MAX / 2, 4));
    assert_failed(c, E_INPUT, "too large");
    spill_free(s);
    setenv("TMPDIR", scratch_path("nowhere"), 1);
    s = spill_new(c, &budget);
    assert_null(spill_resize(s, 1, 1));
    assert_failed(c, E_IO, "a temporary file cannot be made");
    spill_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(arrays_move_to_files, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(no_space_is_an_error, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
