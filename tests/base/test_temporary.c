/* Temporary files and folders: where they are made, that nobody else may read them, and what is said where none can be. */
#include "support_base.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/temporary.h"

/* Makes a file (or a folder), checks it and removes it; it must lie in `folder`. */
static void make_one(struct ctx *c, const char *folder, bool file)
{
    int fd = -1;
    struct stat st;
    char *path = temporary_new(c, file ? &fd : NULL);
    if (!path) fail_msg("%s", c->message);
    size_t n = strlen(folder);
    if (strncmp(path, folder, n) != 0 || strncmp(path + n, "/your_ai_", 9) != 0) fail_msg("%s is not in %s", path, folder);
    assert_int_equal(stat(path, &st), 0);
    assert_true(file ? S_ISREG(st.st_mode) && st.st_size == 0 : S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 077, 0);
    if (file) assert_true(write(fd, "x", 1) == 1 && lseek(fd, 0, SEEK_SET) == 0 && read(fd, &(char){0}, 1) == 1);
    if (file) close(fd);
    assert_int_equal(file ? unlink(path) : rmdir(path), 0);
    mem_free(c, path);
}

static void tmpdir_or_var_tmp(void **state)
{
    struct ctx *c = *state;
    for (int file = 0; file < 2; file++) {
        setenv("TMPDIR", scratch_path("."), 1);
        make_one(c, scratch_path("."), file);
        setenv("TMPDIR", "", 1);
        make_one(c, "/var/tmp", file);
        unsetenv("TMPDIR");
        make_one(c, "/var/tmp", file);
    }
}

static void no_folder_is_an_error(void **state)
{
    struct ctx *c = *state;
    int fd = 5;
    setenv("TMPDIR", scratch_path("nowhere"), 1);
    assert_null(temporary_new(c, &fd));
    assert_int_equal(fd, -1);
    assert_failed(c, E_IO, "a temporary file cannot be made");
    assert_null(temporary_new(c, NULL));
    assert_failed(c, E_IO, "a temporary folder cannot be made");
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    setenv("TMPDIR", scratch_path("."), 1);
    for (long k = 0;; k++) {
        struct oom oom = {.fail_at = k};
        struct ctx *c = oom_ctx(&oom);
        if (!c) continue;
        int fd;
        char *path = temporary_new(c, &fd);
        assert_true(path ? fd >= 0 : fd == -1 && c->status == E_MEMORY);
        bool done = path != NULL;
        if (done) close(fd);
        mem_free(c, path);
        ctx_free(c);
        assert_int_equal(oom.live, 0);
        if (done) break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tmpdir_or_var_tmp, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(no_folder_is_an_error, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(each_allocation_fails_once, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
