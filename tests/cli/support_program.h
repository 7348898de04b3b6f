/* support_program: runs the built program and sees what it says. */
#ifndef YA_TESTS_SUPPORT_PROGRAM_H
#define YA_TESTS_SUPPORT_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct program {
    pid_t pid;
    int out; /* its stdout and stderr */
};

/* Starts the program with these words (NULL ends them), stdout and stderr in one pipe. */
struct program program_start(const char *const *words);

/* Waits for the end; returns the exit code, or -signal. All output, NUL-terminated, to `output`. */
int program_finish(struct program *p, char *output, size_t output_bytes);

/* Start and finish. */
int program_run(char *output, size_t output_bytes, const char *const *words);

/* Reads its output until a line that begins with `start` was written (a line is expected to come in one write); false when
 * the output ends before. The program is then at most one write ahead. */
bool program_wait_line(struct program *p, const char *start);

#endif
