/* train --serve, over raw sockets: what is answered, what is refused, and that the training does not care who is connected.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/support_program.h"
#include "train/support_tiny.h"

enum { OUTPUT_BYTES = 1 << 16, ANSWER_BYTES = 1 << 21 };

static struct tiny_files tiny;
static char output[OUTPUT_BYTES], answer[ANSWER_BYTES];
static int port; /* that the program is told to listen on */

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SERVE_WORDS(RUN, STEPS, ...)                                                                                        \
    WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", RUN, "--rank", "4", "--batch", "2", "--max-length", "48",       \
          "--max-steps", STEPS, "--save-every", "0", "--threads", "1", __VA_ARGS__)

static struct sockaddr_in loopback(int at)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)at), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A port that is free now, as text. */
static const char *free_port(void)
{
    struct sockaddr_in a = loopback(0);
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && bind(fd, (const struct sockaddr *)&a, sizeof a) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    port = ntohs(a.sin_port);
    return tiny_path("%d", port);
}

/* A connection to the program; -1: refused. Reading gives up after ten seconds. */
static int dial(void)
{
    struct sockaddr_in a = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 10}, sizeof(struct timeval));
    if (connect(fd, (const struct sockaddr *)&a, sizeof a) == 0) return fd;
    close(fd);
    return -1;
}

/* Reads until `part` came, or to the end for NULL; all of it is in `answer`. */
static void hear(int fd, const char *part)
{
    size_t n = 0;
    ssize_t k = 1;
    answer[0] = '\0';
    while (k > 0 && n + 1 < ANSWER_BYTES && !(part && strstr(answer, part))) {
        k = recv(fd, answer + n, ANSWER_BYTES - 1 - n, 0);
        if (k > 0) n += (size_t)k;
        answer[n] = '\0';
    }
    if (part && !strstr(answer, part)) fail_msg("'%s' did not come: %.300s", part, answer);
}

/* Sends a request and hears all of the answer. */
static void ask(const char *request, size_t n)
{
    int fd = dial();
    assert_true(fd >= 0);
    assert_true(send(fd, request, n, MSG_NOSIGNAL) >= 0);
    hear(fd, NULL);
    close(fd);
}

/* A plain request; returns its status. */
static int get(const char *path)
{
    char request[512];
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost:%d\r\n\r\n", path, port);
    ask(request, (size_t)n);
    return atoi(answer + 9);
}

static void assert_has(const char *part)
{
    if (!strstr(answer, part)) fail_msg("'%s' is not in: %.500s", part, answer);
}

/* A program that trains and serves, past its second step. */
static struct program start(const char *run, const char *steps)
{
    struct program p = program_start(SERVE_WORDS(run, steps, "--serve", free_port()));
    assert_true(program_wait_line(&p, "report   http://127.0.0.1:"));
    assert_true(program_wait_line(&p, "step 2/"));
    return p;
}

static void stop(struct program *p)
{
    kill(p->pid, SIGTERM);
    assert_int_equal(program_finish(p, output, OUTPUT_BYTES), 130);
    assert_int_equal(dial(), -1); /* it ends with the training */
}

static void pages_and_events(void **state)
{
    (void)state;
    struct program p = start(tiny_keep(&tiny, "pages"), "100000");
    assert_int_equal(get("/"), 200);
    assert_has("<iframe src=\"/page\"");
    assert_has("Content-Security-Policy: default-src 'none'; script-src 'self'");
    assert_int_equal(get("/live.js"), 200);
    assert_has("new EventSource('/events')");
    assert_int_equal(get("/page"), 200);
    assert_has("Training run: pages");
    assert_has("of 100000</td>");
    assert_null(strstr(answer, "<script")); /* the report itself runs nothing */
    assert_int_equal(get("/config.json"), 404);
    assert_int_equal(get("/../config.json"), 404);
    assert_int_equal(get("/page?x"), 404);
    int fd = dial();
    char request[128];
    int n = snprintf(request, sizeof request, "GET /events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", port);
    assert_int_equal(send(fd, request, (size_t)n, MSG_NOSIGNAL), n);
    hear(fd, "\r\n\r\ndata: {\"step\": ");
    assert_true(program_wait_line(&p, "step 20/"));
    hear(fd, ", \"total\": 100000, \"loss\": ");
    close(fd);
    stop(&p);
}

/* What must not be answered, and with which status it is refused. HOST stands for the right Host line. */
static const struct refusal {
    int status;
    const char *request;
} refusals[] = {
    {403, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"},
    {403, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"}, /* without the port it is another server */
    {403, "GET / HTTP/1.1\r\nHost: localhost.evil.example:1\r\n\r\n"},
    {403, "GET / HTTP/1.1\r\nHOST\r\nOrigin: http://evil.example\r\n\r\n"},
    {403, "GET / HTTP/1.1\r\nHOST\r\nOrigin: null\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHOST\r\nHOST\r\n\r\n"},
    {405, "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 0\r\n\r\n"},
    {405, "HEAD / HTTP/1.1\r\nHOST\r\n\r\n"},
    {405, "PUT /page HTTP/1.1\r\nHOST\r\n\r\n"},
    {405, "OPTIONS * HTTP/1.1\r\nHOST\r\n\r\n"},
    {413, "GET / HTTP/1.1\r\nHOST\r\nContent-Length: 5\r\n\r\nhello"},
    {413, "GET / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHOST\r\n\r\nGET / HTTP/1.1\r\n"}, /* a second request behind the first */
    {400, "GET / HTTP/1.1\r\nHOST\r\n folded\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHOST\r\nBad name: x\r\n\r\n"},
    {400, "GET http://evil.example/ HTTP/1.1\r\nHOST\r\n\r\n"},
    {400, "GET /\r\n\r\n"},
    {505, "GET / HTTP/2.0\r\nHOST\r\n\r\n"},
    {404, "GET /etc/passwd HTTP/1.1\r\nHOST\r\n\r\n"},
    {404, "GET //page HTTP/1.1\r\nHOST\r\n\r\n"},
};

/* The request with the right Host in the place of HOST. */
static void ask_with_host(const char *request)
{
    char text[1024];
    size_t n = 0;
    for (; *request; request++) {
        if (strncmp(request, "HOST\r", 5) != 0) {
            text[n++] = *request;
            continue;
        }
        n += (size_t)snprintf(text + n, sizeof text - n, "Host: localhost:%d", port);
        request += 3;
    }
    ask(text, n);
}

static void refused_by_status(void **state)
{
    (void)state;
    static char large[3 << 20];
    struct program p = start(tiny_keep(&tiny, "refused"), "100000");
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        ask_with_host(refusals[i].request);
        if (atoi(answer + 9) != refusals[i].status)
            fail_msg("not %d: %s\n%.200s", refusals[i].status, refusals[i].request, answer);
    }
    memset(large, 'a', sizeof large);
    memcpy(large, "GET /", 5);
    ask(large, 20000);
    assert_int_equal(atoi(answer + 9), 414);
    int n = snprintf(large, 100, "GET / HTTP/1.1\r\nHost: localhost:%d\r\nX: ", port);
    large[n] = 'a';
    ask(large, 20000);
    assert_int_equal(atoi(answer + 9), 431);
    ask(large, sizeof large); /* more than is thrown away: cut off, and nothing is kept of it */
    assert_int_equal(get("/"), 200);
    stop(&p);
}

/* More connections than there is room for (more than that and the system itself makes callers wait), none of which reads or
 * ends. */
static void neither_slow_nor_many_stop_it(void **state)
{
    (void)state;
    enum { MANY = 24, LISTENERS = 8 };
    static const char *const files[] = {"adapter/adapter_model.safetensors", "metrics.jsonl", NULL};
    int fds[MANY];
    char request[128];
    const char *plain = tiny_keep(&tiny, "plain"), *served = tiny_keep(&tiny, "served");
    if (program_run(output, OUTPUT_BYTES, SERVE_WORDS(plain, "60", "--seed", "0")) != 0) fail_msg("%s", output);
    struct program p = start(served, "60");
    int n = snprintf(request, sizeof request, "GET /events HTTP/1.1\r\nHost: localhost:%d\r\n\r\n", port);
    for (int i = 0; i < LISTENERS; i++) {
        fds[i] = dial();
        assert_int_equal(send(fds[i], request, (size_t)n, MSG_NOSIGNAL), n);
        hear(fds[i], "text/event-stream");
    }
    assert_int_equal(get("/events"), 503); /* and pages are still to be had */
    assert_int_equal(get("/"), 200);
    for (int i = LISTENERS; i < MANY; i++) {
        fds[i] = dial();
        assert_true(fds[i] < 0 || send(fds[i], request, 10, MSG_NOSIGNAL) == 10);
    }
    if (program_finish(&p, output, OUTPUT_BYTES) != 0) fail_msg("%s", output);
    for (int i = 0; i < MANY; i++) close(fds[i]);
    tiny_assert_same_files(plain, served, files);
    size_t bytes;
    char *config = tiny_read(tiny_path("%s/config.json", served), &bytes);
    assert_null(strstr(config, "\"serve\"")); /* nothing of the run depends on it */
    free(config);
}

static void other_addresses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0.0.0.0:8080", "example.com:80", "192.168.0.1:80", "http://localhost:80", "80x", "-1", "",
        "70000",        "localhost:",     "[::]:80"};
    const char *run = tiny_keep(&tiny, "none");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(program_run(output, OUTPUT_BYTES, SERVE_WORDS(run, "2", tiny_path("--serve=%s", bad[i]))), 2);
        if (!strstr(output, "is not PORT or localhost:PORT")) fail_msg("%s: %s", bad[i], output);
    }
    assert_false(dir_exists(run));
    struct sockaddr_in a = loopback(0);
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(bind(fd, (const struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    const char *taken = tiny_path("%d", ntohs(a.sin_port));
    assert_int_equal(program_run(output, OUTPUT_BYTES, SERVE_WORDS(run, "2", "--serve", taken)), 2);
    if (!strstr(output, "cannot be listened on")) fail_msg("%s", output);
    assert_false(dir_exists(run));
    close(fd);
}

/* A run is resumed with the option, and without it as before. */
static void resume_serves_too(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "resumed");
    if (program_run(output, OUTPUT_BYTES, SERVE_WORDS(run, "3", "--serve", "0")) != 0) fail_msg("%s", output);
    struct program p = program_start(WORDS("resume", run, "--max-steps", "100000", "--serve", free_port()));
    assert_true(program_wait_line(&p, "step 5/"));
    assert_int_equal(get("/page"), 200);
    stop(&p);
}

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 60, 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_and_events),
        cmocka_unit_test(refused_by_status),
        cmocka_unit_test(neither_slow_nor_many_stop_it),
        cmocka_unit_test(other_addresses),
        cmocka_unit_test(resume_serves_too),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
