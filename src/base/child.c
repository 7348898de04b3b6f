/* child: forks, and carries a result back through a pipe. See child.h. */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/system.h"

enum { CHILD_BYTES_MAX = 4096 };

static double child_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Reads until n bytes are there, the child has closed the pipe, or the time is over. Returns how many came. */
static size_t child_receive(int fd, void *to, size_t n, double end)
{
    size_t have = 0;
    while (have < n) {
        double left = end - child_seconds();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = left > 0 ? poll(&p, 1, left < 1e6 ? (int)(left * 1000) + 1 : 1000000000) : 0;
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) break;
        ssize_t got = read(fd, (char *)to + have, n - have);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        have += (size_t)got;
    }
    return have;
}

/* Throws away what the child says; it must not end up in the parent's output. */
static void child_silence(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0) return;
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
}

static enum status child_wait(struct ctx *c, pid_t child, int fd, void *out, size_t n, double seconds, enum child_end *end,
                              int *how)
{
    char got[CHILD_BYTES_MAX];
    double stop = child_seconds() + seconds;
    size_t have = child_receive(fd, got, n, stop);
    bool late = have < n && child_seconds() >= stop;
    if (late) kill(child, SIGKILL);
    while (waitpid(child, how, 0) < 0 && errno == EINTR) {
    }
    *end = have == n ? CHILD_SENT : late ? CHILD_LATE : CHILD_DIED;
    if (*end == CHILD_SENT) memcpy(out, got, n);
    if (*end == CHILD_DIED && WIFSIGNALED(*how) && (WTERMSIG(*how) == SIGINT || WTERMSIG(*how) == SIGTERM))
        return ctx_fail(c, E_INTERRUPTED, "interrupted");
    return OK;
}

enum status child_run(struct ctx *c, void (*fn)(void *user, void *out), void *user, void *out, size_t n, double seconds,
                      enum child_end *end, int *how)
{
    int ends[2];
    BUG_ON(c, c->threads || c->array_env, "a child of a process with threads or a device");
    BUG_ON(c, n > CHILD_BYTES_MAX, "%zu bytes of a child", n);
    *how = 0;
    if (pipe(ends) != 0) return ctx_fail(c, E_IO, "no pipe to a child: %s", strerror(errno));
    fflush(NULL);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        system_end_with_parent(parent);
        child_silence();
        fn(user, out);
        ssize_t sent = write(ends[1], out, n);
        _exit(sent == (ssize_t)n ? 0 : 1);
    }
    close(ends[1]);
    if (child < 0)
        ctx_fail(c, errno == ENOMEM ? E_MEMORY : E_IO, "no child can be started: %s", strerror(errno));
    else
        child_wait(c, child, ends[0], out, n, seconds, end, how);
    close(ends[0]);
    return c->status;
}
