/* mem: every block carries a 16-byte header in front that holds its size and where the system's block begins, so that
 * freeing needs no size, the live total is exact, and aligned blocks are freed like any other. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/checked.h"

enum { ALIGNMENT_BYTES = 64 };

struct header {
    void *base;   /* what the allocator returned */
    size_t bytes; /* what was asked for, headers not counted */
};
_Static_assert(sizeof(struct header) == 16, "blocks keep the allocator's 16-byte alignment behind the header");

static struct header *header_of(void *p)
{
    return (struct header *)p - 1;
}

static void count_change(struct ctx *c, size_t old_bytes, size_t bytes)
{
    c->alloc_bytes = c->alloc_bytes - old_bytes + bytes;
    if (c->alloc_bytes > c->alloc_peak) c->alloc_peak = c->alloc_bytes;
}

static void *out_of_memory(struct ctx *c, size_t bytes)
{
    ctx_fail(c, E_MEMORY, "out of memory: %zu bytes were refused while %zu are in use", bytes, c->alloc_bytes);
    return NULL;
}

/* bytes + extra for the header(s), or false with E_INPUT: such a size can only come from a lying file. */
static bool sizes(struct ctx *c, size_t count, size_t size, size_t extra, size_t *bytes, size_t *total)
{
    if (checked_mul(count, size, bytes) && checked_add(*bytes, extra, total)) return true;
    ctx_fail(c, E_INPUT, "too large: %zu elements of %zu bytes do not fit in memory", count, size);
    return false;
}

void *mem_alloc(struct ctx *c, size_t count, size_t size)
{
    size_t bytes, total;
    if (!sizes(c, count, size, sizeof(struct header), &bytes, &total)) return NULL;
    struct header *h = c->hooks.alloc(c->hooks.user, NULL, total);
    if (!h) return out_of_memory(c, bytes);
    memset(h, 0, total);
    *h = (struct header){h, bytes};
    count_change(c, 0, bytes);
    return h + 1;
}

void *mem_resize(struct ctx *c, void *p, size_t old_count, size_t count, size_t size)
{
    if (!p) return mem_alloc(c, count, size);
    size_t bytes, total, old_bytes = header_of(p)->bytes;
    BUG_ON(c, header_of(p)->base != header_of(p), "an aligned block cannot be resized");
    BUG_ON(c, old_count * size > old_bytes, "resize from %zu elements of a block that holds %zu bytes", old_count,
           old_bytes);
    if (!sizes(c, count, size, sizeof(struct header), &bytes, &total)) return NULL;
    struct header *h = c->hooks.alloc(c->hooks.user, header_of(p), total);
    if (!h) return out_of_memory(c, bytes);
    *h = (struct header){h, bytes};
    if (count > old_count) memset((char *)(h + 1) + old_count * size, 0, (count - old_count) * size);
    count_change(c, old_bytes, bytes);
    return h + 1;
}

void *mem_alloc_aligned(struct ctx *c, size_t bytes)
{
    size_t total;
    if (!sizes(c, bytes, 1, sizeof(struct header) + ALIGNMENT_BYTES, &bytes, &total)) return NULL;
    char *base = c->hooks.alloc(c->hooks.user, NULL, total);
    if (!base) return out_of_memory(c, bytes);
    uintptr_t at = (uintptr_t)base + sizeof(struct header) + ALIGNMENT_BYTES - 1;
    char *p = base + (at / ALIGNMENT_BYTES * ALIGNMENT_BYTES - (uintptr_t)base);
    *header_of(p) = (struct header){base, bytes};
    count_change(c, 0, bytes);
    return p;
}

void mem_free(struct ctx *c, void *p)
{
    if (!p) return;
    struct header *h = header_of(p);
    count_change(c, h->bytes, 0);
    c->hooks.alloc(c->hooks.user, h->base, 0);
}

char *mem_strndup(struct ctx *c, const char *s, size_t n)
{
    size_t room;
    if (!checked_add(n, 1, &room)) {
        ctx_fail(c, E_INPUT, "too large: a string of %zu bytes", n);
        return NULL;
    }
    char *copy = mem_alloc(c, room, 1);
    if (copy && n > 0) memcpy(copy, s, n);
    return copy;
}

void mem_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

char *mem_strdup(struct ctx *c, const char *s)
{
    return mem_strndup(c, s, strlen(s));
}

char *mem_printf(struct ctx *c, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    BUG_ON(c, n < 0, "a format that cannot be printed: %s", format);
    char *s = mem_alloc(c, (size_t)n + 1, 1);
    if (s) vsnprintf(s, (size_t)n + 1, format, again);
    va_end(again);
    return s;
}
