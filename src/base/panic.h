/* panic: what happens when a broken invariant of ours is found (ctx_panic, BUG_ON).
 *
 * A thread that works for threads_run must not leave by the host's hook: its stack is not the host's, and others are still
 * at work. Around such work stands a catch, and ctx_panic on that thread jumps there with its message instead. */
#ifndef YA_BASE_PANIC_H
#define YA_BASE_PANIC_H

#include <setjmp.h>

#include "base/ctx.h"

struct panic_catch {
    jmp_buf back;
    struct panic_catch *outer; /* the one that this thread had before */
    char message[CTX_MESSAGE_BYTES];
};

/* Puts the catch in place for this thread, until panic_catch_close. True: control came here again by a panic, with its
 * message. A macro, because the frame that calls setjmp must stay. */
#define PANIC_CATCH(k) (panic_catch_open(k), _setjmp((k)->back) != 0)
/* What the macro is made of. Catches nest; each is closed by the frame that opened it. */
void panic_catch_open(struct panic_catch *k);
void panic_catch_close(struct panic_catch *k);

/* The default hook: the message to stderr, and abort. */
void panic_default(void *user, const char *message) __attribute__((noreturn));

#endif
