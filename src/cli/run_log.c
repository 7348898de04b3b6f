/* run_log: see the header. A page is printed a second time, into the log, rather than copied from the screen, because the
 * screen's has colours and is cut to the terminal. */
#include "cli/run_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/shell_word.h"
#include "your_ai.h"

enum { COMMAND_CAP_BYTES = 1 << 20 };

static void run_log_write_head(struct ctx *c, FILE *log, int argc, char *const *argv)
{
    char when[32] = "";
    time_t now = time(NULL);
    struct tm utc;
    struct buf words;
    if (gmtime_r(&now, &utc)) strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    buf_init(&words, c, COMMAND_CAP_BYTES);
    for (int i = 0; i < argc; i++) shell_word_append(&words, argv[i]);
    fprintf(log, "==== %s  your_ai %s: %s\n", when, ya_version(), buf_ok(&words) ? buf_str(&words) : "");
    buf_release(&words);
}

FILE *run_log_open(struct ctx *c, const char *run, int argc, char *const *argv)
{
    char *path = path_join(c, run, "log.txt");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666) : -1;
    FILE *log = fd >= 0 ? fdopen(fd, "a") : NULL;
    if (path && !log) file_fail(c, "open", path, errno);
    if (!log && fd >= 0) close(fd);
    mem_free(c, path);
    if (!log) return NULL;
    setvbuf(log, NULL, _IOLBF, BUFSIZ); /* what a killed run showed is in the file */
    run_log_write_head(c, log, argc, argv);
    return log;
}

enum status run_log_page(struct ctx *c, FILE *log, enum status (*print)(void *user), void *user)
{
    fflush(stdout);
    fflush(log);
    int screen = dup(STDOUT_FILENO);
    if (screen < 0) return OK; /* standard output is closed: there is no page */
    enum status status = OK;
    if (dup2(fileno(log), STDOUT_FILENO) < 0) {
        status = ctx_fail(c, E_IO, "log.txt: %s", strerror(errno));
    } else {
        status = print(user);
        fflush(stdout);
        if (dup2(screen, STDOUT_FILENO) < 0) status = ctx_fail(c, E_IO, "standard output: %s", strerror(errno));
    }
    close(screen);
    return status;
}
