/* file and dir: reading, mapping and its guard against truncation, atomic writing, folders, locks and paths, each also
 * where the system refuses or memory is short. */
#include "support_base.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"

static size_t count_entries(struct ctx *c, const char *dir)
{
    char **names;
    size_t n;
    assert_int_equal(dir_list(c, dir, &names, &n), OK);
    dir_list_free(c, names, n);
    return n;
}

static void assert_content(struct ctx *c, const char *path, const char *text)
{
    size_t n;
    char *got = file_read(c, path, 1 << 20, &n);
    assert_non_null(got);
    assert_int_equal(n, strlen(text));
    assert_string_equal(got, text);
    mem_free(c, got);
}

static void maps_what_is_there(void **state)
{
    struct ctx *c = *state;
    scratch_write("a", "hello", 5);
    scratch_write("empty", "", 0);
    struct file_map *m = file_map_open(c, scratch_path("a"));
    assert_non_null(m);
    assert_int_equal(file_map_size(m), 5);
    assert_memory_equal(file_map_data(m), "hello", 5);
    assert_string_equal(file_map_path(m), scratch_path("a"));
    assert_int_equal(file_check(c, m), OK);
    file_map_close(m);
    m = file_map_open(c, scratch_path("empty"));
    assert_non_null(m);
    assert_non_null(file_map_data(m));
    assert_int_equal(file_map_size(m), 0);
    assert_int_equal(file_check(c, m), OK);
    file_map_close(m);
    file_map_close(NULL);
}

static void refuses_what_is_not_a_file(void **state)
{
    struct ctx *c = *state;
    assert_int_equal(mkfifo(scratch_path("pipe"), 0600), 0);
    size_t n;
    assert_null(file_map_open(c, scratch_path("absent")));
    assert_failed(c, E_INPUT, "absent: No such file");
    assert_null(file_map_open(c, scratch_path("")));
    assert_failed(c, E_INPUT, "is a folder, and a file is wanted here");
    assert_null(file_map_open(c, scratch_path("pipe"))); /* at once: nobody writes to it */
    assert_failed(c, E_INPUT, "not a regular file");
    assert_null(file_read(c, scratch_path("pipe"), 10, &n));
    assert_failed(c, E_INPUT, "not a regular file");
    scratch_write("a", "hello", 5);
    assert_null(file_read(c, scratch_path("a/b"), 10, &n));
    assert_failed(c, E_INPUT, "Not a directory");
}

/* The promise of the guard: zeros and an error, no crash, in the calling thread and in workers. */
enum { PAGES = 64 };
struct sums {
    const uint8_t *data;
    size_t page;
    int64_t sum[PAGES];
};
static void sum_page(void *arg, int64_t block, int worker)
{
    (void)worker;
    struct sums *s = arg;
    s->sum[block] = 0;
    for (size_t i = 0; i < s->page; i++) s->sum[block] += s->data[(size_t)block * s->page + i];
}

static void truncation_is_an_error_not_a_crash(void **state)
{
    struct ctx *c = *state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *ones = malloc(PAGES * page);
    memset(ones, 1, PAGES * page);
    assert_int_equal(ctx_set_threads(c, 3), OK);
    scratch_write("whole", ones, PAGES * page);
    struct file_map *whole = file_map_open(c, scratch_path("whole"));
    for (int rep = 0; rep < 3; rep++) {
        scratch_write("cut", ones, PAGES * page);
        struct file_map *m = file_map_open(c, scratch_path("cut"));
        assert_int_equal(file_check(c, m), OK);
        assert_int_equal(truncate(scratch_path("cut"), (off_t)(page * 10)), 0);
        struct sums s = {.data = file_map_data(m), .page = page};
        threads_run(c, PAGES, sum_page, &s);
        for (size_t i = 0; i < PAGES; i++) assert_int_equal(s.sum[i], i < 10 ? page : 0);
        assert_int_equal(file_check(c, m), E_IO);
        assert_failed(c, E_IO, "truncated");
        /* the mark stays when the file has grown back */
        assert_int_equal(truncate(scratch_path("cut"), (off_t)(page * PAGES)), 0);
        assert_int_equal(file_check(c, m), E_IO);
        assert_failed(c, E_IO, "could not be read");
        file_map_close(m);
    }
    assert_int_equal(file_check(c, whole), OK); /* other mappings are not blamed */
    file_map_close(whole);
    assert_int_equal(ctx_set_threads(c, 1), OK);
    free(ones);
}

/* A cut inside the last page raises no signal; the size tells. */
static void truncation_inside_a_page_is_found(void **state)
{
    struct ctx *c = *state;
    scratch_write("a", "hello", 5);
    struct file_map *m = file_map_open(c, scratch_path("a"));
    assert_int_equal(truncate(scratch_path("a"), 3), 0);
    assert_int_equal(file_map_data(m)[4], 0);
    assert_int_equal(file_check(c, m), E_IO);
    assert_failed(c, E_IO, "from 5 to 3");
    file_map_close(m);
}

static void exit_7(int sig)
{
    (void)sig;
    _exit(7);
}

/* A bus error that is none of ours still reaches the handler that was there first, or kills. */
static int foreign_fault(bool with_handler)
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGBUS, with_handler ? exit_7 : SIG_DFL);
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        file_guard_install();
        int fd = open(scratch_path("foreign"), O_RDWR);
        volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        if (ftruncate(fd, 0) != 0) _exit(8);
        _exit(p[0] == 0 ? 9 : 10);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void other_faults_are_passed_on(void **state)
{
    (void)state;
    scratch_write("foreign", "x", 1);
    int status = foreign_fault(true);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    scratch_write("foreign", "x", 1);
    status = foreign_fault(false);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

static void read_has_a_cap(void **state)
{
    struct ctx *c = *state;
    size_t n;
    scratch_write("a", "hello", 5);
    char *s = file_read(c, scratch_path("a"), 5, &n);
    assert_int_equal(n, 5);
    assert_string_equal(s, "hello");
    mem_free(c, s);
    assert_null(file_read(c, scratch_path("a"), 4, &n));
    assert_failed(c, E_INPUT, "5 bytes, larger than the limit of 4");
    s = file_read(c, "/proc/self/status", 1 << 20, &n); /* claims to be empty */
    assert_true(n > 100 && strstr(s, "VmPeak"));
    mem_free(c, s);
    assert_null(file_read(c, "/proc/self/status", 50, &n));
    assert_failed(c, E_INPUT, "limit of 50");
}

static void digest_of_a_file(void **state)
{
    struct ctx *c = *state;
    char hex[65];
    uint64_t bytes;
    scratch_write("abc", "abc", 3);
    assert_int_equal(file_sha256(c, scratch_path("abc"), hex, &bytes), OK);
    assert_int_equal(bytes, 3);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(file_sha256(c, scratch_path("none"), hex, &bytes), E_INPUT);
    assert_failed(c, E_INPUT, "none");
}

static void atomic_write_replaces(void **state)
{
    struct ctx *c = *state;
    const char *path = scratch_path("target");
    assert_int_equal(file_write_atomic(c, path, "one", 3), OK);
    assert_content(c, path, "one");
    assert_int_equal(file_write_atomic(c, path, "", 0), OK);
    assert_content(c, path, "");
    assert_int_equal(file_write_atomic(c, path, "three", 5), OK);
    assert_content(c, path, "three");
    assert_int_equal(count_entries(c, scratch_path("")), 1); /* no temporary is left */
}

static void writer_streams_and_aborts(void **state)
{
    struct ctx *c = *state;
    const char *path = scratch_path("big");
    struct file_writer *w = file_writer_open(c, path);
    assert_non_null(w);
    char block[997];
    for (size_t i = 0; i < sizeof block; i++) block[i] = (char)('a' + i % 26);
    for (int i = 0; i < 1000; i++) file_writer_write(w, block, sizeof block);
    char *huge = calloc(1, 1 << 20);
    file_writer_write(w, huge, 1 << 20);
    file_writer_write(w, "end", 3);
    assert_false(file_exists(path)); /* not before commit */
    assert_int_equal(file_writer_commit(w), OK);
    size_t n;
    char *s = file_read(c, path, 1 << 22, &n);
    assert_int_equal(n, 997000 + (1 << 20) + 3);
    for (size_t i = 0; i < 997000; i++) assert_int_equal(s[i], 'a' + i % 997 % 26);
    assert_memory_equal(s + 997000, huge, 1 << 20);
    assert_string_equal(s + n - 3, "end");
    mem_free(c, s);
    free(huge);

    w = file_writer_open(c, path);
    file_writer_write(w, "x", 1);
    file_writer_abort(w);
    file_writer_abort(NULL);
    assert_int_equal(count_entries(c, scratch_path("")), 1);
    s = file_read(c, path, 1 << 22, &n);
    assert_int_equal(n, 997000 + (1 << 20) + 3);
    mem_free(c, s);
}

/* A full disk, played by the file size limit: the old content stands, the temporary is gone, the message names the
 * call. */
static void failed_writes_leave_the_old_file(void **state)
{
    struct ctx *c = *state;
    const char *path = scratch_path("target");
    assert_int_equal(file_write_atomic(c, path, "old", 3), OK);
    char *bytes = calloc(1, 1 << 20);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit before, limit;
    getrlimit(RLIMIT_FSIZE, &before);
    limit = (struct rlimit){100000, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    enum status big = file_write_atomic(c, path, bytes, 1 << 20);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(big, E_IO);
    assert_failed(c, E_IO, "cannot write");
    assert_content(c, path, "old");

    /* also when the failure is met by the flush inside commit, and when the ctx was cleared in between */
    setrlimit(RLIMIT_FSIZE, &limit);
    struct file_writer *w = file_writer_open(c, path);
    for (int i = 0; i < 1024; i++) file_writer_write(w, bytes, 1000);
    ctx_clear(c);
    enum status lost = file_writer_commit(w);
    w = file_writer_open(c, path + 0);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(lost, E_IO);
    file_writer_abort(w);
    assert_failed(c, E_IO, "an earlier write failed");
    assert_content(c, path, "old");
    assert_int_equal(count_entries(c, scratch_path("")), 1);
    free(bytes);
}

static void a_failed_ctx_publishes_nothing(void **state)
{
    struct ctx *c = *state;
    const char *path = scratch_path("target");
    assert_int_equal(file_write_atomic(c, path, "old", 3), OK);
    struct file_writer *w = file_writer_open(c, path);
    file_writer_write(w, "half", 4);
    ctx_fail(c, E_NUMERIC, "loss is NaN");
    assert_int_equal(file_writer_commit(w), E_NUMERIC);
    assert_int_equal(file_write_atomic(c, path, "new", 3), E_NUMERIC);
    assert_failed(c, E_NUMERIC, "loss is NaN");
    assert_content(c, path, "old");
    assert_int_equal(count_entries(c, scratch_path("")), 1);
}

static void folders_that_cannot_take_a_file(void **state)
{
    struct ctx *c = *state;
    assert_int_equal(file_write_atomic(c, scratch_path("none/target"), "x", 1), E_INPUT);
    assert_failed(c, E_INPUT, "No such file or directory");
    assert_int_equal(dir_make(c, scratch_path("target/inner")), OK);
    assert_int_equal(file_write_atomic(c, scratch_path("target"), "x", 1), E_IO); /* a folder has the name */
    assert_failed(c, E_IO, "cannot rename");
    assert_int_equal(count_entries(c, scratch_path("")), 1);
    /* /proc takes no new files from anybody, root included */
    assert_int_not_equal(file_write_atomic(c, "/proc/your_ai_test", "x", 1), OK);
    ctx_clear(c);
    /* names that are taken are passed over, never written through */
    assert_int_equal(symlink("/dev/null", scratch_path("a.link")), 0);
    char planted[600];
    snprintf(planted, sizeof planted, "%s.%ld-0.tmp", scratch_path("a"), (long)getpid());
    assert_int_equal(symlink(scratch_path("victim"), planted), 0);
    assert_int_equal(file_write_atomic(c, scratch_path("a"), "x", 1), OK);
    assert_content(c, scratch_path("a"), "x");
    assert_false(file_exists(scratch_path("victim")));
}

static void folders(void **state)
{
    struct ctx *c = *state;
    assert_int_equal(dir_make(c, scratch_path("x/y//z/")), OK);
    assert_int_equal(dir_make(c, scratch_path("x/y/z")), OK);
    assert_true(dir_exists(scratch_path("x/y/z")));
    scratch_write("x/file", "1", 1);
    assert_int_equal(dir_make(c, scratch_path("x/file")), E_INPUT);
    assert_failed(c, E_INPUT, "not a folder");
    assert_int_equal(dir_make(c, scratch_path("x/file/more")), E_INPUT);
    assert_failed(c, E_INPUT, "Not a directory");
    assert_int_equal(dir_make(c, ""), E_INPUT);
    ctx_clear(c);
    assert_int_equal(dir_sync(c, scratch_path("gone")), E_INPUT);
    ctx_clear(c);
    assert_true(file_exists(scratch_path("x/file")) && !file_exists(scratch_path("x")) &&
                !dir_exists(scratch_path("x/file")));

    scratch_write("x/b", "", 0);
    scratch_write("x/a", "", 0);
    char **names;
    size_t n;
    assert_int_equal(dir_list(c, scratch_path("x"), &names, &n), OK);
    static const char *const expected[] = {"a", "b", "file", "y"};
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) assert_string_equal(names[i], expected[i]);
    dir_list_free(c, names, n);
    assert_int_equal(dir_list(c, scratch_path("nothing"), &names, &n), E_INPUT);
    ctx_clear(c);

    char *joined = path_join(c, "dir", "name"), *slash = path_join(c, "dir/", "name");
    assert_string_equal(joined, "dir/name");
    assert_string_equal(slash, "dir/name");
    mem_free(c, joined);
    mem_free(c, slash);
}

static void remove_does_not_follow_links(void **state)
{
    struct ctx *c = *state;
    assert_int_equal(dir_make(c, scratch_path("keep")), OK);
    scratch_write("keep/precious", "1", 1);
    assert_int_equal(dir_make(c, scratch_path("gone/deep/deeper")), OK);
    scratch_write("gone/deep/file", "1", 1);
    assert_int_equal(symlink(scratch_path("keep"), scratch_path("gone/deep/link")), 0);
    assert_int_equal(dir_remove(c, scratch_path("gone")), OK);
    assert_false(dir_exists(scratch_path("gone")));
    assert_true(file_exists(scratch_path("keep/precious")));
    assert_int_equal(dir_remove(c, scratch_path("gone")), OK); /* nothing there is fine */
    assert_int_equal(symlink(scratch_path("keep"), scratch_path("alias")), 0);
    assert_int_not_equal(dir_remove(c, scratch_path("alias")), OK);
    ctx_clear(c);
    assert_true(file_exists(scratch_path("keep/precious")));
}

static void commit_never_replaces(void **state)
{
    struct ctx *c = *state;
    assert_int_equal(dir_make(c, scratch_path("new.tmp")), OK);
    scratch_write("new.tmp/file", "1", 1);
    assert_int_equal(dir_commit(c, scratch_path("new.tmp"), scratch_path("step-1")), OK);
    assert_true(file_exists(scratch_path("step-1/file")) && !dir_exists(scratch_path("new.tmp")));
    assert_int_equal(dir_make(c, scratch_path("new.tmp")), OK);
    assert_int_equal(dir_make(c, scratch_path("empty")), OK);
    assert_int_equal(dir_commit(c, scratch_path("new.tmp"), scratch_path("empty")), E_IO);
    assert_failed(c, E_IO, "File exists");
    assert_int_equal(dir_commit(c, scratch_path("absent"), scratch_path("other")), E_INPUT);
    ctx_clear(c);
}

static void every_allocation_may_fail(void **state)
{
    struct ctx *outer = *state;
    scratch_write("a", "hello", 5);
    for (long n = 1;; n++) {
        struct oom oom = {.fail_at = n};
        struct ctx *c = oom_ctx(&oom);
        struct file_map *m = file_map_open(c, scratch_path("a"));
        size_t size, n_names = 0;
        char **names = NULL;
        char *s = ctx_ok(c) ? file_read(c, scratch_path("a"), 100, &size) : NULL;
        if (ctx_ok(c)) dir_list(c, scratch_path(""), &names, &n_names);
        if (ctx_ok(c)) file_write_atomic(c, scratch_path("b"), "x", 1);
        if (ctx_ok(c)) dir_make(c, scratch_path("d"));
        bool done = ctx_ok(c);
        if (!done) assert_int_equal(c->status, E_MEMORY);
        file_map_close(m);
        mem_free(c, s);
        dir_list_free(c, names, n_names);
        assert_int_equal(c->alloc_bytes, 0);
        ctx_free(c);
        assert_int_equal(oom.live, 0);
        assert_true(n < 200);
        if (done) break;
    }
    assert_int_equal(count_entries(outer, scratch_path("")), 3); /* a, b, d: no temporary survives a failure */
}

#define FILE_TEST(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(maps_what_is_there),
        FILE_TEST(refuses_what_is_not_a_file),
        FILE_TEST(truncation_is_an_error_not_a_crash),
        FILE_TEST(truncation_inside_a_page_is_found),
        FILE_TEST(other_faults_are_passed_on),
        FILE_TEST(read_has_a_cap),
        FILE_TEST(digest_of_a_file),
        FILE_TEST(atomic_write_replaces),
        FILE_TEST(writer_streams_and_aborts),
        FILE_TEST(failed_writes_leave_the_old_file),
        FILE_TEST(a_failed_ctx_publishes_nothing),
        FILE_TEST(folders_that_cannot_take_a_file),
        FILE_TEST(folders),
        FILE_TEST(remove_does_not_follow_links),
        FILE_TEST(commit_never_replaces),
        FILE_TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
