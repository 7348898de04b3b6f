/* Arrays within and beyond their budget: what is in them stays, what is new is zero, files leave no name, and a full disk or
 * a folder that is not there is an error that leaves the array as it was. */
#include "support_base.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

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
    assert_int_equal(budget.left, 6000);  /* what became a file gives its memory back */
    x = spill_resize(a, 2000, sizeof *x); /* only what it grows by counts: 8000 bytes, 4000 of which it had */
    assert_int_equal(budget.left, 2000);
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

/* Bytes on the disk that the files without a name of this process have in a folder. */
static size_t bytes_on_disk(const char *folder)
{
    size_t bytes = 0;
    for (int fd = 3; fd < 64; fd++) {
        char link[64], path[4096];
        struct stat st;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof path - 1);
        path[n > 0 ? n : 0] = 0;
        if (n > 0 && strstr(path, folder) && strstr(path, "your_ai_") && fstat(fd, &st) == 0)
            bytes += (size_t)st.st_blocks * 512;
    }
    return bytes;
}

/* A store into a page without space behind it would end the process, so all of them have it before anything is stored. */
static void space_is_taken_before_it_is_used(void **state)
{
    struct ctx *c = *state;
    struct spill_budget budget = {0};
    char folder[4096];
    assert_non_null(realpath(scratch_path("."), folder));
    setenv("TMPDIR", folder, 1);
    struct spill *s = spill_new(c, &budget);
    for (size_t bytes = 1 << 16; bytes <= 1 << 20; bytes *= 4) {
        assert_non_null(spill_resize(s, bytes, 1));
        assert_true(bytes_on_disk(folder) >= bytes);
    }
    spill_free(s);
    assert_int_equal(bytes_on_disk(folder), 0);
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
        cmocka_unit_test_setup_teardown(space_is_taken_before_it_is_used, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(no_space_is_an_error, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
