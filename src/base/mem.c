/* mem: every block carries a 32-byte header in front that holds its size and where the system's block begins, so that
 * freeing needs no size, the live total is exact, and aligned blocks are freed like any other; and its neighbours on the
 * ctx's list of all blocks, so that all can be freed after a panic. The ctx's hook `alloc` behaves like realloc: NULL for
 * the old block allocates, 0 bytes free. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/system.h"

enum { ALIGNMENT_BYTES = 64 };

/* The header in front of every block. */
struct mem_block {
    void *base;   /* what the allocator returned */
    size_t bytes; /* what was asked for, headers not counted */
    struct mem_block *next, *previous;
};
_Static_assert(sizeof(struct mem_block) % 16 == 0, "blocks keep the allocator's 16-byte alignment behind the header");

/* The header of what a caller holds. */
static struct mem_block *mem_block_of(void *p)
{
    return (struct mem_block *)p - 1;
}

/* Enters a block whose neighbours are set: a new one at the front, or one that has moved. */
static void link_block(struct ctx *c, struct mem_block *h)
{
    if (h->next) h->next->previous = h;
    if (h->previous)
        h->previous->next = h;
    else
        c->blocks = h;
}

/* Takes a block off the ctx's list. */
static void unlink_block(struct ctx *c, struct mem_block *h)
{
    if (h->next) h->next->previous = h->previous;
    if (h->previous)
        h->previous->next = h->next;
    else
        c->blocks = h->next;
}

/* One block's size changed: keeps the live total and its peak. */
static void count_change(struct ctx *c, size_t old_bytes, size_t bytes)
{
    c->alloc_bytes = c->alloc_bytes - old_bytes + bytes;
    if (c->alloc_bytes > c->alloc_peak) c->alloc_peak = c->alloc_bytes;
}

/* Records E_MEMORY with both figures and returns NULL. */
static void *mem_out_of_memory(struct ctx *c, size_t bytes)
{
    ctx_fail(c, E_MEMORY, "out of memory: %zu bytes were refused while %zu are in use", bytes, c->alloc_bytes);
    return NULL;
}

/* *bytes = count * size, *total = that and `extra` (the header, and what aligning may take), or false with E_INPUT where
 * either is over SIZE_MAX: such a size can only come from a lying file. */
static bool sizes(struct ctx *c, size_t count, size_t size, size_t extra, size_t *bytes, size_t *total)
{
    if (checked_mul(count, size, bytes) && checked_add(*bytes, extra, total)) return true;
    ctx_fail(c, E_INPUT, "too large: %zu elements of %zu bytes do not fit in memory", count, size);
    return false;
}

void *mem_alloc(struct ctx *c, size_t count, size_t size)
{
    size_t bytes, total;
    if (!sizes(c, count, size, sizeof(struct mem_block), &bytes, &total)) return NULL;
    struct mem_block *h = c->hooks.alloc(c->hooks.user, NULL, total);
    if (!h) return mem_out_of_memory(c, bytes);
    memset(h, 0, total);
    *h = (struct mem_block){h, bytes, c->blocks, NULL};
    link_block(c, h);
    count_change(c, 0, bytes);
    return h + 1;
}

void *mem_resize(struct ctx *c, void *p, size_t old_count, size_t count, size_t size)
{
    if (!p) return mem_alloc(c, count, size);
    size_t bytes, total, old_bytes = mem_block_of(p)->bytes;
    BUG_ON(c, mem_block_of(p)->base != mem_block_of(p), "an aligned block cannot be resized");
    BUG_ON(c, old_count * size > old_bytes, "resize from %zu elements of a block that holds %zu bytes", old_count,
           old_bytes);
    if (!sizes(c, count, size, sizeof(struct mem_block), &bytes, &total)) return NULL;
    struct mem_block *h = c->hooks.alloc(c->hooks.user, mem_block_of(p), total);
    if (!h) return mem_out_of_memory(c, bytes);
    h->base = h;
    h->bytes = bytes;
    link_block(c, h);
    if (count > old_count) memset((char *)(h + 1) + old_count * size, 0, (count - old_count) * size);
    count_change(c, old_bytes, bytes);
    return h + 1;
}

/* Contents undefined, unlike mem_alloc: these blocks are large and written whole. The block begins at the first aligned
 * address that leaves place for the header in front of it: for an allocator's block at 0x1010 that is 0x1040, with the
 * header from 0x1020 on. */
void *mem_alloc_aligned(struct ctx *c, size_t bytes)
{
    size_t total;
    if (!sizes(c, bytes, 1, sizeof(struct mem_block) + ALIGNMENT_BYTES, &bytes, &total)) return NULL;
    char *base = c->hooks.alloc(c->hooks.user, NULL, total);
    if (!base) return mem_out_of_memory(c, bytes);
    uintptr_t at = (uintptr_t)base + sizeof(struct mem_block) + ALIGNMENT_BYTES - 1;
    char *p = base + (at / ALIGNMENT_BYTES * ALIGNMENT_BYTES - (uintptr_t)base);
    *mem_block_of(p) = (struct mem_block){base, bytes, c->blocks, NULL};
    link_block(c, mem_block_of(p));
    count_change(c, 0, bytes);
    return p;
}

void mem_free(struct ctx *c, void *p)
{
    if (!p) return;
    struct mem_block *h = mem_block_of(p);
    count_change(c, h->bytes, 0);
    unlink_block(c, h);
    c->hooks.alloc(c->hooks.user, h->base, 0);
}

/* For ctx_free after a panic, when nobody knows any more who owned what. */
void mem_free_all(struct ctx *c)
{
    for (struct mem_block *h = c->blocks, *next; h; h = next) {
        next = h->next;
        c->hooks.alloc(c->hooks.user, h->base, 0);
    }
    c->blocks = NULL;
    c->alloc_bytes = 0;
}

char *mem_strndup(struct ctx *c, const char *s, size_t n)
{
    size_t bytes;
    if (!checked_add(n, 1, &bytes)) {
        ctx_fail(c, E_INPUT, "too large: a string of %zu bytes", n);
        return NULL;
    }
    char *copy = mem_alloc(c, bytes, 1);
    if (copy && n > 0) memcpy(copy, s, n);
    return copy;
}

void mem_trim(void)
{
    system_trim();
}

char *mem_strdup(struct ctx *c, const char *s)
{
    return mem_strndup(c, s, strlen(s));
}

/* Formats twice: once for the length. */
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
