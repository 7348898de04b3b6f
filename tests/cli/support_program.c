/* support_program: see support_program.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/support_program.h"

enum { WORDS_MAX = 64 };

struct program program_start(const char *const *words)
{
    char *argv[WORDS_MAX] = {strdup(BUILD_DIR "/your_ai")};
    int n = 1, ends[2];
    for (; words[n - 1]; n++) {
        assert_true(n < WORDS_MAX - 1);
        argv[n] = strdup(words[n - 1]);
    }
    if (access(argv[0], X_OK) != 0) fail_msg("%s is not built", argv[0]);
    /* One write a packet and room for one page: the program stops until it is read, so that it cannot run ahead of a test
     * that wants to kill it at a certain line, however busy the machine is. */
    assert_int_equal(pipe2(ends, O_DIRECT), 0);
    assert_true(fcntl(ends[0], F_SETPIPE_SZ, PIPE_BUF) >= 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv(argv[0], argv);
        _exit(127);
    }
    close(ends[1]);
    for (int i = 0; i < n; i++) free(argv[i]);
    return (struct program){pid, ends[0]};
}

int program_finish(struct program *p, char *output, size_t output_bytes)
{
    size_t n = 0;
    char rest[4096];
    for (;;) {
        bool room = n + 1 < output_bytes;
        ssize_t k = room ? read(p->out, output + n, output_bytes - n - 1) : read(p->out, rest, sizeof(rest));
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) break;
        if (room) n += (size_t)k;
    }
    if (output_bytes) output[n] = '\0';
    int status;
    close(p->out);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int program_run(char *output, size_t output_bytes, const char *const *words)
{
    struct program p = program_start(words);
    return program_finish(&p, output, output_bytes);
}

bool program_wait_line(struct program *p, const char *start)
{
    char packet[PIPE_BUF + 1];
    ssize_t n;
    while ((n = read(p->out, packet, PIPE_BUF)) > 0) {
        packet[n] = '\0';
        for (const char *line = packet; line; line = strchr(line, '\n')) {
            line += *line == '\n';
            if (strncmp(line, start, strlen(start)) == 0) return true;
        }
    }
    return false;
}
