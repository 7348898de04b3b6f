/* hash_cache: a large file is hashed once, and an entry that is damaged, of another file or of an older state of it is none.
 */
/* wraps: time file_sha256 */
#include "support_base.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash_cache.h"
#include "base/mem.h"

static int hashed, later; /* files hashed; seconds that time() is ahead */

time_t __real_time(time_t *out);
time_t __wrap_time(time_t *out);
time_t __wrap_time(time_t *out)
{
    time_t now = __real_time(NULL) + later;
    if (out) *out = now;
    return now;
}

enum status __real_file_sha256(struct ctx *c, const char *path, char hex[65], uint64_t *bytes);
enum status __wrap_file_sha256(struct ctx *c, const char *path, char hex[65], uint64_t *bytes);
enum status __wrap_file_sha256(struct ctx *c, const char *path, char hex[65], uint64_t *bytes)
{
    hashed++;
    return __real_file_sha256(c, path, hex, bytes);
}

/* A file of the least size that gets an entry, all of one letter. */
static void write_large(const char *name, char letter)
{
    static char text[HASH_CACHE_FILE_MIN_BYTES];
    memset(text, letter, sizeof text);
    scratch_write(name, text, sizeof text);
}

/* Asserts that the digest is right, and how often it took hashing. */
static void expect(struct ctx *c, const char *name, int times)
{
    char hex[65], want[65];
    uint64_t bytes = 0, n;
    int before = hashed;
    assert_int_equal(hash_cache_sha256(c, scratch_path(name), hex, &bytes), OK);
    assert_int_equal(hashed - before, times);
    assert_int_equal(__real_file_sha256(c, scratch_path(name), want, &n), OK);
    assert_string_equal(hex, want);
    assert_int_equal(bytes, n);
}

/* The path of the only entry; owner the caller. */
static char *only_entry(struct ctx *c)
{
    char **names, *dir = path_join(c, scratch_path("cache"), "your_ai/sha256"), *path;
    size_t n;
    assert_int_equal(dir_list(c, dir, &names, &n), OK);
    assert_int_equal(n, 1);
    path = path_join(c, dir, names[0]);
    dir_list_free(c, names, n);
    mem_free(c, dir);
    return path;
}

static void use_cache(void)
{
    assert_int_equal(setenv("XDG_CACHE_HOME", scratch_path("cache"), 1), 0);
    later = 10;
}

static void a_file_is_hashed_once(void **state)
{
    struct ctx *c = *state;
    use_cache();
    write_large("a", 'a');
    scratch_write("small", "a", 1);
    expect(c, "a", 1);
    expect(c, "a", 0);
    expect(c, "small", 1);
    expect(c, "small", 1);
    assert_int_equal(hash_cache_sha256(c, scratch_path("nowhere"), (char[65]){0}, &(uint64_t){0}), E_INPUT);
    ctx_clear(c);
}

static void a_changed_file_is_hashed_again(void **state)
{
    struct ctx *c = *state;
    struct stat st;
    use_cache();
    write_large("a", 'a');
    expect(c, "a", 1);
    assert_int_equal(stat(scratch_path("a"), &st), 0);
    int fd = open(scratch_path("a"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "b", 1, 1000), 1);
    assert_int_equal(futimens(fd, (struct timespec[]){st.st_atim, st.st_mtim}), 0); /* as if nothing had happened */
    close(fd);
    expect(c, "a", 1);
    expect(c, "a", 0);
    later = 0; /* just changed: it may change again within the same tick of the clock */
    write_large("new", 'n');
    expect(c, "new", 1);
    expect(c, "new", 1);
}

static void damaged_entries_are_none(void **state)
{
    struct ctx *c = *state;
    use_cache();
    write_large("a", 'a');
    expect(c, "a", 1);
    char *entry = only_entry(c);
    size_t n;
    char *text = file_read(c, entry, 1 << 10, &n);
    for (size_t i = 0; i < n; i += 3) {
        text[i] ^= 1;
        assert_int_equal(file_write_atomic(c, entry, text, n), OK);
        text[i] ^= 1;
        expect(c, "a", 1);
    }
    for (size_t i = 0; i < n; i += 11) {
        assert_int_equal(file_write_atomic(c, entry, text, i), OK);
        expect(c, "a", 1);
    }
    expect(c, "a", 0);
    /* The entry of another path, as it is. */
    write_large("b", 'b');
    expect(c, "b", 1);
    assert_int_equal(unlink(entry), 0);
    char *other = only_entry(c);
    assert_int_equal(rename(other, entry), 0);
    expect(c, "a", 1);
    mem_free(c, other);
    mem_free(c, text);
    mem_free(c, entry);
}

static void what_stands_in_the_way_is_passed_over(void **state)
{
    struct ctx *c = *state;
    use_cache();
    write_large("a", 'a');
    expect(c, "a", 1);
    char *entry = only_entry(c);
    assert_int_equal(unlink(entry), 0);
    assert_int_equal(mkfifo(entry, 0600), 0);
    expect(c, "a", 1);
    expect(c, "a", 0); /* the pipe's name was taken by the entry */
    assert_int_equal(unlink(entry), 0);
    assert_int_equal(mkdir(entry, 0700), 0);
    expect(c, "a", 1);
    expect(c, "a", 1);
    mem_free(c, entry);
    assert_int_equal(setenv("XDG_CACHE_HOME", scratch_path("a"), 1), 0); /* no folder */
    expect(c, "a", 1);
    assert_int_equal(unsetenv("XDG_CACHE_HOME"), 0);
    assert_int_equal(unsetenv("HOME"), 0);
    expect(c, "a", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_hashed_once, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_changed_file_is_hashed_again, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(damaged_entries_are_none, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(what_stands_in_the_way_is_passed_over, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
