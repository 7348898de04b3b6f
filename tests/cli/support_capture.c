#include "support_capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"

enum { WORDS_MAX = 64 };

/* All of a stream, from its beginning. */
static char *read_all(FILE *f)
{
    char *text = NULL;
    size_t n = 0, room = 0;
    rewind(f);
    do {
        room = room * 2 + 4096;
        text = realloc(text, room + 1);
        assert_non_null(text);
        n += fread(text + n, 1, room - n, f);
    } while (n == room);
    text[n] = '\0';
    fclose(f);
    return text;
}

struct capture capture_run(const char *const *argv)
{
    FILE *out = tmpfile(), *err = tmpfile();
    char *words[WORDS_MAX] = {(char *)(uintptr_t) "your_ai"};
    int n = 1, wait_status = 0;
    assert_non_null(out);
    assert_non_null(err);
    for (; argv[n - 1]; n++) {
        assert_true(n + 1 < WORDS_MAX);
        words[n] = (char *)(uintptr_t)argv[n - 1];
    }
    fflush(NULL); /* the child must not print it again */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(fileno(out), STDOUT_FILENO);
        dup2(fileno(err), STDERR_FILENO);
        exit(command_main(n, words));
    }
    assert_int_equal(waitpid(child, &wait_status, 0), child);
    struct capture r = {WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1, read_all(out), read_all(err)};
    return r;
}

void capture_release(struct capture *r)
{
    free(r->out);
    free(r->err);
}

void capture_fails(int code, const char *part, const char *const *argv)
{
    struct capture r = capture_run(argv);
    if (r.code != code || !strstr(r.err, part)) fail_msg("exit code %d, not %d; stderr: %s", r.code, code, r.err);
    assert_string_equal(r.out, "");
    capture_release(&r);
}
