/* buf: a growable byte string with a mandatory cap and a sticky error: after the first failed append the rest do nothing
 * and the owner checks once (buf_ok). Past the cap: E_INPUT. Always NUL-terminated at data[len]. */
#ifndef YA_BASE_BUF_H
#define YA_BASE_BUF_H

#include "base/ctx.h"

struct buf {
    struct ctx *c;
    char *data;                      /* owned; NULL while empty: use buf_str for a C string */
    size_t len, capacity, cap_bytes; /* bytes in use, bytes allocated, most that may ever be in use */
    bool failed;
};

/* Empty, without memory yet. cap_bytes: the most that it may ever hold, chosen by what the text is for; below SIZE_MAX /
 * 2. */
void buf_init(struct buf *b, struct ctx *c, size_t cap_bytes);
/* Frees the memory; the buffer is empty and may be used again. */
void buf_release(struct buf *b);
/* Empties the buffer and forgets its failure (not the ctx's); keeps the memory. */
void buf_clear(struct buf *b);
/* Appending after a failure does nothing. Past the cap: E_INPUT; no memory: E_MEMORY. All of these copy. */
void buf_append(struct buf *b, const void *bytes, size_t n);
void buf_append_str(struct buf *b, const char *s);
void buf_append_char(struct buf *b, char ch);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes the memory out of the buffer (owner the caller, mem_free); the buffer is empty afterwards. NULL on failure;
 * an empty buffer gives "". */
char *buf_take(struct buf *b);

/* False when an append failed: the text is then not complete. */
static inline bool buf_ok(const struct buf *b)
{
    return !b->failed;
}
/* The text as a C string, valid until the next append. */
static inline const char *buf_str(const struct buf *b)
{
    return b->data ? b->data : "";
}

#endif
