/* live_server: listening, the thread and its connections. See the header; what is answered is live_answer.c. */
#include "runs/live_server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/system.h"
#include "report/http_request.h"
#include "runs/live_answer.h"

enum {
    CONNECTIONS_MAX = 16,
    LISTENING_MAX = 8,           /* of them for events, so that pages stay to be had */
    IDLE_SECONDS = 10,           /* of a connection on which nothing moves */
    DRAINED_BYTES_MAX = 1 << 20, /* that are read and thrown away behind a request that was refused */
    TICK_MS = 250,
    PORT_DEFAULT_BACKLOG = 16
};

struct connection {
    int fd; /* -1: free */
    char in[HTTP_REQUEST_BYTES + 1];
    size_t n_in, drained, sent;
    struct buf out;
    bool answered, events; /* all is read; it stays open for events */
    bool ended, shut;      /* the other side sends no more; all is written, and its end is waited for */
    int64_t told;          /* step of the newest event */
    double since;          /* when something moved last */
};

struct live_server {
    struct ctx *owner, *c; /* the training's; the thread's own */
    int listener, wake[2], port;
    char url[64];
    pthread_t thread;
    bool running;
    struct live_answer answer;
    struct connection connections[CONNECTIONS_MAX];
    atomic_llong step, total;
    _Atomic double loss;
    atomic_bool stop;
};

static double live_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- listening ------------------------------------------------------------------------------------------------------- */

/* Takes "HOST:PORT" apart; false for what is not an address of this machine's own. */
static bool take_address(const char *address, bool *six, int *port)
{
    static const char *const hosts[] = {"localhost:", "127.0.0.1:", "[::1]:", ""};
    char *end;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        size_t n = strlen(hosts[i]);
        if (strncmp(address, hosts[i], n) != 0) continue;
        if (address[n] < '0' || address[n] > '9') return false;
        long value = strtol(address + n, &end, 10);
        if (*end || value > 65535) return false;
        *six = hosts[i][0] == '[';
        *port = (int)value;
        return true;
    }
    return false;
}

/* Binds the socket to the loopback address. */
static int bind_loopback(int fd, bool six, int port)
{
    if (six) {
        struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = in6addr_loopback};
        return bind(fd, (const struct sockaddr *)&a, sizeof a);
    }
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bind(fd, (const struct sockaddr *)&a, sizeof a);
}

/* The port that was bound, which the system chose for 0. */
static int bound_port(int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &n) != 0) return -1;
    return ntohs(a.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&a)->sin6_port
                                         : ((const struct sockaddr_in *)&a)->sin_port);
}

/* A descriptor that no child inherits and on which nothing waits. */
static int set_flags(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? fcntl(fd, F_SETFL, O_NONBLOCK) : -1;
}

static enum status start_listening(struct live_server *s, const char *address)
{
    bool six;
    int port, yes = 1;
    if (!take_address(address, &six, &port))
        return ctx_fail(s->owner, E_INPUT,
                        "--serve %s: is not PORT or localhost:PORT. The page is for browsers on this machine; from another "
                        "one: ssh -L PORT:localhost:PORT",
                        address);
    s->listener = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    if (s->listener < 0 || set_flags(s->listener) != 0)
        return ctx_fail(s->owner, E_IO, "--serve: no socket is to be had: %s", strerror(errno));
    setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind_loopback(s->listener, six, port) != 0 || listen(s->listener, PORT_DEFAULT_BACKLOG) != 0)
        return ctx_fail(s->owner, E_INPUT, "--serve %s: cannot be listened on: %s. --serve 0 takes any port that is free",
                        address, strerror(errno));
    s->port = bound_port(s->listener);
    snprintf(s->url, sizeof s->url, "http://%s:%d/", six ? "[::1]" : "127.0.0.1", s->port);
    if (pipe(s->wake) != 0) return ctx_fail(s->owner, E_IO, "--serve: %s", strerror(errno));
    return set_flags(s->wake[0]) == 0 && set_flags(s->wake[1]) == 0
               ? OK
               : ctx_fail(s->owner, E_IO, "--serve: %s", strerror(errno));
}

struct live_server *live_server_open(struct ctx *c, const char *address)
{
    struct live_server *s = mem_alloc(c, 1, sizeof *s);
    if (!s) return NULL;
    s->owner = c;
    s->listener = s->wake[0] = s->wake[1] = -1;
    for (int i = 0; i < CONNECTIONS_MAX; i++) s->connections[i].fd = -1;
    s->c = ctx_new(NULL);
    if (!s->c) ctx_fail(c, E_MEMORY, "no memory for --serve");
    if (s->c && start_listening(s, address) == OK) return s;
    live_server_close(s);
    return NULL;
}

const char *live_server_url(const struct live_server *s)
{
    return s->url;
}

/* ---- connections ----------------------------------------------------------------------------------------------------- */

static void connection_close(struct connection *k)
{
    close(k->fd);
    k->fd = -1;
    buf_release(&k->out);
}

/* Takes what waits at the listener, as long as there is room for it. */
static void accept_some(struct live_server *s)
{
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *k = &s->connections[i];
        if (k->fd >= 0) continue;
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0) return;
        if (set_flags(fd) != 0) {
            close(fd);
            continue;
        }
        *k = (struct connection){.fd = fd, .since = live_seconds(), .told = -1};
        buf_init(&k->out, s->c, LIVE_ANSWER_CAP_BYTES);
    }
}

/* How many stay open for events. */
static int n_listening(const struct live_server *s)
{
    int n = 0;
    for (int i = 0; i < CONNECTIONS_MAX; i++) n += s->connections[i].fd >= 0 && s->connections[i].events;
    return n;
}

/* Reads; false when the connection is over. Bytes behind a complete request are thrown away. */
static bool connection_read(struct live_server *s, struct connection *k)
{
    char waste[4096];
    ssize_t n = k->answered ? recv(k->fd, waste, sizeof waste, 0) : recv(k->fd, k->in + k->n_in, sizeof k->in - k->n_in, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) {
        k->ended = true;
        return k->answered && !k->shut && !k->events; /* the answer may still be wanted */
    }
    if (k->answered) return (k->drained += (size_t)n) <= DRAINED_BYTES_MAX;
    k->n_in += (size_t)n;
    k->since = live_seconds();
    struct http_request r = http_request_read(k->in, k->n_in, s->port);
    if (r.status == 0) return true;
    k->answered = true;
    k->events = live_answer_write(&s->answer, &r, n_listening(s) < LISTENING_MAX, &k->out);
    return buf_ok(&k->out);
}

/* Writes what waits; false when the connection is over. */
static bool connection_write(struct connection *k)
{
    if (k->sent < k->out.len) {
        ssize_t n = send(k->fd, k->out.data + k->sent, k->out.len - k->sent, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN || errno == EINTR;
        k->sent += (size_t)n;
        k->since = live_seconds();
    }
    if (k->sent < k->out.len || !k->answered) return true;
    buf_clear(&k->out);
    k->sent = 0;
    if (!k->events && !k->shut) {
        k->shut = true;
        return shutdown(k->fd, SHUT_WR) == 0;
    }
    return true;
}

/* The newest step, to those who listen and have read what came before. */
static void tell_step(struct live_server *s, struct connection *k)
{
    int64_t step = atomic_load(&s->step);
    if (!k->events || k->out.len > 0 || step == k->told) return;
    live_answer_event(step, atomic_load(&s->total), atomic_load(&s->loss), &k->out);
    k->told = step;
    k->since = live_seconds();
}

/* One turn of a connection. */
static void serve_connection(struct live_server *s, struct connection *k, short happened)
{
    bool alive = !(happened & (POLLERR | POLLNVAL)) && !(k->ended && (happened & POLLHUP));
    if (alive && !k->ended && (happened & (POLLIN | POLLHUP))) alive = connection_read(s, k);
    if (alive) tell_step(s, k);
    if (alive) alive = connection_write(k);
    bool waits = !k->events || k->out.len > 0; /* one that listens has nothing to do between two steps */
    if (alive && waits && live_seconds() - k->since > IDLE_SECONDS) alive = false;
    if (!alive || !ctx_ok(s->c)) connection_close(k);
    ctx_clear(s->c);
}

/* ---- the thread ------------------------------------------------------------------------------------------------------ */

/* Waits for something to do, and does it. */
static void serve_once(struct live_server *s)
{
    struct pollfd polled[CONNECTIONS_MAX + 2] = {{s->wake[0], POLLIN, 0}, {-1, POLLIN, 0}};
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        const struct connection *k = &s->connections[i];
        int wanted = (k->ended ? 0 : POLLIN) | (k->out.len > k->sent ? POLLOUT : 0);
        polled[i + 2] = (struct pollfd){k->fd, (short)wanted, 0};
        if (k->fd < 0) polled[1].fd = s->listener; /* there is room for one more */
    }
    poll(polled, CONNECTIONS_MAX + 2, TICK_MS);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        if (s->connections[i].fd >= 0) serve_connection(s, &s->connections[i], polled[i + 2].revents);
    if (polled[1].revents & POLLIN) accept_some(s);
}

static void *serve(void *user)
{
    struct live_server *s = user;
    system_yield_priority();
    while (!atomic_load(&s->stop)) serve_once(s);
    return NULL;
}

enum status live_server_start(struct live_server *s, const char *run, const char *program)
{
    sigset_t all, before;
    if (live_answer_open(&s->answer, s->c, run, program) != OK) return ctx_fail(s->owner, s->c->status, "%s", s->c->message);
    sigfillset(&all); /* signals are for the training's threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->running = pthread_create(&s->thread, NULL, serve, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return s->running ? OK : ctx_fail(s->owner, E_MEMORY, "--serve: the system refuses a thread");
}

void live_server_note(struct live_server *s, int64_t step, int64_t total_steps, double loss)
{
    atomic_store(&s->total, total_steps);
    atomic_store(&s->loss, loss);
    atomic_store(&s->step, step);
}

void live_server_close(struct live_server *s)
{
    if (!s) return;
    atomic_store(&s->stop, true);
    /* without the byte the thread sees `stop` a tick later */
    if (s->running && write(s->wake[1], "", 1) <= 1) pthread_join(s->thread, NULL);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        if (s->connections[i].fd >= 0) connection_close(&s->connections[i]);
    live_answer_close(&s->answer);
    if (s->listener >= 0) close(s->listener);
    for (int i = 0; i < 2; i++)
        if (s->wake[i] >= 0) close(s->wake[i]);
    if (s->c) ctx_clear(s->c);
    ctx_free(s->c);
    mem_free(s->owner, s);
}
