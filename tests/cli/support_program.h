/* support_program: runs a command of the program in a child process, as main would, and collects what it printed. */
#ifndef YA_TESTS_SUPPORT_PROGRAM_H
#define YA_TESTS_SUPPORT_PROGRAM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct program_result {
    int code;        /* exit code; -1: killed by a signal */
    char *out, *err; /* NUL-terminated, owned */
};

/* argv without the program's name, ended by NULL. */
struct program_result program_run(const char *const *argv);
void program_release(struct program_result *r);

/* Runs, and fails the test unless the exit code is `code` and `part` is in what went to stderr. */
void program_fails(int code, const char *part, const char *const *argv);

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
