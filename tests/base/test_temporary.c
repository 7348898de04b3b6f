/* Temporary files and folders: where they are made, that nobody else may read them, and what is said where none can be. */
#include "support_base.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/temporary.h"

/* Makes a file (or a folder), checks it and removes it; it must lie in `folder`. */
static void make_one(struct ctx *c, const char *folder, bool file)
{
    int fd = -1;
    struct stat st;
    struct temporary_folder f = {NULL, -1};
    if (!file) temporary_folder_open(c, &f);
    char *path = file ? temporary_new(c, &fd) : f.path;
    if (!path) fail_msg("%s", c->message);
    size_t n = strlen(folder);
    if (strncmp(path, folder, n) != 0 || strncmp(path + n, "/your_ai_", 9) != 0) fail_msg("%s is not in %s", path, folder);
    assert_int_equal(stat(path, &st), 0);
    assert_true(file ? S_ISREG(st.st_mode) && st.st_size == 0 : S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 077, 0);
    if (file) assert_true(write(fd, "x", 1) == 1 && lseek(fd, 0, SEEK_SET) == 0 && read(fd, &(char){0}, 1) == 1);
    if (file) close(fd);
    if (file) assert_int_equal(unlink(path), 0);
    if (file) mem_free(c, path);
    temporary_folder_close(c, &f);
    assert_false(f.path);
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
    struct temporary_folder f;
    assert_int_equal(temporary_folder_open(c, &f), E_IO);
    assert_null(f.path);
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

/* A folder that is 20 seconds old, in scratch, with a file in it. */
static const char *old_folder(const char *name)
{
    static char path[512], inner[600];
    snprintf(path, sizeof path, "%s", scratch_path(name));
    snprintf(inner, sizeof inner, "%s/file", path);
    struct timespec times[2] = {{.tv_sec = time(NULL) - 20}, {.tv_sec = time(NULL) - 20}};
    assert_int_equal(mkdir(path, 0700), 0);
    FILE *f = fopen(inner, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    return path;
}

/* What a process left that is gone goes; what is locked, young, of another name or behind a link stays. */
static void sweep_removes_what_is_left(void **state)
{
    struct ctx *c = *state;
    struct temporary_folder f;
    setenv("TMPDIR", scratch_path("."), 1);
    old_folder("your_ai_tmp_aaaaaa");
    int lock = open(old_folder("your_ai_tmp_locked"), O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(lock, LOCK_SH), 0);
    assert_int_equal(mkdir(scratch_path("your_ai_tmp_young0"), 0700), 0);
    old_folder("your_ai_tmp_longer0");
    old_folder("elsewhere");
    assert_int_equal(symlink("elsewhere", scratch_path("your_ai_tmp_linked")), 0);
    assert_int_equal(temporary_folder_open(c, &f), OK);
    assert_false(dir_exists(scratch_path("your_ai_tmp_aaaaaa")));
    static const char *const stay[] = {"your_ai_tmp_locked", "your_ai_tmp_young0", "your_ai_tmp_longer0",
                                       "your_ai_tmp_linked", "elsewhere/file"};
    for (size_t i = 0; i < sizeof stay / sizeof stay[0]; i++)
        if (access(scratch_path(stay[i]), F_OK) != 0) fail_msg("%s is gone", stay[i]);
    assert_true(dir_exists(f.path));
    close(lock);
    temporary_sweep(c, scratch_path("."));
    assert_false(dir_exists(scratch_path("your_ai_tmp_locked")));
    temporary_folder_close(c, &f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tmpdir_or_var_tmp, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(no_folder_is_an_error, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(sweep_removes_what_is_left, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(each_allocation_fails_once, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
