/* What a power cut may take. Every file that a run, a checkpoint, an adapter or a merged model consists of is written under
 * another name, fsynced, renamed, and then its folder is fsynced: leaving out one of the two fsyncs changes nothing that a
 * program can see, until the power goes. So the calls themselves are recorded and their order is judged. */
/* wraps: open write fsync close rename renameat2 mkdir */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/command.h"
#include "cli/support_capture.h"
#include "train/support_tiny.h"

/* ---- the record ------------------------------------------------------------------------------------------------------ */

enum kind { CREATED, WRITTEN, SYNCED, RENAMED };
enum { EVENTS_MAX = 4096, FDS_MAX = 256, PATH_BYTES = 256 };

static struct event {
    enum kind kind;
    char path[PATH_BYTES], to[PATH_BYTES];
} events[EVENTS_MAX];
static int n_events;
static char open_paths[FDS_MAX][PATH_BYTES];
static struct tiny_files tiny;
static const char *base; /* calls on paths below this folder are recorded; NULL: none are */

static void record(enum kind kind, const char *path, const char *to)
{
    struct event *last = n_events ? &events[n_events - 1] : NULL;
    if (!base || strncmp(path, base, strlen(base)) != 0) return;
    if (last && kind == WRITTEN && last->kind == WRITTEN && strcmp(last->path, path) == 0) return;
    assert_true(n_events < EVENTS_MAX);
    struct event *e = &events[n_events++];
    e->kind = kind;
    snprintf(e->path, PATH_BYTES, "%s", path);
    snprintf(e->to, PATH_BYTES, "%s", to);
}

/* The linker puts these in the place of the calls (ld --wrap); __real_ is libc's. */
int __real_open(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *bytes, size_t n);
int __real_fsync(int fd);
int __real_close(int fd);
int __real_rename(const char *from, const char *to);
int __real_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);
int __wrap_fsync(int fd);
int __wrap_close(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);

int __wrap_mkdir(const char *path, mode_t mode);

int __wrap_mkdir(const char *path, mode_t mode)
{
    int result = __real_mkdir(path, mode);
    if (result == 0) record(CREATED, path, "");
    return result;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = flags & O_CREAT ? va_arg(args, int) : 0, fd;
    va_end(args);
    bool fresh = flags & O_CREAT && access(path, F_OK) != 0;
    fd = __real_open(path, flags, mode);
    if (fd < 0) return fd;
    assert_true(fd < FDS_MAX);
    snprintf(open_paths[fd], PATH_BYTES, "%s", path);
    if (fresh) record(CREATED, path, "");
    return fd;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
    ssize_t done = __real_write(fd, bytes, n);
    if (done > 0 && fd < FDS_MAX) record(WRITTEN, open_paths[fd], "");
    return done;
}

int __wrap_fsync(int fd)
{
    int result = __real_fsync(fd);
    if (result == 0) record(SYNCED, open_paths[fd], "");
    return result;
}

int __wrap_close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX) open_paths[fd][0] = '\0';
    return __real_close(fd);
}

int __wrap_rename(const char *from, const char *to)
{
    int result = __real_rename(from, to);
    if (result == 0) record(RENAMED, from, to);
    return result;
}

int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    int result = __real_renameat2(from_dir, from, to_dir, to, flags);
    if (result == 0) record(RENAMED, from, to);
    return result;
}

/* ---- judging it ------------------------------------------------------------------------------------------------------ */

static const char *parent_of(const char *path)
{
    return tiny_path("%.*s", (int)(strrchr(path, '/') - path), path);
}

static bool is_event(int i, enum kind kind, const char *path)
{
    return i >= 0 && i < n_events && events[i].kind == kind && strcmp(events[i].path, path) == 0;
}

/* The last event of a kind before `end`; -1: none. */
static int last_event(enum kind kind, const char *path, int end)
{
    while (--end >= 0 && !is_event(end, kind, path)) continue;
    return end;
}

static int last_rename_to(const char *to)
{
    int i = n_events;
    while (--i >= 0 && (events[i].kind != RENAMED || strcmp(events[i].to, to) != 0)) continue;
    return i;
}

/* Fails unless event `i`, a rename to `to`, is followed at once by the fsync of the folder that got the name. */
static void check_name_synced(int i, const char *to)
{
    if (!is_event(i + 1, SYNCED, parent_of(to))) fail_msg("%s: its folder is not fsynced after the rename", to);
}

/* Fails unless everything written to the file before event `end` was fsynced by then. */
static void check_data_synced(const char *path, int end)
{
    int written = last_event(WRITTEN, path, end);
    if (written < 0) fail_msg("%s: nothing was written to it", path);
    if (last_event(SYNCED, path, end) < written) fail_msg("%s: not fsynced after its last write", path);
}

/* A file where it was written. Returns the event of its rename. */
static int check_written(const char *path)
{
    int renamed = last_rename_to(path);
    if (renamed < 0) {
        fail_msg("%s: was not put in place by a rename", path);
        return -1;
    }
    check_data_synced(events[renamed].path, renamed);
    check_name_synced(renamed, path);
    return renamed;
}

/* A folder that got its name when it was complete: fsynced, renamed, parent fsynced. Returns the event of its rename. */
static int check_folder(const char *path)
{
    int renamed = last_rename_to(path);
    if (renamed < 0) return -1;
    if (!is_event(renamed - 1, SYNCED, events[renamed].path)) fail_msg("%s: not fsynced before its rename", path);
    check_name_synced(renamed, path);
    return renamed;
}

static int check_file(const char *path)
{
    char before[2 * PATH_BYTES];
    if (last_rename_to(path) >= 0) return check_written(path);
    int folder = check_folder(parent_of(path));
    if (folder < 0) {
        fail_msg("%s: neither it nor its folder was put in place by a rename", path);
        return -1;
    }
    snprintf(before, sizeof before, "%s%s", events[folder].path, strrchr(path, '/'));
    int written = check_written(before);
    if (written > folder) fail_msg("%s: its folder got its name before it was complete", path);
    return written;
}

/* Every file under a folder; `logs` are those that only grow. Returns how many. */
static int check_tree(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[2 * PATH_BYTES];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (strcmp(e->d_name, "metrics.jsonl") == 0 || strcmp(e->d_name, "timing.jsonl") == 0) continue;
        if (strcmp(e->d_name, "log.txt") == 0) continue; /* what was on the screen: nothing counts on it */
        if (strcmp(e->d_name, "best") == 0 && e->d_type == DT_LNK) continue; /* for people: the program never reads it */
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_type == DT_DIR) {
            n += check_tree(path);
        } else {
            check_file(path);
            n++;
        }
    }
    closedir(d);
    return n;
}

/* ---- the tests ------------------------------------------------------------------------------------------------------- */

static const char *run;

static void call(const char *const *argv)
{
    char *words[64] = {(char *)(uintptr_t) "your_ai"};
    int n = 1;
    for (; argv[n - 1]; n++) words[n] = (char *)(uintptr_t)argv[n - 1];
    memset(open_paths, 0, sizeof open_paths);
    n_events = 0;
    assert_int_equal(command_main(n, words), 0);
}

/* A checkpoint says how long metrics.jsonl is, so those bytes and the name must be there before it is. */
static void check_metrics(int checkpoint)
{
    const char *metrics = tiny_path("%s/metrics.jsonl", run);
    check_data_synced(metrics, checkpoint);
    int created = last_event(CREATED, metrics, checkpoint);
    if (last_event(SYNCED, run, checkpoint) < created)
        fail_msg("%s: its folder is not fsynced after it was created", metrics);
}

/* A new folder is nothing after a power cut until the folder that holds it is fsynced. */
static void check_new_folder(const char *path)
{
    int created = last_event(CREATED, path, n_events);
    if (created < 0 || !is_event(created + 1, SYNCED, parent_of(path)))
        fail_msg("%s: the folder that holds it is not fsynced after it was made", path);
}

static int check_checkpoints(void)
{
    int n = 0;
    for (int i = 0; i < n_events; i++) {
        const char *name = strrchr(events[i].to, '/');
        if (events[i].kind != RENAMED || !name || strncmp(name, "/step-", 6) != 0) continue;
        check_metrics(i);
        n++;
    }
    return n;
}

static void files_of_a_run(void **state)
{
    (void)state;
    call(ARGV("train", "-m", tiny.model, "-d", tiny.rows, "--valid", tiny.rows, "-o", run, "--rank", "2", "--max-steps", "3",
              "--save-every", "1", "--eval-every", "1", "--keep", "2"));
    /* config, 2 caches, data manifest, environment; 5 of each checkpoint that is left; adapter's two and its card */
    int n = check_tree(run);
    assert_true(n >= 5 + 2 * 5 + 3);
    assert_int_equal(check_checkpoints(), 3);
    check_new_folder(tiny_path("%s/runs", base));
    check_new_folder(run);
    check_new_folder(tiny_path("%s/checkpoints", run));
    for (int step = 2; step <= 3; step++) { /* the manifest is the last of its folder */
        const char *folder = tiny_path("%s/checkpoints/step-%06d", run, step);
        int manifest = check_file(tiny_path("%s/manifest.json", folder));
        assert_true(check_file(tiny_path("%s/state.json", folder)) < manifest);
        assert_true(check_file(tiny_path("%s/adapter_model.safetensors", folder)) < manifest);
        assert_true(check_file(tiny_path("%s/adapter_optimizer.safetensors", folder)) < manifest);
    }
}

/* The files of an older adapter are replaced by a new folder. */
static void files_of_a_longer_run(void **state)
{
    (void)state;
    call(ARGV("resume", run, "--max-steps", "4"));
    assert_int_equal(check_tree(tiny_path("%s/adapter", run)), 3);
    assert_int_equal(check_tree(tiny_path("%s/checkpoints/step-000004", run)), 5);
    assert_int_equal(check_checkpoints(), 1);
}

static void files_of_a_merged_model(void **state)
{
    (void)state;
    const char *merged = tiny_path("%s/merged", base);
    call(ARGV("export", run, "--to", "safetensors", "-o", merged));
    assert_true(check_tree(merged) >= 4);
    assert_true(check_folder(merged) >= 0); /* the folder itself was renamed, and its parent fsynced */
}

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 30, 0);
    run = tiny_keep(&tiny, "runs/first");
    base = tiny.folder; /* recording starts */
    return 0;
}

static int group_teardown(void **state)
{
    base = NULL;
    return tiny_files_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_a_run),
        cmocka_unit_test(files_of_a_longer_run),
        cmocka_unit_test(files_of_a_merged_model),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
