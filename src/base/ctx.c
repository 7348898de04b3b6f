/* ctx: see ctx.h. Messages are formatted once into a stack buffer and then copied character by character, so that bytes
 * from file names and data can neither move the terminal's cursor nor cut a character in half at the end of the slot. */
#include "base/ctx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/panic.h"
#include "base/resource.h"
#include "base/threads.h"
#include "base/utf8.h"

/* The malloc family behind the hook's realloc semantics. */
static void *default_alloc(void *user, void *old, size_t bytes)
{
    (void)user;
    if (bytes == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, bytes);
}

/* A library that was given no log hook is silent. */
static void default_log(void *user, enum log_level level, const char *message)
{
    (void)user;
    (void)level;
    (void)message;
}

struct ctx *ctx_new(const struct ctx_hooks *hooks)
{
    struct ctx_hooks h = {0};
    if (hooks) h = *hooks;
    if (!h.alloc) h.alloc = default_alloc;
    if (!h.log) h.log = default_log;
    if (!h.panic) h.panic = panic_default;
    struct ctx *c = h.alloc(h.user, NULL, sizeof *c);
    if (!c) return NULL;
    memset(c, 0, sizeof *c);
    c->hooks = h;
    return c;
}

void ctx_free(struct ctx *c)
{
    if (!c) return;
    BUG_ON(c, c->array_env && !c->panicked, "the array environment outlives its ctx");
    (void)ctx_set_threads(c, 1); /* one thread means no pool: nothing to create, so nothing can fail */
    if (c->panicked) {
        resource_release_all(c);
        mem_free_all(c);
    }
    c->hooks.alloc(c->hooks.user, c, 0);
}

/* True for characters that could steer a terminal: C0, DEL, and C1 (U+0080..U+009F, two bytes C2 80..C2 9F). */
static bool is_control(const uint8_t *p, size_t len)
{
    return (len == 1 && (p[0] < 0x20 || p[0] == 0x7F)) || (len == 2 && p[0] == 0xC2 && p[1] < 0xA0);
}

void ctx_escape(char *out, size_t out_bytes, const char *text)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t n = strlen(text), at = 0;
    while (n > 0) {
        size_t len = utf8_length(p, n);
        bool plain = len > 0 && !is_control(p, len);
        size_t need = plain ? len : 4; /* an unsafe character is escaped byte by byte */
        if (at + need >= out_bytes) break;
        if (plain) {
            memcpy(out + at, p, len);
        } else {
            len = 1;
            snprintf(out + at, 5, "\\x%02X", p[0]);
        }
        at += need;
        p += len;
        n -= len;
    }
    out[at] = '\0';
}

/* The first failure wins: `c->status` keeps it, and what follows is dropped. Returns `status` itself either way. */
enum status ctx_vfail(struct ctx *c, enum status status, const char *format, va_list args)
{
    BUG_ON(c, status <= OK || status >= STATUS_COUNT, "a failure needs a status, got %d", (int)status);
    if (c->status != OK) return status;
    char raw[CTX_MESSAGE_BYTES];
    vsnprintf(raw, sizeof raw, format, args);
    c->status = status;
    ctx_escape(c->message, sizeof c->message, raw);
    return status;
}

enum status ctx_fail(struct ctx *c, enum status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ctx_vfail(c, status, format, args);
    va_end(args);
    return status;
}

/* Puts "prefix: " in front of the recorded message, as the error passes a caller that knows more of where it happened. */
void ctx_prefix(struct ctx *c, const char *format, ...)
{
    if (c->status == OK) return;
    char prefix[CTX_MESSAGE_BYTES / 2], raw[CTX_MESSAGE_BYTES + CTX_MESSAGE_BYTES / 2 + 2];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    /* escaping twice is harmless: the recorded message holds nothing that would be escaped again */
    snprintf(raw, sizeof raw, "%s: %s", prefix, c->message);
    ctx_escape(c->message, sizeof c->message, raw);
}

void ctx_clear(struct ctx *c)
{
    if (c->panicked) return;
    c->status = OK;
    c->message[0] = '\0';
}

void ctx_log(struct ctx *c, enum log_level level, const char *format, ...)
{
    char raw[CTX_MESSAGE_BYTES], line[CTX_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    ctx_escape(line, sizeof line, raw);
    c->hooks.log(c->hooks.user, level, line);
}

const char *status_name(enum status status)
{
    static const char *const names[STATUS_COUNT] = {
        [OK] = "ok",
        [E_INPUT] = "input",
        [E_IO] = "io",
        [E_MEMORY] = "memory",
        [E_FIT] = "fit",
        [E_SHAPE] = "shape",
        [E_DTYPE] = "dtype",
        [E_UNSUPPORTED] = "unsupported",
        [E_NUMERIC] = "numeric",
        [E_INTERRUPTED] = "interrupted",
        [E_BUG] = "bug",
        [E_FOUND] = "found",
    };
    return (unsigned)status < STATUS_COUNT ? names[status] : "unknown";
}

int status_exit_code(enum status status)
{
    switch (status) {
    case OK:
        return 0;
    case E_INPUT:
    case E_UNSUPPORTED:
        return 2;
    case E_MEMORY:
    case E_FIT:
        return 3;
    case E_INTERRUPTED:
        return 130; /* what a shell reports for a program that Ctrl-C ended: scripts take it for no success */
    default:
        return 1;
    }
}
