/* support_capture: runs a command in a child process, through command_main as main would, and keeps what it printed to
 * stdout and stderr apart. Needs no built program, and counts for coverage. */
#ifndef YA_TESTS_SUPPORT_CAPTURE_H
#define YA_TESTS_SUPPORT_CAPTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct capture {
    int code;        /* exit code; -1: killed by a signal */
    char *out, *err; /* NUL-terminated, owned */
};

/* argv without the program's name, ended by NULL. */
struct capture capture_run(const char *const *argv);
void capture_release(struct capture *r);

/* Runs, and fails the test unless the exit code is `code` and `part` is in what went to stderr. */
void capture_fails(int code, const char *part, const char *const *argv);

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
