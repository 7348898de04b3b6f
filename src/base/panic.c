/* panic: what happens when BUG_ON finds a broken invariant. Where a catch is open on this thread (a worker inside
 * threads_run), the panic jumps there and is raised again on the calling thread; otherwise the ctx is marked, and the
 * host's hook is called. */
#include "base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The catch that a panic of this thread goes to; they nest. */
static _Thread_local struct panic_catch *innermost;

void panic_catch_open(struct panic_catch *k)
{
    k->outer = innermost;
    k->message[0] = '\0';
    innermost = k;
}

void panic_catch_close(struct panic_catch *k)
{
    innermost = k->outer;
}

/* The last words go straight to stderr: after a broken invariant nothing buffered can be trusted. */
void panic_default(void *user, const char *message)
{
    (void)user;
    size_t left = strlen(message);
    while (left > 0) {
        ssize_t n = write(STDERR_FILENO, message, left);
        if (n <= 0) break;
        message += n;
        left -= (size_t)n;
    }
    abort();
}

/* Makes the ctx one that can only be freed, with the reason as its failure for good. */
static void spoil(struct ctx *c, const char *message)
{
    char text[CTX_MESSAGE_BYTES];
    int n = (int)strcspn(message, "\n");
    snprintf(text, sizeof text, "%.*s. The ctx can only be freed now", n, message);
    c->panicked = true;
    c->status = E_BUG;
    ctx_escape(c->message, sizeof c->message, text);
}

_Noreturn void ctx_panic_again(struct ctx *c, const char *message)
{
    struct panic_catch *k = innermost;
    if (k) { /* on the way to the thread that called: the ctx is not this thread's to touch */
        snprintf(k->message, sizeof k->message, "%s", message);
        longjmp(k->back, 1);
    }
    if (c) {
        spoil(c, message);
        c->hooks.panic(c->hooks.user, message);
    }
    panic_default(NULL, message); /* no ctx, or a hook that returned against its contract */
}

_Noreturn void ctx_panic(struct ctx *c, const char *file, int line, const char *format, ...)
{
    char text[CTX_MESSAGE_BYTES / 2], message[CTX_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(message, sizeof message, "bug at %s:%d: %s\n", file, line, text);
    ctx_panic_again(c, message);
}
