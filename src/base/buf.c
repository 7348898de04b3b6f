/* buf: see buf.h. The cap is checked before memory is asked for, so a hostile length costs nothing; the capacity doubles,
 * so appending byte by byte stays linear. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { CAPACITY_MIN_BYTES = 64 };

void buf_init(struct buf *b, struct ctx *c, size_t cap_bytes)
{
    BUG_ON(c, cap_bytes >= SIZE_MAX / 2, "a cap of %zu bytes is no cap", cap_bytes);
    *b = (struct buf){.c = c, .cap_bytes = cap_bytes};
}

void buf_release(struct buf *b)
{
    mem_free(b->c, b->data);
    *b = (struct buf){.c = b->c, .cap_bytes = b->cap_bytes};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data) b->data[0] = '\0';
}

/* Makes the capacity enough for n more bytes and the NUL; false with the failure recorded. */
static bool buf_grow(struct buf *b, size_t n)
{
    if (b->failed) return false;
    if (n > b->cap_bytes - b->len) {
        b->failed = true;
        ctx_fail(b->c, E_INPUT, "text would grow to %zu bytes, past its limit of %zu", b->len + n, b->cap_bytes);
        return false;
    }
    size_t need = b->len + n + 1;
    if (need <= b->capacity) return true;
    size_t capacity = b->capacity * 2 > CAPACITY_MIN_BYTES ? b->capacity * 2 : CAPACITY_MIN_BYTES;
    if (capacity > b->cap_bytes + 1) capacity = b->cap_bytes + 1;
    if (capacity < need) capacity = need;
    char *data = mem_resize(b->c, b->data, b->len, capacity, 1);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

void buf_append(struct buf *b, const void *bytes, size_t n)
{
    if (!buf_grow(b, n)) return;
    if (n > 0) memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_append_str(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_append_char(struct buf *b, char ch)
{
    buf_append(b, &ch, 1);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    BUG_ON(b->c, n < 0, "a format that cannot be printed: %s", format);
    if (buf_grow(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

char *buf_take(struct buf *b)
{
    buf_grow(b, 0); /* an empty buffer still gives a string */
    char *taken = b->failed ? NULL : b->data;
    if (!taken) mem_free(b->c, b->data);
    if (taken) taken[b->len] = '\0';
    *b = (struct buf){.c = b->c, .cap_bytes = b->cap_bytes};
    return taken;
}
