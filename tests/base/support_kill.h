/* A process that is killed between two changes of names: rename and unlink are defined here in front of libc's, and end a
 * child process, as SIGKILL would, before the n-th of them. Included by one file of a test program. */
#ifndef YA_TESTS_BASE_SUPPORT_KILL_H
#define YA_TESTS_BASE_SUPPORT_KILL_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int kill_before = -1; /* changes of names that are still let through; below 0: all */

static void kill_now_and_then(void)
{
    if (kill_before == 0) _exit(9);
    if (kill_before > 0) kill_before--;
}

int rename(const char *from, const char *to)
{
    kill_now_and_then();
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlink(const char *path)
{
    kill_now_and_then();
    return unlinkat(AT_FDCWD, path, 0);
}

/* Runs work in a child that is killed before its n-th change of a name. False when it came to its end before. */
static bool killed_before(int n, void (*work)(void *), void *arg)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        kill_before = n;
        work(arg);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#endif
